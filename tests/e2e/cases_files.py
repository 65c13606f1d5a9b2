"""Shard files: missing, copied in, fetched, wrong (A2, A3, A9)."""
import filecmp, os, re, shutil, time
from swarm import DEMO_MODEL, Swarm, case, check, check_equal, wait_for


def seven_and_one(s, fetch):
    s.entry()
    nodes = [s.node(f"node{i}", [i], [i] if i != 3 else [], fetch=fetch) for i in range(8)]
    return nodes, s.serve()


def expect_missing(s, nodes, serve, code):
    lacking = nodes[3]
    lacking.wait_line(r"^\[SHARD\] ⚠️  ASSIGNED SHARD 3 NOT FOUND LOCALLY ⚠️$")
    wait_for(lambda: serve.run_entry() and serve.status()["loaded_shards"] == 7, 20, "seven shards loaded")
    for p in [serve, *nodes]:
        wait_for(lambda: [(b["code"], b["shard"]) for b in p.blockers()] == [(code, 3)], 10,
                 f"{p.name} has {code} for shard 3 as its only blocker")
        f = p.blockers()[0]
        check_equal(f["node"], lacking.id, f"node of the finding at {p.name}")
        check("shard-3.gguf" in f["cause"] and f["action"], "cause or action is poor:", f["cause"], f["action"])
        check(not p.is_ready(), f"{p.name} is ready without shard 3")
    for p in nodes:
        p.wait_line(r"^\[STATUS\]   Shard 3: ✗ NO$", 8)
        p.wait_line(rf"^\[SWARM\] ✗ SWARM NOT READY: {code}: ", 3)
        p.wait_line(r"^\[STATUS\] Swarm Ready: ✗ NO \(.*shard-3\.gguf.*\)$", 8)
    lacking.wait_line(r"^\[LOAD_SHARD\] Request to load shard 3$", 10)
    lacking.in_order([r"^\[LOAD_SHARD\] Request to load shard 3$", r"^\[LOAD_SHARD\] 🔄 Starting shard 3 load process\.\.\.$",
                      r"^\[LOAD_SHARD\] ⚠️  Shard 3 not found locally$"])
    lacking.wait_line(r"^\[LOAD_SHARD\] ✗ Shard 3: .*shard-3\.gguf", 5)
    return lacking


def copy_and_wait(s, nodes, serve, lacking):
    pids = [p.pid for p in s.processes]
    began = time.monotonic()
    s.give(lacking.folder, 3)
    for p in [serve, *nodes]:
        p.wait_ready(8)
    print(f"# ready {time.monotonic() - began:.1f} s after the copy")
    lacking.wait_line(r"^\[LOAD_SHARD\] ✓✓✓ Shard 3 loaded successfully from local directory ✓✓✓$", 2)
    check_equal([p.pid for p in s.processes if p.popen.poll() is None], pids, "processes")


@case("A2 one file missing and no source: NO_SOURCE is the only blocker everywhere; the file copied in: ready")
def missing_no_source(box):
    with Swarm(box) as s:
        s.options += ["--status-interval", 3]
        nodes, serve = seven_and_one(s, fetch=True)
        lacking = expect_missing(s, nodes, serve, "NO_SOURCE")
        lacking.in_order([r"NOT FOUND LOCALLY", r"^\[SHARD\]   Node will join the network and "
                          r"(download shard when LOAD_SHARD command is received|is downloading the shard now)\.$"])
        copy_and_wait(s, nodes, serve, lacking)


@case("A2 the same with --no-fetch: SHARD_FILE_MISSING")
def missing_no_fetch(box):
    with Swarm(box) as s:
        s.options += ["--status-interval", 3]
        nodes, serve = seven_and_one(s, fetch=False)
        lacking = expect_missing(s, nodes, serve, "SHARD_FILE_MISSING")
        lacking.in_order([r"NOT FOUND LOCALLY", r"^\[SHARD\]   Node will join the network and wait for the file: fetching is off\.$"])
        copy_and_wait(s, nodes, serve, lacking)


def shard_of(p, shard):
    """The shard as its node has it."""
    me = next(n for n in p.status()["nodes"] if n["self"])
    return next(x for x in me["shards"] if x["id"] == shard)


@case("A3 the missing file is on a peer: BitTorrent, verified, loaded, told, ready within 5 s of the last byte")
def fetched(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(f"node{i}", [i], [i, 3] if i == 6 else [i] if i != 3 else [],
                        *(["--max-upload", "300K"] if i == 6 else [])) for i in range(8)]
        serve, lacking = s.serve(), nodes[3]
        f = wait_for(lambda: serve.run_entry() and serve.finding("DOWNLOADING", shard=3), 10, "DOWNLOADING")
        check_equal((f["severity"], f["node"]), ("blocker", lacking.id), "the finding")
        wait_for(lambda: shard_of(lacking, 3)["state"] not in ("ABSENT", "QUEUED", "FETCHING"), 20, "the last byte")
        last_byte = time.monotonic()
        for p in [serve, *nodes]:
            p.wait_ready(5)
        print(f"# ready {time.monotonic() - last_byte:.1f} s after the last byte")
        lacking.wait_line(r"^\[SHARD_LOADED\] 📢 Broadcasting shard 3 loaded to [1-9]\d* peers\.\.\.$", 3)
        lacking.in_order([r"^\[SHARD\] ⚠️  ASSIGNED SHARD 3 NOT FOUND LOCALLY ⚠️$",
                          r"^\[LOAD_SHARD\] 📥 Starting torrent download from peer\.\.\.$",
                          r"^\[TORRENT\] Shard 3: \[#*-+\] \d+% \d+\.\d/\d+\.\d MB \d+\.\d MB/s [1-9]\d* peers( ETA \d+s)?$",
                          r"^\[LOAD_SHARD\] ✓✓✓ Shard 3 loaded successfully from peers ✓✓✓$"])
        check(filecmp.cmp(lacking.folder / "shard-3.gguf", s.split / "shard-3.gguf", shallow=False), "the bytes differ")
        check_equal(sorted(os.listdir(lacking.folder)), ["manifest.json", "shard-3.gguf"], "the folder")
        serve.complete("The", max_tokens=2)


@case("a file that is removed from its folder while loaded: a warning, still ready")
def removed(box):
    with Swarm(box) as s:
        s.entry()
        node = s.node("all", list(range(8)), range(8))
        serve = s.serve()
        serve.wait_ready()
        os.unlink(node.folder / "shard-2.gguf")
        f = wait_for(lambda: node.finding("SHARD_FILE_MISSING", shard=2), 5, "the warning")
        check_equal(f["severity"], "warning", "severity")
        check(serve.is_ready(), "not ready any more")
        serve.complete("Hello", max_tokens=2)


def broken(s, how):
    """A folder of node 2 whose file is spoilt, everything else in order."""
    nodes = [s.node(f"node{i}", [i], [i], fetch=False) for i in range(8) if i != 2]
    folder = s.files("node2", [2, "manifest.json"])
    how(folder / "shard-2.gguf")
    return nodes, s.node("node2", [2], [], fetch=False)


def flip_bit(path):
    with open(path, "r+b") as f:
        f.seek(-1000, os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 4]))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


@case("A9 flipped bit, truncated, another shard's file, another model's, the whole model: never ready, the exact cause", timeout=150)
def invalid(box):
    for what, how, words in (("flipped bit", flip_bit, r"(?i)sha-?256|hash"), ("truncated", truncate, r"\d+ (of|bytes)|size"),
                             ("wrong model", lambda p: shutil.copyfile(box.split(n=5) / "shard-2.gguf", p), r"bytes|layers|model"),
                             ("wrong size", lambda p: shutil.copyfile(DEMO_MODEL, p), r"bytes"),
                             ("swapped", lambda p: p.write_bytes((p.parent / "../../other.gguf").resolve().read_bytes()), r"shard 5")):
        with Swarm(box) as s:
            (s.dir / "other.gguf").write_bytes((s.split / "shard-5.gguf").read_bytes())
            s.entry()
            folder = s.files("node2", [2])
            how(folder / "shard-2.gguf")
            s.node("node2", [2], [], fetch=False).folder = folder
            for i in range(8):
                if i != 2:
                    s.node(f"node{i}", [i], [i], fetch=False)
            serve = s.serve()
            f = wait_for(lambda: serve.run_entry() and serve.status()["loaded_shards"] == 7 and
                         serve.finding("SHARD_FILE_INVALID", shard=2), 20, f"{what}: SHARD_FILE_INVALID")
            check_equal([b["code"] for b in serve.blockers()], ["SHARD_FILE_INVALID"], f"{what}: blockers")
            check(re.search(words, f["cause"]), f"{what}: the cause does not tell:", f["cause"])
            check(not serve.is_ready(), "ready")


@case("a node given nothing but its shard file gets manifest and tokenizer from peers")
def nothing_but_a_shard(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(f"node{i}", [i], [i], manifest=False) for i in range(8)]
        bare = s.serve(files=[])
        for p in [bare, *nodes]:
            wait_for(lambda: p.run_entry() and p.finding("MANIFEST_MISSING"), 10, f"{p.name}: MANIFEST_MISSING")
        check_equal({b["code"] for b in bare.blockers()}, {"MANIFEST_MISSING"}, "blockers without any manifest")
        for name in ("manifest.json", "tokenizer.gguf"):
            s.give(nodes[4].folder, name)
        for p in [bare, *nodes]:
            p.wait_ready(15)
        answer = bare.complete("Once upon a time", max_tokens=8, temperature=0)
        check(answer["choices"][0]["text"], "no text")
