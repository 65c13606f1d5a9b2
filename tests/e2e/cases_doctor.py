"""What `shoal doctor` says of processes that could not start, with and without a running one."""
import contextlib, fcntl, json, os, pty, re, select, signal, socket, struct, subprocess, termios, threading
from swarm import BIN, Skip, Swarm, case, check, check_equal, free_port, run_command, wait_for


def doctor(s):
    r = s.client("doctor", "--json")
    return r.returncode, json.loads(r.out)


def only(found, code):
    check_equal([f["code"] for f in found["findings"] if f["severity"] == "blocker"], [code], "blockers")
    return found["findings"][0]


@case("nothing runs and a start failed: KEY_MISSING is told afterwards, exit 3; a good start ends it")
def no_key(box):
    with Swarm(box) as s:
        key = s.dir / "config/shoal/swarm.key"
        key.rename(s.dir / "kept")
        r = run_command(["node", "--listen", "127.0.0.1", "--shard-id", 3], s.env)
        check_equal(r.returncode, 3, r.err)
        check(re.search(r"^shoal node: KEY_MISSING: ", r.err) and "do this: shoal init" in r.err, r.err)
        code, found = doctor(s)
        check_equal((code, found["ready"], found["running"]), (3, False, False), "doctor")
        f = only(found, "KEY_MISSING")
        check_equal((f["shard"], f["action"].split(" # ")[0], f["evidence"]["times"]), (3, "shoal init", 1), "finding")
        check_equal([x["stage"] for x in found["stages"] if x["state"] == "blocked"], ["key"], "stages")
        r = s.client("doctor")
        check("NOT RUNNING" in r.out and "no shoal process" in r.err, r.out, r.err)
        (s.dir / "kept").rename(key)
        node = s.node("node3", [3], [3])
        node.wait_line(r"^\[START\]")
        check(not any(f["code"] == "KEY_MISSING" for f in doctor(s)[1]["findings"]), "still told")


@case("a node's port is taken: PORT_IN_USE with the holder is the root of its shard's absence; its action mends it")
def port_taken(box):
    with Swarm(box) as s, socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        s.entry()
        for i in (0, 1, 2, 4, 5, 6, 7):
            s.node(f"node{i}", [i], [i])
        folder = s.files("node3", [3, "manifest.json"])
        args = ["node", "--shards-dir", folder, "--listen", "127.0.0.1", "--state-dir", s.dir / "state/node3", "--shard-id", 3, *s.options]
        r = run_command([*args, "--port", port], s.env)
        check_equal(r.returncode, 3, r.err)
        check(f"PORT_IN_USE: links: TCP port {port}" in r.err and f"process {os.getpid()} " in r.err, r.err)
        wait_for(lambda: len([f for f in doctor(s)[1]["findings"] if f["severity"] == "blocker"]) == 1, 15, "one blocker")
        code, found = doctor(s)
        f = only(found, "PORT_IN_USE")
        check_equal((code, f["shard"]), (1, 3), "finding")
        check(str(port) in f["cause"] and f["action"].endswith("--port 0"), f)
        result = next(f for f in found["findings"] if f["code"] == "SHARD_NOT_DISCOVERED")
        check_equal((result["severity"], result["shard"], result["caused_by"]), ("info", 3, "PORT_IN_USE"), "consequence")
        check("leads to  SHARD_NOT_DISCOVERED of shard 3" in s.client("doctor").out, s.client("doctor").out)
        words = f["action"].split()
        check_equal(words[0], "shoal", "action")
        s._add("node3", "node", words[1:]).wait_ready()
        code, found = doctor(s)
        check_equal((code, found["findings"]), (0, []), "after the remedy")


@case("state folder that cannot be written, too few descriptors, the same serve twice: code, cause, action, exit 3")
def other_starts(box):
    with Swarm(box) as s:
        blocker = s.dir / "a-file"
        blocker.write_text("")
        r = run_command(["node", "--listen", "127.0.0.1", "--state-dir", blocker / "x"], s.env)
        check_equal(r.returncode, 3, r.err)
        check("STATE_DIR_UNWRITABLE" in r.err and str(blocker) in r.err and "--state-dir" in r.err.splitlines()[1], r.err)
        r = subprocess.run(["sh", "-c", "ulimit -n 100 && exec \"$0\" node --listen 127.0.0.1", BIN], env=s.env, capture_output=True,
                           text=True, timeout=30)
        check_equal(r.returncode, 3, r.stderr)
        check("DESCRIPTORS_SHORT" in r.stderr and "128" in r.stderr and "prlimit" in r.stderr, r.stderr)
        codes = [f["code"] for f in doctor(s)[1]["findings"]]
        check_equal(codes, ["STATE_DIR_UNWRITABLE", "DESCRIPTORS_SHORT"], "doctor")
        port = free_port()
        first = s.serve("--http", f"127.0.0.1:{port}")
        first.wait_line(r"^\[START\]")
        r = run_command(["serve", "--listen", "127.0.0.1", "--http", f"127.0.0.1:{port}"], s.env)
        check_equal(r.returncode, 3, r.err)
        check(f"in use by process {first.pid}, the serve that you run" in r.err and f"kill {first.pid} " in r.err, r.err)


@case("a stopped process answers nothing: doctor says so and asks the next one")
def stopped(box):
    with Swarm(box) as s:
        s.entry()
        s.nodes(2)
        serve = s.serve()
        serve.wait_ready()
        serve.signal(19)
        r = s.client("doctor", timeout=30)
        check(f"kill -CONT {serve.pid}" in r.err, r.err)
        check("READY" in r.out, r.out, r.err)
        serve.signal(18)
        wait_for(lambda: serve.is_ready() and len(serve.status()["nodes"]) == 4, 10, "ready again")
        node = s.processes[1]
        node.signal(19)
        wait_for(lambda: len(serve.blockers()) == 4, 6, "its four shards are missed")
        r = s.client("doctor", timeout=30)
        check(f"kill -CONT {node.pid}" in r.err and r.out.startswith("NOT READY: 4 blockers, all of node "), r.out, r.err)


def http_server(stack):
    """Speaks HTTP, and says so to whatever comes."""
    def serve(listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            with conn, contextlib.suppress(OSError):
                conn.recv(1000)
                conn.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return listener.getsockname()[1]


def examined(s, address):
    r = s.client("doctor", "--node", address, "--json", timeout=40)
    found = json.loads(r.out)
    text = s.client("doctor", "--node", address, timeout=40).out
    check_equal([x["step"] for x in found["steps"]], ["resolve", "connect", "handshake", "identity", "protocol", "round trip"], "steps")
    check_equal(r.returncode, 0 if found["ok"] else 1, "exit")
    failed = [x["step"] for x in found["steps"] if x["outcome"] == "failed"]
    if failed:
        at = [x["step"] for x in found["steps"]].index(failed[0])
        check_equal([x["outcome"] for x in found["steps"]], ["ok"] * at + ["failed"] + ["not tried"] * (5 - at), "outcomes")
        why = found["steps"][at]["text"]
        check(why and why in found["cause"] and why in text and found["action"] and found["action"] in text, text)
    return found, failed[0] if failed else None


def links(s, stack, other):
    """Each fault of a link, with the step that it fails at."""
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return [(f"127.0.0.1:{free_port()}", "connect", "PEER_UNREACHABLE", "refused"),
            (f"127.0.0.1:{http_server(stack)}", "handshake", "PEER_UNREACHABLE", "does not speak shoal's protocol"),
            (f"127.0.0.1:{silent.getsockname()[1]}", "handshake", "PEER_UNREACHABLE", "no answer"),
            ("no-such-host.invalid:7400", "resolve", "PEER_UNREACHABLE", "no-such-host.invalid"),
            (f"127.0.0.1:{other.port}", "handshake", "KEY_MISMATCH", "key")]


@case("doctor --node: the step that fails, its cause and its action; asked of a node, and without any", timeout=120)
def examine(box):
    with Swarm(box) as s, Swarm(box) as foreign, contextlib.ExitStack() as stack:
        other = foreign.entry()
        rows = links(s, stack, other)
        for address, step, code, word in rows:
            found, failed = examined(s, address)
            check_equal((failed, found["code"]), (step, code), address)
            check(word in found["cause"], address, found["cause"])
        entry = s.entry()
        found, failed = examined(s, f"127.0.0.1:{entry.port}")
        check_equal((found["ok"], found["node"]), (True, entry.id), "an entry that answers")
        node = s.node("node0", [0], [0])
        node.wait_line(r"^\[START\]")
        for address, step, code, word in rows:
            found, failed = examined(s, address)
            check_equal((failed, found["code"]), (step, code), address)
        found, failed = examined(s, f"127.0.0.1:{entry.port}")
        check(found["ok"] and all(x["ms"] >= 0 and x["text"] for x in found["steps"]), found)
        check_equal(s.client("doctor", "--node", "nonsense").returncode, 2, "usage")


@case("load and unload by hand: each state as it comes, the outcome, the failing code with its action; files sums up")
def by_hand(box):
    with Swarm(box) as s:
        s.entry()
        a = s.node("a", [0, 1, 2, 3], [0, 1, 2, 3])
        b = s.node("b", [4, 5, 6, 7], [4, 6, 7])
        c = s.node("c")
        bad = (s.split / "shard-5.gguf").read_bytes()[:100000]
        (b.folder / "shard-5.gguf").write_bytes(bad)
        wait_for(lambda: a.run_entry() and a.finding("SHARD_FILE_INVALID", shard=5) and len(a.status()["nodes"]) == 4, 15, "INVALID")
        r = s.client("load", 5)
        check_equal(r.returncode, 1, r.out)
        check(r.out.startswith("LOAD_SHARD sent to node " + b.id[:8]) and "shoal load: SHARD_FILE_INVALID: " in r.err and "do this: " in r.err, r.out, r.err)
        r = s.client("files")
        check("no node has a good file of shard 5:" in r.out and re.search(r"Shard 5: INVALID .* from: nobody", r.out), r.out)
        s.give(b.folder, 5)
        a.wait_ready()
        check(f"every shard is on at least one of 3 nodes" in s.client("files").out, s.client("files").out)
        r = s.client("load", 6, "--node", c.id, "--json")
        check_equal(r.returncode, 0, r.err)
        lines = [json.loads(line) for line in r.out.splitlines()]
        check_equal([lines[0]["step"], lines[0]["state"], lines[-1]["ok"]], ["SENT", "ABSENT", True], "steps")
        states = [x["state"] for x in lines[:-1] if x["step"] == "STATE"]
        order = ["QUEUED", "FETCHING", "VERIFYING", "PRESENT", "LOADING", "LOADED"]
        check(states[-1] == "LOADED" and states == [x for x in order if x in states], states)
        r = s.client("unload", 6, "--node", c.id[:8])
        check_equal((r.returncode, r.out.splitlines()[-1]), (0, f"shard 6 is unloaded on node {c.id[:8]}"), "unload")
        r = s.client("load", 99)
        check(r.returncode == 1 and "0 to 7" in r.err, r.err)


@case("top without a terminal: one snapshot, exit code as status; on one it draws, resizes and q ends it")
def top(box):
    with Swarm(box) as s:
        s.entry()
        node = s.node("a", [0, 1, 2, 3], [0, 1, 2, 3])
        wait_for(lambda: node.run_entry() and node.status()["loaded_shards"] == 4 and len(node.status()["nodes"]) == 2, 10, "loaded")
        r = s.client("top", "--ascii")
        check_equal(r.returncode, 1, r.err)
        lines = r.out.splitlines()
        check(lines[1].startswith("NOT READY: SHARD_NOT_DISCOVERED  shard 4") and lines[4] == "shards ####....", r.out)
        check(any(line.startswith(node.id[:8] + " node ") and "LOADED 4" in line for line in lines), r.out)
        try:
            master, slave = pty.openpty()
        except OSError as e:
            raise Skip(f"no pseudo terminal here: {e}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        screen = subprocess.Popen([BIN, "top"], env={**s.env, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave)
        seen = b""

        def has(word):
            nonlocal seen
            if select.select([master], [], [], 0)[0]:
                seen += os.read(master, 65536)
            return word in seen
        try:
            wait_for(lambda: has(b"SHARD_NOT_DISCOVERED"), 5, "the verdict on the screen")
            seen = b""
            s.node("b", [4, 5, 6, 7], [4, 5, 6, 7])
            wait_for(lambda: has(b"READY"), 10, "an event draws the screen anew")
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
            screen.send_signal(signal.SIGWINCH)
            wait_for(lambda: has(b"ADDRESS"), 5, "a wide screen has addresses")
            os.write(master, b"q")
            check_equal(screen.wait(10), 0, "exit")
        finally:
            screen.kill()
            screen.wait()
            os.close(master)
            os.close(slave)
