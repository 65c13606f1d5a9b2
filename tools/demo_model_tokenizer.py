"""A byte-level BPE tokenizer in GPT-2's form: training over word counts, encoding, decoding."""
import collections, heapq
import regex

SPLIT = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
CONTROL = ['<|begin|>', '<|end|>', '<|system|>', '<|user|>', '<|assistant|>']


def byte_names():
    """GPT-2's printable character for each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in names:
            names[b] = chr(256 + extra)
            extra += 1
    return names


NAME = byte_names()
BYTE = {c: b for b, c in NAME.items()}


def train(counts, size):
    """counts: {word: how often}; returns the merges, best first, as pairs of strings, for a vocabulary of `size`."""
    words = [[NAME[b] for b in w.encode()] for w in counts]
    freq = list(counts.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, w in enumerate(words):
        for p in zip(w, w[1:]):
            pairs[p] += freq[i]
            where[p].add(i)
    heap = [(-n, p) for p, n in pairs.items()]
    heapq.heapify(heap)
    merges, vocab = [], set(NAME.values())
    while 256 + len(merges) + len(CONTROL) < size:
        n, pair = heapq.heappop(heap)
        if pairs[pair] != -n:
            if pairs[pair] > 0:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        joined = pair[0] + pair[1]
        if joined in vocab:                      # the same text by another road would make two ids for it
            pairs[pair] = 0
            continue
        merges.append(pair)
        vocab.add(joined)
        changed = set()
        for i in list(where.pop(pair)):
            old, new, k = words[i], [], 0
            while k < len(old):
                if k + 1 < len(old) and (old[k], old[k + 1]) == pair:
                    new.append(joined)
                    k += 2
                else:
                    new.append(old[k])
                    k += 1
            for p in zip(old, old[1:]):
                pairs[p] -= freq[i]
            for p in zip(new, new[1:]):
                pairs[p] += freq[i]
                where[p].add(i)
                changed.add(p)
            words[i] = new
        for p in changed:
            heapq.heappush(heap, (-pairs[p], p))
    return merges


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.tokens = [NAME[b] for b in range(256)] + [a + b for a, b in self.merges] + CONTROL
        self.types = [1] * (256 + len(self.merges)) + [3] * len(CONTROL)
        self.id = {t: i for i, t in enumerate(self.tokens)}
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.cache = {}
        self.bos, self.eos, self.system, self.user, self.assistant = (self.id[c] for c in CONTROL)

    def word(self, w):
        got = self.cache.get(w)
        if got is None:
            parts = [NAME[b] for b in w.encode()]
            while len(parts) > 1:
                best = min(range(len(parts) - 1), key=lambda k: self.rank.get((parts[k], parts[k + 1]), 1 << 30))
                if (parts[best], parts[best + 1]) not in self.rank:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            got = self.cache[w] = [self.id[p] for p in parts]
        return got

    def encode(self, text):
        return [i for w in SPLIT.findall(text) for i in self.word(w)]

    def decode(self, ids):
        out = b''
        for i in ids:
            t = self.tokens[i]
            out += t.encode() if self.types[i] == 3 else bytes(BYTE[c] for c in t)
        return out.decode('utf-8', 'replace')
