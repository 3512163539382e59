"""A data source of a formula: images of one bright spot each.

N data of height and width S.
"""

from typing import Annotated, Literal

import torch
from genkit import DataSource, RawData, Split, hookimpl
from pydantic import Field
from torch import Tensor

QUARTERS = ("upper left", "upper right", "lower left", "lower right")


class SketchData(DataSource):
    """Images (N, 1, S, S) with values from 0 to 1: exp(−r² / 2 radius²), r the distance from a place drawn at random.

    The labels are the quarters that the places lie in.

    Args:
        config: the number of images, their size, and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of the data."""

        name: Literal["sketch"] = "sketch"
        count: Annotated[int, Field(ge=1, description="the number of images, N")] = 2000
        size: Annotated[int, Field(ge=2, description="the height and the width of an image, S")] = 16
        radius: Annotated[float, Field(gt=0, description="the standard deviation of a spot, in pixels")] = 2.0
        seed: Annotated[int, Field(ge=0, description="the seed of the places, independent of the run's seed")] = 0

    config: Config

    def load(self) -> RawData:
        """Draw the places and compute the images; the same ones at every call."""
        generator = torch.Generator().manual_seed(self.config.seed)
        places = torch.rand(self.config.count, 2, generator=generator)  # (N, 2): row and column, from 0 to 1
        rows, columns = (self._profile(place) for place in places.T)
        x = (rows.unsqueeze(2) * columns.unsqueeze(1)).unsqueeze(1)
        lower, right = (places > 0.5).long().T
        return RawData(Split(x, 2 * lower + right), classes=QUARTERS)

    def _profile(self, place: Tensor) -> Tensor:
        """The spot along one axis: places (N,) -> (N, S)."""
        distance = torch.arange(self.config.size) - place.unsqueeze(1) * (self.config.size - 1)
        return torch.exp(-distance.square() / (2 * self.config.radius**2))


@hookimpl
def components() -> list[type[DataSource]]:
    """One data source."""
    return [SketchData]
