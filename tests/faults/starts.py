#!/usr/bin/env python3
"""Starts without a fault: nodes with their files, an entry and a serve, N times from nothing.

usage: starts.py [N]     100 when no number is given; SHOAL_NODES: how many nodes (8)
Each must be ready, with no blocker and no warning at any process once it is, and none in the next second. Prints a line
for each that is not, the times from start to ready, and exits 1 if any was not clean."""
import os, pathlib, shutil, sys, tempfile, time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "e2e")]
import swarm
from swarm import Box, Failure, Swarm


def told(p):
    return [(p.name, f["severity"], f["code"], f["cause"]) for f in p.verdict()["findings"] if f["severity"] != "info"]


def one_start(box, n_nodes):
    """Seconds until all are ready, and what was told of them then."""
    with Swarm(box) as s:
        began = time.monotonic()
        s.entry()
        nodes = s.nodes(n_nodes)
        members = [s.serve(), *nodes]
        for p in members:
            p.wait_ready(20)
        took, found = time.monotonic() - began, []
        for _ in range(3):
            for p in members:
                found += [f for f in told(p) if f not in found]
                if not p.is_ready():
                    found.append((p.name, "not ready", "", "ready went away"))
            time.sleep(0.5)
        return took, found


def main(n):
    if not os.path.exists(swarm.BIN):
        print(f"starts.py: {swarm.BIN} is not there; `make` first, or name it with SHOAL_BIN", file=sys.stderr)
        return 3
    folder, times, n_bad = tempfile.mkdtemp(prefix="shoal-starts-"), [], 0
    try:
        box = Box(folder)
        for i in range(n):
            try:
                took, found = one_start(box, int(os.environ.get("SHOAL_NODES", "8")))
                times.append(took)
            except Failure as e:
                found = [("start", "failed", "", str(e))]
            n_bad += bool(found)
            for f in found:
                print(f"start {i + 1}:", *f, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    times.sort()
    if times:
        print(f"ready after {times[len(times) // 2]:.1f} s (median), {times[-1]:.1f} s (largest)")
    print(f"{n - n_bad} of {n} starts without a blocker or a warning")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
