#!/bin/sh
# make bench: one JSON document a line: the kernels of this machine beside its limits, a hop of a link beside plain TCP,
# and the engine beside llama.cpp (where SHOAL_LLAMA_DIR names a folder with npm's node-llama-cpp).
# usage: run.sh KERNELS LINK_HOP [MODEL.gguf ...]
set -eu
kernels=$1 hop=$2
shift 2
"$kernels" --ms 50
"$hop"
python3 "$(dirname "$0")/compare_llama.py" --shoal "$SHOAL_BIN" -p 128 -n 64 -t 1 -r 3 "${@:-models/shoal-demo.gguf}"
