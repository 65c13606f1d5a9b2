"""Looks at a swarm all the time: what every process says (its verdict), and whether real requests are answered."""
import http.client, json, re, threading, time

from swarm import SLOW, EventStream

EVERY_S = 0.2
WITHIN_S = 1.5 * SLOW  # a request that takes longer was not served
PROMPT, N_SHORT, N_LONG = "Once upon a time", 3, 96
BEAT_S, STOOD_S = 0.05, 0.5  # the watch itself is late by more than this: the machine stood still, and with it all that runs
READY = re.compile(rb'"ready"\s*:\s*true')


def ask(p, method, path, body=None, timeout=1.0):
    """(status, body) from a process's API; None: nobody answered."""
    entry = p.run_entry()
    if not entry:
        return None
    conn = http.client.HTTPConnection(entry["url"].split("/")[2], timeout=timeout)
    try:
        conn.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        r = conn.getresponse()
        return r.status, r.read()
    finally:
        conn.close()


class Watch:
    def __init__(self, arena, text):
        self.arena, self.text, self.ended = arena, text, False
        self.said = {}     # name: [(when asked, ready)]
        self.asked = {}    # name of a serve: [(began, ended, served, what came)]
        self.streams = []  # (serve, began, ended, outcome, text)
        self.open = {}     # name of a serve: when its stream began
        self.wrong = []    # what must never be
        self.stood = []    # [(from, until)] in which the machine stood still
        self.threads = []
        self._thread(self._beat)
        for p in arena.all():
            self.said[p.name] = []
            self._thread(self._listen, p)
        for p in arena.serves:
            self.asked[p.name] = []
            for i in range(3):
                self._thread(self._request, p, i)
            self._thread(self._stream, p)

    def _thread(self, target, *args):
        t = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(t)
        t.start()

    def close(self):
        self.ended = True
        for t in self.threads:
            t.join(5)

    def _runs(self, p):
        return p.popen.poll() is None and not p.is_stopped

    def _beat(self):
        before = time.monotonic()
        while not self.ended:
            time.sleep(BEAT_S)
            now = time.monotonic()
            if now - before > STOOD_S:
                self.stood.append((before, now))
            before = now

    def _listen(self, p):
        while not self.ended:
            began = time.monotonic()
            if self._runs(p):
                try:
                    answer = ask(p, "GET", "/api/v1/verdict")
                    if answer and answer[0] == 200:
                        self.said[p.name].append((began, bool(READY.search(answer[1][:200]))))
                except (OSError, http.client.HTTPException):
                    pass
            time.sleep(max(0, EVERY_S - (time.monotonic() - began)))

    def _request(self, p, phase):
        """Three of these take turns, so that one that hangs hides nothing."""
        body = json.dumps({"prompt": PROMPT, "max_tokens": N_SHORT, "temperature": 0})
        time.sleep(phase * EVERY_S)
        while not self.ended:
            began, pid = time.monotonic(), p.pid
            served, what = False, "no answer"
            try:
                answer = ask(p, "POST", "/v1/completions", body, WITHIN_S)
                if answer and answer[0] == 200:
                    text = json.loads(answer[1])["choices"][0]["text"]
                    served = True
                    if not text or not self.text.startswith(text):
                        self.wrong.append(f"{p.name} answered {text!r}, alone it is {self.text[:40]!r}")
                elif answer:
                    what = f"{answer[0]} {answer[1][:300].decode(errors='replace')}"
            except (OSError, http.client.HTTPException) as e:
                what = f"{type(e).__name__} {e}"
            if p.pid == pid and self._runs(p) and p.run_entry() and p.fresh_at < began:
                self.asked[p.name].append((began, time.monotonic(), served, what))
            time.sleep(max(0, 3 * EVERY_S - (time.monotonic() - began)))

    def _stream(self, p):
        body = {"prompt": PROMPT, "max_tokens": N_LONG, "temperature": 0, "stream": True}
        while not self.ended:
            began, pid = time.monotonic(), p.pid
            if self._runs(p) and p.run_entry():
                self.open[p.name] = began
                outcome, text = self._one_stream(p, body)
                gone = p.pid != pid or not self._runs(p) or p.killed or p.fresh_at > began
                if outcome.startswith("WRONG") and not (gone and "text" not in outcome):
                    self.wrong.append(f"{p.name}: a stream: {outcome}: {text[-60:]!r}")
                self.streams.append((p.name, began, time.monotonic(), "gone" if gone else outcome, text))
                self.open.pop(p.name, None)
            time.sleep(EVERY_S)

    def _one_stream(self, p, body):
        """(full, error, refused or WRONG: why; the text)"""
        text, errors, finish, done = "", [], None, False
        try:
            stream = EventStream(p.run_entry()["url"] + "/v1/completions", "POST", body, timeout=45)
            try:
                if stream.status != 200:
                    answer = json.loads(stream.answer.read())
                    return ("refused", "") if answer["error"]["message"] else ("WRONG: no message", "")
                for _, data in stream:
                    if data == "[DONE]":
                        done = True
                        continue
                    message = json.loads(data)
                    if "error" in message:
                        errors.append(message["error"])
                        continue
                    for c in message["choices"]:
                        text += c.get("text") or ""
                        finish = c.get("finish_reason") or finish
            finally:
                stream.close()
        except (OSError, ValueError, http.client.HTTPException) as e:
            return f"WRONG: {type(e).__name__} {e}", text
        if not self.text.startswith(text):
            return "WRONG text", text
        if errors:
            return ("error", text) if len(errors) == 1 and not finish and errors[0]["message"] else (f"WRONG: {errors}", text)
        if not finish or not done:
            return "WRONG: it just ends", text
        return ("full", text) if text == self.text else ("WRONG text, called whole", text)

    # --- what was seen

    def last(self, p):
        said = self.said[p.name]
        return said[-1] if said else (0, False)

    def all_ready(self, since):
        """Every process says so, and every serve has answered a request that began since then."""
        for p in self.arena.all():
            when, ready = self.last(p)
            if not ready or when < since:
                return False
        return all(any(a[2] and a[0] > since for a in self.asked[p.name][-12:]) for p in self.arena.serves)

    def all_silent(self, since, ps):
        """None of these says ready."""
        return all(when > since and not ready for when, ready in map(self.last, ps))
