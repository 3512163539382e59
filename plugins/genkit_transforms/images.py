"""Augmentations: flips, shifts and crops of images, and noise, in training alone.

B data, C channels, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genkit import Augmentation, ComponentError, Shape, normal, uniform


def check_image(shape: Shape) -> None:
    """Refuse a shape that is no image (C, H, W); raises ComponentError."""
    if len(shape) != 3:
        raise ComponentError("it takes images (C, H, W)")


class Flip(Augmentation):
    """Mirrors each image with a probability: left and right, or up and down.

    Args:
        config: the axis and the probability.
        shape: images (C, H, W).
    """

    class Config(Augmentation.Config):
        """Options of the flip."""

        name: Literal["flip"] = "flip"
        axis: Annotated[
            Literal["horizontal", "vertical"],
            Field(description="horizontal: left and right change places; vertical: up and down"),
        ] = "horizontal"
        probability: Annotated[float, Field(ge=0, le=1, description="the share of the images that are mirrored")] = 0.5

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        check_image(shape)
        self.axis, self.probability = 3 if config.axis == "horizontal" else 2, config.probability

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """There is nothing to fit."""

    def augment(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        chosen = uniform(len(x), batch=0, like=x) < self.probability
        return torch.where(chosen.view(-1, 1, 1, 1), x.flip(self.axis), x)


class Shift(Augmentation):
    """Moves each image by whole pixels, drawn from −pixels to pixels along each axis; its edges go on outside.

    Args:
        config: the number of pixels.
        shape: images (C, H, W).
    """

    class Config(Augmentation.Config):
        """Options of the shift."""

        name: Literal["shift"] = "shift"
        pixels: Annotated[int, Field(ge=1, description="the most pixels by which an image moves along each axis")] = 2

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        check_image(shape)
        self.pixels = config.pixels

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """There is nothing to fit."""

    def augment(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        count, _, height, width = x.shape
        moves = (uniform(count, 2, batch=0, like=x) * (2 * self.pixels + 1)).long().clamp_max(
            2 * self.pixels
        ) - self.pixels
        rows = (torch.arange(height, device=x.device) + moves[:, :1]).clamp(0, height - 1)  # (B, H)
        columns = (torch.arange(width, device=x.device) + moves[:, 1:]).clamp(0, width - 1)  # (B, W)
        data = torch.arange(count, device=x.device).view(-1, 1, 1)
        return x.permute(0, 2, 3, 1)[data, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()


class Crop(Augmentation):
    """Cuts a part out of each image, at a random place, and brings it to the size of the whole (bilinear).

    Args:
        config: the least size of the part.
        shape: images (C, H, W).
    """

    class Config(Augmentation.Config):
        """Options of the crop."""

        name: Literal["crop"] = "crop"
        least: Annotated[
            float, Field(gt=0, le=1, description="the least height and width of the part, as a share of the image's")
        ] = 0.8

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        check_image(shape)
        self.least = config.least

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """There is nothing to fit."""

    def augment(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        drawn = uniform(len(x), 3, batch=0, like=x)  # the size of the part, and its place along both axes
        size = self.least + (1 - self.least) * drawn[:, :1]
        centre = (1 - size) * (2 * drawn[:, 1:] - 1)  # in units in which the image goes from -1 to 1
        theta = torch.zeros(len(x), 2, 3, dtype=x.dtype, device=x.device)
        theta[:, 0, 0] = theta[:, 1, 1] = size[:, 0]
        theta[:, :, 2] = centre
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


class Noise(Augmentation):
    """Adds N(0, scale²) to each value, and keeps it between the least and the greatest value of the training data.

    Args:
        config: the scale.
        shape: any shape.
    """

    limits: Tensor

    class Config(Augmentation.Config):
        """Options of the noise."""

        name: Literal["noise"] = "noise"
        scale: Annotated[
            float, Field(gt=0, description="the standard deviation of the noise, in units of the data")
        ] = 0.05

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.scale = config.scale
        self.register_buffer("limits", torch.tensor([-math.inf, math.inf]))

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """One pass: the least and the greatest value."""
        ends = [torch.stack(block.aminmax()) for block in blocks]
        self.limits[0], self.limits[1] = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)

    def augment(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        noise = normal(*x.shape, batch=0, like=x)
        return torch.clamp(x + self.scale * noise, self.limits[0], self.limits[1])
