#!/usr/bin/env python3
"""Compares the engine's speed with llama.cpp's: same file, same threads, same tokens, one after the other in pairs,
so that what else the machine does falls on both.

usage: compare_llama.py [--shoal build/shoal] [-p 512] [-n 64] [-t THREADS] [-r 3] [MODEL.gguf ...]

llama.cpp is the npm package node-llama-cpp, installed in the folder that SHOAL_LLAMA_DIR names
(`mkdir DIR && cd DIR && npm install node-llama-cpp`); where that is not set, only our figures are given, and it
says so. Prints one JSON document: for each model the pairs, and the median of ours / theirs.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("prompt_tok_s", "gen_tok_s")


def run_json(command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"compare_llama: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_ours(options, model):
    result = run_json([options.shoal, "bench", model, "-p", str(options.p), "-n", str(options.n), "-t",
                       str(options.t), "-r", "1", "--json"])
    return {kind: result[kind][0] for kind in KINDS} | {key: result[key] for key in ("cpu", "level", "load_s",
                                                                                     "bytes_per_token")}


def run_theirs(options, model, folder):
    return run_json(["node", os.path.join(HERE, "compare_llama.mjs"), model, str(options.p), str(options.n),
                     str(options.t)], cwd=folder)


def compare(options, model, folder):
    pairs = []
    for _ in range(options.r):
        pair = {"ours": run_ours(options, model)}
        if folder:
            pair["llama_cpp"] = run_theirs(options, model, folder)
        pairs.append(pair)
    result = {"model": os.path.basename(model), "bytes": os.path.getsize(model), "threads": options.t,
              "n_prompt": options.p, "n_gen": options.n, "pairs": pairs}
    for kind in KINDS:
        result[f"{kind}_ours"] = statistics.median(pair["ours"][kind] for pair in pairs)
        if folder:
            ratios = [pair["ours"][kind] / pair["llama_cpp"][kind] for pair in pairs if pair["llama_cpp"][kind]]
            result[f"{kind}_ratio"] = statistics.median(ratios) if ratios else None
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", metavar="MODEL.gguf")
    parser.add_argument("--shoal", default=os.path.join(HERE, "..", "build", "shoal"))
    parser.add_argument("-p", type=int, default=512)
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("-t", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-r", type=int, default=3)
    options = parser.parse_args()
    models = [os.path.abspath(m) for m in options.models or [os.path.join(HERE, "..", "models", "shoal-demo.gguf")]]
    folder = os.environ.get("SHOAL_LLAMA_DIR")
    if folder and not os.path.isdir(os.path.join(folder, "node_modules", "node-llama-cpp")):
        sys.exit(f"compare_llama: SHOAL_LLAMA_DIR: '{folder}' has no node_modules/node-llama-cpp; "
                 "run `npm install node-llama-cpp` there")
    note = None if folder else "SHOAL_LLAMA_DIR is not set: nothing to compare with, ours only"
    print(json.dumps({"benchmark": "compare_llama", "note": note,
                      "results": [compare(options, model, folder) for model in models]}, indent=1))


if __name__ == "__main__":
    main()
