"""Who is a member: keys, datagrams from outside, the entry."""
import os, shutil, socket, time
from swarm import Swarm, agent_of, base_env, case, check, check_equal, run_command, wait_for

# SECURITY D1 to D3: each of these ends a bare OpenDHT 2.4.12.
KILLERS = [bytes.fromhex("83a16590a17401a179a165"),                                        # {"e":[],"t":1,"y":"e"}
           b"\x83\xa1r\x05\xa1t\x01\xa1y\xa1r",                                              # {"r":5,...}
           b"\x83\xa1u\x05\xa1t\x01\xa1y\xa1u",                                              # {"u":5,...}
           b"\x84\xa1a\x05\xa1q\xa4ping\xa1t\x01\xa1y\xa1q",                                 # {"a":5,"q":"ping",...}
           b"\x83\xa1r\x82\xa2id\xc4\x14" + bytes(20) + b"\xa6fileds\x82\xa1f\x90\xa1v\x90\xa1t\x01\xa1y\xa1r"]


def stranger_env(s, entry_port):
    """A swarm key of somebody else."""
    env = base_env(s.dir / "stranger")
    r = run_command(["init", "--advertise", f"127.0.0.1:{entry_port}"], env)
    check_equal(r.returncode, 0, r.err)
    return env


@case("a wrong key: KEY_MISMATCH on the node itself; others show its address and no node; no record of it anywhere")
def wrong_key(box):
    with Swarm(box) as s:
        entry = s.entry()
        nodes = s.nodes(2)
        serve = s.serve()
        serve.wait_ready()
        # The run folder is shared, so that the stranger's API is found; its key is not ours.
        env = {**stranger_env(s, s.entry_port), "XDG_RUNTIME_DIR": s.env["XDG_RUNTIME_DIR"]}
        stranger = s.node("stranger", [3], [3], "--peer", f"127.0.0.1:{nodes[0].port}",
                          "--bootstrap", f"127.0.0.1:{s.entry_port}", env=env)
        f = wait_for(lambda: stranger.run_entry() and stranger.finding("KEY_MISMATCH"), 10, "KEY_MISMATCH on itself")
        check_equal((f["severity"], f["node"]), ("blocker", stranger.id), "on itself")
        check_equal(stranger.blockers()[0]["code"], "KEY_MISMATCH", "its first blocker")
        for p in (entry, nodes[0]):
            f = wait_for(lambda: p.finding("KEY_MISMATCH"), 10, f"KEY_MISMATCH at {p.name}")
            check_equal((f["severity"], f["node"]), ("warning", None), f"at {p.name}")
            check(f["evidence"]["address"].startswith("127.0.0.1"), "address:", f["evidence"])
        id = stranger.id
        time.sleep(1)
        for p in (entry, serve, *nodes):
            check(id not in [n["id"] for n in p.status()["nodes"]], f"{p.name} knows the stranger")
            check(id not in p.get("/api/v1/status").body.decode(), f"{p.name} has a record of it")
        check_equal([n["id"] for n in stranger.status()["nodes"]], [id], "whom the stranger sees")
        check(serve.is_ready(), "the swarm is not ready any more")


@case("D1 to D3: datagrams that end a bare DHT, at the entry and a node: a counter, nothing else")
def killers(box):
    with Swarm(box) as s:
        entry = s.entry()
        nodes = s.nodes(2)
        serve = s.serve()
        for p in (serve, *nodes):
            p.wait_ready()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(20):
                for killer in [*KILLERS, b"", os.urandom(200), os.urandom(1400)]:
                    for port in (s.entry_port, nodes[0].port):
                        out.sendto(killer, ("127.0.0.1", port))
        for p in (entry, nodes[0]):
            f = wait_for(lambda: p.finding("SECURITY_REFUSED", node=p.id), 10, f"SECURITY_REFUSED at {p.name}")
            check_equal(f["severity"], "info", "severity")
            wait_for(lambda: p.finding("SECURITY_REFUSED", node=p.id)["evidence"]["datagrams"] >= 140, 10, "about all are counted")
            check(not p.finding("AGENT_CRASHED"), "the agent ended")
        time.sleep(1)
        check(serve.is_ready() and nodes[0].is_ready(), "not ready any more")
        late = s.node("late", None, [])
        late.wait_ready(15)  # the entry still brings people together
        serve.complete("Once", max_tokens=3)


@case("an agent killed with SIGKILL: AGENT_CRASHED, restarted, the swarm stays ready and newcomers still find it")
def agent_killed(box):
    with Swarm(box) as s:
        entry = s.entry()
        nodes = s.nodes(2)
        serve = s.serve()
        serve.wait_ready()
        for p in (entry, nodes[0]):
            os.kill(agent_of(p), 9)
        f = wait_for(lambda: nodes[0].finding("AGENT_CRASHED"), 5, "AGENT_CRASHED")
        check(f["severity"] != "blocker" and serve.is_ready(), "links do not need the agent:", f)
        wait_for(lambda: agent_of(entry) and agent_of(nodes[0]), 15, "they are started again")
        s.node("late", None, []).wait_ready(20)


@case("A10 the entry ends: nothing is lost; a newcomer comes in by --peer, and by the entry when it is back")
def entry_restarted(box):
    with Swarm(box) as s:
        entry = s.entry()
        nodes = s.nodes(2)
        serve = s.serve()
        serve.wait_ready()
        entry.kill()
        time.sleep(3)
        check(serve.is_ready(), "not ready without the entry")
        serve.complete("Once", max_tokens=3)
        s.node("by-peer", None, [], "--peer", f"127.0.0.1:{nodes[1].port}").wait_ready(10)
        entry.start()
        s.node("by-entry", None, []).wait_ready(15)


@case("no entry at all: BOOTSTRAP_UNREACHABLE with host, port and step; it heals when the entry comes")
def no_entry(box):
    with Swarm(box) as s:
        nodes = s.nodes(1)
        f = wait_for(lambda: nodes[0].run_entry() and nodes[0].finding("BOOTSTRAP_UNREACHABLE"), 10, "BOOTSTRAP_UNREACHABLE")
        check(f"127.0.0.1:{s.entry_port}" in f["cause"] and f["evidence"]["step"] == "connect", f["cause"], f["evidence"])
        s.entry()
        wait_for(lambda: not nodes[0].finding("BOOTSTRAP_UNREACHABLE"), 20, "it heals")


@case("something else listens at the entry's port: BOOTSTRAP_NOT_A_SWARM_NODE")
def not_a_swarm(box):
    with Swarm(box) as s, socket.socket() as other:
        other.bind(("127.0.0.1", s.entry_port))
        other.listen(16)
        nodes = s.nodes(1)
        end = time.monotonic() + 20
        other.settimeout(1)
        while time.monotonic() < end and not (nodes[0].run_entry() and nodes[0].finding("BOOTSTRAP_NOT_A_SWARM_NODE")):
            try:
                conn, _ = other.accept()
                conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                conn.close()
            except OSError:
                pass
        check(nodes[0].finding("BOOTSTRAP_NOT_A_SWARM_NODE"), "findings:", nodes[0].verdict()["findings"])


@case("the token joins a process that has no key of its own; it is stored, and wiped from argv")
def token(box):
    with Swarm(box) as s:
        s.entry()
        nodes = s.nodes(2)
        nodes[0].wait_ready()
        env = {**base_env(s.dir / "newcomer"), "XDG_RUNTIME_DIR": s.env["XDG_RUNTIME_DIR"]}
        node = s.node("newcomer", None, [], s.token, env=env)
        node.wait_ready(10)
        args = open(f"/proc/{node.pid}/cmdline", "rb").read() if os.access(f"/proc/{node.pid}/cmdline", os.R_OK) else b""
        secret = s.token.rsplit("/", 1)[1].encode()
        check(secret not in args, "the token is in argv")
        key = s.dir / "newcomer/config/shoal/swarm.key"
        check_equal(oct(key.stat().st_mode & 0o777), "0o600", "mode of the key file")
        for p in s.processes:
            text = (p.out_path.read_text(errors="replace") + p.errors()).encode()
            check(secret not in text, f"the token is in what {p.name} printed")


@case("without a key: exit 3 and KEY_MISSING with the remedy")
def no_key(box):
    with Swarm(box) as s:
        env = base_env(s.dir / "keyless")
        r = run_command(["node", "--shards-dir", s.dir / "keyless/shards", "--listen", "127.0.0.1"], env)
        check_equal(r.returncode, 3, "exit")
        check("KEY_MISSING" in r.err and "shoal init" in r.err, r.err)
