"""The demo: eight processes and an answer from one command."""
import http.client, os, pathlib, pty, re, select, signal, subprocess, time
from swarm import BIN, agents, DEMO_MODEL, SHARED, SLOW, Skip, base_env, case, check, check_equal, request, run_command, wait_for


def demo_env(box):
    env = base_env(box.dir / "demo")
    env["TMPDIR"] = str(box.dir / "demo")
    return env


def leftovers(box):
    return list((box.dir / "demo").glob("shoal-demo-*"))


def processes_of(folder):
    """Processes whose arguments or environment name the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if str(folder).encode() in open(f"/proc/{pid}/cmdline", "rb").read():
                found.append(int(pid))
        except OSError:
            pass
    return found


@case("demo --once: exit 0 within 60 s, stdout has the completion only, the same as one process gives")
def once(box):
    env = demo_env(box)
    began = time.monotonic()
    r = run_command(["demo", "--once", "Once upon a time"], env, timeout=60)
    check_equal(r.returncode, 0, r.err)
    print(f"# answered after {time.monotonic() - began:.1f} s")
    alone = run_command(["run", DEMO_MODEL, "-p", "Once upon a time", "-n", 64, "--temp", 0], env)
    check_equal(r.out, alone.out + "\n", "answer")
    check(re.search(r"READY", r.err) and "8/8" in r.err, r.err)
    check_equal(leftovers(box), [], "left over")
    check_equal(processes_of(box.dir / "demo"), [], "processes left over")


@case("demo with 3 nodes and with a model of five layers")
def others(box):
    env = demo_env(box)
    r = run_command(["demo", "--once", "The sea", "--nodes", 3], env, timeout=60)
    check_equal((r.returncode, bool(r.out.strip())), (0, True), r.err)
    alone = run_command(["run", DEMO_MODEL, "-p", "The sea", "-n", 64, "--temp", 0], env)
    check_equal(r.out, alone.out + "\n", "answer of 3 nodes")
    model = SHARED / "models/stories260K.gguf"
    if model.exists():
        r = run_command(["demo", "--once", "Once upon a time", "--model", model], env, timeout=60)
        check_equal(r.returncode, 0, r.err)
        check("5 nodes" in r.err and r.out.strip(), r.err)


@case("demo on a terminal: prompts, and Ctrl-C ends all of it")
def terminal(box):
    try:
        pid, fd = pty.fork()
    except OSError as e:
        raise Skip(f"no pseudo terminal to be had: {e}")
    if pid == 0:
        os.execve(BIN, ["shoal", "demo", "--nodes", "2"], demo_env(box))
    text = b""

    def read_until(pattern, timeout):
        nonlocal text
        end = time.monotonic() + timeout * SLOW
        while not re.search(pattern, text):
            check(time.monotonic() < end, f"/{pattern}/ does not come:", text.decode(errors="replace")[-1500:])
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    text += os.read(fd, 65536)
                except OSError:
                    break
        check(re.search(pattern, text), f"/{pattern}/ did not come:", text.decode(errors="replace")[-1500:])

    try:
        read_until(rb"READY", 30)
        read_until(rb"tokens/s through 2 nodes", 30)
        url = re.search(rb"API (http://127\.0\.0\.1:\d+)/v1", (read_until(rb"Ctrl-C ends the demo", 5), text)[1]).group(1).decode()
        check_equal(request(url + "/ready").status, 200, "/ready")
        text = b""
        os.write(fd, b"The king\n")
        read_until(rb"tokens/s through 2 nodes", 20)
        os.write(fd, b"\x03")
        status = wait_for(lambda: (lambda r: r if r[0] else None)(os.waitpid(pid, os.WNOHANG)), 8, "the demo ends")
        pid = 0
        check_equal(os.waitstatus_to_exitcode(status[1]), 0, "exit")
        check_equal(leftovers(box), [], "left over")
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(fd)
    check_equal(processes_of(box.dir / "demo"), [], "processes left over")


@case("demo without a terminal: the life of the swarm, where the API is, an answer; then it ends by itself")
def pipe(box):
    r = run_command(["demo"], demo_env(box), timeout=60)
    check_equal(r.returncode, 0, r.err)
    for word in (r"started 10 processes", r"found and linked: 8/8 nodes", r"shard 7 \(layer 7\) loaded on node [0-9a-f]{8}", r"READY",
                 r"API http://127\.0\.0\.1:\d+/v1", r"Once upon a time.{40}", r"\d+ tokens, .* tokens/s through 8 nodes"):
        check(re.search(word, r.out, re.S), f"/{word}/ is not in:\n{r.out}")
    check_equal(leftovers(box), [], "left over")


@case("demo killed with SIGKILL: no process survives it; SIGTERM: nothing is left at all")
def killed(box):
    for signo in (signal.SIGKILL, signal.SIGTERM):
        demo = subprocess.Popen([BIN, "demo", "--nodes", "4"], env=demo_env(box), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        try:
            for line in demo.stdout:
                if "READY" in line or "started" in line and signo == signal.SIGTERM:
                    break
            check(processes_of(box.dir / "demo"), "no processes were found")
            ours = {agent for agent, parent in agents().items() if parent in processes_of(box.dir / "demo")}
        finally:
            demo.send_signal(signo)
            demo.wait()
            demo.stdout.close()
        wait_for(lambda: not processes_of(box.dir / "demo"), 5, f"processes end after signal {signo}")
        wait_for(lambda: not ours & agents().keys(), 5, f"agents end after signal {signo}")
        if signo == signal.SIGTERM:
            check_equal(leftovers(box), [], "left over")
        for folder in leftovers(box):
            subprocess.run(["rm", "-rf", folder], check=True)


@case("demo whose swarm does not become ready names the first blocker and shows a log (a port that is blocked)")
def fails(box):
    env = {**demo_env(box), "SHOAL_CPU": "fast"}
    r = run_command(["demo", "--once", "x"], env, timeout=60)
    check(r.returncode != 0 and r.out == "", r.returncode, r.out)
    check("fast" in r.err, r.err)
    check_equal(leftovers(box), [], "left over")
