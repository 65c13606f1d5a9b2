"""Commands on model files: split, merge, inspect, verify; what they print and how they exit."""
import filecmp, hashlib, json, os, re, shutil, signal, subprocess, time
from swarm import BIN, SHARED, Skip, case, check, check_equal, run_command

STORIES = SHARED / "models" / "stories260K.gguf"


def model(path=STORIES):
    if not path.exists():
        raise Skip(f"{path} is not here")
    return path


def shoal(box, *args, **kw):
    return run_command([str(a) for a in args], box.env, **kw)


def refused(box, code, pattern, *args):
    r = shoal(box, *args)
    check_equal(r.returncode, code, f"exit of {args}: {r.err}")
    check(re.search(pattern, r.err), f"{args}: the error is {r.err!r}, without {pattern!r}")
    check(1 <= len(r.err.strip().splitlines()) <= 2, f"{args}: an error is one or two lines, not {r.err!r}")
    check_equal(r.out, "", f"{args}: stdout of a failure")


def pieces_of(data, size):
    return [hashlib.sha1(data[i:i + size]).hexdigest() for i in range(0, len(data), size)]


@case("split and merge: the manifest's hashes are the files', and the model comes back byte for byte", 120)
def round_trip(box):
    folder = box.dir / "models-round-trip"
    for path in [STORIES, SHARED / "reference/arch/llama3.gguf", SHARED / "reference/quant/Q4_K_M.gguf"]:
        out = folder / path.stem
        r = shoal(box, "split", model(path), "--shards", 3, "--out", out, timeout=60)
        check_equal(r.returncode, 0, f"split: {r.err}")
        manifest = json.loads((out / "manifest.json").read_text())
        check_equal(manifest["format"], "shoal-manifest-1")
        layer = 0
        for i, shard in enumerate(manifest["shards"]):
            data = (out / shard["file"]).read_bytes()
            check_equal(shard["file"], f"shard-{i}.gguf")
            check_equal(len(data), shard["bytes"])
            check_equal(hashlib.sha256(data).hexdigest(), shard["sha256"])
            check_equal(pieces_of(data, shard["piece_bytes"]), shard["pieces"])
            check_equal(shard["first_layer"], layer)
            layer = shard["end_layer"]
            check(re.fullmatch("[0-9a-f]{64}", shard["self_test"]), "no self-test")
        check_equal(layer, manifest["n_layers"])
        check_equal(len(manifest["probe"]["states"]), manifest["n_shards"])
        check_equal(len(set(manifest["probe"]["states"])), manifest["n_shards"], "different states after each shard")
        tokenizer = (out / "tokenizer.gguf").read_bytes()
        check_equal(hashlib.sha256(tokenizer).hexdigest(), manifest["tokenizer"]["sha256"])
        r = shoal(box, "merge", out, "-o", folder / "merged.gguf")
        check_equal(r.returncode, 0, f"merge: {r.err}")
        check(filecmp.cmp(folder / "merged.gguf", path, shallow=False), f"{path.name} came back changed")


@case("split is reproducible: the same model under the same owner's key gives the same files")
def reproducible(box):
    a, b = box.dir / "models-a", box.dir / "models-b"
    for out in (a, b):
        check_equal(shoal(box, "split", model(), "--shards", 2, "--out", out, timeout=60).returncode, 0)
    for name in sorted(os.listdir(a)):
        check(filecmp.cmp(a / name, b / name, shallow=False), f"{name} differs between two runs")
    check_equal(sorted(os.listdir(a)), sorted(os.listdir(b)))


@case("split says when there are more shards than layers")
def more_shards(box):
    r = shoal(box, "split", model(), "--out", box.dir / "models-more", timeout=60)
    check_equal(r.returncode, 0, r.err)
    check("5 layers" in r.out and "5 shards, one for each layer" in r.out, r.out)


@case("verify: EXISTS, MISSING, INVALID with the reason, by content")
def verify(box):
    out = box.dir / "models-verify"
    check_equal(shoal(box, "split", model(), "--shards", 5, "--out", out, timeout=60).returncode, 0)
    r = shoal(box, "verify", out)
    check_equal((r.returncode, r.out), (0, "".join(f"Shard {i}: EXISTS\n" for i in range(5))))
    os.rename(out / "shard-1.gguf", out / "shard-v2-1.gguf")
    os.remove(out / "shard-2.gguf")
    data = bytearray((out / "shard-3.gguf").read_bytes())
    data[-100] ^= 1
    (out / "shard-3.gguf").write_bytes(data)
    os.truncate(out / "shard-4.gguf", 4000)
    r = shoal(box, "verify", out)
    lines = r.out.splitlines()
    check_equal(r.returncode, 1)
    check_equal(lines[0], "Shard 0: EXISTS")
    check(re.match(r"Shard 1: EXISTS \(as shard-v2-1\.gguf", lines[1]), lines[1])
    check_equal(lines[2], "Shard 2: MISSING")
    check(re.match(r"Shard 3: INVALID \(SHA-256 [0-9a-f]{16}, expected [0-9a-f]{16}", lines[3]), lines[3])
    check(re.match(r"Shard 4: INVALID \(.*truncated", lines[4]), lines[4])
    found = json.loads(shoal(box, "verify", out, "--json").out)
    check_equal([s["status"] for s in found["shards"]], ["EXISTS", "EXISTS", "MISSING", "INVALID", "INVALID"])
    check_equal(found["good"], False)
    os.remove(out / "manifest.json")
    lines = shoal(box, "verify", out).out.splitlines()
    check_equal(lines[0], "Shard 0: EXISTS (not checked)")
    check_equal(lines[7], "Shard 7: MISSING")


@case("inspect: keys, tensors, and with --plan the memory")
def inspect(box):
    r = shoal(box, "inspect", model())
    check_equal(r.returncode, 0, r.err)
    check("48 tensors" in r.out and '"llama.block_count"' in r.out and '"blk.4.ffn_up.weight"' in r.out, r.out)
    found = json.loads(shoal(box, "inspect", model(), "--plan", "--json").out)
    check_equal(len(found["tensors"]), 48)
    check_equal(sum(t["bytes"] for t in found["tensors"] if t["name"] == "token_embd.weight"), 131072)
    plan = found["plan"]
    check(plan["weights_bytes"] > 1000000, plan)
    check_equal(plan["total_bytes"], plan["weights_bytes"] + plan["other_bytes"] + plan["program_bytes"])
    half = json.loads(shoal(box, "inspect", model(), "--plan", "--json", "--slots", 4).out)["plan"]
    check(half["other_bytes"] < plan["other_bytes"], "fewer slots need no less memory")


@case("bad files and folders: one clear error and the documented exit code")
def bad_input(box):
    folder = box.dir / "models-bad"
    folder.mkdir(exist_ok=True)
    data = model().read_bytes()
    (folder / "cut.gguf").write_bytes(data[:100000])
    (folder / "foreign.gguf").write_bytes(b"PK\3\4" + bytes(100))
    (folder / "v1.gguf").write_bytes(b"GGUF\1\0\0\0" + bytes(100))
    (folder / "big-endian.gguf").write_bytes(b"GGUF\0\0\0\3" + bytes(100))
    out = folder / "out"
    refused(box, 4, "nowhere.gguf.*No such file.*the folder", "split", folder / "nowhere.gguf", "--out", out)
    refused(box, 4, "cut.gguf.*truncated", "split", folder / "cut.gguf", "--out", out)
    refused(box, 4, "foreign.gguf.*no GGUF file", "split", folder / "foreign.gguf", "--out", out)
    refused(box, 4, "version 1", "inspect", folder / "v1.gguf")
    refused(box, 4, "big-endian", "inspect", folder / "big-endian.gguf")
    strange = (SHARED / "reference/arch/qwen2.gguf").read_bytes().replace(b"qwen2", b"qwin2")
    (folder / "strange.gguf").write_bytes(strange)
    refused(box, 4, "architecture 'qwin2'", "split", folder / "strange.gguf", "--out", out)
    refused(box, 3, "not a folder", "split", model(), "--out", folder / "cut.gguf")
    refused(box, 2, "--shards", "split", model(), "--shards", "0")
    refused(box, 2, "give the model's file", "split")
    refused(box, 3, "nowhere", "verify", folder / "nowhere")
    refused(box, 3, "tokenizer.gguf", "merge", folder, "-o", folder / "x.gguf")
    check(not out.exists() or not os.listdir(out), "a refused model left files")


@case("split stopped by Ctrl-C leaves no half-written file", 120)
def interrupted(box):
    big = box.dir / "models-big.gguf"
    make = SHARED / "tools" / "make_test_model.py"
    if not make.exists() or subprocess.run(["/usr/bin/python3", "-c", "import numpy"], capture_output=True).returncode:
        raise Skip("make_test_model.py or numpy is not here")
    subprocess.run(["/usr/bin/python3", str(make), str(model()), "llama", str(big), "--dim", "512", "--layers", "16"],
                   check=True, capture_output=True, timeout=100)
    out = box.dir / "models-interrupted"
    p = subprocess.Popen([BIN, "split", str(big), "--out", str(out)], env=box.env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while p.poll() is None and not (out.exists() and os.listdir(out)) and time.monotonic() < deadline:
        time.sleep(0.002)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=20)
    if p.returncode != 0: # it may have been faster than the signal
        check_equal(p.returncode, 3, err)
        check("cancelled" in err, err)
        check(not (out / "manifest.json").exists(), "a manifest of half a split")
    check_equal([n for n in os.listdir(out) if n.endswith(".part")], [], "leftovers")
    shutil.rmtree(out)
    big.unlink()
