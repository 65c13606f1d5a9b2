"""What `shoal doctor` says of processes that could not start, with and without a running one."""
import json, os, re, socket, subprocess
from swarm import BIN, Swarm, case, check, check_equal, free_port, run_command, wait_for


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
        check_equal((f["shard"], f["action"], f["evidence"]["times"]), (3, "shoal init", 1), "finding")
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
