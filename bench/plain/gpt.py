"""A small GPT on the characters of Shakespeare's plays: model and settings of nanoGPT (Karpathy, 2022) for processors.

`python -m bench.plain.gpt [ITERATIONS] [EVERY] [SEED]` trains (2,000 iterations unless told), looks at the whole validation
text after every EVERY of them (250), and prints the loss with the seconds of training so far. Written from the description;
eager float32.
"""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BLOCK, BATCH, LAYERS, HEADS, WIDTH = 64, 12, 4, 4, 128
LR, LOWEST, WARMUP, DECAY, BETAS, CLIP = 1e-3, 1e-4, 100, 0.1, (0.9, 0.99), 1.0


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = (p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.c_attn(x).split(x.shape[2], dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(x.shape))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, bias=False)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, bias=False)
        self.c_fc = nn.Linear(width, 4 * width, bias=False)
        self.c_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary, block, layers, heads, width):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(block, width)
        self.h = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width, bias=False)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight
        for name, p in self.named_parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02)

    def forward(self, idx, targets):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def adamw(model, lr=LR):
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=BETAS, fused=True)


def rate(iteration, iterations):
    if iteration < WARMUP:
        return LR * (iteration + 1) / (WARMUP + 1)
    done = (iteration - WARMUP) / max(1, iterations - WARMUP)
    return LOWEST + 0.5 * (1 + math.cos(math.pi * done)) * (LR - LOWEST)


def text():
    """The plays as characters, uint16: the first nine tenths and the rest, and how many different ones there are."""
    data = (Path(os.environ["DEEPEN_DATA"]) / "shakespeare" / "input.txt").read_text()
    letters = {letter: number for number, letter in enumerate(sorted(set(data)))}
    ids = np.array([letters[letter] for letter in data], dtype=np.uint16)
    return ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :], len(letters)


def get_batch(data, batch, block):
    ix = torch.randint(len(data) - block, (batch,))
    x = torch.stack([torch.from_numpy(data[i : i + block].astype(np.int64)) for i in ix])
    y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + block].astype(np.int64)) for i in ix])
    return x, y


@torch.no_grad()
def validation_loss(model, data, block):
    """Over all tokens, in windows that follow each other."""
    ids = torch.from_numpy(data.astype(np.int64))
    count = (len(ids) - 1) // block
    x, y = ids[: count * block].view(count, block), ids[1 : count * block + 1].view(count, block)
    total = sum(model(x[i : i + 256], y[i : i + 256]).item() * len(x[i : i + 256]) for i in range(0, count, 256))
    return total / count


def main():
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 250
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1337
    torch.manual_seed(seed)
    train, validation, vocabulary = text()
    model = GPT(vocabulary, BLOCK, LAYERS, HEADS, WIDTH)
    optimizer = adamw(model)
    seconds = 0.0
    for iteration in range(iterations):
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate(iteration, iterations)
        loss = model(*get_batch(train, BATCH, BLOCK))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds += time.perf_counter() - start
        if (iteration + 1) % every == 0 or iteration + 1 == iterations:
            found = validation_loss(model, validation, BLOCK)
            print(f"iteration {iteration + 1} seconds {seconds:.2f} validation loss {found:.4f}", flush=True)


if __name__ == "__main__":
    main()
