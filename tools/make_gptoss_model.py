#!/usr/bin/env python3
"""Makes a gpt-oss model with random weights, biases and sinks: to compare with another engine, or for speed and memory.

usage: make_gptoss_model.py [--shape tiny|20b|DIM,LAYERS,HEADS,KV_HEADS,HEAD_DIM,FFN,VOCAB,EXPERTS,USED] [--type TYPE]
                            [--experts TYPE] [--window N] [--ctx N] [--seed N] OUT.gguf

TYPE is a tensor type (F32, Q8_0, ...) of the matrices, --experts that of the experts' (MXFP4 in the published models).
Gates are biased so far that some meet their limits. Needs python3-numpy. A file of the same arguments is the same, byte
for byte.
"""
import argparse
import os
import struct
import sys

import numpy as np

from demo_model_gguf import F32, STR, U32, string, value
from make_bench_model import ALIGN, FLOATS, TYPES, bytes_of, keys, type_id, weights

SHAPES = {"tiny": (128, 4, 8, 2, 32, 96, 512, 7, 3), "20b": (2880, 24, 64, 8, 64, 2880, 201088, 32, 4)}
KINDS = [*FLOATS, *TYPES, "MXFP4"]


def tensors(shape, kind, of_experts):
    """[(name, dimensions as in the file, type, mean, rms about it)]"""
    dim, layers, heads, kv_heads, head_dim, ffn, vocab, experts, _ = shape
    q, kv = heads * head_dim, kv_heads * head_dim
    out = [("token_embd.weight", (dim, vocab), kind, 0, dim ** -0.5), ("output_norm.weight", (dim,), "F32", 1, 0.1),
           ("output.weight", (dim, vocab), kind, 0, dim ** -0.5)]
    for i in range(layers):
        def matrix(name, n_in, n_out, bias=0.3):
            out.append((f"blk.{i}.{name}.weight", (n_in, n_out), kind, 0, n_in ** -0.5))
            out.append((f"blk.{i}.{name}.bias", (n_out,), "F32", 0, bias))

        def expert(name, n_in, n_out, bias):
            out.append((f"blk.{i}.{name}.weight", (n_in, n_out, experts), of_experts, 0, n_in ** -0.5))
            out.append((f"blk.{i}.{name}.bias", (n_out, experts), "F32", 0, bias))
        out.append((f"blk.{i}.attn_norm.weight", (dim,), "F32", 1, 0.1))
        matrix("attn_q", dim, q)
        matrix("attn_k", dim, kv)
        matrix("attn_v", dim, kv)
        matrix("attn_output", q, dim)
        out.append((f"blk.{i}.attn_sinks.weight", (heads,), "F32", 0, 1.5))
        out.append((f"blk.{i}.post_attention_norm.weight", (dim,), "F32", 1, 0.1))
        matrix("ffn_gate_inp", dim, experts)
        expert("ffn_gate_exps", dim, ffn, 4.0)
        expert("ffn_up_exps", dim, ffn, 4.0)
        expert("ffn_down_exps", ffn, dim, 0.3)
    return out


def all_keys(shape, window, ctx):
    dim, layers, heads, kv_heads, head_dim, ffn, vocab, experts, used = shape
    own = [("block_count", U32, layers), ("context_length", U32, ctx), ("embedding_length", U32, dim),
           ("feed_forward_length", U32, ffn), ("attention.head_count", U32, heads),
           ("attention.head_count_kv", U32, kv_heads), ("attention.key_length", U32, head_dim),
           ("attention.value_length", U32, head_dim), ("attention.sliding_window", U32, window),
           ("attention.layer_norm_rms_epsilon", F32, 1e-5), ("rope.dimension_count", U32, head_dim),
           ("rope.freq_base", F32, 150000.0), ("rope.scaling.type", STR, "yarn"), ("rope.scaling.factor", F32, 32.0),
           ("rope.scaling.original_context_length", U32, max(ctx // 32, 1)), ("expert_count", U32, experts),
           ("expert_used_count", U32, used), ("expert_feed_forward_length", U32, ffn), ("vocab_size", U32, vocab)]
    vocabulary = [k for k in keys((dim, layers, heads, kv_heads, ffn, vocab), "", ctx) if k[0].startswith("tokenizer.")]
    return [("general.architecture", STR, "gpt-oss"), ("general.name", STR, "random gpt-oss"),
            *((f"gpt-oss.{name}", kind, v) for name, kind, v in own), *vocabulary]


def header(pairs, rows):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(pairs))
    head += b"".join(string(k) + struct.pack("<I", t) + value(t, v) for k, t, v in pairs)
    offset = 0
    for name, dims, kind, _, _ in rows:
        head += string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id(kind), offset)
        size = int(np.prod(dims[1:], dtype=np.int64)) * bytes_of(kind, dims[0])
        offset += size + -size % ALIGN
    return head + bytes(-len(head) % ALIGN)


def write(path, pairs, rows, seed):
    rng, part = np.random.default_rng(seed), path + ".part"
    with open(part, "wb") as file:
        file.write(header(pairs, rows))
        for _, dims, kind, mean, rms in rows:
            n_rows, step = int(np.prod(dims[1:], dtype=np.int64)), max(1, (1 << 22) // dims[0])
            for at in range(0, n_rows, step):
                raw = weights(rng, kind, min(step, n_rows - at) * dims[0], rms)
                file.write((np.frombuffer(raw, "<f4") + np.float32(mean)).tobytes() if mean else raw)
            file.write(bytes(-file.tell() % ALIGN))
    os.replace(part, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="tiny")
    parser.add_argument("--type", default="F32", dest="kind", choices=KINDS)
    parser.add_argument("--experts", default="F32", choices=KINDS)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("out")
    options = parser.parse_args()
    try:
        shape = SHAPES.get(options.shape) or tuple(int(n) for n in options.shape.split(","))
        _, _, heads, kv_heads, _, _, vocab, experts, used = shape
    except ValueError:
        parser.error(f"--shape '{options.shape}' is not one of {', '.join(SHAPES)} nor nine numbers")
    if heads % kv_heads or vocab < 300 or not 0 < used <= experts:
        parser.error(f"--shape: {kv_heads} kv heads do not divide {heads}, under 300 tokens, or {used} of {experts} experts")
    write(options.out, all_keys(shape, options.window, options.ctx), tensors(shape, options.kind, options.experts),
          options.seed)
    print(f"{options.out}: {os.path.getsize(options.out)} bytes")


if __name__ == "__main__":
    sys.exit(main())
