"""One fault in an otherwise fine swarm of real processes: injected, named, mended. What is asserted of each: the first
finding that `shoal doctor --json` prints on two or more nodes (code, shard, node, action), that nobody else is blamed,
and that the swarm is ready after the remedy with the processes that it had."""
import contextlib, json, os, pathlib, re, shutil, signal, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import swarm
from swarm import Failure, Skip, Swarm, check, wait_for

AIM_S = 5.0
# A state on the way, with an end in sight: never the answer to a fault, and no blame either.
TRANSIENT = {"LOADING", "DOWNLOADING", "PROBE_FAILED"}


def fault(code, title, timeout=60, aim=AIM_S, why_longer=None):
    """Marks a function as a case. `aim`: seconds to name it; more than AIM_S only with the reason."""
    def mark(function):
        function.fault, function.title, function.timeout = code, title, timeout
        function.aim, function.why_longer = aim, why_longer
        return function
    return mark


def brief(findings):
    return [(f["severity"], f["code"], f["shard"], (f["node"] or "")[:8], f["cause"]) for f in findings]


class Trial(Swarm):
    """A swarm with a stop-watch."""

    def __init__(self, box, n_shards=3):
        super().__init__(box, n_shards=n_shards)
        self.box = box
        self.limit = AIM_S
        self.code = None        # what was named first
        self.named_s = None
        self.ready_s = None
        self.wrong = []         # blames of the innocent
        self.text = ""          # what `shoal doctor` printed
        self.began = None
        self.pids = {}
        self.acted = None
        self.pasted = []        # processes that actions started

    # --- what doctor says

    def doctor(self, p):
        """The verdict that `shoal doctor --json` prints at this process; None while it has no API."""
        if p.popen.poll() is not None or not p.run_entry():
            return None
        r = swarm.run_command(["doctor", "--json", "--api", p.run_entry()["url"]], self.env)
        if r.returncode not in (0, 1):
            return None
        verdict = json.loads(r.out)
        check((r.returncode == 0) == verdict["ready"], "doctor's exit and its verdict differ:", r.returncode, verdict["ready"])
        return verdict

    def doctor_text(self, p):
        return swarm.run_command(["doctor", "--api", p.run_entry()["url"]], self.env).out

    # --- the fault

    def inject(self, action=None):
        """The clock starts; the innocent are those who run now."""
        self.began = time.monotonic()
        return action() if action else None

    def fine(self, *members, timeout=20):
        """The swarm is ready before anything is done to it, and nothing is told of it."""
        for p in members or self.members():
            p.wait_ready(timeout)

    def expect(self, code, on, shard=None, node=None, also=(), severity="blocker", within=None, words=None, alone=False, own=False):
        """`code` is the first finding at each of `on`, with this shard and node (a Process, None for no node, False for
        any; a callable is asked; severity None: any; own: each names itself), and no other blocker but those of `also`: (code, shard) that
        are true, too. alone: a process that reaches nobody; what others say of it is asked apart."""
        check(len(on) >= 2 or alone, "two nodes are to be asked")
        within = within if within is not None else self.limit
        allowed = {(code, shard), *also}
        for p in on:
            found = self._await(p, code, shard, severity, within, allowed)
            self._examine(p, found, code, shard, p if own else node, severity, allowed, words)
        self.named_s = max(self.named_s or 0, time.monotonic() - self.began)
        self.code = self.code or code
        time.sleep(0.7)  # ... and it stays so
        for p in on:
            verdict = self.doctor(p)
            found = self._pick(verdict, code, shard, severity)
            check(found and (found["code"], found["shard"]) == (code, shard), f"{p.name}: {code} does not stay first:",
                  brief(verdict["findings"]))
            self._examine(p, (verdict, found), code, shard, p if own else node, severity, allowed, words)
        self.text = self.text or self.doctor_text(on[0])
        return found

    def expect_dead(self, code, dead, on, words=None, shard=2):
        """A process that could not start: its own two lines name the code, and so does `shoal doctor` on its machine,
        as the cause of the shard that nobody claims. The nodes elsewhere know only of the shard."""
        dead.killed = True
        wait_for(lambda: dead.popen.poll() is not None, self.limit, f"{dead.name} ends")
        check(dead.popen.returncode == 3, f"{dead.name} ended with", dead.popen.returncode)
        check(code in dead.errors() and 1 <= len(dead.errors().strip().splitlines()) <= 2, "stderr:", dead.errors())
        check(not words or re.search(words, dead.errors()), f"/{words}/ is not in:", dead.errors())

        def ask():
            verdict = json.loads(swarm.run_command(["doctor", "--json"], self.env).out)
            return verdict, self._first(verdict, "blocker")
        end = time.monotonic() + self.limit
        while (ask()[1] or {}).get("code") != code and time.monotonic() < end:
            time.sleep(0.15)
        verdict, f = ask()
        check(f and f["code"] == code, f"doctor does not name {code} first:", json.dumps(brief(verdict["findings"]), indent=1))
        self.named_s, self.code = time.monotonic() - self.began, code
        others = [b for b in verdict["findings"] if b["severity"] == "blocker" and b["code"] not in (code, *TRANSIENT)]
        self.wrong += [("doctor", b["code"], b["shard"], b["node"]) for b in others]
        check(not others, "others are blamed, too:", json.dumps(brief(others), indent=1))
        self.text = swarm.run_command(["doctor"], self.env).out
        for p in on:
            found = self._await(p, "SHARD_NOT_DISCOVERED", shard, "blocker", self.limit, ())
            self._examine(p, found, "SHARD_NOT_DISCOVERED", shard, None, "blocker", {("SHARD_NOT_DISCOVERED", shard)}, None)
        return f

    def _first(self, verdict, severity):
        return next((f for f in verdict["findings"] if f["severity"] == severity), None) if verdict else None

    def _pick(self, verdict, code, shard, severity):
        """The first blocker, whatever it is; of warnings and infos the one that is meant."""
        if severity == "blocker" or not verdict:
            return self._first(verdict, severity)
        return next((f for f in verdict["findings"] if (f["code"], f["shard"]) == (code, shard) and severity in (None, f["severity"])), None)

    def _await(self, p, code, shard, severity, within, allowed):
        """Until it is named. A state on the way is waited for; beside a warning so is any other blocker of a start."""
        end = time.monotonic() + within * swarm.SLOW + 0.3
        verdict = None
        while True:
            verdict = self.doctor(p) or verdict
            found = self._pick(verdict, code, shard, severity)
            others = [f for f in (verdict or {"findings": []})["findings"] if f["severity"] == "blocker" and f["code"] != code and
                      (f["code"] in TRANSIENT if severity == "blocker" else (f["code"], f["shard"]) not in allowed)]
            if found and (found["code"], found["shard"]) == (code, shard) and not others:
                return verdict, found
            if time.monotonic() > end:
                raise Failure(f"{p.name}: {code} (shard {shard}) is not its first {severity} within {within * swarm.SLOW:g} s; doctor says",
                              json.dumps(brief(verdict["findings"]) if verdict else None, indent=1))
            time.sleep(0.15)

    def _examine(self, p, found, code, shard, node, severity, allowed, words):
        verdict, f = found
        expected = node() if callable(node) else node.id if node else None
        if node is not False:
            check(f["node"] == expected, f"{p.name}: {code} names node {f['node']}, expected {expected}:", f["cause"])
        check(severity in (None, f["severity"]), f"{p.name}: severity", f["severity"])
        check(f["action"] or severity == "info", f"{p.name}: {code} has no action")
        check(not words or re.search(words, f["cause"]), f"{p.name}: /{words}/ is not in the cause:", f["cause"])
        wrong = [b for b in verdict["findings"] if b["severity"] == "blocker" and (b["code"], b["shard"]) not in allowed]
        self.wrong += [(p.name, b["code"], b["shard"], b["node"]) for b in wrong]
        check(not wrong, f"{p.name} blames others, too:", json.dumps(brief(wrong), indent=1))
        n = sum((b["code"], b["shard"]) == (code, shard) and b["severity"] == severity for b in verdict["findings"])
        check(n == 1 or severity != "blocker", f"{p.name} names it {n} times:", brief(verdict["findings"]))

    # --- what doctor tells to do

    def _shell(self, env):
        """The environment of whoever pastes: `shoal` is in the PATH, and new processes are as ours are. `find /` looks
        no further than this test's folders: other tests' shards lie on this machine, too."""
        folder = self.dir / "bin"
        if not folder.exists():
            folder.mkdir()
            (self.dir / "pasted").mkdir()
            (folder / "shoal").symlink_to(swarm.BIN)
            find = shutil.which("find") or "/usr/bin/find"
            (folder / "find").write_text(f'#!/bin/sh\n[ "$1" = / ] && shift && exec {find} {self.box.dir} {self.dir} "$@"\nexec {find} "$@"\n')
            (folder / "find").chmod(0o755)
        options = {"SHOAL_" + name[2:].upper(): str(value) for name, value in zip(self.options[::2], self.options[1::2])}
        return {**env, **options, "SHOAL_LISTEN": "127.0.0.1", "PATH": f"{folder}:{env.get('PATH', '/usr/bin:/bin')}"}

    def paste(self, finding, cwd=None, env=None, timeout=20, stays=False):
        """The action of a finding, or a text, as a shell takes it: exit status. `stays`: it starts a process that is
        meant to stay; it runs until the trial ends, and its Popen is returned."""
        self.acted = action = finding["action"] if isinstance(finding, dict) else finding
        env = self._shell(dict(env or self.env))
        p = subprocess.Popen(["sh", "-c", action], cwd=cwd or self.dir / "pasted", env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL if stays else subprocess.PIPE,
                             stderr=open(self.dir / "pasted.err", "ab") if stays else subprocess.PIPE, preexec_fn=swarm._child_setup,
                             start_new_session=True)
        if stays:
            self.pasted.append(p)
            time.sleep(0.3)
            check(p.poll() is None, f"'{action}' ended with {p.returncode}:", (self.dir / "pasted.err").read_text()[-500:])
            return p
        try:
            _, err = p.communicate(timeout=timeout * swarm.SLOW)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGTERM)
            p.communicate()
            raise Failure("the action does not end:", action) from None
        check(p.returncode not in (2, 126, 127), f"'{action}' does not work when pasted (exit {p.returncode}):", err.decode()[-500:])
        return p.returncode

    def follow(self, p, timeout=25):
        """Pastes what doctor's first blocker says, and again, until the swarm is ready: the actions alone mend it."""
        end, done = time.monotonic() + timeout * swarm.SLOW, {}
        while not p.is_ready():
            check(time.monotonic() < end, f"{p.name} is not ready after pasting {list(done)}:", brief(p.blockers()))
            f = self._first(self.doctor(p), "blocker")
            # What was done takes a moment to show.
            if f and f["code"] not in TRANSIENT and time.monotonic() - done.get(f["action"], 0) > 6:
                check(f["action"] not in done, f"'{f['action']}' did not mend it:", brief([f]))
                stays = re.match(r"(\w+=\S+ )*shoal (node|serve|bootstrap)\b", f["action"])
                status = self.paste(f, stays=stays)
                # `load` ends with 1 where the next thing is in the way, and says which.
                check(stays or status == 0 or f["action"].startswith("shoal load"), "the action failed:", f["action"])
                done[f["action"]] = time.monotonic()
            time.sleep(0.15)
        return list(done)

    def close(self):
        for p in self.pasted:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM)
        for p in self.pasted:
            try:
                p.wait(5 * swarm.SLOW)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        return super().close()

    # --- afterwards

    def keep(self):
        """Notes who runs: none of them may be restarted by the remedy."""
        self.pids = {p.name: p.pid for p in self.processes if p.popen.poll() is None}

    def mend(self, action=None):
        self.keep()
        self.began = time.monotonic()
        return action() if action else None

    def ready_again(self, on=None, timeout=12, restarted=()):
        on = on or [p for p in self.members()]
        for p in on:
            p.wait_ready(max(timeout - (time.monotonic() - self.began), 0.5))
        self.ready_s = time.monotonic() - self.began
        for p in self.processes:
            if p.name in self.pids and p.name not in [r.name for r in restarted]:
                check(p.pid == self.pids[p.name] and p.popen.poll() is None, f"{p.name} was restarted, or has ended")
        for p in on:
            blockers = p.blockers()
            check(not blockers, f"{p.name} is ready and has blockers:", brief(blockers))
        serve = next((p for p in on if p.role == "serve"), None)
        if serve:
            serve.complete("Once upon", max_tokens=2)

    def gone(self, code, on, timeout=40):
        """A warning that goes when its cause is gone."""
        for p in on:
            wait_for(lambda: not [f for f in self.doctor(p)["findings"] if f["code"] == code and f["severity"] != "info"], timeout,
                     f"{code} goes at {p.name}")

    # --- members

    def plain(self, n=3, lacking=(), serve=True, **kw):
        """An entry, a node for each of n shards but those `lacking`, and a serve."""
        self.entry()
        made = [self.node(f"node{i}", [i], [i], **kw) for i in range(n) if i not in lacking]
        front = self.serve() if serve else None
        if lacking:  # while a swarm starts, any shard may be missing for a moment
            wait_for(lambda: all(self._missing(p) == set(lacking) for p in self.processes if p.role != "entry"), 10, "only those lack")
        return made, front

    def _missing(self, p):
        """The shards that blockers name at p; None while it starts."""
        verdict = self.doctor(p)
        return verdict and {f["shard"] for f in verdict["findings"] if f["severity"] == "blocker" and f["shard"] is not None}

    @contextlib.contextmanager
    def small_disk(self, folder, n_bytes):
        """A disk of its own for this folder."""
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "shoal-test", folder], capture_output=True)
        if r.returncode:
            raise Skip("a small disk needs the right to mount: " + r.stderr.decode().strip())
        try:
            yield
        finally:
            for p in self.processes:
                if p.folder == folder:
                    p.stop()
            subprocess.run(["umount", folder])

    def resize_disk(self, folder, n_bytes):
        subprocess.run(["mount", "-o", f"remount,size={n_bytes}", folder], check=True)
