"""Traversals of latents: how evenly and how straight the data change with each of them.

T steps, B data, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Description, Metric, MetricData, TrainedModel

ENDS = (0.05, 0.95)
"""The quantiles of a latent's points between which it is traversed."""
STILL = 0.01
"""The share of the longest path below which a path counts as none."""
ROWS = 1024
"""The number of training data whose points say how far a latent goes."""


class Smoothness(Metric):
    """How data change while one latent goes from the 5% to the 95% quantile of its points, in even steps.

    The other latents stay those of a datum of the split. With x_0, ..., x_T the means of p(x|z) on the path, evenness
    is the mean of ‖x_{t+1} − x_t‖ over its largest, 1 where data change at an even speed and 1 / T where they jump
    once; straightness is ‖x_T − x_0‖ / Σ ‖x_{t+1} − x_t‖, 1 where they change along a line. Both are means over paths;
    those on which hardly anything changes, shorter than 1% of the longest, are left out.

    Args:
        config: the numbers of data, steps and latents.
    """

    figures: Mapping[str, Description] = {
        "evenness": Description(
            "evenness of traversals",
            "",
            "higher",
            "The mean step of the data over the largest, while a latent goes in even steps: 1 where nothing jumps.",
            ".3f",
        ),
        "straightness": Description(
            "straightness of traversals",
            "",
            None,
            "The distance between the ends of a traversal over the length of its path: 1 where that is a line.",
            ".3f",
        ),
    }

    class Config(Metric.Config):
        """Options of the traversals."""

        name: Literal["smoothness"] = "smoothness"
        data: Annotated[int, Field(ge=1, description="the number of data whose latents are traversed")] = 16
        steps: Annotated[int, Field(ge=2, description="the number of steps of a traversal, T")] = 16
        latents: Annotated[
            int, Field(ge=1, description="the largest number of latents that are traversed, those that vary most first")
        ] = 16

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The figures of the split; nothing is drawn. There are none where no latent changes the data."""
        z = model.encode(data.split.first(self.config.data))
        every = model.encode(data.train.first(ROWS)).flatten(1)
        order = every.var(0, correction=0).argsort(descending=True)[: self.config.latents]
        low, high = torch.quantile(every, torch.tensor(ENDS, dtype=every.dtype, device=every.device), 0)
        paths = [self._path(model, z, int(d), low[d], high[d]) for d in order]
        steps = torch.cat([(path[1:] - path[:-1]).norm(dim=2) for path in paths], 1)  # (T, paths)
        ends = torch.cat([(path[-1] - path[0]).norm(dim=1) for path in paths])
        length = steps.sum(0)
        moving = length > STILL * length.max()
        if not bool(moving.any()):
            return {}
        evenness, straightness = steps.mean(0) / steps.max(0).values, ends / length
        return {"evenness": float(evenness[moving].mean()), "straightness": float(straightness[moving].mean())}

    def _path(self, model: TrainedModel, z: Tensor, d: int, low: Tensor, high: Tensor) -> Tensor:
        """The data (T + 1, B, values) at even steps of latent d, for the points z (B, *latent_shape)."""
        places = torch.lerp(low, high, torch.linspace(0, 1, self.config.steps + 1, dtype=z.dtype, device=z.device))
        paths = z.flatten(1).repeat(len(places), 1, 1)
        paths[..., d] = places.unsqueeze(1)
        x: Tensor = model.decode(paths.flatten(0, 1).reshape(-1, *z.shape[1:])).flatten(1).double()
        return x.reshape(*paths.shape[:2], -1)
