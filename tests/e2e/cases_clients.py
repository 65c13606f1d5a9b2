"""Commands that ask a running swarm: found by the run folder or --api; texts, JSON and exit codes."""
import json, re, subprocess
from swarm import BIN, Swarm, case, check, check_equal, run_command, wait_for


@case("status, doctor, files, timeline, ask, chat on a ready swarm; found by the run folder, a serve first")
def ready(box):
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(2)
        serve = s.serve()
        for p in (serve, *nodes):
            p.wait_ready()
        r = s.client("status")
        check_equal(r.returncode, 0, r.err)
        check("READY" in r.out and "plan:" in r.out and nodes[0].id[:8] in r.out, r.out)
        check("(this process)" in next(line for line in r.out.splitlines() if line.startswith(serve.id[:8])), "the serve was not asked:\n", r.out)
        check_equal(json.loads(s.client("status", "--json").out)["loaded_shards"], 8, "--json")
        r = s.client("doctor")
        check_equal((r.returncode, r.out.splitlines()[0].split(":")[0]), (0, "READY"), r.out)
        r = s.client("doctor", "--api", nodes[1].url, "--json")
        check_equal((r.returncode, json.loads(r.out)["ready"]), (0, True), "a node's own")
        r = s.client("files")
        check_equal(r.returncode, 0, r.err)
        for i in range(8):
            check(re.search(rf"Shard {i}: EXISTS .*shard-{i}\.gguf", r.out), f"shard {i}:\n{r.out}")
        check(len(json.loads(s.client("files", "--json").out)["nodes"]) >= 3, "nodes")
        r = s.client("timeline")
        check(r.returncode == 0 and "ready" in r.out, r.out, r.err)
        r = s.client("ask", "--raw", "Once upon a time", "-n", 12, "--temp", 0)
        check_equal(r.returncode, 0, r.err)
        check_equal(r.out, serve.complete("Once upon a time", max_tokens=12, temperature=0)["choices"][0]["text"] + "\n", "ask --raw")
        r = s.client("ask", "Who are you?", "-n", 8, "--temp", 0, "--json")
        check(r.returncode == 0 and json.loads(r.out)["error"] is None, r.out, r.err)
        r = s.client("chat", "--temp", 0, "-n", 8, stdin=b"Hello\nAnd then?\n")
        check(r.returncode == 0 and r.out.count("\n") >= 2, r.out, r.err)
        r = s.client("ask", "--raw", "word " * 400)
        check_equal(r.returncode, 2, f"a prompt over the context: {r.err}")
        check("256" in r.err, r.err)


@case("on a swarm that is not ready: status and doctor exit 1 and name the first blocker; ask exits 1 with it")
def not_ready(box):
    with Swarm(box) as s:
        s.entry()
        s.node("node0", [0, 1, 2], [0, 1])
        serve = s.serve()
        wait_for(lambda: serve.run_entry() and serve.finding("NO_SOURCE", shard=2), 15, "NO_SOURCE")
        check_equal(s.client("status").returncode, 1, "status")
        r = s.client("doctor")
        check_equal(r.returncode, 1, "doctor")
        check(r.out.startswith("NOT READY: 6 blockers."), r.out)
        blocks = re.findall(r"^([A-Z_]+)  shard (\d)", r.out, re.M)
        check_equal(blocks, [("SHARD_NOT_DISCOVERED", str(i)) for i in range(3, 8)] + [("NO_SOURCE", "2")], "blocks in ladder order")
        for word in ("cause", "evidence", "since", "action"):
            check(re.search(rf"^  {word}  ", r.out, re.M), f"no {word}:\n{r.out}")
        r = s.client("ask", "Hello")
        check_equal(r.returncode, 1, f"ask: {r.err}")
        check("SHARD_NOT_DISCOVERED" in r.err and r.out == "", r.out, r.err)
        r = s.client("files")
        check(re.search(r"Shard 2: MISSING", r.out), r.out)


@case("load and unload of what cannot be: exit codes and a reason")
def cannot(box):
    with Swarm(box) as s:
        s.entry()
        node = s.node("node0", [0], [0], fetch=False)
        wait_for(lambda: node.run_entry() and node.status()["loaded_shards"] == 1, 10, "shard 0 loaded")
        r = s.client("load", 3, "--node", "ffffffff")
        check(r.returncode in (1, 2, 3) and "ffffffff" in r.err + r.out, r.returncode, r.out, r.err)
        r = s.client("unload", 5)
        check(r.returncode == 1 and "5" in r.err + r.out, r.returncode, r.out, r.err)
        r = s.client("load", "x")
        check_equal(r.returncode, 2, f"load x: {r.err}")


@case("nothing runs: exit 3 and where it looked")
def nothing(box):
    for command in (["status"], ["doctor"], ["files"], ["ask", "Hello"], ["load", 1]):
        r = run_command(command, box.env)
        check_equal(r.returncode, 3, f"{command}: {r.err}")
        check("run/shoal" in r.err and "--api" in r.err, r.err)
    r = run_command(["status", "--api", "http://127.0.0.1:1"], box.env)
    check_equal(r.returncode, 3, r.err)
    check("127.0.0.1:1" in r.err, r.err)


@case("a run folder that others can read is refused")
def run_folder(box):
    import os
    folder = box.dir / "open-run"
    os.makedirs(folder / "shoal", exist_ok=True)
    os.chmod(folder / "shoal", 0o755)
    r = run_command(["status"], {**box.env, "XDG_RUNTIME_DIR": str(folder)})
    check_equal(r.returncode, 3, r.err)
    check("755" in r.err, r.err)


@case("doctor --node examines a link step by step")
def examine(box):
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(2)
        nodes[0].wait_ready()
        r = s.client("doctor", "--node", f"127.0.0.1:{nodes[1].port}")
        check_equal(r.returncode, 0, f"{r.out} {r.err}")
        check(all(re.search(rf"^{step} +ok", r.out, re.M) for step in ("connect", "handshake", "identity")), r.out)
        r = s.client("doctor", "--node", "127.0.0.1:1")
        check_equal(r.returncode, 1, f"{r.out} {r.err}")
        check(re.search(r"^connect +FAILED", r.out, re.M), r.out)


@case("help and version: every command has a text, unknown ones exit 2")
def helps(box):
    r = run_command(["help"], box.env)
    check_equal(r.returncode, 0, r.err)
    names = re.findall(r"^  ([a-z]+) ", r.out, re.M)
    check(len(names) >= 15, names)
    for name in names:
        h = run_command(["help", name], box.env)
        check(h.returncode == 0 and h.out.startswith(f"usage: shoal {name}"), name, h.out, h.err)
    check_equal(run_command(["no-such"], box.env).returncode, 2, "unknown")
    check_equal(run_command([], box.env).returncode, 2, "none")
    check(re.match(r"shoal \d+\.\d+", run_command(["--version"], box.env).out), "version")
