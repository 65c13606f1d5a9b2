"""Shard files: not there, damaged, of something else; nobody to fetch from; no room, no right."""
import os, shutil, signal, time
from swarm import DEMO_MODEL, Skip, agent_of, check, wait_for
from tools import flip_bit, put, truncate
from trial import fault


def with_bent_file(t, bend, words, fetch=False):
    """Node 2's only file is bent before it starts. Named on it, on a node and on the serve; copied anew: ready."""
    nodes, serve = t.plain(lacking=(2,))
    folder = t.files("node2", [2])
    bend(folder / "shard-2.gguf")
    bent = t.inject(lambda: t.node("node2", [2], [], fetch=fetch))
    f = t.expect("SHARD_FILE_INVALID", [bent, nodes[0], serve], shard=2, node=bent, words=words)
    t.mend(lambda: check(t.paste(f) == 0, "cp"))
    t.ready_again()


@fault("SHARD_FILE_INVALID", "a shard file cut in half")
def cut_in_half(t):
    with_bent_file(t, truncate, r"\d+ of \d+ bytes|bytes")


@fault("SHARD_FILE_INVALID", "one bit of a shard file is flipped")
def bit_flipped(t):
    with_bent_file(t, flip_bit, r"(?i)sha-?256")


@fault("SHARD_FILE_INVALID", "two shards' files have changed their names")
def swapped(t):
    with_bent_file(t, lambda p: shutil.copyfile(t.split / "shard-1.gguf", p), r"shard 1")


@fault("SHARD_FILE_INVALID", "the whole model lies where the shard belongs")
def whole_model(t):
    with_bent_file(t, lambda p: shutil.copyfile(DEMO_MODEL, p), r"bytes|model")


@fault("SHARD_FILE_INVALID", "a shard of another model under the right name")
def other_model(t):
    other = t.box.split(n=5)
    with_bent_file(t, lambda p: shutil.copyfile(other / "shard-2.gguf", p), r"bytes|layers|model")


@fault("SHARD_FILE_INVALID", "an empty shard file")
def empty(t):
    with_bent_file(t, lambda p: p.write_bytes(b""), r"\b0 bytes|empty")


@fault("SHARD_FILE_INVALID", "something that is no model under a shard's name (an error page)")
def error_page(t):
    with_bent_file(t, lambda p: p.write_bytes(b"<html><title>404 Not Found</title></html>\n"), r"bytes|GGUF")


@fault("SHARD_FILE_MISSING", "a shard file is not there, fetching is off")
def missing(t):
    nodes, serve = t.plain(lacking=(2,))
    lacking = t.inject(lambda: t.node("node2", [2], [], fetch=False))
    f = t.expect("SHARD_FILE_MISSING", [lacking, nodes[0], serve], shard=2, node=lacking, words=r"shard-2\.gguf")
    t.mend(lambda: check(t.paste(f) == 0, "cp"))
    t.ready_again()


@fault("NO_SOURCE", "a shard file is not there, and nobody has it")
def no_source(t):
    nodes, serve = t.plain(lacking=(2,))
    lacking = t.inject(lambda: t.node("node2", [2], []))
    f = t.expect("NO_SOURCE", [lacking, nodes[0], serve], shard=2, node=lacking, words=r"shard-2\.gguf")
    t.mend(lambda: check(t.paste(f) == 0, "cp"))
    t.ready_again()


@fault("DOWNLOADING", "a shard comes slowly from a peer")
def downloading(t):
    t.entry()
    nodes = [t.node("node0", [0], [0, 2], "--max-upload", "150K"), t.node("node1", [1], [1])]
    serve = t.serve()
    wait_for(lambda: nodes[0].run_entry() and nodes[0].status()["loaded_shards"] == 2, 15, "two shards are loaded")
    lacking = t.inject(lambda: t.node("node2", [2], []))
    t.expect("DOWNLOADING", [lacking, nodes[1], serve], shard=2, node=lacking, words=r"of \d+\.\d MB")
    t.mend()
    t.ready_again(timeout=40)


def seeded_slowly(t):
    """Node 2 fetches its shard from a process that has nothing else to do."""
    t.entry()
    nodes = [t.node("node0", [0], [0]), t.node("node1", [1], [1])]
    source = t.node("source", None, [2], "--max-upload", "100K")
    lacking = t.node("node2", [2], [])
    wait_for(lambda: lacking.run_entry() and any(f["code"] == "DOWNLOADING" and " 0.0 of" not in f["cause"]
                                                 for f in lacking.verdict()["findings"]), 20, "bytes come")
    return nodes, source, lacking


@fault("DOWNLOAD_STALLED", "the only source is frozen in mid-download", aim=12, why_longer="a pause is a stall after 10 s", timeout=90)
def source_frozen(t):
    nodes, source, lacking = seeded_slowly(t)
    agent = agent_of(source)
    t.inject(lambda: (source.signal(signal.SIGSTOP), os.kill(agent, signal.SIGSTOP)))
    f = t.expect("DOWNLOAD_STALLED", [lacking, nodes[0]], shard=2, node=lacking)
    t.mend(lambda: check(t.paste(f) == 0, "cp"))
    t.ready_again(on=[lacking, *nodes])
    os.kill(agent, signal.SIGCONT)
    source.signal(signal.SIGCONT)


@fault("DOWNLOAD_STALLED", "the only source is killed in mid-download", aim=12, why_longer="a pause is a stall after 10 s", timeout=90)
def source_killed(t):
    nodes, source, lacking = seeded_slowly(t)
    t.inject(source.kill)
    f = t.expect("DOWNLOAD_STALLED", [lacking, nodes[0]], shard=2, node=lacking, words="none has it any more")
    t.mend(lambda: check(t.paste(f) == 0, "cp"))
    t.ready_again(on=[lacking, *nodes])


@fault("DISK_FULL", "the disk of the shards folder has no room for the shard")
def disk_full(t):
    folder = t.files("node2", ["manifest.json"])
    with t.small_disk(folder, 1 << 20):
        shutil.copyfile(t.split / "manifest.json", folder / "manifest.json")
        put(folder / "ballast", bytes(600 << 10))
        nodes, serve = t.plain(lacking=(2,))
        t.node("source", None, [2])
        full = t.inject(lambda: t.node("node2", [2], [], manifest=False))
        f = t.expect("DISK_FULL", [full, nodes[0], serve], shard=2, node=full)
        check(str(t.dir) in f["action"] and str(folder) + "/" not in f["action"], "no other disk is named:", f["action"])
        t.mend(lambda: t.paste(f, stays=True))
        t.ready_again(timeout=20)
        t.resize_disk(folder, 64 << 20)
        wait_for(lambda: (folder / "shard-2.gguf").exists(), 20, "with room it goes on by itself")


def without_rights(t):
    """root reads everything; without these two capabilities it does not."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise Skip("root without setpriv reads everything")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


@fault("PERMISSION_DENIED", "a shard file that the node may not read")
def file_not_readable(t):
    nodes, serve = t.plain(lacking=(2,))
    folder = t.files("node2", [2])
    os.chmod(folder / "shard-2.gguf", 0)
    denied = t.inject(lambda: t.node("node2", [2], [], fetch=False, wrap=without_rights(t)))
    f = t.expect("PERMISSION_DENIED", [denied, nodes[0], serve], shard=2, node=denied, words=r"shard-2\.gguf")
    t.mend(lambda: t.paste(f))  # chmod
    t.ready_again()


@fault("PERMISSION_DENIED", "a shards folder that the node may not read")
def folder_not_readable(t):
    nodes, serve = t.plain(lacking=(2,))
    folder = t.files("node2", [2, "manifest.json"])
    os.chmod(folder, 0)
    denied = t.inject(lambda: t.node("node2", [2], [], fetch=False, manifest=False, wrap=without_rights(t)))
    f = t.expect("PERMISSION_DENIED", [denied, nodes[0], serve], shard=2, node=denied)
    t.mend(lambda: t.paste(f))
    t.ready_again()
