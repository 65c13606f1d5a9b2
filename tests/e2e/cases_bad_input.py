"""Bad input of long-running processes and single commands: one clear error each (what, where, why, what to do) and
the documented exit code. (Model files: cases_models.py.)"""
import os, pathlib, socket, subprocess
from swarm import DEMO_MODEL, SHARED, Skip, Swarm, base_env, case, check, check_equal, run_command


def refused(r, code, *words):
    text = r.err.strip()
    check_equal(r.returncode, code, f"exit; stderr: {text}")
    check(1 <= len(text.splitlines()) <= 2, "not one or two lines:", text)
    for word in words:
        check(str(word) in text, f"'{word}' is not in:", text)
    check_equal(r.out, "", "stdout")


def node_args(s, name, *extra):
    return ["node", "--listen", "127.0.0.1", "--shards-dir", s.dir / "shards" / name, "--state-dir", s.dir / "state" / name, *extra]


@case("options: unknown, without value, out of range, a list that is none")
def options(box):
    with Swarm(box) as s:
        for extra, words in ((["--no-such"], ["--no-such"]), (["--port"], ["--port", "value"]), (["--port", "70000"], ["--port", "70000"]),
                             (["--threads", "0"], ["--threads", "0"]), (["--shards", "3-1"], ["3-1"]), (["--shard-id", "x"], ["x"]),
                             (["--memory", "lots"], ["--memory", "lots"]), (["--kv", "f8"], ["--kv", "f8"]),
                             (["--bootstrap", "0.0.0.0:7400"], ["0.0.0.0"]), (["--peer", "nowhere"], ["--peer", "nowhere"]),
                             (["--cluster", "a/b"], ["a/b"]), (["--log-level", "loud"], ["loud"]), (["one", "two"], ["TOKEN"])):
            refused(run_command(node_args(s, "x", *extra), s.env), 2, *words)
        refused(run_command(["run", DEMO_MODEL], s.env), 2, "prompt")
        refused(run_command(["run", DEMO_MODEL, "-p", "x", "--temp", "warm"], s.env), 2, "warm")
        refused(run_command(["run", DEMO_MODEL, "-p", "x", "-n", 1], {**s.env, "SHOAL_CPU": "neon"}), 2, "neon")
        refused(run_command(["run", DEMO_MODEL, "-p", "x", "-n", 1], {**s.env, "SHOAL_CPU": "fast"}), 2, "fast")
        refused(run_command(["demo", "--nodes", 0], s.env), 2, "--nodes", 0)
        refused(run_command(["split", DEMO_MODEL, "--shards", 0], s.env), 2, "--shards")


@case("a prompt longer than the context: run exits 2 and tells both numbers")
def long_prompt(box):
    refused(run_command(["run", DEMO_MODEL, "-p", "word " * 400, "--ctx", 128], box.env), 2, "tokens", 128)


@case("a wrong path, a truncated GGUF, a foreign file, an unsupported architecture: exit 4")
def models(box):
    d = box.dir / "bad-models"
    d.mkdir(exist_ok=True)
    for command in (["run", d / "none.gguf", "-p", "x"], ["split", d / "none.gguf", "--out", d / "out"], ["inspect", d / "none.gguf"],
                    ["bench", d / "none.gguf"], ["tokenize", d / "none.gguf", "x"]):
        refused(run_command(command, box.env), 4, "none.gguf", "No such file")
    (d / "cut.gguf").write_bytes(DEMO_MODEL.read_bytes()[:100000])
    (d / "foreign.gguf").write_bytes(b"\x7fELF" + bytes(5000))
    (d / "empty.gguf").write_bytes(b"")
    data = DEMO_MODEL.read_bytes()
    check(data.count(b"llama", 0, 2000) >= 1, "the architecture's name is not where it was")
    (d / "arch.gguf").write_bytes(data.replace(b"llama", b"lIama"))
    for command in (["run", "-p", "x"], ["split", "--out", d / "out"], ["inspect"], ["tokenize"], ["bench"]):
        for name, words in (("cut.gguf", []), ("foreign.gguf", []), ("empty.gguf", [])):
            args = [command[0], d / name, *command[1:], *(["x"] if command[0] == "tokenize" else [])]
            refused(run_command(args, box.env), 4, name, *words)
    for command in (["run", d / "arch.gguf", "-p", "x"], ["split", d / "arch.gguf", "--out", d / "out"]):
        refused(run_command(command, box.env), 4, "lIama")
    check(not (d / "out").exists() or not list((d / "out").glob("shard-*")), "split left shards of a bad file")
    refused(run_command(["demo", "--once", "x", "--model", d / "foreign.gguf"], box.env), 4, "foreign.gguf")
    refused(run_command(["demo", "--once", "x", "--model", d / "none.gguf"], box.env), 4, "none.gguf")


@case("key files: mode, length, link, folder, not there; tokens: cut, with another character")
def keys(box):
    with Swarm(box) as s:
        good = s.dir / "config/shoal/swarm.key"
        env = base_env(s.dir / "other")
        key = s.dir / "key"
        data = good.read_bytes()

        def node(*extra):
            return run_command(node_args(s, "x", *extra), env)

        key.write_bytes(data)
        os.chmod(key, 0o644)
        refused(node("--key", key), 3, key, "644")
        os.chmod(key, 0o600)
        for bad in (b"", b"{", data[:-10], b"\0" * 32):
            key.write_bytes(bad)
            refused(node("--key", key), 4, key)
        os.unlink(key)
        refused(node("--key", key), 3, key)
        os.mkdir(key)
        r = node("--key", key)
        check(r.returncode in (3, 4) and str(key) in r.err, r.returncode, r.err)
        secret = s.token.rsplit("/", 1)[1]
        for bad in (s.token[:-4], s.token.replace("shoal1:", "shoal9:"), s.token[:-1] + "!", "hello"):
            r = node(bad)
            check(r.returncode in (2, 4) and secret not in r.err, r.returncode, r.err)
            check(1 <= len(r.err.strip().splitlines()) <= 2, r.err)
        refused(node("@/no/such/file"), 3, "/no/such/file")


def udp_alone():
    """A UDP socket at a port where TCP is free: by chance it may be that of a connection of another process."""
    for _ in range(100):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        with socket.socket() as tcp:
            try:
                tcp.bind(udp.getsockname())
                return udp
            except OSError:
                udp.close()
    raise OSError("no port where TCP is free")


@case("a taken port names who holds it: links, DHT, HTTP")
def ports(box):
    with Swarm(box) as s:
        with socket.socket() as tcp, udp_alone() as udp:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen(1)
            taken = tcp.getsockname()[1]
            refused(run_command(node_args(s, "a", "--port", taken), s.env), 3, taken, os.getpid())
            refused(run_command(["bootstrap", "--listen", "127.0.0.1", "--port", taken, "--state-dir", s.dir / "e"], s.env), 3, taken, os.getpid())
            refused(run_command(node_args(s, "b", "--http", f"127.0.0.1:{taken}"), s.env), 3, taken, os.getpid())
            taken = udp.getsockname()[1]
            refused(run_command(node_args(s, "c", "--port", taken), s.env), 3, taken, os.getpid())
        first = s.entry()
        first.wait_line(r"^\[START\]")
        refused(run_command(["bootstrap", "--listen", "127.0.0.1", "--port", s.entry_port, "--state-dir", s.dir / "e2"], s.env), 3,
                s.entry_port, first.pid)


@case("folders that cannot be used: a file in the place, a read-only disk; a state folder that is taken")
def folders(box):
    with Swarm(box) as s:
        blocker = s.dir / "blocker"
        blocker.write_text("not a folder")
        base = ["node", "--listen", "127.0.0.1"]
        refused(run_command([*base, "--state-dir", blocker, "--shards-dir", s.dir / "sh"], s.env), 3, blocker)
        refused(run_command([*base, "--state-dir", s.dir / "st", "--shards-dir", blocker], s.env), 3, blocker)
        refused(run_command([*base, "--state-dir", "/proc/shoal", "--shards-dir", s.dir / "sh"], s.env), 3, "/proc/shoal")
        refused(run_command(["split", DEMO_MODEL, "--out", blocker / "out"], s.env), 3, blocker)
        refused(run_command(["split", DEMO_MODEL, "--out", "/proc/out"], s.env), 3, "/proc/out")
        refused(run_command(["init"], {**s.env, "XDG_CONFIG_HOME": str(blocker)}), 3, blocker)
        refused(run_command(["demo", "--once", "x"], {**s.env, "TMPDIR": str(blocker)}), 3, blocker)
        node = s.nodes(1)[0]
        node.wait_line(r"^\[START\]")
        refused(run_command([*base, "--state-dir", s.dir / "state/node0", "--shards-dir", s.dir / "sh"], s.env), 3, "state/node0")


@case("a config file: an unknown name, a line without '=', a file that is not there")
def config(box):
    with Swarm(box) as s:
        path = s.dir / "conf"
        path.write_text("# a comment\nport = 0\nno-such = 1\n")
        refused(run_command(node_args(s, "x", "--config", path), s.env), 2, f"{path}:3", "no-such")
        path.write_text("port\n")
        refused(run_command(node_args(s, "x", "--config", path), s.env), 2, f"{path}:1")
        refused(run_command(node_args(s, "x", "--config", s.dir / "absent"), s.env), 3, "absent")
        refused(run_command(node_args(s, "x"), {**s.env, "SHOAL_THREADS": "many"}), 2, "SHOAL_THREADS", "many")
