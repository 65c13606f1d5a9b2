"""Who holds what: shards that nobody claims, lost holders, placement, commands."""
import signal, time
from swarm import check, wait_for
from trial import fault


@fault("SHARD_NOT_DISCOVERED", "a node that was to hold a shard was never started")
def never_claimed(t):
    t.entry()
    began = t.inject
    began()
    nodes, serve = [t.node(f"node{i}", [i], [i]) for i in (0, 1)], t.serve()
    f = t.expect("SHARD_NOT_DISCOVERED", [nodes[0], nodes[1], serve], shard=2, words="never claimed")
    t.mend(lambda: t.follow(serve))
    t.ready_again()


@fault("SHARD_NOT_DISCOVERED", "a node is killed (SIGKILL, power)")
def killed(t):
    nodes, serve = t.plain()
    t.fine()
    lost = nodes[2].id
    t.inject(nodes[2].kill)
    f = t.expect("SHARD_NOT_DISCOVERED", [nodes[0], nodes[1], serve], shard=2, node=lambda: lost, words="lost")
    t.mend(lambda: t.follow(serve))
    t.ready_again()


@fault("SHARD_NOT_DISCOVERED", "a node is stopped in order (Ctrl-C) and none takes its place")
def left(t):
    nodes, serve = t.plain()
    t.fine()
    lost = nodes[2].id
    t.inject(nodes[2].stop)
    t.expect("SHARD_NOT_DISCOVERED", [nodes[0], serve], shard=2, node=lambda: lost, words="lost|left")
    t.mend(nodes[2].start)
    t.ready_again(restarted=[nodes[2]])


@fault("SHARD_NOT_DISCOVERED", "two nodes are killed at once")
def two_killed(t):
    nodes, serve = t.plain()
    t.fine()
    lost = nodes[1].id
    t.inject(lambda: (nodes[1].kill(), nodes[2].kill()))
    t.expect("SHARD_NOT_DISCOVERED", [nodes[0], serve], shard=1, node=lambda: lost, also=[("SHARD_NOT_DISCOVERED", 2)])
    t.mend(lambda: (nodes[1].start(), nodes[2].start()))
    t.ready_again(restarted=nodes[1:])


@fault("NO_NODE_FOR_SHARD", "a coordinator and no node")
def nobody(t):
    t.entry()
    t.inject()
    serves = [t.serve(), t.serve(name="serve2")]
    f = t.expect("NO_NODE_FOR_SHARD", serves, shard=0, also=[("NO_NODE_FOR_SHARD", 1), ("NO_NODE_FOR_SHARD", 2)])
    t.mend(lambda: t.follow(serves[0]))
    t.ready_again()


@fault("WAITING_FOR_LOAD_SHARD", "nodes without ids, and no coordinator")
def no_coordinator(t):
    t.entry()
    t.inject()
    nodes = [t.node(f"node{i}", None, range(3)) for i in (0, 1, 2)]
    f = t.expect("WAITING_FOR_LOAD_SHARD", nodes, shard=0, node=False, words="no coordinator")
    f = wait_for(lambda: t._pick(t.doctor(nodes[0]), "WAITING_FOR_LOAD_SHARD", 0, "blocker"), 5, "the first")
    check("3 nodes without a shard wait to be given shards 0, 1, 2" in f["cause"], f["cause"])
    named = {f["node"] for f in t.doctor(nodes[0])["findings"] if f["code"] == "WAITING_FOR_LOAD_SHARD"}
    check(named == {p.id for p in nodes}, "each node is to take a shard:", named)
    t.mend(lambda: check(t.paste(f) == 0, "the action failed"))
    t.ready_again()


@fault("WAITING_FOR_LOAD_SHARD", "the coordinator was killed before it gave the shards of a lost node to another")
def coordinator_lost(t):
    t.entry()
    nodes = [t.node("node0", [0, 1], [0, 1]), t.node("node1", None, range(3))]
    serve = t.serve()
    t.fine()
    serve.kill()
    time.sleep(2.5)
    t.inject(lambda: t.client("unload", 2, "--node", nodes[1].id))
    f = t.expect("WAITING_FOR_LOAD_SHARD", nodes, shard=2, node=nodes[1], words="coordinator")
    t.mend(lambda: t.paste(f))
    t.ready_again(on=nodes)


@fault("NOT_ENOUGH_MEMORY", "no node has the memory for any shard")
def no_memory_to_place(t):
    t.entry()
    t.inject()
    small = t.node("small", None, range(3), "--memory", "1K")
    serve = t.serve()
    t.expect("NOT_ENOUGH_MEMORY", [serve, small], shard=0, node=False, also=[("NOT_ENOUGH_MEMORY", 1), ("NOT_ENOUGH_MEMORY", 2)],
             words=r"MB")
    t.mend(lambda: t.follow(serve))
    t.ready_again()


@fault("NOT_ENOUGH_MEMORY", "a node's --memory is too small for the shard that it was given by id")
def no_memory_to_load(t):
    nodes, serve = t.plain(lacking=(2,))
    small = t.inject(lambda: t.node("node2", [2], [2], "--memory", "100K"))
    f = t.expect("NOT_ENOUGH_MEMORY", [small, nodes[0], serve], shard=2, node=small, words=r"MB")
    t.mend(lambda: t.follow(serve))
    t.ready_again()


@fault("DUPLICATE_SHARD_ID", "two nodes were started with the same --shard-id, and one id is nobody's")
def duplicate(t):
    nodes, serve = t.plain(lacking=(2,))
    twin = t.inject(lambda: t.node("twin", [1], [1]))
    t.expect("DUPLICATE_SHARD_ID", [twin, nodes[0], serve], shard=1, node=False, also=[("SHARD_NOT_DISCOVERED", 2)])
    t.mend(lambda: t.follow(serve))
    t.ready_again()


@fault("SHARD_NOT_DISCOVERED", "a node is given an id past the model's last shard: SHARD_COUNT_MISMATCH beside it")
def past_the_last(t):
    nodes, serve = t.plain(lacking=(2,))
    wrong = t.inject(lambda: t.node("node7", [7], [2]))
    f = t.expect("SHARD_NOT_DISCOVERED", [nodes[0], serve, wrong], shard=2, node=False)
    beside = serve.finding("SHARD_COUNT_MISMATCH", shard=7, node=wrong.id)
    check(beside and "0 to 2" in beside["cause"], "the wrong id is not named:", beside)
    check(t.paste(beside) == 0, "the action failed:", beside["action"])
    t.gone("SHARD_COUNT_MISMATCH", [serve])
    t.mend(lambda: t.follow(serve))
    t.ready_again()
