#!/usr/bin/env python3
"""Writes man/shoal.1 from what the program's own help says, so that the two cannot differ.

usage: make_man.py --shoal build/shoal [--check] man/shoal.1
--check: exits 1 when the file is not what it would write.
"""
import argparse, re, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("--shoal", required=True)
parser.add_argument("--check", action="store_true")
parser.add_argument("out")
args = parser.parse_args()


def run(*words):
    return subprocess.run([args.shoal, *words], capture_output=True, text=True, check=True).stdout


def roff(text):
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M)


overview = run("help")
names = re.findall(r"^  ([a-z]+) +\S", overview, flags=re.M)
version = run("--version").split()[-1]
parts = [f'.TH SHOAL 1 "" "shoal {version}" "User Commands"', ".SH NAME",
         "shoal \\- runs a language model across the machines you have", ".SH SYNOPSIS",
         ".B shoal\n.I COMMAND\n.RI [ OPTIONS ]", ".SH DESCRIPTION",
         roff("A GGUF model is cut by layers into shards. Nodes hold shards, find each other, fetch what they lack from each "
              "other, load it, and become ready when a probe token has passed through every layer. When they are not ready, "
              "any of them says why."), ".SH COMMANDS"]
for name in names:
    usage, summary, *rest = [p for p in run("help", name).split("\n\n")]
    parts.append(".SS " + roff(usage.removeprefix("usage: ").strip()))
    parts.append(roff(summary.strip()))
    if rest:
        parts.append(".PP\n.nf\n" + roff("\n\n".join(rest).rstrip()) + "\n.fi")
parts += [".SH EXIT STATUS", ".TP\n0\ndone; ready", ".TP\n1\nnot ready; a check failed; ask met 503",
          ".TP\n2\nwrong usage; a prompt longer than the context; a CPU level that this machine lacks",
          ".TP\n3\ncannot reach or use what it needs: network, port, folder, disk", ".TP\n4\nbad input file",
          ".SH ENVIRONMENT",
          ".TP\nSHOAL_NAME\n" + roff("any option of bootstrap, node and serve, in capitals (SHOAL_SHARDS_DIR)"),
          ".TP\nSHOAL_CPU\n" + roff("ref, avx2, avxvnni, avx512, amx, neon: forces a kernel level"),
          ".SH FILES",
          ".TP\n" + roff("$XDG_CONFIG_HOME/shoal/") + "\n" + roff("swarm.key and owner.key, 0600"),
          ".TP\n" + roff("$XDG_STATE_HOME/shoal/CLUSTER/K/") + "\nidentity, known peers, remembered hashes",
          ".TP\n" + roff("$XDG_RUNTIME_DIR/shoal/ or /tmp/shoal-UID/") + "\nURL and access token of each running process",
          ".TP\nmodels_cache/shards/\nshards, tokenizer.gguf, manifest.json"]
text = "\n".join(parts) + "\n"
if args.check:
    with open(args.out) as f:
        if f.read() != text:
            print(f"{args.out} and the program's help differ: run scripts/make_man.py --shoal {args.shoal} {args.out}")
            sys.exit(1)
    print("ok   man page")
else:
    with open(args.out, "w") as f:
        f.write(text)
