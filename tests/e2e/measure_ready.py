#!/usr/bin/env python3
"""How long eight nodes with their files take from a cold start to ready, on one machine.

usage: measure_ready.py [-r 10] [--nodes 8] [--json]
Starts entry, nodes and serve at once, each time with new folders, identities and a new swarm key, and stops the clock when
the serve says ready (and, second figure, when every node does). SHOAL_BIN names the program."""
import argparse, json, os, shutil, statistics, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import swarm


def once(box, n_nodes):
    with swarm.Swarm(box) as s:
        for i in range(n_nodes):  # files are copied before the clock runs
            s.files(f"node{i}", [*range(i * s.n_shards // n_nodes, (i + 1) * s.n_shards // n_nodes), "manifest.json"])
        began = time.monotonic()
        s.entry()
        nodes = []
        for i in range(n_nodes):
            ids = list(range(i * s.n_shards // n_nodes, (i + 1) * s.n_shards // n_nodes))
            nodes.append(s.node(f"node{i}", ids, [], manifest=False))
        serve = s.serve()
        swarm.wait_for(lambda: serve.run_entry() and serve.is_ready(), 60, "the serve is ready", every=0.01)
        first = time.monotonic() - began
        for node in nodes:
            swarm.wait_for(node.is_ready, 60, "a node is ready", every=0.01)
        return first, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-r", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="shoal-e2e-box-")
    try:
        box = swarm.Box(folder)
        box.split()
        runs = [once(box, args.nodes) for _ in range(args.r)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {"nodes": args.nodes, "runs": args.r, "load_average": os.getloadavg()[0]}
    for name, values in (("serve_ready_s", [a for a, _ in runs]), ("all_ready_s", [b for _, b in runs])):
        result[name] = {"min": round(min(values), 2), "median": round(statistics.median(values), 2), "max": round(max(values), 2),
                        "all": [round(v, 2) for v in values]}
    if args.json:
        print(json.dumps(result))
    else:
        for name in ("serve_ready_s", "all_ready_s"):
            print(f"{name:14} min {result[name]['min']:.2f}  median {result[name]['median']:.2f}  max {result[name]['max']:.2f}   {result[name]['all']}")
        print(f"{args.r} runs, {args.nodes} nodes, load average {result['load_average']:.1f}")


if __name__ == "__main__":
    main()
