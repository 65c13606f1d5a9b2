#!/usr/bin/env python3
"""Makes a llama model of realistic shape with random weights, straight in the blocks of a type: for measuring speed and
memory, not for text. The scales are such that hidden states stay finite through all layers.

usage: make_bench_model.py --shape 160m|1b|DIM,LAYERS,HEADS,KV_HEADS,FFN,VOCAB --type TYPE [--ctx N] [--seed N] OUT.gguf

TYPE is a tensor type (Q8_0, Q4_K, F16, ...), or Q4_K_M: Q4_K with Q6_K for the head and half of attn_v and ffn_down, as
llama.cpp mixes them. Needs python3-numpy. A file of the same arguments is the same, byte for byte.
"""
import argparse
import os
import struct
import sys

import numpy as np

from demo_model_gguf import ARR, BOOL, F32, I32, STR, U32, string, value

SHAPES = {"160m": (768, 12, 12, 12, 2048, 32000), "1b": (2048, 16, 32, 8, 8192, 32000)}
ALIGN = 32

# name: (id in GGUF, weights a block, bytes a block, scales). A scale is (offset, factor): an f16 at that offset of the
# block, factor / (rms of the rest of the formula) x the wanted rms; every other byte is random.
# Layouts: ggml's ggml-common.h.
TYPES = {
    "Q4_0": (2, 32, 18, 4.6, [(0, 1)]),
    "Q4_1": (3, 32, 20, 4.6, [(0, 1), (2, -7.5)]),
    "Q5_0": (6, 32, 22, 9.2, [(0, 1)]),
    "Q5_1": (7, 32, 24, 9.2, [(0, 1), (2, -15.5)]),
    "Q8_0": (8, 32, 34, 74, [(0, 1)]),
    "Q2_K": (10, 256, 84, 14, [(80, 1), (82, 1.5)]),
    "Q3_K": (11, 256, 110, 42, [(108, 1)]),
    "Q4_K": (12, 256, 144, 240, [(0, 1), (2, 7.5)]),
    "Q5_K": (13, 256, 176, 480, [(0, 1), (2, 15.5)]),
    "Q6_K": (14, 256, 210, 1369, [(208, 1)]),
    "IQ3_XXS": (18, 256, 98, 140, [(0, 1)]),
    "IQ4_NL": (20, 32, 18, 70, [(0, 1)]),
    "IQ3_S": (21, 256, 110, 130, [(0, 1)]),
    "IQ4_XS": (23, 256, 136, 1290, [(0, 1)]),
    "TQ1_0": (34, 256, 54, 0.8, [(52, 1)]),
    "TQ2_0": (35, 256, 66, 0.8, [(64, 1)]),
}
FLOATS = {"F32": (0, 4), "F16": (1, 2), "BF16": (30, 2)}
MXFP4 = (39, 32, 17, 3.2)


def type_id(kind):
    return FLOATS[kind][0] if kind in FLOATS else MXFP4[0] if kind == "MXFP4" else TYPES[kind][0]


def bytes_of(kind, n):
    if kind in FLOATS:
        return n * FLOATS[kind][1]
    block = MXFP4 if kind == "MXFP4" else TYPES[kind]
    if n % block[1]:
        sys.exit(f"make_bench_model: {kind} has blocks of {block[1]}, a row of this shape has {n} weights")
    return n // block[1] * block[2]


def weights(rng, kind, n, rms):
    """n weights of about that rms, as the bytes of the type."""
    if kind in FLOATS:
        w = (rng.standard_normal(n, dtype=np.float32) * np.float32(rms))
        if kind == "F32":
            return w.tobytes()
        return w.astype("<f2").tobytes() if kind == "F16" else (w.view(np.uint32) >> 16).astype("<u2").tobytes()
    if kind == "MXFP4":
        blocks = np.frombuffer(rng.bytes(n // 32 * 17), np.uint8).reshape(-1, 17).copy()
        blocks[:, 0] = 127 + round(float(np.log2(rms / MXFP4[3])))
        return blocks.tobytes()
    _, per_block, size, rest, scales = TYPES[kind]
    blocks = np.frombuffer(rng.bytes(n // per_block * size), np.uint8).reshape(-1, size).copy()
    for offset, factor in scales:
        blocks[:, offset:offset + 2] = np.frombuffer(np.float16(factor * rms / rest).tobytes(), np.uint8)
    return blocks.tobytes()


def tensors(shape, kind):
    """[(name, rows, columns, type, rms)]; rows 0: a vector of ones (norms)."""
    dim, layers, heads, kv_heads, ffn, vocab = shape
    kv = dim // heads * kv_heads
    base = "Q4_K" if kind == "Q4_K_M" else kind

    def rich(i):
        more = i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2
        return "Q6_K" if kind == "Q4_K_M" and more else base
    out = [("token_embd.weight", vocab, dim, base, 1.0), ("output_norm.weight", 0, dim, "F32", 0),
           ("output.weight", vocab, dim, "Q6_K" if kind == "Q4_K_M" else base, dim ** -0.5)]
    for i in range(layers):
        b = f"blk.{i}."
        out += [(b + "attn_norm.weight", 0, dim, "F32", 0), (b + "ffn_norm.weight", 0, dim, "F32", 0),
                (b + "attn_q.weight", dim, dim, base, dim ** -0.5), (b + "attn_k.weight", kv, dim, base, dim ** -0.5),
                (b + "attn_v.weight", kv, dim, rich(i), dim ** -0.5),
                (b + "attn_output.weight", dim, dim, base, 0.3 * dim ** -0.5),
                (b + "ffn_gate.weight", ffn, dim, base, dim ** -0.5), (b + "ffn_up.weight", ffn, dim, base, dim ** -0.5),
                (b + "ffn_down.weight", dim, ffn, rich(i), 0.3 * ffn ** -0.5)]
    return out


def keys(shape, kind, ctx):
    dim, layers, heads, kv_heads, ffn, vocab = shape
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokens += [f"\u2581w{i}" for i in range(vocab - len(tokens))]
    types = [2, 3, 3] + [6] * 256 + [1] * (vocab - 259)
    scores = [0.0] * 259 + [-float(i) for i in range(vocab - 259)]
    return [("general.architecture", STR, "llama"), ("general.name", STR, f"random {kind}"),
            ("llama.block_count", U32, layers), ("llama.context_length", U32, ctx),
            ("llama.embedding_length", U32, dim), ("llama.feed_forward_length", U32, ffn),
            ("llama.attention.head_count", U32, heads), ("llama.attention.head_count_kv", U32, kv_heads),
            ("llama.rope.dimension_count", U32, dim // heads), ("llama.rope.freq_base", F32, 10000.0),
            ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), ("llama.vocab_size", U32, vocab),
            ("tokenizer.ggml.model", STR, "llama"), ("tokenizer.ggml.tokens", ARR, (STR, tokens)),
            ("tokenizer.ggml.scores", ARR, (F32, scores)), ("tokenizer.ggml.token_type", ARR, (I32, types)),
            ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.add_bos_token", BOOL, True)]


def header(shape, kind, ctx, rows):
    pairs = keys(shape, kind, ctx)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(pairs))
    head += b"".join(string(k) + struct.pack("<I", t) + value(t, v) for k, t, v in pairs)
    offset = 0
    for name, n_rows, columns, own, _ in rows:
        dims = (columns, n_rows) if n_rows else (columns,)
        head += string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", type_id(own), offset)
        size = max(n_rows, 1) * bytes_of(own, columns)
        offset += size + -size % ALIGN
    return head + bytes(-len(head) % ALIGN)


def write(path, shape, kind, ctx, seed):
    rng, rows = np.random.default_rng(seed), tensors(shape, kind)
    part = path + ".part"
    with open(part, "wb") as file:
        file.write(header(shape, kind, ctx, rows))
        for _, n_rows, columns, own, rms in rows:
            step = max(1, (1 << 22) // columns)
            for at in range(0, max(n_rows, 1), step):
                n = min(step, max(n_rows, 1) - at) * columns
                file.write(weights(rng, own, n, rms) if n_rows else np.ones(n, "<f4").tobytes())
            file.write(bytes(-file.tell() % ALIGN))
    os.replace(part, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="160m")
    parser.add_argument("--type", default="Q8_0", dest="kind", choices=[*FLOATS, *TYPES, "MXFP4", "Q4_K_M"])
    parser.add_argument("--ctx", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("out")
    options = parser.parse_args()
    try:
        shape = SHAPES.get(options.shape) or tuple(int(n) for n in options.shape.split(","))
        dim, layers, heads, kv_heads, ffn, vocab = shape
    except ValueError:
        parser.error(f"--shape '{options.shape}' is not one of {', '.join(SHAPES)} nor six numbers")
    if dim % heads or heads % kv_heads or vocab < 300:
        parser.error(f"--shape: {heads} heads do not share {dim} out, or {kv_heads} kv heads, or under 300 tokens")
    write(options.out, shape, options.kind, options.ctx, options.seed)
    print(f"{options.out}: {os.path.getsize(options.out)} bytes")


if __name__ == "__main__":
    main()
