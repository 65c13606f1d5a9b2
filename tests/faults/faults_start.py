"""Keys, starts and the entry: what keeps a process from being a member at all."""
import os, shutil, socket, time
import swarm
from swarm import Failure, Skip, agent_of, base_env, check, free_port, run_command, wait_for
from tools import Talker, shifted_clock
from trial import fault


def stranger(t):
    """The environment of somebody with a swarm key of his own, on this machine."""
    env = base_env(t.dir / "stranger")
    r = run_command(["init", "--advertise", f"127.0.0.1:{t.entry_port}"], env)
    check(r.returncode == 0, r.err)
    return {**env, "XDG_RUNTIME_DIR": t.env["XDG_RUNTIME_DIR"]}


def with_wrong_key(t):
    return t.node("node2", [2], [2], "--bootstrap", f"127.0.0.1:{t.entry_port}", env=stranger(t))


@fault("KEY_MISMATCH", "a node has the key of another swarm")
def wrong_key(t):
    nodes, serve = t.plain(lacking=(2,))
    bad = t.inject(lambda: with_wrong_key(t))
    f = t.expect("KEY_MISMATCH", [bad], node=bad, severity="blocker", alone=True)
    t.paste(f, env=bad.env)
    # Elsewhere an address knocks, and the shard that nobody claims follows from that.
    t.expect("KEY_MISMATCH", [nodes[0], serve], node=None, words="127.0.0.1")
    bad.stop()
    t.mend(lambda: t.node("node2b", [2], [2], t.token, env=base_env(t.dir / "newcomer")))
    t.ready_again()


@fault("SHARD_FILE_INVALID", "two at once: a wrong key on one node, a truncated shard on another")
def two_faults(t):
    from tools import truncate
    t.entry()
    nodes, serve = [t.node("node0", [0], [0])], t.serve()
    folder = t.files("node1", [1])
    truncate(folder / "shard-1.gguf")
    cut = t.inject(lambda: t.node("node1", [1], [], fetch=False))
    bad = t.node("node2", [2], [2], "--bootstrap", f"127.0.0.1:{t.entry_port}", "--peer", f"127.0.0.1:{nodes[0].port}", env=stranger(t))
    for p in (nodes[0], cut, serve):
        wait_for(lambda: {(b["code"], b["shard"]) for b in t.doctor(p)["findings"] if b["severity"] == "blocker"} >=
                 {("KEY_MISMATCH", None), ("SHARD_FILE_INVALID", 1)}, 5, f"{p.name} names both: {t.doctor_text(p)}")
        codes = [b["code"] for b in t.doctor(p)["findings"] if b["severity"] == "blocker"]
        check(sorted(codes) == ["KEY_MISMATCH", "SHARD_FILE_INVALID"], f"{p.name}: each once, and nothing else:", codes)
    t.named_s, t.code, t.text = time.monotonic() - t.began, "KEY_MISMATCH", t.doctor_text(serve)
    bad.stop()
    t.mend(lambda: (t.give(folder, 1), t.node("node2b", [2], [2])))
    t.ready_again()


@fault("KEY_MISSING", "a node without key and token")
def no_key(t):
    nodes, serve = t.plain(lacking=(2,))
    for p in (*nodes, serve):  # a start that went well with the default key would settle the matter
        wait_for(p.run_entry, 10, f"{p.name} runs")
    env = {**base_env(t.dir / "keyless"), "XDG_RUNTIME_DIR": t.env["XDG_RUNTIME_DIR"]}
    dead = t.inject(lambda: t.node("node2", [2], [2], env=env))
    f = t.expect_dead("KEY_MISSING", dead, [nodes[0], serve], words="key")
    command = f["action"].split("on the others: ")[1].split(" TOKEN")[0]
    t.mend(lambda: t.paste(f"{command} {t.token}", env=env, stays=True))
    t.ready_again()


@fault("IDENTITY_CONFLICT", "a machine was cloned, its state folder with it")
def cloned(t):
    nodes, serve = t.plain()
    t.fine()
    shutil.copytree(t.dir / "state/node1", t.dir / "state/clone", dirs_exist_ok=True)
    clone = t.inject(lambda: t.node("clone", [1], [1]))
    # The newer of two is believed; the one that it pushed out is told.
    f = t.expect("IDENTITY_CONFLICT", [nodes[1]], node=nodes[1], severity=None, alone=True)
    t.paste(f, stays=True)
    t.mend(clone.stop)
    t.ready_again(on=[serve, *nodes], restarted=[clone])


@fault("CLOCK_SKEW", "a machine's clock is an hour ahead")
def clock_ahead(t):
    nodes, serve = t.plain(lacking=(2,))
    env = shifted_clock(t.dir, t.env, 3600)
    ahead = t.inject(lambda: t.node("node2", [2], [2], env=env))
    t.expect("CLOCK_SKEW", [nodes[0], serve], node=ahead, severity="warning", words="3[56]")
    t.mend()
    t.ready_again()


def cannot_start(t, code, words, *options):
    """The last node of a swarm is started with these options and ends; what doctor says, pasted, starts it."""
    nodes, serve = t.plain(lacking=(2,))
    dead = t.inject(lambda: t.node("node2", [2], [2], *options))
    f = t.expect_dead(code, dead, [nodes[0], serve], words=words)
    t.mend(lambda: t.paste(f, stays=True))
    t.ready_again()


@fault("PORT_IN_USE", "a node's --port is taken by another program")
def port_taken(t):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cannot_start(t, "PORT_IN_USE", str(port), "--port", port)


@fault("PORT_IN_USE", "a node's --http port is taken by another program")
def http_taken(t):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cannot_start(t, "PORT_IN_USE", str(port), "--http", f"127.0.0.1:{port}")


@fault("START_FAILED", "a node's --listen is an address that this machine has not")
def listen_elsewhere(t):
    cannot_start(t, "START_FAILED", "203.0.113.9", "--listen", "203.0.113.9")  # of RFC 5737, for documents


@fault("STATE_DIR_UNWRITABLE", "a node's --state-dir is a file")
def state_is_a_file(t):
    path = t.dir / "state/node2"
    path.parent.mkdir(exist_ok=True)
    path.write_text("not a folder")
    cannot_start(t, "STATE_DIR_UNWRITABLE", "state/node2")


@fault("STATE_DIR_UNWRITABLE", "a node's --state-dir is the one of a node that runs")
def state_taken(t):
    nodes, serve = t.plain(lacking=(2,))
    wait_for(nodes[0].run_entry, 10, "node0 runs")
    dead = t.inject(lambda: t.node("node2", [2], [2], "--state-dir", t.dir / "state/node0"))
    f = t.expect_dead("STATE_DIR_UNWRITABLE", dead, [nodes[1], serve], words="node0")
    t.mend(lambda: t.paste(f, stays=True))
    t.ready_again()


@fault("PERMISSION_DENIED", "a node's --shards-dir is a file")
def shards_is_a_file(t):
    nodes, serve = t.plain(lacking=(2,))
    path = t.dir / "a-file"
    path.write_text("not a folder")
    dead = t.inject(lambda: t.node("node2", [2], [2], "--shards-dir", path))
    f = t.expect_dead("PERMISSION_DENIED", dead, [nodes[0], serve], words="a-file")
    t.mend(lambda: (t.paste(f, stays=True), t.follow(serve)))
    t.ready_again()


@fault("DESCRIPTORS_SHORT", "ulimit -n is too low")
def descriptors(t):
    if not shutil.which("prlimit"):
        raise Skip("prlimit is not here")
    nodes, serve = t.plain(lacking=(2,))
    dead = t.inject(lambda: t.node("node2", [2], [2], wrap=["prlimit", "--nofile=40:40"]))
    f = t.expect_dead("DESCRIPTORS_SHORT", dead, [nodes[0], serve], words="40")
    t.mend(lambda: t.paste(f, stays=True))
    t.ready_again()


@fault("AGENT_CRASHED", "the agent is killed again and again")
def agent_killed(t):
    nodes, serve = t.plain()
    t.fine()
    t.inject()
    for _ in range(2):
        pid = wait_for(lambda: agent_of(nodes[0]), 5, "the agent is there")
        os.kill(pid, 9)
    f = t.expect("AGENT_CRASHED", [nodes[0], serve], node=nodes[0], severity=None, words="times")
    t.paste(f)
    check(serve.is_ready(), "links do not need the agent")
    t.mend()
    t.gone("AGENT_CRASHED", [nodes[0], serve])
    t.ready_again(timeout=40)


@fault("BOOTSTRAP_UNREACHABLE", "the entry does not run")
def no_entry(t):
    t.inject()
    nodes = [t.node(f"node{i}", [i], [i]) for i in range(3)]
    f = t.expect("BOOTSTRAP_UNREACHABLE", nodes, node=lambda: None, own=True, words=f":{t.entry_port}.*(refused|connect)")
    t.mend(lambda: t.paste(f, stays=True))
    t.ready_again(on=nodes)


@fault("BOOTSTRAP_UNREACHABLE", "the entry's name does not resolve")
def no_such_name(t):
    nodes, serve = t.plain(lacking=(2,))
    lost = t.inject(lambda: t.node("node2", [2], [2], "--bootstrap", "no-such-host.invalid:7400"))
    f = t.expect("BOOTSTRAP_UNREACHABLE", [lost], node=lost, alone=True, words="resolve|no-such-host")
    t.paste(f)
    t.expect("SHARD_NOT_DISCOVERED", [nodes[0], serve], shard=2)
    lost.stop()
    t.mend(lambda: t.node("node2b", [2], [2]))
    t.ready_again()


@fault("BOOTSTRAP_NOT_A_SWARM_NODE", "the entry's port belongs to a web server")
def web_server(t):
    nodes, serve = t.plain(lacking=(2,))
    port = free_port()
    with Talker(port):
        lost = t.inject(lambda: t.node("node2", [2], [2], "--bootstrap", f"127.0.0.1:{port}"))
        f = t.expect("BOOTSTRAP_NOT_A_SWARM_NODE", [lost], node=lost, alone=True, words=f":{port}")
        t.paste(f)
        t.expect("SHARD_NOT_DISCOVERED", [nodes[0], serve], shard=2)
    lost.stop()
    t.mend(lambda: t.node("node2b", [2], [2]))
    t.ready_again()


def other_clusters(f):
    return f["evidence"].get("other_clusters")


@fault("ALONE_IN_CLUSTER", "a node was given another cluster's name")
def other_cluster(t):
    nodes, serve = t.plain(lacking=(2,))
    lost = t.inject(lambda: t.node("node2", [2], [2], "--cluster", "llama-8b-cluster"))
    f = t.expect("ALONE_IN_CLUSTER", [lost], node=lost, alone=True, words="llama-8b-cluster", also=[("CLUSTER_MISMATCH", None)])
    check(other_clusters(f) == ["llama-cluster"], "other clusters:", f["evidence"])
    lost.stop()
    t.mend(lambda: (t.paste(f, stays=True), t.follow(serve)))
    t.ready_again()


@fault("ALONE_IN_CLUSTER", "a node of another cluster dials one of ours by --peer")
def cluster_of_peer(t):
    nodes, serve = t.plain(lacking=(2,))
    port = nodes[0].port
    lost = t.inject(lambda: t.node("node2", [2], [2], "--cluster", "other", "--peer", f"127.0.0.1:{port}"))
    t.expect("ALONE_IN_CLUSTER", [lost], node=lost, alone=True, also=[("CLUSTER_MISMATCH", None)])
    f = lost.finding("CLUSTER_MISMATCH")
    check(f and "llama-cluster" in f["cause"], "the other cluster is not named:", f)
    lost.stop()
    t.mend(lambda: (t.paste(f, stays=True), t.follow(serve)))
    t.ready_again()
