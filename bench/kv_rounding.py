#!/usr/bin/env python3
"""How far the rounding of keys and values alone moves a model's answers, and that `shoal logits` does just that.

usage: kv_rounding.py REFERENCE [--shoal build/shoal] [--llama LLAMA_CPP_F16.jsonl]

Takes REFERENCE/arch/llama3.gguf (F32 weights, tied embeddings, frequency factors) through the whole computation in double
precision, with keys and values rounded to f32, f16 or q8_0 and nothing else, independently of shoal's code. Prints a table
of largest differences of log-probabilities, over the tokens that the reference lists: to llama.cpp's f32 answer, and of
shoal to this computation. --llama adds what llama.cpp says with f16 keys and values (its `probs`, one line a position).
Needs numpy."""
import argparse
import json
import math
import os
import struct
import subprocess

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY, F32, BLOCK = 8, 9, 0, 32


class Gguf:
    """Keys and F32 tensors (double precision, rows first) of a GGUF file; trusts it."""

    def __init__(self, path):
        self.data, self.at = open(path, "rb").read(), 8
        n_tensors, n_keys = self.take("QQ")
        self.keys = {self.text(): self.value(self.take("I")[0]) for _ in range(n_keys)}
        found = [self.info() for _ in range(n_tensors)]
        start = (self.at + 31) // 32 * 32
        self.tensors = {name: np.frombuffer(self.data, np.float32, math.prod(shape), start + offset).astype(np.float64)
                        .reshape(shape[::-1]) for name, shape, offset in found}

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self):
        n, = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode(errors="replace")

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            kind, n = self.take("IQ")
            return [self.value(kind) for _ in range(n)]
        return self.take(SCALARS[kind])[0]

    def info(self):
        name, (n_dims,) = self.text(), self.take("I")
        shape = self.take(f"{n_dims}Q")
        kind, offset = self.take("IQ")
        assert kind == F32, f"{name} is not F32"
        return name, shape, offset


def to_f16(x):
    return x.astype(np.float16).astype(np.float64)


def to_q8_0(x):
    """The least f16 scale not below the largest magnitude / 127, values to the nearest step (kernels.h)."""
    blocks = x.astype(np.float32).reshape(-1, BLOCK)
    wanted = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    scale = wanted.astype(np.float16)
    scale = np.where(scale.astype(np.float32) < wanted, np.nextafter(scale, np.float16(np.inf)), scale).astype(np.float32)
    steps = np.rint(blocks * (np.float32(1) / scale))
    return (steps * scale.astype(np.float64)).reshape(x.shape)


ROUNDINGS = {"f32": lambda x: x, "f16": to_f16, "q8_0": to_q8_0}


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rope(x, base, factors):
    """Pairs of neighbours; x: positions, heads, head size."""
    size = x.shape[-1]
    angles = np.arange(x.shape[0])[:, None] * (base ** (-np.arange(0, size, 2) / size) / factors)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out


def attention(q, k, v):
    n, scores = len(q), np.einsum("ihd,jd->hij", q, k[:, 0]) / math.sqrt(q.shape[-1])
    scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hij,jd->ihd", weights / weights.sum(-1, keepdims=True), v[:, 0]).reshape(n, -1)


def log_probabilities(model, tokens, rounded):
    key, at = (lambda name: model.keys["llama." + name]), model.tensors
    heads, eps, base = key("attention.head_count"), key("attention.layer_norm_rms_epsilon"), key("rope.freq_base")
    assert key("attention.head_count_kv") == 1
    x, n = at["token_embd.weight"][tokens], len(tokens)
    for layer in range(key("block_count")):
        w = lambda name: at[f"blk.{layer}.{name}.weight"].T
        h = rms_norm(x, w("attn_norm"), eps)
        q, k = (rope((h @ w(name)).reshape(n, -1, key("rope.dimension_count")), base, at["rope_freqs.weight"])
                for name in ("attn_q", "attn_k"))
        assert q.shape[1] == heads
        v = (h @ w("attn_v")).reshape(n, 1, -1)
        x = x + attention(q, rounded(k), rounded(v)) @ w("attn_output")
        h = rms_norm(x, w("ffn_norm"), eps)
        gate = h @ w("ffn_gate")
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up"))) @ w("ffn_down")
    logits = rms_norm(x, at["output_norm.weight"], eps) @ at["token_embd.weight"].T
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def of_shoal(shoal, path, tokens, kv):
    done = subprocess.run([shoal, "logits", path, ",".join(map(str, tokens)), "--top", "1000000", "--kv", kv], check=True,
                          capture_output=True, text=True)
    return [dict(json.loads(line)["top"]) for line in done.stdout.splitlines()]


def largest(wanted, other):
    """Over the tokens that `wanted` lists at each position."""
    return max(abs(other[pos][token] - p) for pos, top in enumerate(wanted) for token, p in top.items())


def listed(path):
    return [{token: math.log(p) for token, p in json.loads(line)["top"]} for line in open(path)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("--shoal", default="build/shoal")
    parser.add_argument("--llama")
    options = parser.parse_args()
    path = os.path.join(options.reference, "arch", "llama3.gguf")
    answers = path.replace(".gguf", ".probs.jsonl")
    wanted, tokens = listed(answers), [json.loads(line)["token"] for line in open(answers)]
    model = Gguf(path)
    print("| keys and values | double precision to llama.cpp's f32 | shoal to that | shoal to double precision |")
    print("| --- | ---: | ---: | ---: |")
    for kv, rounded in ROUNDINGS.items():
        exact, ours = log_probabilities(model, tokens, rounded), of_shoal(options.shoal, path, tokens, kv)
        here = [{token: exact[pos][token] for token in top} for pos, top in enumerate(wanted)]
        print(f"| {kv} | {largest(wanted, here):.2g} | {largest(wanted, ours):.2g} | {largest(here, ours):.2g} |")
    if options.llama:
        theirs = listed(options.llama)
        common = [{t: p for t, p in top.items() if t in theirs[pos]} for pos, top in enumerate(wanted)]
        print(f"| f16, llama.cpp's own | | {largest(common, theirs):.2g} | |")


if __name__ == "__main__":
    main()
