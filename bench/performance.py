#!/usr/bin/env python3
"""Measures the engine on models of realistic shape beside llama.cpp and this machine's limits, and writes what
docs/PERFORMANCE.md shows: a JSON file, and plots of it.

usage: performance.py measure --out FILE.json [--shoal build/shoal] [--kernels build/bench/kernels] [--work DIR]
                      [--only REGEX] [-r PAIRS]          runs what is not in FILE.json yet; what is there stays
       performance.py plot FILE.json --out DIR           SVG files of it
       performance.py table FILE.json                    its tables in Markdown
       performance.py kernels FILE.json                  what build/bench/kernels printed, as a table

The models come from tools/make_bench_model.py (in --work, made when absent). llama.cpp is the npm package that
SHOAL_LLAMA_DIR names, run in pairs with ours; decode is compared with one thread only (its npm build loses half of it
with two). Run nothing beside it. Needs python3-numpy.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

from compare_llama import run_json
import plot_svg

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "..", "tools")

# name: shape, type, threads, prompt, generated, SHOAL_CPU (None: the best)
RUNS = {f"{shape} {kind} {t}t": (shape, kind, t, 512, 128, None)
        for shape in ("1b", "160m") for kind in ("Q8_0", "Q4_K_M", "Q4_0", "F16") for t in (1, 2)}
RUNS |= {f"1b {kind} 1t {level}": ("1b", kind, 1, 512, 32, level) for kind in ("Q8_0", "Q4_K_M") for level in ("avx512", "avxvnni", "avx2")}
RUNS |= {f"160m {kind} 1t": ("160m", kind, 1, 512, 64, None)
         for kind in ("BF16", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ3_S",
                      "IQ3_XXS", "TQ1_0", "TQ2_0", "MXFP4")}
RUNS |= {f"160m Q8_0 1t context {n}": ("160m", "Q8_0", 1, n, 16, None) for n in (2048, 8192, 32768)}


def model_file(work, shape, kind):
    path = os.path.join(work, f"{shape}-{kind}.gguf")
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(TOOLS, "make_bench_model.py"), "--shape", shape, "--type", kind,
                        "--ctx", "40960", path], check=True, stdout=sys.stderr)
    return path


def measure_limits(kernels):
    return run_json_block([kernels, "--ms", "100", "--type", "Q8_0"])["limits_one_thread"]


def run_json_block(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ops_per_token(shape, kind):
    """Of the layers' matrices: a multiply-add is two. The head runs for the last token only, and so does the last layer
    but for queries, keys and values; attention is not counted."""
    sys.path.insert(0, TOOLS)
    from make_bench_model import SHAPES, tensors
    last = f"blk.{SHAPES[shape][1] - 1}."
    return sum(2 * rows * columns for name, rows, columns, _, _ in tensors(SHAPES[shape], kind)
               if name.startswith("blk") and rows
               and (not name.startswith(last) or re.search(r"attn_[qkv]\.", name)))


def measure_one(options, name, folder):
    shape, kind, threads, n_prompt, n_gen, level = RUNS[name]
    os.environ.pop("SHOAL_CPU", None)
    if level:
        os.environ["SHOAL_CPU"] = level
    path, ops = model_file(options.work, shape, kind), ops_per_token(shape, kind)
    pairs = []
    for _ in range(options.r):
        limits = measure_limits(options.kernels)
        ours = run_json([options.shoal, "bench", path, "-p", str(n_prompt), "-n", str(n_gen), "-t", str(threads), "-r", "1",
                         "--json"])
        theirs = run_json(["node", os.path.join(HERE, "compare_llama.mjs"), path, str(n_prompt), str(n_gen), str(threads)],
                          cwd=folder) if folder else None
        pairs.append({"limits": limits, "ours": ours, "llama_cpp": theirs})
        print(f"{name}: prompt {ours['prompt_tok_s'][0]:.1f}, decode {ours['gen_tok_s'][0]:.1f} tokens/s"
              + (f"; llama.cpp {theirs['prompt_tok_s']:.1f}, {theirs['gen_tok_s']:.1f}" if theirs else ""), flush=True)
    return {"shape": shape, "type": kind, "threads": threads, "n_prompt": n_prompt, "n_gen": n_gen,
            "ops_per_token": ops, "file_bytes": os.path.getsize(path), "pairs": pairs}


def measure(options):
    folder = os.environ.get("SHOAL_LLAMA_DIR")
    results = json.load(open(options.file)) if os.path.exists(options.file) else {}
    for name in RUNS:
        if name in results or (options.only and not re.search(options.only, name)):
            continue
        results[name] = measure_one(options, name, folder)
        with open(options.file + ".part", "w") as file:
            json.dump(results, file, indent=1)
        os.replace(options.file + ".part", options.file)


def summary(result):
    """Medians, and ratios pair by pair."""
    def median(of):
        values = [v for v in map(of, result["pairs"]) if v is not None]
        return statistics.median(values) if values else None

    def ratio(key):
        return median(lambda p: p["ours"][key][0] / p["llama_cpp"][key] if p["llama_cpp"] and p["llama_cpp"][key] else None)
    per_token = result["pairs"][0]["ours"]["bytes_per_token"]
    return {"prompt": median(lambda p: p["ours"]["prompt_tok_s"][0]), "gen": median(lambda p: p["ours"]["gen_tok_s"][0]),
            "prompt_ratio": ratio("prompt_tok_s"), "gen_ratio": ratio("gen_tok_s"),
            "bandwidth": median(lambda p: p["ours"]["gen_tok_s"][0] * per_token / 1e9 / p["limits"]["read_gbps"]),
            "int8": median(lambda p: p["ours"]["prompt_tok_s"][0] * result["ops_per_token"] / 1e9
                           / p["limits"]["int8_vpdpbusd_gops"] / result["threads"]),
            "load_s": median(lambda p: p["ours"]["load_s"]), "rss": median(lambda p: p["ours"]["rss_bytes"])}


def cell(value, form):
    return form.format(value) if value is not None else "-"


def table(options):
    results = json.load(open(options.file))
    print("| model, threads | prompt tokens/s | to llama.cpp | of the VNNI limit | decode tokens/s | to llama.cpp | "
          "of read bandwidth | load, s | RSS / file |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, result in results.items():
        s = summary(result)
        quantised = result["type"] not in ("F16", "BF16", "F32")
        one = result["threads"] == 1
        print(f"| {name} ({result['n_prompt']} + {result['n_gen']}) | {s['prompt']:.1f} | {cell(s['prompt_ratio'], '{:.2f}')} | "
              f"{cell(s['int8'] if quantised else None, '{:.0%}')} | {s['gen']:.1f} | "
              f"{cell(s['gen_ratio'] if one else None, '{:.2f}')} | {cell(s['bandwidth'] if one else None, '{:.0%}')} | "
              f"{s['load_s']:.2f} | {s['rss'] / result['file_bytes']:.2f} |")


def kernels(options):
    """A row for each type: decode in GB/s of weights and a prompt in Gop/s, at each level; one thread."""
    report = json.load(open(options.file))
    limits, rows = report["limits_one_thread"], {}
    for k in report["kernels"]:
        figure = k.get("weights_gbps") if k["kernel"] == "matmul decode" else k.get("gops")
        if k["kernel"] in ("matmul decode", "matmul prefill"):
            rows.setdefault(k["type"], {})[k["level"], k["kernel"].split()[1]] = figure
    levels = [level for level in ("avx2", "avxvnni", "avx512", "amx", "neon") if any(level == x for r in rows.values() for x, _ in r)]
    print("Limits: " + ", ".join(f"{name} {value:.0f}" for name, value in limits.items()) + "\n")
    print("| type | " + " | ".join(f"{level}: one token, GB/s | 512 tokens, Gop/s" for level in levels) + " |")
    print("| --- |" + " ---: | ---: |" * len(levels))
    for kind, row in rows.items():
        print(f"| {kind} | " + " | ".join(cell(row.get((level, what)), "{:.0f}" if what == "prefill" else "{:.1f}")
                                            for level in levels for what in ("decode", "prefill")) + " |")


def plot(options):
    results = {name: (r, summary(r)) for name, r in json.load(open(options.file)).items()}
    os.makedirs(options.out, exist_ok=True)

    def bars(file, title, unit, pick, names):
        rows = [(n, pick(results[n])) for n in names if n in results]
        rows = [(n, v) for n, v in rows if v is not None]
        if rows:
            plot_svg.bars(os.path.join(options.out, file), title, unit, rows)
    shapes = [n for n in results if results[n][0]["n_prompt"] == 512]
    one = [n for n in shapes if results[n][0]["threads"] == 1]
    bars("prefill.svg", "Prompt of 512 tokens: ours / llama.cpp", "x", lambda r: r[1]["prompt_ratio"], shapes)
    bars("decode.svg", "Decode, one thread: ours / llama.cpp", "x", lambda r: r[1]["gen_ratio"], one)
    bars("int8.svg", "Prompt of 512 tokens: part of the VNNI int8 limit measured beside it", "%",
         lambda r: None if r[0]["type"] in ("F16", "BF16", "F32") else 100 * r[1]["int8"], shapes)
    bars("bandwidth.svg", "Decode, one thread: part of the read bandwidth measured beside it", "%",
         lambda r: 100 * r[1]["bandwidth"], one)
    bars("context.svg", "Decode after a long prompt (160m Q8_0): tokens/s", "", lambda r: r[1]["gen"],
         [n for n in results if n.startswith("160m Q8_0 1t")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(required=True)
    p = sub.add_parser("measure")
    p.add_argument("--out", dest="file", required=True)
    p.add_argument("--shoal", default=os.path.join(HERE, "..", "build", "shoal"))
    p.add_argument("--kernels", default=os.path.join(HERE, "..", "build", "bench", "kernels"))
    p.add_argument("--work", default="/tmp/shoal-bench-models")
    p.add_argument("--only")
    p.add_argument("-r", type=int, default=3)
    p.set_defaults(run=measure)
    p = sub.add_parser("plot")
    p.add_argument("file")
    p.add_argument("--out", required=True)
    p.set_defaults(run=plot)
    p = sub.add_parser("table")
    p.add_argument("file")
    p.set_defaults(run=table)
    p = sub.add_parser("kernels")
    p.add_argument("file")
    p.set_defaults(run=kernels)
    options = parser.parse_args()
    if options.run is measure:
        os.makedirs(options.work, exist_ok=True)
    options.run(options)


if __name__ == "__main__":
    main()
