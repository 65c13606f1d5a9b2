#!/usr/bin/python3
"""Makes models/shoal-demo.gguf: fetches prose, trains a tokenizer and a small llama model on the CPU, writes a GGUF file.

usage: train_demo_model.py all    --work DIR --out FILE [--minutes M] [--resume]     everything below, in order
       train_demo_model.py data   --work DIR                  fetch and clean the corpora, train the tokenizer, encode
       train_demo_model.py train  --work DIR [--minutes M] [--resume]
       train_demo_model.py export --work DIR --out FILE       checkpoint -> GGUF (matrices Q8_0, norms F32)
       train_demo_model.py verify --work DIR --out FILE       the file against the checkpoint, and loss on held-back text
       train_demo_model.py sample FILE [--prompt TEXT] [--chat] [--tokens N] [--temperature T] [--seed N]
       train_demo_model.py facts  --work DIR                  the tables of the model card
       train_demo_model.py bench  --work DIR [--dim N --ffn N ...]                      tokens per second of a shape

Needs Debian's python3-torch, python3-numpy and python3-regex, and apt to fetch the corpora (see demo_model_corpus.py).
Training is ruled by the clock: --minutes is the length of the run, the learning rate ends at zero when they are over.
"""
import argparse, collections, json, math, os, pathlib, random, re, sys, time
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')       # read when numpy or torch loads it; one thread, as for torch
import numpy as np
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import demo_model_corpus as corpus
import demo_model_gguf as gguf
from demo_model_gguf import ARR, BOOL, F32, I32, STR, U32
from demo_model_tokenizer import SPLIT, Tokenizer, train as train_bpe

TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}")


def replace(path, writer):
    tmp = path.with_name(path.name + '.part')
    writer(tmp)
    os.replace(tmp, path)


# ---- data ------------------------------------------------------------------------------------------------------------

def make_data(a):
    work, t0 = a.work, time.time()
    versions = corpus.fetch(work)
    docs = corpus.documents(work)
    held, kept = [d for d in docs if corpus.held_back(d)], [d for d in docs if not corpus.held_back(d)]
    words = collections.Counter(w.lower() for d in docs for p in d[2] for w in re.findall('[A-Za-z]+', p))
    rng = random.Random(a.seed)
    pairs = corpus.glosses(work / 'packages' / 'wordnet-base', words)
    talks = corpus.dialogues(kept, pairs, rng)
    rng.shuffle(kept)
    size = sum(len(p) + 1 for d in docs for p in d[2])
    print(f'seed {a.seed}: {len(docs)} documents, {size / 1e6:.2f} MB of prose, {len(held)} documents held back; '
          f'{len(talks)} dialogues', flush=True)
    counts = collections.Counter()
    for d in kept:
        counts.update(SPLIT.findall('\n'.join(d[2])))
    for t in talks:
        for _, text in t:
            if len(text) < 160:
                counts.update(SPLIT.findall(text))
    merges = train_bpe(counts, a.vocab)
    tok = Tokenizer(merges)
    talks += corpus.greetings(pairs, rng, 200)
    rng.shuffle(talks)
    print(f'tokenizer: {len(tok.tokens)} tokens, {time.time() - t0:.0f} s', flush=True)

    def stream(some):
        ids, starts = [], []
        for d in some:
            ids.append(tok.bos)
            for i, p in enumerate(d[2]):
                if len(p) > 60:
                    starts.append(len(ids))
                ids += tok.encode(p + ('\n' if i + 1 < len(d[2]) else ''))
            ids.append(tok.eos)
        return ids, starts

    role = {'system': tok.system, 'user': tok.user, 'assistant': tok.assistant}
    chat, chat_starts = [], []
    for t in talks:
        chat_starts.append(len(chat))
        chat.append(tok.bos)
        for who, text in t:
            chat += [role[who], *tok.encode(text), tok.eos]
    prose, prose_starts = stream(kept)
    valid, _ = stream(held)
    arrays = dict(prose=(prose, np.uint16), prose_starts=(prose_starts, np.uint32), chat=(chat, np.uint16),
                  chat_starts=(chat_starts, np.uint32), valid=(valid, np.uint16))
    for name, (v, t) in arrays.items():
        replace(work / f'{name}.bin', lambda p: np.array(v, t).tofile(p))
    sources = collections.OrderedDict()
    for d in docs:
        s = sources.setdefault(d[0], dict(version=versions[d[0]], taken=corpus.PACKAGES[d[0]][0],
                                          licence=corpus.PACKAGES[d[0]][1], documents=0, bytes=0))
        s['documents'] += 1
        s['bytes'] += sum(len(p) + 1 for p in d[2])
    s = sources['wordnet-base'] = dict(version=versions['wordnet-base'], taken=corpus.PACKAGES['wordnet-base'][0],
                                       licence=corpus.PACKAGES['wordnet-base'][1], documents=len(pairs),
                                       bytes=sum(len(q) + len(w) for _, q, w in pairs))
    facts = dict(seed=a.seed, merges=merges, sources=sources, prose_tokens=len(prose), chat_tokens=len(chat),
                 dialogues=len(talks), valid_tokens=len(valid), valid_documents=len(held),
                 valid_bytes=sum(len(p) + 1 for d in held for p in d[2]))
    replace(work / 'data.json', lambda p: p.write_text(json.dumps(facts)))
    print(f"prose {len(prose)} tokens, chat {len(chat)}, held back {len(valid)} "
          f"({facts['valid_bytes'] / len(valid):.2f} bytes a token); {time.time() - t0:.0f} s", flush=True)


class Data:
    def __init__(self, work):
        self.facts = json.loads((work / 'data.json').read_text())
        self.tok = Tokenizer(self.facts['merges'])

        def load(n, t=np.uint16):
            return np.memmap(work / f'{n}.bin', t, 'r')

        self.prose, self.chat, self.valid = load('prose'), load('chat'), load('valid')
        self.prose_starts, self.chat_starts = load('prose_starts', np.uint32), load('chat_starts', np.uint32)

    def batch(self, rng, rows, length, chat_share):
        """Rows of length + 1: dialogues, windows of prose anywhere, and windows that begin with a paragraph after BOS."""
        out = np.empty((rows, length + 1), np.int64)
        for r in range(rows):
            u = rng.random()
            if u < chat_share:
                starts = self.chat_starts
                p = starts[rng.integers(len(starts))]
                row = self.chat[min(p, len(self.chat) - length - 1):][:length + 1]
            elif u < chat_share + (1 - chat_share) * 0.5:
                p = self.prose_starts[rng.integers(len(self.prose_starts))]
                p = min(p, len(self.prose) - length)
                out[r, 0] = self.tok.bos
                out[r, 1:] = self.prose[p:p + length]
                continue
            else:
                p = rng.integers(len(self.prose) - length)
                row = self.prose[p:p + length + 1]
            out[r] = row
        return out


# ---- training --------------------------------------------------------------------------------------------------------

def config(a):
    return dict(dim=a.dim, ffn=a.ffn, layers=8, heads=a.heads, kv_heads=a.kv_heads, vocab=a.vocab, eps=1e-5, rope_base=10000.0,
                context=a.length[1], lr_adam=3e-3, lr_embed=3e-3, lr_matrix=0.02, decay=0.05,
                bf16='avx512_bf16' in pathlib.Path('/proc/cpuinfo').read_text())


def threads():
    """torch on one thread, and the model that needs it; commands that only read a GGUF file do without torch."""
    global torch, build, Optimizer
    import torch
    from demo_model_torch import Optimizer, build
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def held_back_loss(model, valid, length, limit=None):
    """Mean loss per token over windows that follow one another."""
    n = (len(valid) - 1) // length
    rows = np.stack([valid[i * length:i * length + length + 1] for i in range(n)][:limit]).astype(np.int64)
    with torch.no_grad():
        parts = [(model.loss(torch.from_numpy(rows[i:i + 8])).item(), len(rows[i:i + 8])) for i in range(0, len(rows), 8)]
    return sum(v * k for v, k in parts) / sum(k for _, k in parts)


def repeats(ids, begin, eos, n):
    """Marks the tokens from `begin` on that end an n-gram which their row has had before; nothing counts after EOS."""
    out = np.zeros(ids.shape, bool)
    for r, row in enumerate(ids.tolist()):
        seen = set()
        for t in range(n - 1, len(row)):
            if t >= begin and row[t - 1] == eos:
                break
            gram = tuple(row[t - n + 1:t + 1])
            out[r, t] = t >= begin and gram in seen
            seen.add(gram)
    return out


def circles(model, data, rng, rows, prompt, n):
    """A loss on running in circles: from short prompts the model writes n tokens, always the most probable one, and the
    tokens that close a repeated group of three are made less probable: the mean of -log(1 - p) over all n."""
    ids = model.greedy(torch.from_numpy(data.batch(rng, rows, prompt - 1, 0.25)), n)
    mark = torch.from_numpy(repeats(ids.numpy(), prompt, data.tok.eos, 3)[:, 1:])
    logits = model(ids[:, :-1])
    p = logits[mark].softmax(-1).gather(1, ids[:, 1:][mark][:, None]).clamp(max=1 - 1e-5)
    return -torch.log1p(-p).sum() / (rows * n), mark.sum().item() / (rows * n)


def train(a):
    threads()
    data, cfg = Data(a.work), config(a)
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    model = build(cfg)
    opt = Optimizer(model, cfg, a.optimizer == 'adamw')
    check, done = a.work / 'checkpoint.pt', dict(step=0, tokens=0, seconds=0.0, evals=[])
    if a.resume and check.exists():
        c = torch.load(check)
        done, cfg = c['done'], dict(c['cfg'], bf16=cfg['bf16'])
        model = build(cfg)
        model.load_state_dict(c['model'])
        opt = Optimizer(model, cfg, a.optimizer == 'adamw')
        opt.load(c['optimizer'])
        rng.bit_generator.state = c['rng']
    n = sum(p.numel() for p in model.parameters())
    print(f'seed {a.seed}: {n} parameters, {json.dumps(cfg)}, {a.optimizer}, {a.minutes} minutes, batch {a.batch} tokens',
          flush=True)

    def save():
        state = dict(model=model.state_dict(), optimizer=opt.state(), done=done, cfg=cfg, rng=rng.bit_generator.state)
        replace(check, lambda p: torch.save(state, p))

    def evaluate():
        loss = held_back_loss(model, data.valid, 256, 64)
        done['evals'].append((done['step'], done['tokens'], round(done['seconds']), loss))
        print(f"  held back: {loss:.4f}", flush=True)

    total, params = a.minutes * 60, list(model.parameters())
    repeated = None
    mean, last_save, last_eval, last_print = None, done['seconds'], done['seconds'], (done['seconds'], done['tokens'])
    tick = time.monotonic()
    while done['seconds'] < total and (not a.steps or done['step'] < a.steps):
        f = done['seconds'] / total
        scale = min(1, (done['step'] + 1) / 60) * min(1, (1 - f) / (1 - a.hold))
        length = a.length[0] if f < a.grow else a.length[1]
        rows = max(1, a.batch // length)
        micro = max(1, min(rows, a.micro // length))
        batch = torch.from_numpy(data.batch(rng, rows, length, a.chat_share))
        loss = 0.0
        for part in batch.split(micro):
            l = model.loss(part) * (len(part) / rows)
            l.backward()
            loss += l.item()
        if f > a.straighten and done['step'] % 2 == 0:
            l, share = circles(model, data, rng, a.rows, int(rng.integers(4, 40)), 72)
            (a.weight * l).backward()
            repeated = share if repeated is None else 0.95 * repeated + 0.05 * share
        with torch.no_grad():
            if opt.plain:
                torch.nn.utils.clip_grad_norm_(params, 1.0)
            opt.step(scale, cfg)
        for p in params:
            p.grad = None
        now = time.monotonic()
        done['seconds'] += now - tick
        tick = now
        done['step'] += 1
        done['tokens'] += rows * length
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if done['seconds'] - last_print[0] > 15:
            rate = (done['tokens'] - last_print[1]) / (done['seconds'] - last_print[0])
            print(f"step {done['step']}  {done['tokens'] / 1e6:.2f} M tokens  loss {mean:.4f}  {rate:.0f} tokens/s  "
                  f"lr x{scale:.3f}  " + (f'repeats {repeated:.3f}  ' if repeated is not None else '')
                  + f"ETA {(total - done['seconds']) / 60:.1f} min", flush=True)
            last_print = (done['seconds'], done['tokens'])
        if done['seconds'] - last_eval > 300:
            evaluate()
            last_eval, tick = done['seconds'], time.monotonic()
        if done['seconds'] - last_save > 180:
            save()
            last_save = done['seconds']
    evaluate()
    done['finished'] = True
    save()
    print(f"done: {done['step']} steps, {done['tokens']} tokens, {done['seconds'] / 60:.1f} minutes", flush=True)


def bench(a):
    threads()
    cfg = config(a)
    model = build(cfg)
    opt = Optimizer(model, cfg, a.optimizer == 'adamw')
    n = sum(p.numel() for p in model.parameters())
    for length in a.length:
        rows = a.batch // length
        ids = torch.randint(cfg['vocab'], (rows, length + 1))
        t = []
        for _ in range(4):
            t0 = time.time()
            for part in ids.split(max(1, a.micro // length)):
                model.loss(part).backward()
            t1 = time.time()
            with torch.no_grad():
                opt.step(0.1, cfg)
            t.append((t1 - t0, time.time() - t1))
        g, o = min(x for x, _ in t), min(y for _, y in t)
        print(f'dim {a.dim} ffn {a.ffn} heads {a.heads}/{a.kv_heads} length {length} micro {a.micro}: {n} parameters, '
              f'{rows * length / g:.0f} tokens/s, step {o:.2f} s, {rows * length / (g + o):.0f} tokens/s in all', flush=True)


# ---- GGUF ------------------------------------------------------------------------------------------------------------

def tensors(model, cfg):
    H, K, hd = cfg['heads'], cfg['kv_heads'], cfg['dim'] // cfg['heads']

    def g(p):
        return p.detach().numpy()

    out = [('token_embd.weight', g(model.embed)), ('output_norm.weight', g(model.norm))]
    for i, l in enumerate(model.layers):
        q, k, v = np.split(g(l.qkv), [H * hd, (H + K) * hd])
        gate, up = np.split(g(l.gate_up), 2)
        for name, v in (('attn_norm', g(l.attn_norm)), ('attn_q', q), ('attn_k', k), ('attn_v', v), ('attn_output', g(l.out)),
                        ('ffn_norm', g(l.ffn_norm)), ('ffn_gate', gate), ('ffn_up', up), ('ffn_down', g(l.down))):
            out.append((f'blk.{i}.{name}.weight', v))
    return out


def load_checkpoint(a):
    threads()
    c = torch.load(a.work / 'checkpoint.pt')
    model = build(dict(c['cfg'], bf16=False))
    model.load_state_dict(c['model'])
    return model.eval(), c


def export(a):
    model, c = load_checkpoint(a)
    tok, cfg = Data(a.work).tok, c['cfg']

    def u(k, v):
        return 'llama.' + k, U32, v

    keys = [('general.architecture', STR, 'llama'), ('general.name', STR, 'shoal demo'),
            ('general.description', STR, 'A very small language model of English prose, the demonstration model of shoal'),
            ('general.license', STR, 'gpl-3.0'), ('general.file_type', U32, 7), ('general.quantization_version', U32, 2),
            u('block_count', cfg['layers']), u('context_length', cfg['context']), u('embedding_length', cfg['dim']),
            u('feed_forward_length', cfg['ffn']), u('attention.head_count', cfg['heads']),
            u('attention.head_count_kv', cfg['kv_heads']), u('rope.dimension_count', cfg['dim'] // cfg['heads']),
            u('vocab_size', cfg['vocab']), ('llama.attention.layer_norm_rms_epsilon', F32, cfg['eps']),
            ('llama.rope.freq_base', F32, cfg['rope_base']),
            ('tokenizer.ggml.model', STR, 'gpt2'), ('tokenizer.ggml.pre', STR, 'gpt-2'),
            ('tokenizer.ggml.tokens', ARR, (STR, tok.tokens)), ('tokenizer.ggml.token_type', ARR, (I32, tok.types)),
            ('tokenizer.ggml.merges', ARR, (STR, [a + ' ' + b for a, b in tok.merges])),
            ('tokenizer.ggml.bos_token_id', U32, tok.bos), ('tokenizer.ggml.eos_token_id', U32, tok.eos),
            ('tokenizer.ggml.padding_token_id', U32, tok.eos), ('tokenizer.ggml.add_bos_token', BOOL, True),
            ('tokenizer.ggml.add_space_prefix', BOOL, False), ('tokenizer.chat_template', STR, TEMPLATE)]
    a.out.parent.mkdir(parents=True, exist_ok=True)
    gguf.write(a.out, keys, tensors(model, cfg))
    d = c['done']
    print(f"{a.out}: {a.out.stat().st_size} bytes, after {d['step']} steps, {d['tokens']} tokens, {d['seconds'] / 60:.1f} minutes")


def verify(a):
    """The numpy pass over the file against torch (full and dequantised weights); loss on all held-back text."""
    model, c = load_checkpoint(a)
    data, file = Data(a.work), gguf.Llama(a.out)
    ids = data.valid[:256].astype(np.int64)
    logits = file.forward(ids)
    with torch.no_grad():
        full = model(torch.from_numpy(ids)[None])[0].numpy()
        nats = held_back_loss(model, data.valid, 256)
        w, cfg = file.w, c['cfg']

        def t(name):
            return torch.from_numpy(np.array(w[name + '.weight']))

        model.embed.copy_(t('token_embd'))
        model.norm.copy_(t('output_norm'))
        for i, l in enumerate(model.layers):
            def n(s):
                return t(f'blk.{i}.{s}')
            l.attn_norm.copy_(n('attn_norm'))
            l.ffn_norm.copy_(n('ffn_norm'))
            l.qkv.copy_(torch.cat([n('attn_q'), n('attn_k'), n('attn_v')]))
            l.out.copy_(n('attn_output'))
            l.gate_up.copy_(torch.cat([n('ffn_gate'), n('ffn_up')]))
            l.down.copy_(n('ffn_down'))
        same = model(torch.from_numpy(ids)[None])[0].numpy()
        q = {n: held_back_loss(model, data.valid, n) for n in (256, cfg['context'])}
    bits = data.facts['valid_tokens'] / data.facts['valid_bytes'] / math.log(2)
    print(f'largest difference of a logit over {len(ids)} positions: {np.abs(logits - same).max():.2e} (same weights), '
          f'{np.abs(logits - full).max():.3f} (before Q8_0); same best token at {(logits.argmax(1) == full.argmax(1)).mean():.1%}')
    print(f"held back, {data.facts['valid_tokens']} tokens: {nats:.4f} nats a token before Q8_0; from the file "
          + '; '.join(f'{v:.4f} nats, {v * bits:.4f} bits a byte in windows of {n}' for n, v in q.items()))


def generate(model, tok, ids, n, temperature, seed, stop=True):
    rng, out = np.random.default_rng(seed), []
    model.reset()
    logits = model.forward(np.array(ids))[-1]
    for _ in range(n):
        if temperature > 0:
            z = (logits - logits.max()) / temperature
            p = np.exp(z - np.log(np.exp(z).sum()))
            order = np.argsort(-p)[:40]
            order = order[:int(np.searchsorted(np.cumsum(p[order]), 0.95)) + 1]
            i = int(rng.choice(order, p=p[order] / p[order].sum()))
        else:
            i = int(logits.argmax())
        out.append(i)
        if (stop and i == tok.eos) or model.pos >= model.context:
            break
        logits = model.forward(np.array([i]))[-1]
    return out


def sample(a):
    model = gguf.Llama(a.file)
    k = model.keys
    tok = Tokenizer([m.split(' ') for m in k['tokenizer.ggml.merges']])
    assert tok.tokens == k['tokenizer.ggml.tokens']
    for prompt in a.prompt or ['Once upon a time']:
        ids = [tok.bos] + ([tok.user, *tok.encode(prompt), tok.eos, tok.assistant] if a.chat else tok.encode(prompt))
        out = generate(model, tok, ids, a.tokens, a.temperature, a.seed)
        print(('> ' + prompt + '\n' if a.chat else prompt) + tok.decode(out).replace('<|end|>', ' <|end|>') + '\n', flush=True)


def facts(a):
    """The measured part of the model card."""
    data, (_, c) = Data(a.work), load_checkpoint(a)
    f, d, merged = data.facts, c['done'], collections.OrderedDict()
    for name, s in f['sources'].items():
        m = merged.setdefault(re.sub('^(wesnoth-[0-9.]+)-.*', r'\1-*', name), dict(s, documents=0, bytes=0, packages=0))
        for k, n in (('documents', s['documents']), ('bytes', s['bytes']), ('packages', 1)):
            m[k] += n
    print('| package | version | what is taken | licence | documents | bytes |\n| --- | --- | --- | --- | ---: | ---: |')
    for name, s in merged.items():
        n = f" ({s['packages']} packages)" if s['packages'] > 1 else ''
        print(f"| `{name}`{n} | {s['version']} | {s['taken']} | {s['licence']} | {s['documents']:,} | {s['bytes']:,} |")
    print(f"\nprose {f['prose_tokens']:,} tokens; dialogues {f['dialogues']:,}, {f['chat_tokens']:,} tokens; held back "
          f"{f['valid_documents']} documents, {f['valid_tokens']:,} tokens, {f['valid_bytes']:,} bytes")
    print(f"steps {d['step']:,}; tokens {d['tokens']:,}; minutes {d['seconds'] / 60:.1f}\n\n| minutes | tokens | loss |")
    print('| ---: | ---: | ---: |')
    for _, tokens, seconds, loss in d['evals']:
        print(f'| {seconds / 60:.0f} | {tokens:,} | {loss:.4f} |')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('command', choices=['all', 'data', 'train', 'export', 'verify', 'sample', 'facts', 'bench'])
    p.add_argument('file', nargs='?', type=pathlib.Path)
    p.add_argument('--work', type=pathlib.Path, default=pathlib.Path('/tmp/shoal-corpus/work'))
    p.add_argument('--out', type=pathlib.Path, default=pathlib.Path('models/shoal-demo.gguf'))
    p.add_argument('--minutes', type=float, default=100)
    p.add_argument('--resume', action='store_true')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--dim', type=int, default=256)
    p.add_argument('--ffn', type=int, default=512)
    p.add_argument('--heads', type=int, default=4)
    p.add_argument('--kv-heads', type=int, default=2)
    p.add_argument('--length', type=int, nargs=2, default=[256, 512], help='window at first, and in the last part of the run')
    p.add_argument('--grow', type=float, default=0.75, help='share of the run after which the windows are long')
    p.add_argument('--hold', type=float, default=0.3, help='share of the run before the learning rate falls')
    p.add_argument('--straighten', type=float, default=0.75, help='share of the run after which running in circles is punished')
    p.add_argument('--rows', type=int, default=16, help='rows written for that, every second step')
    p.add_argument('--weight', type=float, default=4.0, help='weight of that loss')
    p.add_argument('--batch', type=int, default=6144, help='tokens a step')
    p.add_argument('--micro', type=int, default=1024, help='tokens a pass')
    p.add_argument('--chat-share', type=float, default=0.15)
    p.add_argument('--optimizer', choices=['muon', 'adamw'], default='muon')
    p.add_argument('--steps', type=int, default=0, help='stop after so many steps (for trials)')
    p.add_argument('--prompt', action='append')
    p.add_argument('--chat', action='store_true')
    p.add_argument('--tokens', type=int, default=64)
    p.add_argument('--temperature', type=float, default=0.0)
    a = p.parse_args()
    if a.command == 'all':
        a.work.mkdir(parents=True, exist_ok=True)
        if not (a.resume and (a.work / 'data.json').exists()):
            make_data(a)
        train(a)
        export(a)
        verify(a)
        a.file = a.out
        return sample(a)
    if a.command == 'sample' and not a.file:
        a.file = a.out
    a.work.mkdir(parents=True, exist_ok=True)
    {'data': make_data, 'train': train, 'export': export, 'verify': verify, 'sample': sample, 'facts': facts,
     'bench': bench}[a.command](a)


if __name__ == '__main__':
    main()
