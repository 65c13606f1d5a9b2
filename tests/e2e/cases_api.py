"""The HTTP API: OpenAI's forms, errors, streams; status, metrics, events."""
import json, signal, time
from swarm import EventStream, Swarm, case, check, check_equal, request, wait_for


class Ready:
    """A ready swarm of two nodes, for many small questions."""

    def __init__(self, box):
        self.swarm = Swarm(box)

    def __enter__(self):
        s = self.swarm.__enter__()
        try:
            s.entry()
            self.nodes = s.nodes(2)
            self.serve = s.serve()
            self.serve.wait_ready()
        except BaseException as e:
            s.__exit__(type(e), e, e.__traceback__)
            raise
        return self

    def __exit__(self, *what):
        return self.swarm.__exit__(*what)


def error_of(answer, status, what):
    check_equal(answer.status, status, f"{what}: {answer.body[:300]!r}")
    error = answer.json()["error"]
    check(error["message"] and error["type"], f"{what}: the error is poor:", error)
    return error


@case("models, completions, chat: OpenAI's forms")
def forms(box):
    with Ready(box) as r:
        serve = r.serve
        models = serve.get("/v1/models").json()
        check_equal(models["object"], "list", "models")
        name = models["data"][0]["id"]
        check_equal(serve.status()["model"], name, "model of status")
        c = serve.complete("Once upon a time", max_tokens=12, temperature=0, model=name)
        check_equal((c["object"], c["model"], len(c["choices"])), ("text_completion", name, 1), "completion")
        check_equal(c["choices"][0]["finish_reason"], "length", "finish")
        check_equal(c["usage"]["completion_tokens"], 12, "completion tokens")
        check_equal(c["usage"]["total_tokens"], c["usage"]["prompt_tokens"] + 12, "total")
        r = serve.post("/v1/chat/completions", {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
                                                "max_tokens": 8, "temperature": 0})
        check_equal(r.status, 200, f"chat {r.body!r}")
        chat = r.json()
        check_equal((chat["object"], chat["choices"][0]["message"]["role"]), ("chat.completion", "assistant"), "chat")
        check(isinstance(chat["choices"][0]["message"]["content"], str), chat)
        ids = serve.complete([4091, 100, 200], max_tokens=2)
        check_equal(ids["usage"]["prompt_tokens"], 3, "prompt as ids")
        r = serve.post("/v1/completions", {"prompt": "Once", "max_tokens": 2, "temperature": 0, "logprobs": 3})
        check_equal(r.status, 200, f"logprobs: {r.body!r}")


@case("streams: pieces join to the whole answer, usage at the end, [DONE]")
def streams(box):
    with Ready(box) as r:
        serve = r.serve
        how = {"prompt": "Once upon a time", "max_tokens": 24, "temperature": 0}
        whole = serve.complete(**how)["choices"][0]["text"]
        stream = EventStream(serve.url + "/v1/completions", "POST", {**how, "stream": True, "stream_options": {"include_usage": True}})
        check_equal(stream.status, 200, "status")
        data = [d for _, d in stream]
        check_equal(data[-1], "[DONE]", "last event")
        chunks = [json.loads(d) for d in data[:-1]]
        check_equal("".join(c["choices"][0]["text"] for c in chunks if c["choices"]), whole, "joined")
        check_equal((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]), ([], 24), "usage")
        check_equal([c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1], "length", "finish")
        check(len(chunks) > 12, f"only {len(chunks)} chunks for 24 tokens")
        stream = EventStream(serve.url + "/v1/chat/completions", "POST",
                             {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 6, "temperature": 0, "stream": True})
        chunks = [json.loads(d) for _, d in stream if d != "[DONE]"]
        check_equal((chunks[0]["object"], chunks[0]["choices"][0]["delta"].get("role")), ("chat.completion.chunk", "assistant"), "first")
        check(all("usage" not in c for c in chunks), "usage that nobody asked for")


@case("stop strings end the answer and are not in it, streamed or not")
def stops(box):
    with Ready(box) as r:
        serve = r.serve
        how = {"prompt": "Once upon a time", "max_tokens": 40, "temperature": 0}
        whole = serve.complete(**how)["choices"][0]["text"]
        stop = whole[10:14]
        cut = serve.complete(**how, stop=stop)
        check_equal(cut["choices"][0]["text"], whole[:whole.index(stop)], "cut")
        check_equal(cut["choices"][0]["finish_reason"], "stop", "finish")
        cut = serve.complete(**how, stop=["never seen", stop])["choices"][0]["text"]
        check_equal(cut, whole[:whole.index(stop)], "one of two")
        stream = EventStream(serve.url + "/v1/completions", "POST", {**how, "stop": [stop], "stream": True})
        text = "".join(json.loads(d)["choices"][0]["text"] for _, d in stream if d != "[DONE]")
        check_equal(text, whole[:whole.index(stop)], "streamed")


@case("bad requests: 400, 404, 405, 401 with an error that names the field")
def bad(box):
    with Ready(box) as r:
        serve = r.serve
        ask = lambda **fields: serve.post("/v1/completions", fields)
        e = error_of(ask(prompt="x", model="gpt-4"), 404, "another model")
        check_equal((e["code"], e["param"]), ("model_not_found", "model"), "another model")
        for field, value in (("temperature", 3), ("temperature", "hot"), ("top_p", 0), ("max_tokens", 0), ("max_tokens", 1.5),
                             ("n", 2), ("stop", ["a", "b", "c", "d", "e"]), ("logit_bias", {"99999": 1}), ("stream", "yes"),
                             ("tools", [{"type": "function"}]), ("frequency_penalty", 9), ("seed", "one")):
            e = error_of(ask(prompt="x", **{field: value}), 400, f"{field} = {value!r}")
            check_equal(e["param"], field, f"{field} = {value!r}: param")
            check(field in e["message"], e["message"])
        check_equal(error_of(ask(), 400, "no prompt")["param"], "prompt", "no prompt")
        check_equal(error_of(ask(prompt=[5000]), 400, "an id outside")["param"], "prompt", "an id outside")
        e = error_of(ask(prompt="word " * 400), 400, "too long")
        check("256" in e["message"] and "tokens" in e["message"], e["message"])
        error_of(serve.post("/v1/chat/completions", {"messages": []}), 400, "no messages")
        error_of(serve.post("/v1/chat/completions", {"messages": [{"role": "user", "content": 5}]}), 400, "content")
        error_of(serve.post("/v1/completions", b'{"prompt": '), 400, "cut JSON")
        error_of(serve.post("/v1/completions", b'{"prompt": "a", "prompt": "b"}'), 400, "a key twice")
        error_of(serve.get("/v1/completions"), 405, "GET")
        error_of(serve.get("/nothing"), 404, "no route")
        error_of(serve.post("/api/v1/shards/1/unload", {}), 401, "without token")
        error_of(r.nodes[0].get("/v1/models"), 404, "/v1 of a node")
        host = serve.url.split("/")[2]
        check_equal(request(serve.url + "/health", headers={"Host": "evil.example"}).status, 403, "another Host")
        check_equal(host, serve.url[7:], "host")
        serve.complete("still here", max_tokens=2)


@case("prompts in any script, control tokens as text, emoji: no crash, whole UTF-8")
def scripts(box):
    with Ready(box) as r:
        for prompt in ("Ünïcödé ßtraße", "Жили-были", "むかしむかし", "🐚🌊👩‍🚀", "<|begin|><|end|>", "\u202eabc", "a\nb\tc", " ", "\x00x"):
            a = r.serve.post("/v1/completions", {"prompt": prompt, "max_tokens": 8, "temperature": 1, "seed": 3})
            check_equal(a.status, 200, f"{prompt!r}: {a.body[:200]!r}")
            a.body.decode()


@case("while not ready: /v1 is 503 with the verdict, /ready 503, /health 200, Retry-After where an end is known")
def not_ready(box):
    with Swarm(box) as s:
        s.entry()
        s.node("node0", [0], [0])
        serve = s.serve()
        wait_for(lambda: serve.run_entry() and serve.status()["loaded_shards"] == 1, 10, "one shard loaded")
        e = error_of(serve.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}), 503, "chat")
        check_equal((e["type"], e["code"]), ("swarm_not_ready", "SHARD_NOT_DISCOVERED"), "error")
        check_equal((e["verdict"]["ready"], e["verdict"]["findings"][0]["shard"]), (False, 1), "verdict inside")
        r = serve.get("/ready")
        check_equal((r.status, r.json()["ready"]), (503, False), "/ready")
        check_equal(serve.get("/health").status, 200, "/health")
        check_equal(serve.get("/v1/models").status, 200, "/v1/models")


@case("status, verdict and metrics have what the interface names, on serve and nodes")
def shows(box):
    with Ready(box) as r:
        for p in (r.serve, *r.nodes):
            v = p.verdict()
            check({"ready", "since", "model", "stages", "findings"} <= v.keys(), "verdict:", v.keys())
            check_equal([st["stage"] for st in v["stages"]],
                        "key start entry announced discovered assigned model file verified loaded told linked probed serving".split(), "stages")
            st = p.status()
            check({"cluster", "model", "ready", "expected_shards", "discovered_shards", "loaded_shards", "nodes", "shards", "plan",
                   "coordinator"} <= st.keys(), "status:", st.keys())
            check_equal([x["state"] for x in st["shards"]], ["LOADED"] * 8, "states")
            check_equal([(x["first_layer"], x["end_layer"]) for x in st["shards"]], [(i, i + 1) for i in range(8)], "spans")
            check(all(n["capabilities"]["shard_loaded"] for n in st["nodes"] if n["role"] == "node"), "shard_loaded")
            metrics = p.get("/metrics").body.decode()
            check("\nshoal_ready 1\n" in metrics and "\nshoal_shards_loaded 8\n" in metrics, metrics)
        check(r.serve.get("/").body.lower().startswith(b"<!doctype html>"), "the console")
        timeline = json.dumps(r.serve.get("/api/v1/timeline").json())
        check("ready" in timeline, timeline[:300])


@case("events: the verdict at once, then changes as they happen")
def events(box):
    with Ready(box) as r:
        stream = EventStream(r.serve.url + "/api/v1/events")
        check_equal(stream.status, 200, "status")
        it = iter(stream)
        kind, data = next(it)
        check_equal((kind, json.loads(data)["ready"]), ("verdict", True), "the first")
        r.nodes[1].kill()
        seen = set()
        for kind, data in it:
            event = json.loads(data)
            seen.add("not ready" if kind == "verdict" and not event["ready"] else kind)
            if kind == "roster" and not event["alive"]:
                seen.add("lost")
            if seen >= {"not ready", "lost"}:
                break
        check(seen >= {"not ready", "lost"}, "events:", seen)
        r.serve.stop()  # with the stream open: it ends
        kinds = {kind for kind, _ in it}
        check(kinds <= {"verdict", "finding", "roster", "shard"}, "the rest:", kinds)
        check_equal(r.serve.popen.returncode, 0, "exit")


@case("a serve that is stopped in mid-answer ends the stream with an error and exits in order")
def stopped(box):
    with Ready(box) as r:
        stream = EventStream(r.serve.url + "/v1/completions", "POST", {"prompt": "Once", "max_tokens": 240, "stream": True, "temperature": 0})
        it = iter(stream)
        next(it)
        r.serve.signal(signal.SIGTERM)
        rest = [d for _, d in it]
        check(rest[-1] == "[DONE]" or "error" in json.loads(rest[-1]), "the last event:", rest[-1])
        check_equal(r.serve.popen.wait(10), 0, "exit")


@case("a client that leaves frees its slot: 20 leave in mid-answer, the next is served at once")
def leave(box):
    with Ready(box) as r:
        for i in range(20):
            stream = EventStream(r.serve.url + "/v1/completions", "POST", {"prompt": "Once", "max_tokens": 200, "stream": True})
            next(iter(stream))
            stream.close()
        began = time.monotonic()
        r.serve.complete("Once", max_tokens=4)
        check(time.monotonic() - began < 2, "slots are still taken")
        wait_for(lambda: "\nshoal_v1_running 0\n" in r.serve.get("/metrics").body.decode(), 3, "nothing runs any more")
        wait_for(lambda: all(n["sequences"] == 0 for n in r.serve.status()["nodes"]), 5, "nodes have forgotten the sequences")
