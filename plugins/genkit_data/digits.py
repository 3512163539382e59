"""Small real digits that come with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from typing import Literal

import torch

from genkit.interfaces import DataSource, RawData, Split


class Digits(DataSource):
    """1,797 handwritten digits of 8x8 pixels and 17 grey levels: (N, 1, 8, 8), values from 0 to 1, ten classes.

    The test set of the Optical Recognition of Handwritten Digits data of Alpaydin & Kaynak 1998 (UCI), as
    scikit-learn bundles it.

    Args:
        config: the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of the digits."""

        name: Literal["digits"] = "digits"

    def load(self) -> RawData:
        """Read them from scikit-learn."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = torch.from_numpy(bunch.images).to(torch.float32).div(16).unsqueeze(1)
        labels = torch.from_numpy(bunch.target).to(torch.int64)
        return RawData(Split(x, labels), classes=tuple(str(name) for name in bunch.target_names))
