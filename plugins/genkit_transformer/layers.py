"""Layers of attention, and data as tokens.

B data, N tokens, D width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Shape


class Layer(nn.Module):
    """Self-attention, then a dense layer, each with its input normalized first and added last.

    Vaswani et al. 2017 (arXiv:1706.03762), with the normalization before each part (Xiong et al. 2020,
    arXiv:2002.04745).

    Args:
        width: D.
        heads: the number of heads, a divisor of D.
        dropout: the share of the values of both parts that training leaves out.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, there: Tensor | None) -> Tensor:
        """Tokens (B, N, D), and which of them there are, (B, 1, 1, N) -> (B, N, D)."""
        split = self.queries_keys_values(self.norms[0](tokens)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = split.movedim(1, 3).unbind(1)  # (B, heads, N, D / heads)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=there)
        tokens = tokens + self.dropout(self.joined(attended.transpose(1, 2).flatten(2)))
        output: Tensor = tokens + self.dropout(self.dense(self.norms[1](tokens)))
        return output


class Tokens:
    """Data as tokens: the steps of series (T, F), or the square patches of images (C, H, W).

    Args:
        who: the part, for messages.
        shape: the shape of a datum.
        patch: the height and width of a patch.

    Raises:
        ComponentError: the data are neither, or patches do not fill the images.
    """

    def __init__(self, who: str, shape: Shape, patch: int) -> None:
        if len(shape) not in (2, 3):
            raise ComponentError(f"{who} takes series (T, F) or images (C, H, W), not data of shape {shape}")
        self.shape, self.patch = shape, patch
        if len(shape) == 2:
            self.count, self.size = shape
            return
        channels, height, width = shape
        if height % patch or width % patch:
            raise ComponentError(
                f"{who} cuts images into patches of {patch}×{patch}, which do not fill {height}×{width}: choose a "
                "`patch` that divides both"
            )
        self.rows, self.columns = height // patch, width // patch
        self.count, self.size = self.rows * self.columns, channels * patch * patch

    def cut(self, x: Tensor) -> Tensor:
        """x (B, *shape) -> tokens (B, N, size)."""
        if x.ndim == 3:
            return x
        patches: Tensor = x.unflatten(3, (self.columns, self.patch)).unflatten(2, (self.rows, self.patch))
        return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, rows · columns, C · patch²)

    def joined(self, tokens: Tensor) -> Tensor:
        """The inverse of `cut`: tokens (B, N, size) -> (B, *shape)."""
        if len(self.shape) == 2:
            return tokens
        patches: Tensor = tokens.unflatten(2, (self.shape[0], self.patch, self.patch))
        patches = patches.unflatten(1, (self.rows, self.columns))  # (B, rows, columns, C, patch, patch)
        return patches.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
