#!/usr/bin/env python3
"""Writes a GGUF model anew with its matrices in MXFP4 (OCP microscaling formats 1.0, ggml's type 39).

usage: quantise_mxfp4.py IN.gguf OUT.gguf

IN has F32, F16 or BF16 tensors. A matrix whose rows are whole blocks of 32 becomes MXFP4, all else stays as it is; keys
are copied byte for byte. A block is a byte e and sixteen bytes of nibbles (low ones are values 0..15), each an E2M1
number times 2^(e - 127); e is such that the largest magnitude's power of two becomes 4. Needs python3-numpy.
"""
import os
import struct
import sys

import numpy as np

ALIGN, ARR, STR, MXFP4 = 32, 9, 8, 39
WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
FLOATS = {0: 4, 1: 2, 30: 2}
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float64)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 4

    def number(self, form):
        v, = struct.unpack_from('<' + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v

    def text(self):
        n = self.number('Q')
        self.at += n
        return self.data[self.at - n:self.at]

    def skip_value(self, kind):
        if kind == STR:
            self.text()
        elif kind == ARR:
            inner, n = self.number('I'), self.number('Q')
            if inner in WIDTH:
                self.at += n * WIDTH[inner]
            else:
                for _ in range(n):
                    self.skip_value(inner)
        else:
            self.at += WIDTH[kind]


def load(path):
    """(number of keys, their bytes, [(name, dimensions, type, bytes)])"""
    with open(path, 'rb') as file:
        data = file.read()
    if data[:4] != b'GGUF':
        sys.exit(f'quantise_mxfp4: {path}: not a GGUF file')
    r = Reader(data)
    r.number('I')
    n_tensors, n_keys = r.number('Q'), r.number('Q')
    first = r.at
    for _ in range(n_keys):
        if r.text() == b'general.alignment':
            sys.exit(f'quantise_mxfp4: {path}: has an alignment of its own, which is not copied')
        r.skip_value(r.number('I'))
    keys, infos = data[first:r.at], []
    for _ in range(n_tensors):
        name = r.text()
        dims = [r.number('Q') for _ in range(r.number('I'))]
        infos.append((name, dims, r.number('I'), r.number('Q')))
    base, tensors = r.at + -r.at % ALIGN, []
    for name, dims, kind, offset in infos:
        if kind not in FLOATS:
            sys.exit(f'quantise_mxfp4: {path}: tensor {name.decode()} is of type {kind}; F32, F16 or BF16 is needed')
        size = int(np.prod(dims)) * FLOATS[kind]
        tensors.append((name, dims, kind, data[base + offset:base + offset + size]))
    return n_keys, keys, tensors


def floats(kind, raw):
    if kind == 30:
        return (np.frombuffer(raw, '<u2').astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, '<f4' if kind == 0 else '<f2').astype(np.float32)


def quantise(x):
    x = x.astype(np.float64).reshape(-1, 32)
    largest = np.abs(x).max(axis=1)
    power = np.where(largest > 0, np.frexp(largest)[1] - 1, -1000)      # largest is in [2^power, 2^(power + 1))
    e = np.clip(power - 2 + 127, 0, 254)
    scaled = x / np.exp2(e - 127.0)[:, None]
    code = np.abs(np.abs(scaled)[..., None] - E2M1).argmin(axis=-1).astype(np.uint8) | (scaled < 0).astype(np.uint8) << 3
    nibbles = code[:, :16] | code[:, 16:] << 4
    return np.concatenate([e.astype(np.uint8)[:, None], nibbles], axis=1).tobytes()


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    n_keys, keys, tensors = load(sys.argv[1])
    head, blobs, offset = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), n_keys) + keys, [], 0
    for name, dims, kind, raw in tensors:
        if len(dims) > 1 and dims[0] % 32 == 0:
            kind, raw = MXFP4, quantise(floats(kind, raw))
        head += struct.pack('<Q', len(name)) + name + struct.pack(f'<I{len(dims)}Q', len(dims), *dims)
        head += struct.pack('<IQ', kind, offset)
        blobs.append(raw + bytes(-len(raw) % ALIGN))
        offset += len(blobs[-1])
    part = sys.argv[2] + '.part'
    with open(part, 'wb') as file:
        file.write(head + bytes(-len(head) % ALIGN))
        file.writelines(blobs)
    os.replace(part, sys.argv[2])


main()
