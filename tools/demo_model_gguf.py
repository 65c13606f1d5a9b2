"""GGUF writing and reading, Q8_0, and a plain numpy forward pass of the "llama" architecture to check a file with."""
import os, struct
import numpy as np

U32, I32, F32, BOOL, STR, ARR, U64 = 4, 5, 6, 7, 8, 9, 10
FORM = {0: 'B', 1: 'b', 2: 'H', 3: 'h', U32: 'I', I32: 'i', F32: 'f', BOOL: '?', U64: 'Q', 11: 'q', 12: 'd'}
TYPE_F32, TYPE_Q8_0, ALIGN = 0, 8, 32


def q8_0(a):
    """ggml's rule: blocks of 32 along the row, d = amax / 127 as f16, q = round(x / d)."""
    x = np.ascontiguousarray(a, np.float32).reshape(-1, 32)
    d = np.abs(x).max(axis=1) / np.float32(127)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d > 0)
    y = x * inverse[:, None]
    q = (np.sign(y) * np.floor(np.abs(y) + np.float32(0.5))).astype(np.int8)     # halves away from zero, as roundf
    return np.concatenate([d.astype('<f2').view(np.uint8).reshape(-1, 2), q.view(np.uint8)], axis=1).tobytes()


def from_q8_0(raw, shape):
    b = np.frombuffer(raw, np.uint8).reshape(-1, 34)
    d = b[:, :2].copy().view('<f2').astype(np.float32)
    return (b[:, 2:].view(np.int8).astype(np.float32) * d).reshape(shape)


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack('<Q', len(s)) + s


def value(t, v):
    if t == STR:
        return string(v)
    if t == ARR:
        return struct.pack('<IQ', v[0], len(v[1])) + b''.join(value(v[0], x) for x in v[1])
    return struct.pack('<' + FORM[t], v)


def write(path, keys, tensors):
    """keys: [(name, type, value)]; tensors: [(name, array)]: one row is F32, a matrix is Q8_0."""
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(keys))
    for k, t, v in keys:
        head += string(k) + struct.pack('<I', t) + value(t, v)
    offset, blobs = 0, []
    for name, a in tensors:
        matrix = a.ndim == 2
        blob = q8_0(a) if matrix else np.ascontiguousarray(a, '<f4').tobytes()
        blob += bytes(-len(blob) % ALIGN)
        head += string(name) + struct.pack('<I', a.ndim) + b''.join(struct.pack('<Q', n) for n in a.shape[::-1])
        head += struct.pack('<IQ', TYPE_Q8_0 if matrix else TYPE_F32, offset)
        offset += len(blob)
        blobs.append(blob)
    head += bytes(-len(head) % ALIGN)
    tmp = str(path) + '.part'
    with open(tmp, 'wb') as f:
        f.write(head)
        f.writelines(blobs)
    os.replace(tmp, path)


def read(path):
    """Returns (keys, {name: float32 array})."""
    data, o = open(path, 'rb').read(), 0

    def take(form):
        nonlocal o
        v, = struct.unpack_from('<' + form, data, o)
        o += struct.calcsize(form)
        return v

    def text():
        nonlocal o
        n = take('Q')
        o += n
        return data[o - n:o].decode()

    def one(t):
        if t == STR:
            return text()
        if t == ARR:
            et, n = take('I'), take('Q')
            return [one(et) for _ in range(n)]
        return take(FORM[t])

    if data[:4] != b'GGUF':
        raise SystemExit(f'{path}: not a GGUF file')
    o = 4
    take('I')
    n_tensors, n_keys = take('Q'), take('Q')
    keys = {}
    for _ in range(n_keys):
        k = text()
        keys[k] = one(take('I'))
    infos = []
    for _ in range(n_tensors):
        name, nd = text(), take('I')
        infos.append((name, tuple(take('Q') for _ in range(nd))[::-1], take('I'), take('Q')))
    base = o + -o % keys.get('general.alignment', ALIGN)
    tensors = {}
    for name, shape, t, off in infos:
        n = int(np.prod(shape))
        if t == TYPE_F32:
            tensors[name] = np.frombuffer(data, '<f4', n, base + off).reshape(shape)
        elif t == TYPE_Q8_0:
            tensors[name] = from_q8_0(data[base + off:base + off + n // 32 * 34], shape)
        else:
            raise SystemExit(f'{path}: tensor {name} has type {t}; only F32 and Q8_0 are read here')
    return keys, tensors


class Llama:
    """One sequence, keys and values kept; forward() gives the logits after every new token."""

    def __init__(self, path):
        self.keys, self.w = read(path)
        def k(name):
            return self.keys['llama.' + name]

        self.layers, self.heads, self.kv = k('block_count'), k('attention.head_count'), k('attention.head_count_kv')
        self.dim, self.eps, self.context = k('embedding_length'), k('attention.layer_norm_rms_epsilon'), k('context_length')
        self.hd = self.dim // self.heads
        self.freq = k('rope.freq_base') ** (-np.arange(0, self.hd, 2) / self.hd)
        self.reset()

    def reset(self):
        self.cache = [(np.zeros((self.kv, 0, self.hd), np.float32),) * 2 for _ in range(self.layers)]
        self.pos = 0

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(self.eps)) * self.w[name]

    def rope(self, x):                                       # x: heads, T, hd; neighbours are pairs
        t = (np.arange(x.shape[1]) + self.pos)[:, None] * self.freq
        c, s, out = np.cos(t).astype(np.float32), np.sin(t).astype(np.float32), np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * c - x[..., 1::2] * s
        out[..., 1::2] = x[..., 0::2] * s + x[..., 1::2] * c
        return out

    def forward(self, ids):
        w, n = self.w, len(ids)
        x = w['token_embd.weight'][ids]
        for i in range(self.layers):
            b = f'blk.{i}.'
            h = self.norm(x, b + 'attn_norm.weight')
            q, k, v = ((h @ w[f'{b}attn_{c}.weight'].T).reshape(n, heads, self.hd).transpose(1, 0, 2)
                       for c, heads in (('q', self.heads), ('k', self.kv), ('v', self.kv)))
            k = np.concatenate([self.cache[i][0], self.rope(k)], 1)
            v = np.concatenate([self.cache[i][1], v], 1)
            self.cache[i] = (k, v)
            g = self.heads // self.kv
            s = self.rope(q) @ np.repeat(k, g, 0).transpose(0, 2, 1) / np.float32(np.sqrt(self.hd))
            s = np.where(np.arange(k.shape[1]) > (np.arange(n) + self.pos)[:, None], -np.inf, s)
            s = np.exp(s - s.max(-1, keepdims=True))
            o = (s / s.sum(-1, keepdims=True)) @ np.repeat(v, g, 0)
            x = x + o.transpose(1, 0, 2).reshape(n, -1) @ w[b + 'attn_output.weight'].T
            h = self.norm(x, b + 'ffn_norm.weight')
            gate = h @ w[b + 'ffn_gate.weight'].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w[b + 'ffn_up.weight'].T)) @ w[b + 'ffn_down.weight'].T
        self.pos += n
        return self.norm(x, 'output_norm.weight') @ w.get('output.weight', w['token_embd.weight']).T
