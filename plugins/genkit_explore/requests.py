"""What the page asks of the explorer, checked before anything is computed.

D latent dimensions.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from torch import Tensor

from genkit import DataError

Point = Annotated[str, Field(max_length=2**22)]
"""A point in latent space: D numbers, float32 of little-endian machines in base64."""
Row = Annotated[int, Field(ge=0)]
Value = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)] | FiniteFloat


class Request(BaseModel):
    """What every question says."""

    model_config = ConfigDict(extra="forbid")

    plane: Annotated[str, Field(max_length=40)] = ""
    """The plane that the page shows: `principal`, `umap`, or two latents such as `0:1`."""
    side: dict[Annotated[str, Field(max_length=100)], Value] = Field(default={}, max_length=100)
    """The side data that the page lets choose."""
    row: Row = 0
    """The datum whose other side data are taken."""


class MoveRequest(Request):
    """Where the point is to be: at z, at a place of the plane (then z is where it was), or at a datum."""

    z: Point | None = None
    to: tuple[FiniteFloat, FiniteFloat] | None = None
    datum: Row | None = None
    noise: bool = False
    """Whether a draw from p(x|z) is shown, not its mean."""


class MapRequest(Request):
    """What is decoded at places of the plane: `count` places along each side, from the lowest to the highest one."""

    z: Point
    low: tuple[FiniteFloat, FiniteFloat]
    high: tuple[FiniteFloat, FiniteFloat]
    count: Annotated[int, Field(ge=2, le=24)]


class PathRequest(Request):
    """A path between two points."""

    start: Point
    stop: Point
    steps: Annotated[int, Field(ge=2, le=201)] = 9


def point(text: str, dimensions: int) -> Tensor:
    """A point (D,) of a request; raises DataError where the text is none."""
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    except (binascii.Error, ValueError):
        raise DataError("z is no base64 of float32") from None
    if len(values) != dimensions or not np.isfinite(values).all():
        raise DataError(f"z has to be {dimensions} finite numbers, not {len(values)}")
    return torch.from_numpy(values.astype(np.float32))
