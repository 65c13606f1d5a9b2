#!/usr/bin/env python3
"""How near `shoal logits` is to llama.cpp and to the exact answer, for every file of a folder of reference data.

usage: accuracy.py REFERENCE [--shoal build/shoal]

REFERENCE has arch/NAME.gguf with NAME.probs.jsonl (llama.cpp's probabilities) and quant/TYPE.gguf with
TYPE.probs.jsonl and TYPE.exact.jsonl (log-probabilities in double precision), as its README.md says. Prints two tables
in Markdown; exits 1 where a bound of that README is passed.
"""
import argparse
import glob
import json
import math
import os
import subprocess
import sys

LARGEST = {"f32": 1e-4, "f16": 2e-2}


def lines(path, convert):
    with open(path) as file:
        return [(row["token"], {i: convert(p) for i, p in row["top"]}) for row in map(json.loads, file)]


def ours(shoal, model, tokens, kv):
    done = subprocess.run([shoal, "logits", model, ",".join(map(str, tokens)), "--top", "1000000", "--kv", kv], check=True,
                          capture_output=True, text=True)
    return [dict(json.loads(line)["top"]) for line in done.stdout.splitlines()]


def differences(wanted, got):
    return [abs(got[pos][i] - p) for pos, (_, top) in enumerate(wanted) for i, p in top.items()]


def same_best(wanted, got, lead):
    """At every position where the likeliest token leads by more than `lead`."""
    for pos, (_, top) in enumerate(wanted):
        best = sorted(top.items(), key=lambda x: -x[1])[:2]
        if best[0][1] - best[1][1] > lead and max(got[pos].items(), key=lambda x: x[1])[0] != best[0][0]:
            return False
    return True


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values))


def architectures(options):
    wrong = []
    print("| model | largest difference, f32 | f16 keys and values | likeliest token |\n| --- | ---: | ---: | --- |")
    for probs in sorted(glob.glob(os.path.join(options.reference, "arch", "*.probs.jsonl"))):
        name = os.path.basename(probs)[:-len(".probs.jsonl")]
        wanted = lines(probs, math.log)
        tokens = [t for t, _ in wanted]
        got = {kv: ours(options.shoal, probs.replace(".probs.jsonl", ".gguf"), tokens, kv) for kv in LARGEST}
        largest = {kv: max(differences(wanted, got[kv])) for kv in LARGEST}
        same = same_best(wanted, got["f32"], 0.05)
        print(f"| {name} | {largest['f32']:.2g} | {largest['f16']:.2g} | {'same' if same else 'DIFFERS'} |")
        wrong += [f"{name}, {kv}: {largest[kv]:.3g} > {LARGEST[kv]}" for kv in LARGEST if largest[kv] > LARGEST[kv]]
        wrong += [] if same else [f"{name}: another likeliest token"]
    return wrong


def quantised(options):
    wrong, parts = [], []
    print("\n| type | rms to the exact answer | llama.cpp's | ours / llama.cpp's | likeliest token |\n| --- | ---: | ---: | ---: | --- |")
    for exact in sorted(glob.glob(os.path.join(options.reference, "quant", "*.exact.jsonl"))):
        name = os.path.basename(exact)[:-len(".exact.jsonl")]
        wanted, theirs = lines(exact, float), lines(exact.replace(".exact.", ".probs."), math.log)
        got = ours(options.shoal, exact.replace(".exact.jsonl", ".gguf"), [t for t, _ in wanted], "f32")
        of_ours = rms(differences(wanted, got))
        of_theirs = rms([abs(theirs[pos][1][i] - p) for pos, (_, top) in enumerate(wanted) for i, p in top.items()
                         if i in theirs[pos][1]])
        same = same_best(wanted, got, 0.2)
        parts.append(of_ours / of_theirs)
        print(f"| {name} | {of_ours:.4f} | {of_theirs:.4f} | {parts[-1]:.2f} | {'same' if same else 'DIFFERS'} |")
        wrong += [f"{name}: {parts[-1]:.3f} x llama.cpp's > 1.15"] if parts[-1] > 1.15 else []
        wrong += [] if same else [f"{name}: another likeliest token"]
    if parts:
        print(f"| mean | | | {sum(parts) / len(parts):.2f} | |")
        wrong += ["mean over 1.05"] if sum(parts) / len(parts) > 1.05 else []
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("--shoal", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "shoal"))
    options = parser.parse_args()
    wrong = architectures(options) + quantised(options)
    for line in wrong:
        print("over its bound:", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
