"""The model that all must agree on: manifest, owner, fingerprint, architecture, its truth."""
import hashlib, shutil
from swarm import base_env, check, run_command, wait_for
from tools import put, resign, truncate
from trial import fault


@fault("MANIFEST_MISSING", "nobody has the manifest")
def manifest_missing(t):
    t.entry()
    t.inject()
    nodes = [t.node(f"node{i}", [i], [i], manifest=False) for i in range(3)]
    serve = t.serve(files=())
    f = t.expect("MANIFEST_MISSING", [serve, *nodes])
    t.mend(lambda: (t.paste(f), t.give(nodes[1].folder, "tokenizer.gguf")))
    t.ready_again()


def bad_manifest(t, bend, words):
    """Everybody's folder is in order but node 2's, which is the first to run: it believes in no other yet."""
    t.entry()
    folder = t.files("node2", [2, "manifest.json"])
    bend(folder / "manifest.json")
    t.inject()
    nodes = [t.node("node2", [2], [], manifest=False), *(t.node(f"node{i}", [i], [i], manifest=False) for i in (0, 1))]
    f = t.expect("MANIFEST_INVALID", nodes, node=nodes[0], words=words)
    t.mend(lambda: check(t.paste(f) == 0, "the action failed:", f["action"]))
    t.ready_again(on=nodes)


@fault("MANIFEST_INVALID", "the manifest was edited by hand")
def manifest_edited(t):
    bad_manifest(t, lambda p: put(p, p.read_text().replace('"shoal demo"', '"my model"')), "signature")


@fault("MANIFEST_INVALID", "the manifest is another owner's")
def other_owner(t):
    def bend(path):
        env = base_env(t.dir / "other")
        check(run_command(["init"], env).returncode == 0, "init")
        resign(path, env["XDG_CONFIG_HOME"], lambda m: None)
    bad_manifest(t, bend, "owner")


@fault("MANIFEST_INVALID", "the manifest is cut short")
def manifest_cut(t):
    bad_manifest(t, truncate, r"JSON|cut|end")


@fault("MANIFEST_INVALID", "the manifest was made by an older version, whose results differ")
def older_manifest(t):
    def bend(path):  # as on a node that was updated: its state folder has a copy
        resign(path, t.env["XDG_CONFIG_HOME"], lambda m: m.update(arithmetic=m["arithmetic"] - 1))
        state = t.dir / "state/node2"
        state.mkdir(parents=True, mode=0o700)
        shutil.copyfile(path, state / "manifest.json")
    bad_manifest(t, bend, r"shards/node2/manifest\.json.* arithmetic \d+, this version of shoal computes by \d+.*`shoal split ")
    check(not any(p.finding("MANIFEST_INVALID") for p in t.processes if p.role == "node"), "the old copy is told as a fault")


@fault("MODEL_MISMATCH", "a node was given the manifest of another split")
def other_split(t):
    nodes, serve = t.plain(lacking=(2,))
    other = t.box.split(n=5)
    folder = t.files("node2", [])
    shutil.copyfile(other / "manifest.json", folder / "manifest.json")
    shutil.copyfile(other / "shard-2.gguf", folder / "shard-2.gguf")
    wrong = t.inject(lambda: t.node("node2", [2], [], manifest=False))
    t.expect("MODEL_MISMATCH", [nodes[0], serve, wrong], node=False, words="shoal-demo|model", also=[("SHARD_NOT_DISCOVERED", 2)])
    t.mend(lambda: t.follow(serve))
    t.ready_again(on=[*nodes, serve])


@fault("SHARD_COUNT_MISMATCH", "--total-shards is not the manifest's number")
def other_total(t):
    nodes, serve = t.plain(lacking=(2,))
    wrong = t.inject(lambda: t.node("node2", [2], [2], "--total-shards", 8))
    t.expect("SHARD_COUNT_MISMATCH", [wrong, serve], node=wrong, severity="warning", words="8.*3|3.*8")
    t.mend()
    t.ready_again()


@fault("UNSUPPORTED_MODEL", "a model of an architecture that shoal does not have")
def unsupported(t):
    t.entry()
    folders = [t.files(f"node{i}", [i, "manifest.json"]) for i in range(3)]
    for i, folder in enumerate(folders):
        path = folder / f"shard-{i}.gguf"
        put(path, path.read_bytes().replace(b"llama", b"mamba"))

    def change(m):
        m["architecture"] = "mamba"
        for i, folder in enumerate(folders):
            data = (folder / f"shard-{i}.gguf").read_bytes()
            size = m["shards"][i]["piece_bytes"]
            m["shards"][i]["sha256"] = hashlib.sha256(data).hexdigest()
            m["shards"][i]["pieces"] = [hashlib.sha1(data[at:at + size]).hexdigest() for at in range(0, len(data), size)]
    for folder in folders:
        resign(folder / "manifest.json", t.env["XDG_CONFIG_HOME"], change)
    t.inject()
    nodes = [t.node(f"node{i}", [i], [], manifest=False, fetch=False) for i in range(3)]
    f = t.expect("UNSUPPORTED_MODEL", nodes, shard=0, node=nodes[0], words="mamba", also=[("UNSUPPORTED_MODEL", 1), ("UNSUPPORTED_MODEL", 2)])
    check(t.paste(f) != 2, "the action")
    t.mend(lambda: [t.give(folder, name) for i, folder in enumerate(folders) for name in ("manifest.json", i)])
    t.ready_again(on=nodes)


@fault("SELF_TEST_FAILED", "a shard computes other than its manifest says")
def self_test(t):
    t.entry()
    folders = [t.files(f"node{i}", [i, "manifest.json"]) for i in range(3)]

    def change(m):
        m["shards"][2]["self_test"] = "ab" * 32
    for folder in folders:
        resign(folder / "manifest.json", t.env["XDG_CONFIG_HOME"], change)
    t.inject()
    nodes = [t.node(f"node{i}", [i], [], manifest=False) for i in range(3)]
    f = t.expect("SELF_TEST_FAILED", nodes, shard=2, node=nodes[2], words="self-test")
    t.paste(f, stays=True)  # it mends a processor's fault; here the manifest is wrong
    t.mend(lambda: [t.give(folder, "manifest.json") for folder in folders])
    t.ready_again(on=nodes, timeout=15)


@fault("PROBE_WRONG", "a node's state differs from the manifest's")
def probe_wrong(t):
    t.entry()
    folders = [t.files(f"node{i}", [i, "manifest.json"]) for i in range(3)]

    def change(m):
        m["probe"]["states"][1] = "cd" * 32
    for folder in folders:
        resign(folder / "manifest.json", t.env["XDG_CONFIG_HOME"], change)
    t.inject()
    nodes = [t.node(f"node{i}", [i], [], manifest=False) for i in range(3)]
    f = t.expect("PROBE_WRONG", nodes, node=nodes[1])
    t.paste(f)
    t.mend(lambda: [t.give(folder, "manifest.json") for folder in folders])
    t.ready_again(on=nodes, timeout=20)


@fault("BAD_TEMPLATE", "the model's chat template is damaged")
def bad_template(t):
    t.entry()
    from tools import sha256
    nodes = [t.node(f"node{i}", [i], [i], manifest=False) for i in range(3)]
    folder = t.files("serve", ["tokenizer.gguf", "manifest.json"])
    path = folder / "tokenizer.gguf"
    data = path.read_bytes()
    at = data.index(b"tokenizer.chat_template")
    start = data.index(b"{%", at)
    put(path, data[:start] + b"x" * 60 + data[start + 60:])  # of no family that is known
    resign(folder / "manifest.json", t.env["XDG_CONFIG_HOME"], lambda m: m["tokenizer"].update(sha256=sha256(path)))
    serve = t.inject(lambda: t.serve(files=()))
    t.expect("BAD_TEMPLATE", [serve, nodes[0]], node=serve, severity="warning", words="template")
    t.mend(lambda: [t.give(folder, "tokenizer.gguf"), t.give(folder, "manifest.json")])
    t.gone("BAD_TEMPLATE", [serve])
    t.ready_again(timeout=20)
