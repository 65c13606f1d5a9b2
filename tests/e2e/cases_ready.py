"""Readiness: how it comes, goes and comes again (A1, A7, A8)."""
import re, time
from swarm import Swarm, case, check, check_equal, wait_for

REPORT = [r"^\[STATUS\] Cluster Discovery:$", r"^\[STATUS\]   Expected Shards: 8$", r"^\[STATUS\]   Discovered Shards: 8 / 8$",
          r"^\[STATUS\]   Pipeline Complete: ✓ YES$", r"^\[STATUS\] Shard Online Status:$",
          r"^\[STATUS\]   Shard 0: ", r"^\[STATUS\]   Shard 7: ", r"^\[STATUS\] Shard Loaded Status:$",
          r"^\[STATUS\]   Shard 0: ✓ YES$", r"^\[STATUS\]   Shard 7: ✓ YES$", r"^\[STATUS\] Shard Loaded: ✓ YES$",
          r"^\[STATUS\] Swarm Ready: ✓ YES$"]


@case("A1 eight nodes with their files are ready within 15 s, and print every line that belongs to it")
def eight_nodes(box):
    with Swarm(box) as s:
        began = time.monotonic()
        s.entry()
        nodes = s.nodes(8)
        serve = s.serve()
        for p in [serve, *nodes]:
            p.wait_ready(15)
        print(f"# ready on all after {time.monotonic() - began:.1f} s")
        for i, node in enumerate(nodes):
            node.wait_line(r"Swarm Ready: ✓ YES", 2)
            node.in_order([rf"^\[SHARD\] ✓✓✓ SHARD {i} LOADED BEFORE JOINING NETWORK ✓✓✓$",
                           rf"^\[SHARD\]   Path: {re.escape(str(node.folder))}/shard-{i}\.gguf$",
                           r"^\[SHARD\]   Shard will be available for inference immediately$",
                           r"^\[SWARM\] ✓✓✓ SWARM READY FOR INFERENCE ✓✓✓$", *REPORT])
            node.in_order([rf"^\[STATUS\]   Shard {i}: ★ LOCAL$"])
            other = (i + 1) % 8
            node.in_order([rf"^\[STATUS\]   Shard {other}: ✓ ONLINE$"])
            node.wait_line(rf"^\[SHARD_LOADED\] 📢 Broadcasting shard {i} loaded to [1-9]\d* peers\.\.\.$", 3)
            check(not node.has("NOT FOUND LOCALLY"), "no file is missing, but a line says so")
        status = serve.status()
        check_equal((status["expected_shards"], status["discovered_shards"], status["loaded_shards"]), (8, 8, 8), "status")
        check_equal(len(status["plan"]), 8, "stages of the plan")
        check_equal([st["state"] for st in serve.verdict()["stages"]], ["ok"] * 14, "stages of the verdict")


@case("with --ascii the signs are dropped and the words kept")
def ascii_lines(box):
    with Swarm(box) as s:
        s.entry()
        node = s.node("all", list(range(8)), range(8), "--ascii")
        s.serve()
        node.wait_ready()
        node.wait_line(r"^\[SWARM\] SWARM READY FOR INFERENCE$", 3)
        node.wait_line(r"^\[STATUS\]   Shard 0: YES$", 3)
        text = "\n".join(node.lines())
        check(text.isascii(), "signs are left:", next((line for line in node.lines() if not line.isascii()), ""))


@case("A7 nodes start in any order, before the entry, one late")
def any_order(box):
    with Swarm(box) as s:
        nodes = [s.node(f"node{i}", [i], [i]) for i in (6, 2, 7, 0)]
        serve = s.serve()
        time.sleep(1)
        nodes += [s.node(f"node{i}", [i], [i]) for i in (5, 1, 3)]
        s.entry()
        wait_for(lambda: serve.run_entry() and serve.status()["loaded_shards"] == 7, 20, "seven shards loaded")
        blockers = wait_for(lambda: [b for b in serve.blockers() if b["shard"] == 4], 5, "shard 4 is named")
        check_equal(blockers[0]["code"], "SHARD_NOT_DISCOVERED", "why")
        check("never claimed" in blockers[0]["cause"], blockers[0]["cause"])
        check(not serve.is_ready(), "ready without shard 4")
        late = s.node("node4", [4], [4])
        for p in [late, serve, *nodes]:
            p.wait_ready(10)


@case("A8 a node killed: every view is not ready within 3 s and says why; restarted: ready again, same id")
def killed(box):
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(8)
        serve = s.serve()
        for p in [serve, *nodes]:
            p.wait_ready()
        victim, others = nodes[5], [serve, *nodes[:5], *nodes[6:]]
        before = victim.id
        began = time.monotonic()
        victim.kill()
        for p in others:
            wait_for(lambda: not p.is_ready(), max(3 - (time.monotonic() - began), 0.1), f"{p.name} is not ready any more")
        for p in others:
            f = wait_for(lambda: p.finding("SHARD_NOT_DISCOVERED", shard=5), 2, f"{p.name} names shard 5")
            check_equal((f["severity"], f["node"]), ("blocker", before), "the finding's severity and node")
            check("lost" in f["cause"], f["cause"])
            check_equal([b["shard"] for b in p.blockers()], [5], f"blockers at {p.name}")
            p.wait_line(r"^\[SWARM\] ✗ SWARM NOT READY: SHARD_NOT_DISCOVERED: ", 2)
        r = serve.post("/v1/completions", {"prompt": "x"})
        check_equal((r.status, r.json()["error"]["code"]), (503, "SHARD_NOT_DISCOVERED"), "/v1 while not ready")
        victim.start()
        for p in [victim, *others]:
            p.wait_ready(10)
        check_equal(victim.id, before, "id after the restart")
        serve.complete("Once", max_tokens=4)


@case("a node that hangs (SIGSTOP) is noticed by its silence, and ready comes back when it goes on")
def hangs(box):
    import signal
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(3)
        serve = s.serve()
        for p in [serve, *nodes]:
            p.wait_ready()
        nodes[1].signal(signal.SIGSTOP)
        wait_for(lambda: not serve.is_ready(), 4, "the serve notices")
        check(serve.blockers(), "no blocker is named")
        nodes[1].signal(signal.SIGCONT)
        for p in [serve, *nodes]:
            p.wait_ready(15)
