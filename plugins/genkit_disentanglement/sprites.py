"""Images of one shape, of which all factors are known: a small data set for disentanglement.

N data.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from genkit.interfaces import DataSource, RawData, Side, Split

SHAPES = ("rectangle", "ellipse")
SHORT = 0.5
"""The short axis of a shape, as a share of the long one."""
SIZES, CENTRES = (0.25, 0.5), 0.5
"""The least and the greatest half of a long axis, and the greatest distance of a centre; an image goes from −1 to 1."""
WITHIN = 4
"""How many points in a row of a pixel are looked at, for the share of it that is covered."""

Array = np.ndarray[Any, np.dtype[np.float64]]


class Sprites(DataSource):
    """Every combination of five factors once, as images (N, 1, size, size) with values from 0 to 1.

    A white rectangle or ellipse, half as broad as long, on black. The label is the shape; side data are `x`, `y`,
    `length` and `angle`, indices of even steps. A pixel is the share of it that the shape covers, by 4x4 points. With
    the defaults N is 2 · 8 · 8 · 4 · 4 = 2,048. After dSprites (Matthey et al. 2017).

    Args:
        config: the size, the steps of each factor, and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of the sprites."""

        name: Literal["sprites"] = "sprites"
        size: Annotated[int, Field(ge=8, le=256, description="the height and the width in pixels")] = 16
        positions: Annotated[int, Field(ge=1, le=64, description="the number of places, across and down")] = 8
        lengths: Annotated[int, Field(ge=1, le=64, description="the number of sizes")] = 4
        angles: Annotated[int, Field(ge=1, le=64, description="the number of angles, from 0 to below 180 degrees")] = 4

    config: Config

    def load(self) -> RawData:
        """Draw the images; the same config gives the same data."""
        config = self.config
        steps = {"x": config.positions, "y": config.positions, "length": config.lengths, "angle": config.angles}
        places = np.array([*itertools.product(range(len(SHAPES)), *map(range, steps.values()))])  # (N, 5)
        images = np.stack([self._image(*row) for row in places])
        factors = torch.from_numpy(places)
        side = {name: factors[:, column + 1] for column, name in enumerate(steps)}
        x = torch.from_numpy(images.astype(np.float32)).unsqueeze(1)
        sides = {name: Side((), count) for name, count in steps.items()}
        return RawData(Split(x, factors[:, 0], side), classes=SHAPES, side=sides)

    def _image(self, shape: int, across: int, down: int, length: int, angle: int) -> Array:
        """An image (size, size) of a shape, by the steps of its factors."""
        config, points = self.config, self.config.size * WITHIN
        row = (np.arange(points) + 0.5) / points * 2 - 1
        x = row[np.newaxis, :] - _step(across, config.positions, -CENTRES, CENTRES)
        y = row[:, np.newaxis] - _step(down, config.positions, -CENTRES, CENTRES)
        turn = math.pi * angle / config.angles
        long = _step(length, config.lengths, *SIZES)
        u = (x * math.cos(turn) + y * math.sin(turn)) / long
        v = (y * math.cos(turn) - x * math.sin(turn)) / (SHORT * long)
        covered = np.maximum(np.abs(u), np.abs(v)) <= 1 if shape == 0 else np.square(u) + np.square(v) <= 1
        image: Array = covered.reshape(config.size, WITHIN, config.size, WITHIN).mean((1, 3))
        return image


def _step(place: int, count: int, low: float, high: float) -> float:
    """The value of a factor at one of its even steps; of a single one the middle."""
    return (low + high) / 2 if count == 1 else low + (high - low) * place / (count - 1)
