"""Where a shard comes from: sources that die, that send other bytes, notices that come late (A5, A6, A11).

Torrents are encrypted, so a wire of ours sees only bytes: it counts them, or changes some."""
import contextlib, filecmp, pathlib, sys, time
from swarm import Swarm, case, check, check_equal, free_port, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "faults"))
from tools import Wire  # noqa: E402

SHARD = 3
HIDDEN = "127.0.0.9"  # where the sources listen: nobody is told of it


class LinkWire(Wire):
    host = HIDDEN


class TorrentWire(Wire):
    """Counts what comes from the source; spoils a byte of every 40000 when asked to."""
    host = HIDDEN

    def __init__(self, to, ip, port):
        self.n_bytes, self.spoils = 0, False
        super().__init__(to, ip=ip, port=port)

    def filter(self, data, from_source):
        if not from_source:
            return data
        before, self.n_bytes = self.n_bytes, self.n_bytes + len(data)
        at = 40000 - before % 40000
        if self.spoils and at < len(data):
            data = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]
        return data


@contextlib.contextmanager
def source_behind_wire(s, name, rate):
    """A node that only has the file, reached through wires of ours: (process, torrent wire)."""
    port = free_port()
    with LinkWire(port, port=port), TorrentWire(port + 1, "127.0.0.1", port + 1) as wire:
        yield s.node(name, None, [SHARD], "--listen", HIDDEN, "--port", port, "--advertise", f"127.0.0.1:{port}",
                     "--max-upload", rate), wire


def others(s):
    return [s.node(f"node{i}", [i], [i]) for i in range(8) if i != SHARD]


@case("A5 the source is killed in mid-download: named within 10 s, another goes on, nothing is fetched twice", timeout=120)
def source_killed(box):
    with Swarm(box) as s, contextlib.ExitStack() as stack:
        size = (s.split / f"shard-{SHARD}.gguf").stat().st_size
        s.entry()
        nodes = others(s)
        first, first_wire = stack.enter_context(source_behind_wire(s, "first", "150K"))
        lacking = s.node("lacking", [SHARD], [])
        wait_for(lambda: lacking.run_entry() and first_wire.n_bytes > size // 3, 40, "a third of the shard comes")
        first.kill()
        killed = time.monotonic()
        for p in (lacking, nodes[0]):
            f = wait_for(lambda: p.finding("DOWNLOAD_STALLED", shard=SHARD), 10, f"{p.name} names the stall")
            check_equal((f["severity"], f["node"]), ("blocker", lacking.id), "the finding")
        print(f"# named {time.monotonic() - killed:.1f} s after the source was killed")
        second, second_wire = stack.enter_context(source_behind_wire(s, "second", "2M"))
        for p in [lacking, *nodes]:
            p.wait_ready(40)
        check(filecmp.cmp(lacking.folder / f"shard-{SHARD}.gguf", s.split / f"shard-{SHARD}.gguf", shallow=False), "the bytes differ")
        print(f"# {size} bytes: {first_wire.n_bytes} from the first, {second_wire.n_bytes} from the second")
        check(second_wire.n_bytes < size * 0.9, "the second gave the whole shard again:", second_wire.n_bytes, "of", size)
        check(first_wire.n_bytes + second_wire.n_bytes < size * 1.05 + 60000, "bytes came twice:", first_wire.n_bytes,
              second_wire.n_bytes, "of", size)


@case("A11 a source that sends other bytes is named and not asked again; the file ends right", timeout=120)
def source_corrupt(box):
    with Swarm(box) as s, contextlib.ExitStack() as stack:
        s.entry()
        nodes = others(s)
        bad, wire = stack.enter_context(source_behind_wire(s, "bad", "2M"))
        wire.spoils = True
        wait_for(lambda: nodes[0].run_entry() and len(nodes[0].status()["nodes"]) == 9, 15, "all are here")
        lacking = s.node("lacking", [SHARD], [])
        for p in (lacking, nodes[0]):
            f = wait_for(lambda: p.run_entry() and p.finding("SOURCE_CORRUPT", shard=SHARD), 30, f"{p.name} names the source")
            check(f"127.0.0.1:{wire.port}" in f["cause"], "the peer is not named:", f["cause"])
        check(not (lacking.folder / f"shard-{SHARD}.gguf").exists(), "a file with wrong bytes is in place")
        check(not nodes[0].is_ready(), "ready without a right shard")
        s.node("honest", None, [SHARD])
        for p in [lacking, *nodes]:
            p.wait_ready(40)
        check(filecmp.cmp(lacking.folder / f"shard-{SHARD}.gguf", s.split / f"shard-{SHARD}.gguf", shallow=False), "the bytes differ")


@case("A6 notices of a loaded shard are late: LOADED_NOT_PROPAGATED meanwhile, and it heals by itself", timeout=90)
def notices_late(box):
    with Swarm(box, n_shards=2) as s, contextlib.ExitStack() as stack:
        s.entry()
        made = []
        for i in range(2):
            port = free_port()
            wire = stack.enter_context(Wire(port))
            made.append((s.node(f"node{i}", [i], [i] if i == 0 else [], "--port", port, "--advertise", wire.address,
                                fetch=False), wire))
        (told, _), (teller, _) = made
        for p in (told, teller):
            wait_for(lambda: p.run_entry() and len(p.status()["nodes"]) == 3, 15, "all know each other")
        for step in range(30):  # little by little, so that no link falls silent
            for _, wire in made:
                wire.delay_s = 0.05 * (step + 1)
            time.sleep(0.2)
        s.give(teller.folder, 1)
        f = wait_for(lambda: teller.finding("LOADED_NOT_PROPAGATED", shard=1), 12, "the finding")
        check_equal((f["severity"], f["node"]), ("warning", teller.id), "the finding")
        for _, wire in made:
            wire.mend()
        for p in (told, teller):
            p.wait_ready(10)
            wait_for(lambda: not p.finding("LOADED_NOT_PROPAGATED"), 5, f"{p.name}: it heals")
