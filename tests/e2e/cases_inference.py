"""The answer through the pipeline is the answer of one process (A12), and may be asked for by many at once (A13)."""
import json, threading, time
from swarm import DEMO_MODEL, EventStream, SHARED, Skip, Swarm, case, check, check_equal, run_command, wait_for

PROMPTS = ["Once upon a time", "The king said to his people,", "In the year 1851 a ship"]
GREEDY = {"temperature": 0}
SEEDED = {"temperature": 0.9, "top_k": 50, "top_p": 0.9, "min_p": 0.02, "seed": 12345}
PENALISED = {"temperature": 0.7, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 99, "repeat_penalty": 1.2, "repeat_last_n": 32}


def local(box, model, prompt, n, how, kv="f16", cpu=None):
    args = ["run", model, "-p", prompt, "-n", n, "--kv", kv, "--ctx", 256, "--threads", 1, "--temp", how["temperature"]]
    for name, option in (("top_k", "--top-k"), ("top_p", "--top-p"), ("min_p", "--min-p"), ("seed", "--seed"),
                         ("repeat_penalty", "--repeat-penalty"), ("repeat_last_n", "--repeat-last-n")):
        if name in how:
            args += [option, how[name]]
    r = run_command(args, box.env if not cpu else {**box.env, "SHOAL_CPU": cpu}, timeout=60)
    check_equal(r.returncode, 0, f"run: {r.err}")
    return r.out


def compare(box, n_nodes, extra=(), kv="f16"):
    with Swarm(box) as s:
        s.options += list(extra)
        s.entry()
        nodes = s.nodes(n_nodes)
        serve = s.serve()
        serve.wait_ready(20)
        check_equal(len(serve.status()["plan"]), n_nodes, "stages of the plan")
        for how in (GREEDY, SEEDED, PENALISED):
            for prompt in PROMPTS:
                answer = serve.complete(prompt, max_tokens=48, **how)["choices"][0]["text"]
                check(len(answer) > 20, "no answer:", repr(answer))
                check_equal(answer, local(box, DEMO_MODEL, prompt, 48, how, kv), f"{n_nodes} nodes, {how}, {prompt!r}")


@case("A12 through 1 node as in one process: greedy, seeded, with penalties", 90)
def one(box):
    compare(box, 1)


@case("A12 through 2 nodes, two threads each", 90)
def two(box):
    compare(box, 2, ["--threads", 2])


@case("A12 through 3 nodes, keys and values in f32", 90)
def three(box):
    compare(box, 3, ["--kv", "f32"], "f32")


@case("A12 through 5 nodes", 90)
def five(box):
    compare(box, 5)


@case("A12 through 8 nodes", 90)
def eight(box):
    compare(box, 8)


@case("A12 nodes at different CPU levels make the same answer", 90)
def levels(box):
    with Swarm(box) as s:
        s.entry()
        for i, level in enumerate(["ref", "avx2", "avxvnni", "avx512", "amx"]):
            ids = [2 * i, 2 * i + 1] if i < 3 else [i + 3]
            if run_command(["run", DEMO_MODEL, "-p", "x", "-n", 1, "--temp", 0], {**box.env, "SHOAL_CPU": level}).returncode == 2:
                level = "ref"  # this machine lacks it
            s.node(f"node{i}", ids, ids, env={**s.env, "SHOAL_CPU": level})
        serve = s.serve()
        serve.wait_ready(20)
        for how in (GREEDY, SEEDED):
            check_equal(serve.complete(PROMPTS[0], max_tokens=32, **how)["choices"][0]["text"],
                        local(box, DEMO_MODEL, PROMPTS[0], 32, how), f"{how}")


@case("A12 a real model of another kind (SPM vocabulary, F32 weights) through 5 nodes", 90)
def stories(box):
    model = SHARED / "models" / "stories260K.gguf"
    if not model.exists():
        raise Skip(f"{model} is not here")
    with Swarm(box, model, 5) as s:
        s.entry()
        s.nodes(5)
        serve = s.serve()
        serve.wait_ready(20)
        for how in (GREEDY, SEEDED):
            for prompt in ("Once upon a time", "Tom and Lily"):
                # A completion through the API keeps the blank that begins a word; one on its own has no word before it.
                answer = serve.complete(prompt, max_tokens=48, **how)["choices"][0]["text"]
                check_equal(answer.removeprefix(" "), local(box, model, prompt, 48, how), f"{how}, {prompt!r}")


@case("A13 twelve requests at once through three nodes, four slots: each is the answer it would be alone", 90)
def concurrent(box):
    with Swarm(box) as s:
        s.entry()
        s.nodes(3)
        serve = s.serve()
        serve.wait_ready(20)
        asked = [(PROMPTS[i % 3], {**SEEDED, "seed": i}) for i in range(12)]
        alone = [serve.complete(p, max_tokens=24, **how)["choices"][0]["text"] for p, how in asked]
        found, threads = [None] * len(asked), []

        def ask(i):
            try:
                found[i] = serve.complete(asked[i][0], max_tokens=24, **asked[i][1])["choices"][0]["text"]
            except Exception as e:
                found[i] = repr(e)

        for i in range(len(asked)):
            threads.append(threading.Thread(target=ask, args=(i,)))
            threads[-1].start()
        for t in threads:
            t.join()
        check_equal(found, alone, "answers")


@case("A13 a replica dies in mid-answer: the answer goes on, the same; the last one dies and comes back: the same", 90)
def replica(box):
    with Swarm(box) as s:
        s.entry()
        nodes = [s.node(name, list(range(8)), range(8)) for name in ("left", "right")]
        serve = s.serve()
        serve.wait_ready(20)
        how = {"prompt": PROMPTS[0], "max_tokens": 200, **SEEDED}
        whole = serve.complete(**how)["choices"][0]["text"]
        for comes_back in (False, True):
            serve.wait_ready(5)
            stream = EventStream(serve.url + "/v1/completions", "POST", {**how, "stream": True}, timeout=40)
            text, events = "", iter(stream)
            while len(text) < 60:
                text += json.loads(next(events)[1])["choices"][0]["text"]
            busy = next(p for p in nodes if p.popen.poll() is None and p.id == serve.status()["plan"][0]["node"])
            busy.kill()
            if comes_back:
                f = wait_for(lambda: serve.finding("SHARD_NOT_DISCOVERED", shard=0), 3, "the loss is told")
                check("lost" in f["cause"], f["cause"])
                time.sleep(2)
                check_equal({b["code"] for b in serve.blockers()}, {"SHARD_NOT_DISCOVERED"}, "blockers a while later")
                busy.start()
            rest = [json.loads(d) for _, d in events if d != "[DONE]"]
            check("error" not in rest[-1], rest[-1])
            check_equal(text + "".join(d["choices"][0]["text"] for d in rest), whole, "the answer that went on")
