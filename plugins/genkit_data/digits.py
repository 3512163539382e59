"""Small real digits that come with scikit-learn: nothing is downloaded."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from genkit.errors import DataError
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
        size: Annotated[
            int, Field(ge=8, description="the height and the width in pixels; above 8, images are interpolated")
        ] = 8

    config: Config

    def load(self) -> RawData:
        """Read the file of scikit-learn, without importing it: that would take as long as importing torch."""
        with _file().open("rb") as packed, gzip.open(packed) as table:
            rows = torch.from_numpy(np.loadtxt(table, delimiter=",", dtype=np.uint8))
        x = rows[:, :64].reshape(-1, 1, 8, 8).to(torch.float32).div(16)
        if self.config.size != 8:
            size = (self.config.size, self.config.size)
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        return RawData(Split(x, rows[:, 64].to(torch.int64)), classes=tuple("0123456789"))


def _file() -> Path:
    package = importlib.util.find_spec("sklearn")
    folders = package.submodule_search_locations if package is not None else None
    path = Path(*folders or [""]) / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise DataError(f"data 'digits': {path} is missing; install scikit-learn anew (pip install scikit-learn)")
    return path
