"""What can happen. Each is a generator: what comes before `yield` is the fault, what comes after it the remedy.
`run` gives what it needs: a process that no other fault of this run has (take), random numbers, and notes."""
import os, shutil, time

import swarm
from arena import may_mount
from swarm import Failure, agent_of, base_env, check, run_command, wait_for
from tools import flip_bit, truncate


class NotHere(Exception):
    """This swarm has nothing that it could happen to."""


def need(condition):
    if not condition:
        raise NotHere


def kill(run):
    p = run.take_node()
    run.without([p])
    p.kill()
    yield f"kill -9 {p.name}"
    run.arena.again(p)


def kill_two(run):
    p, q = run.take_node(), run.take_node()
    run.without([p, q])
    p.kill()
    q.kill()
    yield f"kill -9 {p.name} {q.name}"
    run.arena.again(q)
    run.arena.again(p)


def stop(run):
    p = run.take_node()
    run.without([p])
    run.arena.halt(p)
    yield f"SIGSTOP {p.name}"
    run.arena.go_on(p)


def leave(run):
    p = run.take_node()
    run.without([p])
    check(p.stop() == 0, f"{p.name} does not end in order")
    yield f"SIGTERM {p.name}"
    run.arena.again(p)


def part(run, a, b, mode):
    run.parted(a, b)
    run.arena.net.part(a.name, b.name, mode)


def cut(run):
    """Both ways: silently, or the connections end and none is let in."""
    need(run.arena.shape.wired)
    a, mode = run.take_node(), run.random.choice(["silent", "closed"])
    b = run.take_any()
    part(run, a, b, mode)
    yield f"cut {mode} {a.name} - {b.name}"
    run.arena.net.join(a.name, b.name)


def cut_one_way(run):
    need(run.arena.shape.wired)
    a, b = run.take_node(), run.take_any()
    if run.random.random() < 0.5:
        a, b = b, a
    part(run, a, b, "oneway")
    yield f"cut one way {a.name} -> {b.name}"
    run.arena.net.join(a.name, b.name)


def isolate(run):
    """From every node and serve; the entry still reaches it."""
    need(run.arena.shape.wired and len(run.arena.all()) > 2)
    a, mode = run.take_node(), run.random.choice(["silent", "closed"])
    others = [p for p in run.arena.all() if p is not a]
    run.without([a])
    for b in others:
        run.arena.net.part(a.name, b.name, mode)
    yield f"isolate {mode} {a.name}"
    for b in others:
        run.arena.net.join(a.name, b.name)


def slow(run):
    need(run.arena.shape.wired)
    a, b, s = run.take_node(), run.take_any(), run.random.uniform(0.05, 0.3)
    for pair in ((a.name, b.name), (b.name, a.name)):
        run.arena.net.slow[pair] = s
    yield f"slow by {s:.2f} s {a.name} - {b.name}"
    run.arena.net.join(a.name, b.name)


def entry_killed(run):
    entry = run.arena.processes[0]
    need(entry.popen.poll() is None)
    entry.kill()
    yield "kill -9 entry"
    entry.start()


def serve_killed(run):
    p = run.take_serve()
    run.gone_serve = True
    p.kill()
    yield f"kill -9 {p.name}"
    run.arena.again(p)


def agent_killed(run):
    p = run.take_any(keep=True)
    agent = wait_for(lambda: agent_of(p), 10, f"{p.name} has an agent")
    os.kill(agent, 9)
    yield f"kill -9 the agent of {p.name}"


def file_bent(run):
    """Under a node that has loaded it; it goes on with what it has in memory."""
    p = run.take_node(keep=True)
    held = sorted(f for f in os.listdir(p.folder) if f.startswith("shard-") and f.endswith(".gguf"))
    need(held)
    name = run.random.choice(held)
    how = run.random.choice(["flip_bit", "truncate", "unlink"])
    {"flip_bit": flip_bit, "truncate": truncate, "unlink": os.unlink}[how](p.folder / name)
    yield f"{how} {p.name}/{name}"
    run.arena.give(p.folder, name)


def disk_full(run):
    """A node comes back without its file, and its disk has no room to fetch it."""
    need(may_mount() and run.arena.shape.stocked and len(run.arena.nodes_) > 1)
    p = run.take_node()
    need(p.ids)
    run.without([p])
    p.kill()
    size = os.stat(run.arena.split / run.arena.file_name(p.ids[0])).st_size
    if p.folder in run.arena.mounted:
        for f in os.listdir(p.folder):
            os.unlink(p.folder / f)
    run.arena.small_disk(p, size // 2)
    run.arena.again(p)
    yield f"disk full {p.name}"
    run.arena.small_disk(p, size * 20)


def wrong_key(run):
    arena = run.arena
    env = base_env(arena.dir / "stranger")
    run_command(["init", "--advertise", f"127.0.0.1:{arena.entry_port}"], env)
    run.n_guests += 1
    near = run.random.choice([p for p in arena.nodes_ if p.popen.poll() is None])
    p = arena.node(f"stranger{run.seed}-{run.n_guests}", [0], [0], "--peer", f"127.0.0.1:{near.port}", "--bootstrap",
                   f"127.0.0.1:{arena.entry_port}", env={**env, "XDG_RUNTIME_DIR": arena.env["XDG_RUNTIME_DIR"]})
    yield "a node with a wrong key"
    p.stop()
    arena.processes.remove(p)


def clone_of(run, p):
    run.n_guests += 1
    arena, name = run.arena, f"clone{run.seed}-{run.n_guests}"
    shutil.copytree(arena.dir / "state" / p.name, arena.dir / "state" / name, dirs_exist_ok=True)
    return arena.node(name, p.ids, p.ids or range(arena.n_shards))


def end_clone(run, clone):
    clone.kill()
    run.arena.processes.remove(clone)


def clone(run):
    """A second process with a node's identity, which takes its place."""
    p = run.take_node()
    made = clone_of(run, p)
    yield f"clone of {p.name}"
    end_clone(run, made)


def stale(run):
    """A node hangs, another process takes its identity and its place, and then it goes on with what it knew."""
    need(not run.names)  # the swarm must be able to be ready meanwhile
    arena, p = run.arena, run.take_node()
    id, others = p.id, [q for q in arena.all() if q is not p]
    need(others and p.ids)
    run.without([p])
    arena.halt(p)
    made = clone_of(run, p)
    run.whole()
    wait_for(lambda: made.run_entry() and all(q.is_ready() for q in others), 12, "ready with the one that took its place")
    arena.go_on(p)
    yield f"{p.name} goes on after it was replaced"
    # By its record, not by who is at the other end of a link: the older may be that for a moment, where the newer had none.
    epoch = next(n["epoch"] for n in made.status()["nodes"] if n["self"])
    for q in [q for q in others if q.name not in run.taken]:
        believed = next(n["epoch"] for n in q.status()["nodes"] if n["id"] == id)
        if believed != epoch:
            raise Failure(f"{q.name} believes the stale one: node {id[:8]} of epoch {believed}, the newer is of {epoch}")
    p.kill()
    end_clone(run, made)
    arena.again(p)


def clock_step(run):
    need(run.arena.shape.stepped)
    p, by = run.take_any(keep=True), run.random.choice([-172800, -3600, -90, 90, 3600, 172800])
    run.arena.set_clock(p, by)
    yield f"clock of {p.name} by {by} s"
    run.arena.set_clock(p, 0)


# name: (function, weight, whether requests must go on as if nothing had happened)
FAULTS = {
    "kill": (kill, 4, False), "kill-two": (kill_two, 1, False), "stop": (stop, 4, False), "leave": (leave, 2, False),
    "cut": (cut, 4, False), "cut-one-way": (cut_one_way, 4, False), "isolate": (isolate, 3, False), "slow": (slow, 2, False),
    "entry-killed": (entry_killed, 1, True), "serve-killed": (serve_killed, 2, False), "agent-killed": (agent_killed, 2, True),
    "file-bent": (file_bent, 2, True), "disk-full": (disk_full, 2, False), "wrong-key": (wrong_key, 2, True),
    "clone": (clone, 2, False), "stale": (stale, 2, False), "clock-step": (clock_step, 2, True),
}
