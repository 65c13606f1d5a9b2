#!/usr/bin/env python3
"""Random faults, real processes: is anybody ever ready when requests fail?

usage: run.py [--runs N] [--seed S] [--only REGEX] [--json FILE]
Each run draws one or two faults by its seed, in a swarm drawn by the seed of its block of runs. While it lasts, real
requests go to every serve and every process is asked for its verdict, each about five times a second. Fails where: a
process said ready more than 3 s (1 s for looking) after requests began to fail; an answer differs from the one that
`shoal run` gives, or ends without a word; a fault that should not matter made requests fail; the swarm is not ready
within 20 s of the remedy, by the processes that it had. A run that fails while the machine stands still (a virtual one that is
paused: nothing here runs for half a second, this program neither) is void and played again, at most twice. Ends with a
summary, and exits 1 if any run failed."""
import argparse, json, os, pathlib, random, re, shutil, signal, subprocess, sys, tempfile, time, traceback

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
from arena import Arena, Shape
import swarm
from faults import FAULTS, NotHere
from judge import GRACE_S, LIMIT_S, Judge
from swarm import SLOW, Box, Failure, check
from watch import N_LONG, PROMPT, Watch

BLOCK = 6         # runs that share a swarm
AGAIN_S = 20 * SLOW
HOLD_S = LIMIT_S + GRACE_S + 0.3


class Run:
    """One run: its faults, and what they took."""

    def __init__(self, seed, arena, only):
        self.seed, self.arena, self.random = seed, arena, random.Random(f"run {seed}")
        self.only, self.taken, self.front, self.lost = only, set(), set(), []
        self.n_guests, self.gone_serve, self.is_lost, self.names, self.words = 0, False, False, [], []
        self.since = self.mended = None

    # --- for faults

    def _take(self, from_, keep):
        free = [p for p in from_ if p.name not in self.taken and p.popen.poll() is None]
        if not free:
            raise NotHere
        p = self.random.choice(free)
        if not keep:
            self.taken.add(p.name)
        return p

    def take_node(self, keep=False):
        return self._take(self.arena.nodes_, keep)

    def take_serve(self, keep=False):
        return self._take(self.arena.serves, keep)

    def take_any(self, keep=False):
        return self._take(self.arena.all(), keep)

    def without(self, gone):
        """These are dead, stopped or cut off from now on. Without coordinators nobody takes their shards."""
        self.out = getattr(self, "out", set()) | {p.name for p in gone}
        left = {i for p in self.arena.nodes_ if p.name not in self.out for i in p.ids or []}
        if len(left) < self.arena.n_shards and not any(p.ids is None for p in self.arena.nodes_):
            self.lose()

    def parted(self, a, b):
        """Two are cut off from each other."""
        for p in (a, b):
            if p in self.arena.serves:
                self.front.add(p.name)
        nodes = self.arena.nodes_
        if self.arena.shape.kind == "plain" and a in nodes and b in nodes:
            apart = (nodes.index(a) - nodes.index(b)) % len(nodes)
            if apart in (1, len(nodes) - 1):  # the plan needs that link
                self.lose()

    def lose(self):
        self.is_lost = True
        if not self.lost or self.lost[-1][1] is not None:
            self.lost.append([time.monotonic(), None, None])

    def whole(self):
        """What was lost is there again."""
        self.is_lost = False
        for span in self.lost:
            span[1] = span[1] or time.monotonic()

    # --- the run

    def draw(self):
        names = [n for n in FAULTS if re.search(self.only, n)]
        for _ in range(60):
            name = self.random.choices(names, [FAULTS[n][1] for n in names])[0]
            fault = FAULTS[name][0](self)
            try:
                words = next(fault)
            except NotHere:
                continue
            self.names.append(name)
            self.words.append(words)
            return fault
        raise NotHere

    def hold(self, watch):
        """Until nobody says ready and a little longer; or as long as a false one would need to show."""
        began, linger = time.monotonic(), self.random.uniform(0.2, 1.2)
        short = all(FAULTS[n][2] for n in self.names)
        few, some = self.random.uniform(1.0, 2.0), self.random.uniform(1.5, HOLD_S)
        end = began + SLOW * (few if short else HOLD_S if self.is_lost else some)
        silent = None
        while time.monotonic() < end:
            here = [p for p in self.arena.all() if p.popen.poll() is None and not p.is_stopped]
            if not watch.all_silent(self.since, here):
                silent = None
            elif silent is None:
                silent = time.monotonic()
            if silent and time.monotonic() > silent + linger:
                return
            time.sleep(0.05)

    def go(self, watch):
        pids = {p.name: p.pid for p in self.arena.all()}
        self.since = time.monotonic()
        faults = [self.draw()]
        if self.random.random() < 0.25:
            time.sleep(self.random.uniform(0, 1))
            try:
                faults.append(self.draw())
            except NotHere:
                pass
        self.hold(watch)
        for fault in reversed(faults):
            for _ in fault:
                raise Failure("a fault with two ends")
        self.whole()
        self.mended = time.monotonic()
        while not watch.all_ready(self.mended):
            if time.monotonic() > self.mended + AGAIN_S:
                said = {p.name: [(f["code"], f["shard"], f["cause"]) for f in p.blockers()[:2]] for p in self.arena.all()}
                raise Failure(f"not ready {AGAIN_S:g} s after the remedy: {json.dumps(said, indent=1)}")
            time.sleep(0.05)
        self.again_s = time.monotonic() - self.mended
        while any(began < self.mended for began in list(watch.open.values())):
            check(time.monotonic() < self.mended + AGAIN_S, "an answer that was under way hangs")
            time.sleep(0.05)
        for p in self.arena.all():
            check(p.popen.poll() is None and (p.pid == pids[p.name] or p.name in self.taken), f"{p.name} ended by itself")
        return self.again_s


def look(run, watch):
    """What the run showed; raises where it may not be."""
    judge = Judge(watch, run.since, run.front, [(a, b, names) for a, b, names in run.lost], run.mended)
    late, who = judge.worst()
    failed = judge.failed()
    check(not watch.wrong, "; ".join(watch.wrong))
    if late > LIMIT_S + GRACE_S:
        raise Failure(f"{who} said ready {late:.1f} s after requests began to fail: {failed[:1]}")
    if all(FAULTS[n][2] for n in run.names):
        check(not failed, "a fault that should not matter made requests fail:", failed[:2])
    return late, len(failed)


def reference():
    """The answer of one process alone."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHOAL_")}
    r = subprocess.run([swarm.BIN, "run", swarm.DEMO_MODEL, "-p", PROMPT, "-n", str(N_LONG), "--temp", "0"], env=env,
                       capture_output=True, timeout=60)
    check(r.returncode == 0, r.stderr.decode())
    return r.stdout.decode()


class Chaos:
    def __init__(self, box, args, text):
        self.box, self.args, self.text, self.arena, self.block, self.watch = box, args, text, None, None, None
        self.rows = []

    def swarm_of(self, seed):
        if self.arena is None or self.block != seed // BLOCK:
            self.drop()
            self.block = seed // BLOCK
            self.arena = Arena(self.box, Shape(self.block))
            print(f"--- {self.arena.shape}, {self.arena.n_shards} shards", flush=True)
            self.arena.begin()
        return self.arena

    def drop(self, quietly=False):
        if not self.arena:
            return
        arena, self.arena = self.arena, None
        faults = arena.close()
        shutil.rmtree(arena.dir, ignore_errors=True)
        if faults and not quietly:
            self.rows.append({"seed": self.block * BLOCK, "faults": ["end"], "result": "failed", "why": "; ".join(faults)})
            print("FAILED at the end of its swarm: " + "; ".join(faults), flush=True)

    def one(self, seed, n_again=2):
        row, run, watch, began = {"seed": seed, "faults": [], "result": "failed", "why": ""}, None, None, time.monotonic()
        try:
            arena = self.swarm_of(seed)
            run, watch = Run(seed, arena, self.args.only), Watch(arena, self.text)
            time.sleep(0.3)
            row["again_s"] = run.go(watch)
            watch.close()
            row["late_s"], row["failed"] = look(run, watch)
            row["streams"] = [s[3] for s in watch.streams]
            row["result"] = "passed"
        except NotHere:
            row["result"] = "skipped"
        except (Failure, OSError, subprocess.SubprocessError) as e:
            row["why"] = f"{type(e).__name__}: {e}"
        except Exception:
            row["why"] = traceback.format_exc()
        finally:
            if watch and not watch.ended:
                watch.close()
        row["s"] = time.monotonic() - began
        if run:
            row["faults"], row["words"] = run.names, run.words
        if row["result"] == "failed" and watch and watch.stood and n_again:
            row["result"] = "void"
        self.tell(row, run, watch)
        self.rows.append(row)
        if row["result"] == "void":
            self.one(seed, n_again - 1)

    def tell(self, row, run, watch):
        text = "; ".join(row.get("words", []))
        if row["result"] == "passed":
            print(f"ok {row['seed']} {text}: {row['failed']} requests failed, ready at most {row['late_s']:.1f} s too long, "
                  f"again after {row['again_s']:.1f} s ({row['s']:.1f} s)", flush=True)
        elif row["result"] == "skipped":
            print(f"-- {row['seed']} no such fault in this swarm", flush=True)
        else:
            first, only = row["seed"] // BLOCK * BLOCK, f" --only '{self.args.only}'" if self.args.only else ""
            print(f"{row['result'].upper()} {row['seed']} {text}: {row['why']}\n    repeat: tests/chaos/run.py --seed {row['seed']} --runs 1{only}; "
                  f"with what went before it: --seed {first} --runs {row['seed'] - first + 1}{only}", flush=True)
            if watch:
                print(Judge(watch, run.since or 0, run.front, []).story())
                for a, b in watch.stood:
                    print(f"the machine stood still: {a - (run.since or 0):+.2f}..{b - (run.since or 0):+.2f}")
                print(f"the remedy: +{(run.mended or 0) - (run.since or 0):.2f}")
            if self.arena:
                print("\n".join(p.tail(25) for p in self.arena.processes), flush=True)
            self.drop(quietly=True)


def summary(rows):
    runs = [r for r in rows if r["result"] in ("passed", "failed")]
    passed = [r for r in runs if r["result"] == "passed"]
    again, by_kind, streams = sorted(r["again_s"] for r in passed), {}, {}
    for r in runs:
        for n in r["faults"]:
            by_kind[n] = by_kind.get(n, 0) + 1
    for r in passed:
        for s in r["streams"]:
            streams[s] = streams.get(s, 0) + 1
    return {"runs": len(runs), "failed": len(runs) - len(passed), "skipped": sum(r["result"] == "skipped" for r in rows), "void": sum(r["result"] == "void" for r in rows), "faults": by_kind,
            "runs_in_which_requests_failed": sum(r["failed"] > 0 for r in passed),
            "worst_false_ready_s": max((r["late_s"] for r in passed), default=None), "streams": streams,
            "ready_again_median_s": again[len(again) // 2] if again else None,
            "ready_again_worst_s": again[-1] if again else None,
            "seconds_a_run": sum(r["s"] for r in runs) / len(runs) if runs else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if not os.path.exists(swarm.BIN):
        print(f"run.py: {swarm.BIN} is not there; `make` first, or name it with SHOAL_BIN", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    folder = tempfile.mkdtemp(prefix="shoal-chaos-")
    chaos = None
    try:
        chaos = Chaos(Box(folder), args, reference())
        for seed in range(args.seed, args.seed + args.runs):
            chaos.one(seed)
    finally:
        if chaos:
            chaos.drop()
        shutil.rmtree(folder, ignore_errors=True)
    s = summary(chaos.rows)
    print("faults: " + ", ".join(f"{n} {k}" for k, n in sorted(s["faults"].items())))
    print(f"{s['runs'] - s['failed']} of {s['runs']} runs right; requests failed in {s['runs_in_which_requests_failed']}; "
          f"longest false ready {s['worst_false_ready_s'] or 0:.1f} s; ready again after {s['ready_again_median_s'] or 0:.1f} s (median), "
          f"{s['ready_again_worst_s'] or 0:.1f} s (worst); {s['seconds_a_run'] or 0:.1f} s a run")
    if s["void"]:
        print(f"{s['void']} more were void: the machine stood still, and they were played again")
    print(f"{s['runs'] - s['failed']} passed, {s['failed']} failed, {s['skipped']} skipped")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({**s, "rows": chaos.rows}, indent=1) + "\n")
    return 1 if s["failed"] or not s["runs"] else 0


if __name__ == "__main__":
    sys.exit(main())
