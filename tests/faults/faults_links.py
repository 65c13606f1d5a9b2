"""Links that are missing, slow or cut; nodes that hang; notices that do not arrive."""
import contextlib, os, signal, time
from swarm import agent_of, check, free_port, wait_for
from tools import Wire
from trial import fault


@contextlib.contextmanager
def behind_wires(t, ids=(0, 1)):
    """These nodes advertise wires of ours, so that every link between them goes through us. (pairs, by node id)"""
    with contextlib.ExitStack() as stack:
        wires = []
        for i in ids:
            port = free_port()
            wires.append(stack.enter_context(Wire(port)))
            t.node(f"node{i}", [i], [i], "--port", port, "--advertise", wires[-1].address)
        yield [p for p in t.processes if p.role == "node"], wires


@fault("PEER_UNREACHABLE", "two neighbours of the plan are cut off from each other; both reach the entry")
def cut_link(t):
    t.entry()
    with behind_wires(t, (0, 1, 2)) as (nodes, wires):
        t.fine(*nodes)
        t.inject(lambda: [w.cut() for w in wires])
        f = t.expect("PEER_UNREACHABLE", nodes, node=False, words="no link|has no link")
        t.paste(f, timeout=15)
        t.mend(lambda: [w.mend() for w in wires])
        t.ready_again(on=nodes, timeout=30)


@fault("PEER_UNREACHABLE", "two nodes advertise addresses that nobody reaches (a wrong --advertise)")
def wrong_advertise(t):
    t.entry()
    dead = free_port()
    t.inject()
    nodes = [t.node(f"node{i}", [i], [i], "--advertise", f"127.0.0.1:{dead + i}") for i in range(3)]
    f = t.expect("PEER_UNREACHABLE", nodes, node=False)
    t.paste(f, timeout=15)
    t.keep()
    for p in nodes:
        p.stop()
        p.args = p.args[:-2]
    t.mend(lambda: [p.start() for p in nodes])
    t.ready_again(on=nodes)


@fault("LINK_SLOW", "a link takes half a second each way", aim=20, timeout=90, why_longer="the median of several round trips")
def slow_link(t):
    t.entry()
    with behind_wires(t, (0, 1, 2)) as (nodes, wires):
        t.fine(*nodes)
        slow = max(wires, key=lambda w: len(w.pairs))
        t.inject(lambda: setattr(slow, "delay_s", 0.5))
        t.expect("LINK_SLOW", nodes[:2], node=False, severity="warning", words="ms")
        t.mend(lambda: [w.mend() for w in wires])
        t.gone("LINK_SLOW", nodes[:2])
        t.ready_again(on=nodes, timeout=60)


def stopped(t, code, which=1):
    nodes, serve = t.plain()
    t.fine()
    id = nodes[which].id
    agent = agent_of(nodes[which])
    t.inject(lambda: nodes[which].signal(signal.SIGSTOP))
    others = [p for p in (*nodes, serve) if p is not nodes[which]]
    f = t.expect(code, others, shard=None if code == "NODE_STALLED" else which, node=lambda: id, also=[("SHARD_NOT_DISCOVERED", which)])
    t.paste(f, stays=f["action"].startswith("shoal node"))
    t.mend(lambda: nodes[which].signal(signal.SIGCONT))
    t.ready_again()


@fault("SHARD_NOT_DISCOVERED", "a node hangs (SIGSTOP, a machine that swaps)")
def hangs(t):
    stopped(t, "SHARD_NOT_DISCOVERED")


@fault("LOADED_NOT_PROPAGATED", "notices to a peer take seconds (a link that is full)", aim=5)
def not_propagated(t):
    t.entry()
    with behind_wires(t, (0, 1)) as (nodes, wires):
        folder, port = t.files("node2", ["manifest.json"]), free_port()
        wires.append(Wire(port))
        lacking = t.node("node2", [2], [], "--port", port, "--advertise", wires[-1].address, fetch=False)
        for p in (*nodes, lacking):
            wait_for(lambda: p.run_entry() and len(p.status()["nodes"]) == 4, 10, "all know each other")
        for step in range(30):  # little by little, so that no link falls silent
            for w in wires:
                w.delay_s = 0.05 * (step + 1)
            time.sleep(0.2)
        t.inject(lambda: t.give(folder, 2))
        t.expect("LOADED_NOT_PROPAGATED", [lacking, nodes[0]], shard=2, node=lacking, severity="warning", words="acknowledged",
                 also=[("PROBE_FAILED", None)])
        t.mend(lambda: [w.mend() for w in wires])
        t.gone("LOADED_NOT_PROPAGATED", [lacking, nodes[0]])
        t.ready_again(on=[lacking, *nodes], timeout=30)
