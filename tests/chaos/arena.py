"""The swarm in which runs happen: drawn by a seed, of 2 to 8 nodes, with entry and 0 to 2 serves. Where it is wired,
every link goes through us, so that any two processes can be parted: both ways or one, silently or by closing."""
import functools, os, pathlib, random, struct, subprocess, sys, tempfile, time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / d) for d in ("e2e", "faults")]
import swarm
from swarm import Skip, Swarm, check, free_port, wait_for
from tools import Wire, shifted_clock

WIRED_MAX = 6  # one Python process is the wire of every link
KINDS = ["plain", "replicas", "assigned", "mixed"]


class Shape:
    """What a swarm consists of; the same for the same seed."""

    def __init__(self, seed):
        r = random.Random(f"swarm {seed}")
        self.kind = r.choice(KINDS)
        self.n_shards = r.choice([2, 3, 4])
        self.wired = r.random() < 0.55
        self.n_serves = r.choice([1, 1, 1, 2, 0] if self.kind in ("plain", "replicas") else [1, 1, 2])
        self.stepped = r.random() < 0.35  # with a clock that can be set
        self.stocked = self.kind == "assigned" or r.random() < 0.5  # every node has every file
        self.ids = self._ids(r)
        if len(self.ids) + self.n_serves > WIRED_MAX:
            self.wired = False

    def _ids(self, r):
        """The shards that each node is started with; None: a coordinator gives them."""
        each = [[i] for i in range(self.n_shards)]
        if self.kind == "plain":
            return each if r.random() < 0.7 else [[0], list(range(1, self.n_shards))]
        if self.kind == "replicas":
            return each + [[i] for i in range(self.n_shards) if r.random() < 0.7] if r.random() < 0.7 else each + each[:1]
        if self.kind == "assigned":
            return [None] * r.randint(2, 5)
        return each + [None] * r.randint(1, 2)

    def __str__(self):
        ids = " ".join("*" if i is None else ",".join(map(str, i)) for i in self.ids)
        words = [w for w in ("wired", "stepped", "stocked") if getattr(self, w)]
        return f"{self.kind}, {len(self.ids)} nodes ({ids}), {self.n_serves} serves{', ' if words else ''}{', '.join(words)}"


class Net:
    """Who is parted from whom, by name."""

    def __init__(self):
        self.silent, self.closed, self.slow = set(), set(), {}  # (from, to); frozenset of two; (from, to): seconds
        self.cables = []

    def part(self, a, b, mode):
        """mode: silent (bytes wait, both ways), oneway (only those of a), closed (connections end, none is let in)"""
        if mode == "closed":
            self.closed.add(frozenset((a, b)))
            for cable in self.cables:
                cable.end(a, b)
        else:
            self.silent.add((a, b))
            if mode == "silent":
                self.silent.add((b, a))

    def join(self, a, b):
        self.closed.discard(frozenset((a, b)))
        for pair in ((a, b), (b, a)):
            self.silent.discard(pair)
            self.slow.pop(pair, None)


class Cable(Wire):
    """The wire before one process, which knows who dials."""

    def __init__(self, arena, name, to):
        self.arena, self.net, self.name, self.ends = arena, arena.net, name, {}
        self.net.cables.append(self)
        super().__init__(to)

    def admits(self, a):
        try:
            who = self.arena.who(a.getpeername()[1])
        except OSError:
            return False  # it has gone again
        if frozenset((who, self.name)) in self.net.closed:
            return False
        self.ends[a] = (who, self.name)
        return True

    def joined(self, a, b):
        self.ends[b] = self.ends[a][::-1]

    def left(self, a, b):
        self.ends.pop(a, None)
        self.ends.pop(b, None)

    def holds(self, a):
        return self.ends[a] in self.net.silent

    def delay(self, a):
        return self.net.slow.get(self.ends[a], 0)

    def end(self, x, y):
        for s, pair in list(self.ends.items()):
            if set(pair) == {x, y}:
                try:
                    s.shutdown(2)
                except OSError:
                    pass


def inodes_of(pid):
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                pass
    except OSError:
        pass
    return found


class Arena(Swarm):
    def __init__(self, box, shape):
        super().__init__(box, n_shards=shape.n_shards)
        self.box, self.shape, self.net, self.mounted = box, shape, Net(), []
        self.options = ["--threads", 1, "--ctx", 256, "--slots", 12]
        self.nodes_, self.serves = [], []

    def begin(self):
        self.entry()
        for i, ids in enumerate(self.shape.ids):
            self.nodes_.append(self.member(f"node{i}", ids))
        for i in range(self.shape.n_serves):
            name = f"serve{i}"
            self.serves.append(self.serve(*self.wire(name), name=name, env=self.clocked(name)))
            self.note(self.serves[-1])
        for p in self.all():
            p.wait_ready(30)

    def member(self, name, ids, suffix=""):
        files = range(self.n_shards) if self.shape.stocked or ids is None else ids
        p = self.node(name, ids, files, *self.wire(name), env=self.clocked(name))
        p.ids = ids
        self.note(p)
        return p

    def note(self, p):
        p.is_stopped, p.fresh_at = False, time.monotonic()  # fresh: since its start or since it went on

    def wire(self, name):
        if not self.shape.wired:
            return []
        port = free_port()
        return ["--port", port, "--advertise", Cable(self, name, port).address]

    def clocked(self, name):
        """An environment with a clock of its own."""
        if not self.shape.stepped:
            return None
        path = self.dir / f"clock-{name}"
        path.write_bytes(struct.pack("l", 0))
        try:
            return shifted_clock(self.dir, self.env, 0, path)
        except Skip:  # no compiler
            self.shape.stepped = False
            return None

    def set_clock(self, p, seconds):
        with open(self.dir / f"clock-{p.name}", "r+b") as f:
            f.write(struct.pack("l", seconds))

    def all(self):
        return [*self.nodes_, *self.serves]

    def who(self, port):
        """The name of ours that has this end of a connection."""
        for _ in range(20):
            with open("/proc/net/tcp") as f:
                for line in f:
                    words = line.split()
                    if words[1].endswith(f":{port:04X}") and words[1].startswith("0100007F"):
                        inode = f"socket:[{words[9]}]"
                        for p in self.processes:
                            if p.popen and p.popen.poll() is None and inode in inodes_of(p.pid):
                                return p.name
            time.sleep(0.005)
        return "?"

    # --- what faults do to a process

    def again(self, p):
        p.start()
        self.note(p)

    def halt(self, p):
        p.is_stopped = True
        p.signal(19)

    def go_on(self, p):
        p.fresh_at = time.monotonic()
        p.signal(18)
        p.is_stopped = False

    def small_disk(self, p, n_bytes):
        """A disk of its own for a process that does not run; once there, it is only resized."""
        if p.folder in self.mounted:
            subprocess.run(["mount", "-o", f"remount,size={n_bytes}", p.folder], check=True)
            return
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "shoal-test", p.folder], capture_output=True)
        check(r.returncode == 0, "mount:", r.stderr.decode())
        self.mounted.append(p.folder)

    def close(self):
        faults = super().close()
        for cable in self.net.cables:
            cable.close()
        for folder in self.mounted:
            wait_for(lambda: subprocess.run(["umount", folder], capture_output=True).returncode == 0, 5, "umount")
        return faults


@functools.cache
def may_mount():
    """Not in every container, even as root."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4096", "shoal-test", folder], capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True
