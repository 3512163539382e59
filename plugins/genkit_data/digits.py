"""Small real digits that come with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from genkit.interfaces import DataSource, RawData, Split


class Digits(DataSource):
    """1,797 handwritten digits of 8x8 pixels and 17 grey levels: (N, 1, size, size), values from 0 to 1, ten classes.

    The test set of the Optical Recognition of Handwritten Digits data of Alpaydin & Kaynak 1998 (UCI), as
    scikit-learn bundles it.

    Args:
        config: the size and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of the digits."""

        name: Literal["digits"] = "digits"
        size: Annotated[int, Field(ge=8, description="height and width in pixels; larger than 8: interpolated")] = 8

    config: Config

    def load(self) -> RawData:
        """Read them from scikit-learn."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = torch.from_numpy(bunch.images).to(torch.float32).div(16).unsqueeze(1)
        if self.config.size != 8:
            size = (self.config.size, self.config.size)
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        labels = torch.from_numpy(bunch.target).to(torch.int64)
        return RawData(Split(x, labels), classes=tuple(str(name) for name in bunch.target_names))
