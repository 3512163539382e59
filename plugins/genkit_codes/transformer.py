"""A causal transformer over sequences of codes.

B sequences, n positions, K codes, W the width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Past = tuple[Tensor, Tensor]
"""Keys and values (B, heads, positions, W / heads) of the positions before."""


class Block(nn.Module):
    """Attention to the positions before and oneself, then two dense layers, each beside the input (pre-norm).

    Args:
        width: the number W.
        heads: the number of attention heads, which divides W.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """All positions (B, n, W); or, with the keys and values of those before, the next one (B, 1, W)."""
        parts = self.projections(self.before_attention(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        if past is not None:
            key, value = (torch.cat([old, new], 2) for old, new in zip(past, (key, value), strict=True))
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.joined(seen.transpose(1, 2).flatten(2))
        return x + self.dense(self.before_dense(x)), (key, value)


class CausalTransformer(nn.Module):
    """log p(k_1, ..., k_n) = Σ_i log p(k_i | k_1, ..., k_(i-1)), of codes k_i (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        count: the number n of positions.
        size: the number K of codes.
        width: the number W.
        layers: the number of blocks.
        heads: the number of attention heads, which divides W.
    """

    def __init__(self, count: int, size: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.count, self.size = count, size
        self.codes = nn.Embedding(size + 1, width)  # the last is the start
        self.places = nn.Parameter(torch.empty(count, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, size)
        self.start_anew()

    def start_anew(self) -> None:
        """Draw all parameters anew."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.LayerNorm):
                layer.reset_parameters()
        for table in (self.codes.weight, self.places):
            nn.init.normal_(table, std=0.02)

    def forward(self, indices: Tensor) -> Tensor:
        """Log p of each code given those before: indices (B, n) -> (B, n) nats."""
        start = torch.full_like(indices[:, :1], self.size)
        x = self.codes(torch.cat([start, indices[:, :-1]], 1)) + self.places
        for block in self.blocks:
            x, _ = block(x)
        logits = self.head(self.norm(x)).log_softmax(-1)
        return logits.gather(-1, indices.unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]

    def sample(self, chance: Tensor) -> Tensor:
        """Codes drawn one after the other, by numbers (B, n) from U(0, 1): (B, n)."""
        pasts: list[Past | None] = [None] * len(self.blocks)
        drawn = [torch.full_like(chance[:, :1], self.size, dtype=torch.int64)]
        for place in range(self.count):
            x = self.codes(drawn[-1]) + self.places[place]
            for number, block in enumerate(self.blocks):
                x, pasts[number] = block(x, pasts[number])
            ends = self.head(self.norm(x[:, 0])).softmax(-1).cumsum(-1)
            below = ends < chance[:, place, None] * ends[:, -1:]
            drawn.append(below.sum(1, keepdim=True).clamp_max(self.size - 1))
        return torch.cat(drawn[1:], 1)
