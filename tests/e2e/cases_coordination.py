"""Who gives shards to whom: coordinator, commands by hand, placement (A4, A14)."""
import json
from swarm import Swarm, case, check, check_equal, wait_for


@case("A4 no coordinator: nodes without ids wait and say so; `shoal load` by hand makes the swarm ready")
def no_coordinator(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(f"node{i}", None, [2 * i, 2 * i + 1]) for i in range(4)]
        first = nodes[0]
        for p in nodes:
            f = wait_for(lambda: p.run_entry() and p.finding("WAITING_FOR_LOAD_SHARD", shard=0, severity="blocker"), 10,
                         f"{p.name} says what it waits for")
            check("no coordinator" in f["cause"], f["cause"])
            check(f["action"].startswith("shoal load 0"), f["action"])
        check_equal({b["code"] for b in first.blockers()}, {"WAITING_FOR_LOAD_SHARD"}, "blockers")
        wait_for(lambda: len(first.status()["nodes"]) == 5, 10, "all know each other")
        for shard in range(8):
            r = s.client("load", shard, "--node", nodes[shard // 2].id)
            check_equal(r.returncode, 0, f"load {shard}: {r.out} {r.err}")
            check("LOADED" in r.out, r.out)
        for p in nodes:
            p.wait_ready(10)
        nodes[1].wait_line(r"^\[LOAD_SHARD\] Request to load shard 2$", 1)
        nodes[1].in_order([r"^\[LOAD_SHARD\] Request to load shard 2$", r"Starting shard 2 load process\.\.\.$",
                           r"^\[LOAD_SHARD\] ✓✓✓ Shard 2 loaded successfully from local directory ✓✓✓$"])
        check_equal(first.status()["coordinator"], None, "coordinator")


@case("the action that WAITING_FOR_LOAD_SHARD names works as it stands")
def action_works(box):
    with Swarm(box) as s:
        s.entry()
        node = s.node("only", None, range(8))
        f = wait_for(lambda: node.run_entry() and node.finding("WAITING_FOR_LOAD_SHARD", severity="blocker"), 10, "it is explained")
        loads = [line.split() for line in f["action"].split(" # ")[0].split(" && ")]
        check_equal([words[:3] for words in loads], [["shoal", "load", str(shard)] for shard in range(8)], "all shards in one line")
        for words in loads:
            check_equal(s.client(*words[1:]).returncode, 0, words)
        node.wait_ready(10)


@case("a coordinator gives shards to nodes without ids: two each to four, by LOAD_SHARD")
def placed(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(f"node{i}", None, range(8)) for i in range(4)]
        serve = s.serve()
        for p in [serve, *nodes]:
            p.wait_ready(20)
        status = serve.status()
        held = {n["id"]: [x["id"] for x in n["shards"] if x["state"] == "LOADED"] for n in status["nodes"] if n["role"] == "node"}
        check_equal(sorted(i for ids in held.values() for i in ids), list(range(8)), "shards loaded once each")
        check_equal(sorted(len(ids) for ids in held.values()), [2, 2, 2, 2], "shards a node")
        for ids in held.values():
            check_equal(ids, list(range(ids[0], ids[0] + len(ids))), "a node's shards are a run")
        check_equal(len(status["plan"]), 4, "stages")
        check_equal(status["coordinator"], serve.id, "coordinator")
        for p in nodes:
            p.wait_line(r"^\[LOAD_SHARD\] Request to load shard \d$", 1)
        serve.complete("One", max_tokens=3)


@case("a coordinator leaves explicit ids alone and gives the rest; nobody has files but one: the others fetch")
def placed_around(box):
    with Swarm(box) as s:
        s.entry()
        store = s.node("store", [0, 1], range(8))
        others = [s.node(f"node{i}", None, []) for i in range(2)]
        serve = s.serve()
        for p in [serve, store, *others]:
            p.wait_ready(30)
        by_id = {n["id"]: [x["id"] for x in n["shards"] if x["state"] == "LOADED"] for n in serve.status()["nodes"]}
        check_equal(by_id[store.id], [0, 1], "the explicit node")
        check_equal(sorted(by_id[others[0].id] + by_id[others[1].id]), [2, 3, 4, 5, 6, 7], "the others")
        check(by_id[others[0].id] and by_id[others[1].id], "one node got all:", by_id)


@case("A14 every node has explicit ids and one is nobody's: SHARD_NOT_DISCOVERED at once")
def unclaimed(box):
    with Swarm(box) as s:
        s.entry()
        for i in (1, 2, 3):
            s.node(f"node{i}", [i], [i])
        serve = s.serve()
        wait_for(lambda: serve.run_entry() and serve.status()["loaded_shards"] == 3, 10, "the middle is loaded")
        wait_for(lambda: [(b["code"], b["shard"]) for b in serve.blockers()] ==
                 [("SHARD_NOT_DISCOVERED", i) for i in (0, 4, 5, 6, 7)], 3, lambda: serve.blockers())


@case("A14 nobody present: NO_NODE_FOR_SHARD")
def nobody(box):
    with Swarm(box) as s:
        s.entry()
        serve = s.serve()
        f = wait_for(lambda: serve.run_entry() and serve.finding("NO_NODE_FOR_SHARD", shard=0), 10, "NO_NODE_FOR_SHARD")
        check_equal({b["code"] for b in serve.blockers()}, {"NO_NODE_FOR_SHARD"}, "blockers")
        check_equal(f["action"], "shoal node", "action")


@case("A14 no node with enough memory: NOT_ENOUGH_MEMORY with needed and free")
def no_memory(box):
    with Swarm(box) as s:
        s.entry()
        s.node("small", None, range(8), "--memory", "1K")
        serve = s.serve()
        f = wait_for(lambda: serve.run_entry() and serve.finding("NOT_ENOUGH_MEMORY"), 15, "NOT_ENOUGH_MEMORY")
        check_equal(f["severity"], "blocker", json.dumps(f))
        check({b["code"] for b in serve.blockers()} <= {"NOT_ENOUGH_MEMORY"}, "other blockers:", serve.blockers())


@case("unload takes a shard out, ready goes; the coordinator or load brings it back")
def unload(box):
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(2)
        for p in nodes:
            p.wait_ready()
        r = s.client("unload", 5)
        check_equal(r.returncode, 0, f"unload: {r.out} {r.err}")
        wait_for(lambda: not nodes[0].is_ready() and nodes[0].status()["loaded_shards"] == 7, 3, "shard 5 is gone")
        check(nodes[0].blockers(), "no blocker")
        r = s.client("load", 5)
        check_equal(r.returncode, 0, f"load: {r.out} {r.err}")
        for p in nodes:
            p.wait_ready(5)
        r = s.client("load", 99)
        check(r.returncode != 0 and "99" in r.err + r.out, "load 99:", r.returncode, r.out, r.err)


@case("two coordinators agree: one commands, both are ready and answer alike")
def two_coordinators(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(f"node{i}", None, range(8)) for i in range(3)]
        serves = [s.serve(name="serve"), s.serve(name="serve2")]
        for p in [*serves, *nodes]:
            p.wait_ready(20)
        check_equal(serves[0].status()["coordinator"], serves[1].status()["coordinator"], "the one that commands")
        loaded = [x["id"] for n in serves[0].status()["nodes"] for x in n["shards"] if x["state"] == "LOADED"]
        check_equal(sorted(loaded), list(range(8)), "each shard once")
        texts = [p.complete("Once upon", max_tokens=16, temperature=0)["choices"][0]["text"] for p in serves]
        check_equal(texts[0], texts[1], "answers")
