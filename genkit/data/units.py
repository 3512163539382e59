"""Values as the model sees them: bytes are shares of 255."""

from __future__ import annotations

import torch
from torch import Tensor


def as_float(x: Tensor) -> Tensor:
    """The values as the model sees them, in float32: x / 255 for uint8, else x itself."""
    return x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x.to(torch.float32)
