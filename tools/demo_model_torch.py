"""The model of train_demo_model.py in torch, and its optimizer: made for one processor core."""
import torch
from torch import nn
import torch.nn.functional as F


def build(cfg):
    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            r = torch.rsqrt(x.square().mean(-1, keepdim=True) + cfg['eps'])
            y = x * r
            ctx.save_for_backward(y, r, w)
            return y * w

        @staticmethod
        def backward(ctx, g):
            y, r, w = ctx.saved_tensors
            gw = (g * y).flatten(0, -2).sum(0)
            g = g * w
            return (g - y * (g * y).mean(-1, keepdim=True)) * r, gw

    class Gate(torch.autograd.Function):
        """silu(gate) * up, for gate and up side by side."""
        @staticmethod
        def forward(ctx, gu):
            g, u = gu.chunk(2, -1)
            s = torch.sigmoid(g)
            a = g * s
            ctx.save_for_backward(gu, s, a)
            return a * u

        @staticmethod
        def backward(ctx, d):
            gu, s, a = ctx.saved_tensors
            u = gu.chunk(2, -1)[1]
            out = torch.empty_like(gu)
            og, ou = out.chunk(2, -1)
            torch.mul(d, a, out=ou)
            torch.addcmul(s, a, 1 - s, out=og)          # silu' = s + g s (1 - s)
            og.mul_(d).mul_(u)
            return out

    class Linear(torch.autograd.Function):
        """x @ w.T multiplied in bfloat16 where gradients are wanted (twice as fast); weights and sums stay float32."""
        @staticmethod
        def forward(ctx, x, w, exact):
            xb, wb = x.bfloat16(), w.bfloat16()
            ctx.save_for_backward(xb, wb)
            return F.linear(x, w) if exact else F.linear(xb, wb).float()

        @staticmethod
        def backward(ctx, g):
            xb, wb = ctx.saved_tensors
            g = g.bfloat16()
            return (g @ wb).float(), (g.flatten(0, -2).t() @ xb.flatten(0, -2)).float(), None

    def linear(x, w, exact=False):
        return Linear.apply(x, w, exact) if torch.is_grad_enabled() and cfg['bf16'] else F.linear(x, w)

    dim, H, K, ffn, L = cfg['dim'], cfg['heads'], cfg['kv_heads'], cfg['ffn'], cfg['layers']
    hd, G = dim // H, H // K

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn_norm, self.ffn_norm = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.ones(dim))
            self.qkv = nn.Parameter(torch.randn((H + 2 * K) * hd, dim) * dim ** -0.5 * 0.8)
            self.out = nn.Parameter(torch.zeros(dim, dim))
            self.gate_up = nn.Parameter(torch.randn(2 * ffn, dim) * dim ** -0.5 * 0.8)
            self.down = nn.Parameter(torch.zeros(dim, ffn))

        def forward(self, x, rot, mask):
            B, T, _ = x.shape
            qkv = linear(Norm.apply(x, self.attn_norm), self.qkv)
            qk, v = qkv.split([(H + K) * hd, K * hd], -1)
            qk = torch.view_as_real(torch.view_as_complex(qk.reshape(B, T, H + K, hd // 2, 2)) * rot).flatten(3)
            q, k = qk.split([H, K], 2)
            q = q.reshape(B, T, K, G, hd).permute(0, 2, 3, 1, 4).reshape(B * K, G * T, hd)
            k = k.permute(0, 2, 3, 1).reshape(B * K, hd, T)
            v = v.reshape(B, T, K, hd).transpose(1, 2).reshape(B * K, T, hd)
            s = torch.baddbmm(mask, q, k, alpha=hd ** -0.5).softmax(-1)
            o = torch.bmm(s, v).view(B, K, G, T, hd).permute(0, 3, 1, 2, 4).reshape(B, T, dim)
            x = x + linear(o, self.out)
            return x + linear(Gate.apply(linear(Norm.apply(x, self.ffn_norm), self.gate_up)), self.down)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Parameter(torch.randn(cfg['vocab'], dim) * 0.02)
            self.layers = nn.ModuleList(Layer() for _ in range(L))
            self.norm = nn.Parameter(torch.ones(dim))
            self.tables = {}

        def table(self, T):
            if T not in self.tables:
                f = cfg['rope_base'] ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
                t = torch.outer(torch.arange(T, dtype=torch.float64), f)
                rot = torch.polar(torch.ones_like(t), t).to(torch.complex64)[:, None]
                mask = torch.full((T, T), float('-inf')).triu(1).repeat(G, 1)[None]
                self.tables[T] = rot, mask
            return self.tables[T]

        def forward(self, ids):
            rot, mask = self.table(ids.shape[1])
            x = F.embedding(ids, self.embed)
            for layer in self.layers:
                x = layer(x, rot, mask)
            return linear(Norm.apply(x, self.norm), self.embed, True)

        @torch.no_grad()
        def greedy(self, ids, n):
            """ids (rows, P) and the n tokens that follow each row, most probable first; keys and values are kept."""
            B, P = ids.shape
            rot, mask = self.table(P + n)
            rot, mask = rot[:P], mask.view(G, P + n, P + n)[:, :P, :P].reshape(1, G * P, P)
            full, cache, step = self.table(P + n)[0], [], ids
            for t in range(n):
                x = F.embedding(step, self.embed)
                T = x.shape[1]
                for i, l in enumerate(self.layers):
                    qkv = F.linear(Norm.apply(x, l.attn_norm), l.qkv)
                    qk, v = qkv.split([(H + K) * hd, K * hd], -1)
                    qk = torch.view_as_real(torch.view_as_complex(qk.reshape(B, T, H + K, hd // 2, 2)) * rot).flatten(3)
                    q, k = qk.split([H, K], 2)
                    q = q.reshape(B, T, K, G, hd).permute(0, 2, 3, 1, 4).reshape(B * K, G * T, hd)
                    k = k.transpose(1, 2).reshape(B * K, T, hd)
                    v = v.reshape(B, T, K, hd).transpose(1, 2).reshape(B * K, T, hd)
                    if t == 0:
                        cache.append((torch.empty(B * K, P + n, hd), torch.empty(B * K, P + n, hd)))
                    a, b = (0, P) if t == 0 else (P + t - 1, P + t)
                    cache[i][0][:, a:b], cache[i][1][:, a:b] = k, v
                    w = torch.bmm(q, cache[i][0][:, :b].transpose(1, 2)) * hd ** -0.5
                    w = (w + mask if t == 0 else w).softmax(-1)
                    o = torch.bmm(w, cache[i][1][:, :b])
                    x = x + F.linear(o.view(B, K, G, T, hd).permute(0, 3, 1, 2, 4).reshape(B, T, dim), l.out)
                    x = x + F.linear(Gate.apply(F.linear(Norm.apply(x, l.ffn_norm), l.gate_up)), l.down)
                step = F.linear(Norm.apply(x[:, -1:], self.norm), self.embed).argmax(-1)
                ids = torch.cat([ids, step], 1)
                rot = full[P + t:P + t + 1]
            return ids

        def loss(self, rows):
            return F.cross_entropy(self(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())

    return Model()


class Optimizer:
    """Matrices of the layers: momentum whose direction is made orthogonal by five Newton-Schulz steps (unit-scale update);
    embedding and norms: AdamW. `plain` uses AdamW for all."""

    def __init__(self, model, cfg, plain):
        H, K, hd = cfg['heads'], cfg['kv_heads'], cfg['dim'] // cfg['heads']
        cuts = {'qkv': [H * hd, K * hd, K * hd], 'out': None, 'gate_up': [cfg['ffn']] * 2, 'down': None}
        self.groups = [] if plain else [([getattr(l, n) for l in model.layers], c) for n, c in cuts.items()]
        inside = {id(p) for g, _ in self.groups for p in g}
        rest = [p for p in model.parameters() if id(p) not in inside]
        self.momentum = [torch.zeros(len(g), *g[0].shape) for g, _ in self.groups]
        self.adam = torch.optim.AdamW([dict(params=[p for p in rest if p.ndim > 1], weight_decay=0.1 if plain else 0.01),
                                       dict(params=[p for p in rest if p.ndim == 1], weight_decay=0.0)],
                                      lr=1e-3, betas=(0.9, 0.95), eps=1e-8, foreach=True)
        self.plain = plain

    @staticmethod
    def orthogonal(m):
        tall = m.shape[1] > m.shape[2]
        x = m.transpose(1, 2) if tall else m
        x = (x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)).bfloat16()
        for _ in range(5):
            s = x @ x.transpose(1, 2)
            x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
        return (x.transpose(1, 2) if tall else x).float() * max(1, m.shape[1] / m.shape[2]) ** 0.5

    def step(self, scale, cfg):
        for g in self.adam.param_groups:
            g['lr'] = scale * (cfg['lr_adam'] if self.plain else cfg['lr_embed'])
        self.adam.step()
        lr = scale * cfg['lr_matrix']
        for (group, cut), mom in zip(self.groups, self.momentum):
            g = torch.stack([p.grad for p in group])
            mom.lerp_(g, 0.05)
            u = g.lerp_(mom, 0.95)
            u = torch.cat([self.orthogonal(c) for c in u.split(cut, 1)], 1) if cut else self.orthogonal(u)
            for p, d in zip(group, u):
                p.mul_(1 - lr * cfg['decay']).add_(d, alpha=-lr)

    def state(self):
        return dict(adam=self.adam.state_dict(), momentum=self.momentum)

    def load(self, s):
        self.adam.load_state_dict(s['adam'])
        self.momentum = s['momentum']
