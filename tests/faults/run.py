#!/usr/bin/env python3
"""Fault injection with real processes on 127.0.0.1: every fault that a person can cause, and what `shoal doctor` says.

usage: run.py [--json FILE] [--keep DIR] [--list] [REGEX]
REGEX chooses by code or title. --json: the table for programs; --keep: what `shoal doctor` printed, a file a fault.
SHOAL_BIN names the program (build/shoal). Ends with the table, and exits 1 if any case failed."""
import argparse, importlib, json, os, pathlib, re, shutil, signal, subprocess, sys, tempfile, time, traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import swarm
from trial import AIM_S, Trial

MODULES = ["start", "files", "places", "model", "links", "serving"]


class Timeout(Exception):
    pass


def on_alarm(signo, frame):
    raise Timeout("the case took too long")


def cases():
    found = []
    for name in MODULES:
        if (HERE / f"faults_{name}.py").exists():
            found += [f for f in vars(importlib.import_module(f"faults_{name}")).values() if getattr(f, "fault", None)]
    return found


def run_case(function, box):
    """A row of the table."""
    row = {"fault": function.title, "code": function.fault, "function": function.__name__, "result": "failed", "first": None, "named_s": None,
           "ready_s": None, "aim_s": function.aim, "why_longer": function.why_longer, "wrong_blames": [], "doctor": "", "why": ""}
    trial = None
    signal.alarm(int(function.timeout * swarm.SLOW))
    try:
        with Trial(box, getattr(function, "n_shards", 3)) as trial:
            trial.limit = function.aim
            function(trial)
        row["result"] = "passed"
    except swarm.Skip as e:
        row["result"], row["why"] = "skipped", str(e)
    except (swarm.Failure, Timeout, subprocess.TimeoutExpired) as e:
        row["why"] = f"{type(e).__name__}: {e}\n{getattr(e, 'logs', '')}"
    except Exception as e:
        row["why"] = traceback.format_exc() + getattr(e, "logs", "")
    finally:
        signal.alarm(0)
    if trial:
        row.update(first=trial.code, named_s=trial.named_s, ready_s=trial.ready_s, wrong_blames=trial.wrong, doctor=trial.text)
    return row


def seconds(x):
    return "-" if x is None else f"{x:.1f}"


def table(rows):
    """As Markdown, which reads well on a terminal, too."""
    lines = ["| fault | first finding | seconds to name | seconds to ready again |", "| --- | --- | --- | --- |"]
    for r in rows:
        if r["result"] != "skipped":
            first = f"`{r['first'] or '?'}`" + ("" if r["result"] == "passed" else " FAILED")
            lines.append(f"| {r['fault']} | {first} | {seconds(r['named_s'])} | {seconds(r['ready_s'])} |")
    return "\n".join(lines)


def summary(rows):
    done = [r for r in rows if r["result"] != "skipped"]
    passed = [r for r in done if r["result"] == "passed"]
    quick = [r for r in passed if not r["why_longer"] and r["named_s"] is not None]
    slow = [r for r in passed if r["why_longer"] and r["named_s"] is not None]
    text = f"{len(passed)} of {len(done)} named right and mended; wrong blames: {sum(len(r['wrong_blames']) for r in done)}"
    if quick:
        worst = max(quick, key=lambda r: r["named_s"])
        text += f"; largest time to name: {worst['named_s']:.1f} s ({worst['fault']})"
    for r in slow:
        text += f"\n{r['named_s']:.1f} s, of which some is inherent: {r['fault']} ({r['why_longer']})"
    skipped = [r for r in rows if r["result"] == "skipped"]
    for r in skipped:
        text += f"\nskipped: {r['fault']}: {r['why']}"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("only", nargs="?", default="")
    args = parser.parse_args()
    chosen = [f for f in cases() if any(re.search(args.only, s) for s in (f.fault, f.__name__, f.title))]
    if args.list:
        for f in chosen:
            print(f"{f.fault:28} {f.__name__:24} {f.title}")
        return 0
    if not os.path.exists(swarm.BIN):
        print(f"run.py: {swarm.BIN} is not there; `make` first, or name it with SHOAL_BIN", file=sys.stderr)
        return 3
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    folder, rows = tempfile.mkdtemp(prefix="shoal-faults-"), []
    try:
        box = swarm.Box(folder)
        for i, function in enumerate(chosen, 1):
            row = run_case(function, box)
            rows.append(row)
            print(f"{row['result']:8} {i}/{len(chosen)} {row['code']}: {row['fault']}: named {seconds(row['named_s'])} s, "
                  f"ready again {seconds(row['ready_s'])} s", flush=True)
            if row["result"] != "passed":
                print("    " + row["why"].replace("\n", "\n    "), flush=True)
            if args.keep and row["doctor"]:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"{row['function']}.txt").write_text(row["doctor"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + table(rows) + "\n\n" + summary(rows))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"aim_s": AIM_S, "rows": rows}, indent=1) + "\n")
    failed = [r for r in rows if r["result"] == "failed" or r["wrong_blames"]]
    return 1 if failed or not any(r["result"] == "passed" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
