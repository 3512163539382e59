"""Arrays of any shape in files: the source for your own data."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split

# The errors of numpy and safetensors for files that are damaged, or hold more than arrays of numbers and text.
_DAMAGED = (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)

SUFFIXES = (".npy", ".npz", ".safetensors")


class Arrays(DataSource):
    """An array (N, *shape) from a .npy, .npz or .safetensors file, with labels (N,) if the file has them.

    Bytes (uint8) stand for x / 255; other numbers stay as they are, unless `range` states their limits.
    Labels are integers or text; they become indices into their sorted values, which are the names of the classes.

    Args:
        config: the files, and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of arrays."""

        name: Literal["arrays"] = "arrays"
        path: Annotated[str, Field(description="the file: .npy, .npz or .safetensors")]
        key: Annotated[str, Field(description="the array's name in a .npz or .safetensors file")] = "x"
        labels: Annotated[
            str | None,
            Field(
                description="the labels: their name in the same file, or another file; null: `labels`, if it is there"
            ),
        ] = None
        range: Annotated[
            tuple[float, float] | None,
            Field(description="the least and the greatest value, which become 0 and 1; null: values stay as they are"),
        ] = None

    config: Config

    def load(self) -> RawData:
        """Read the files; raises DataError naming the file, and what it holds where a name is wrong."""
        path = Path(self.config.path)
        arrays = read(path, "data.path")
        name = self.config.key if path.suffix != ".npy" else "x"
        x = self._scaled(_number_tensor(_named(arrays, name, path, "data.key"), path))
        labels, classes = _coded(self._labels(arrays, path))
        return RawData(Split(x, labels), classes=classes)

    def _labels(self, arrays: dict[str, Any], path: Path) -> Any:
        name = self.config.labels
        if name is None:
            return arrays.get("labels")
        if name not in arrays and Path(name).suffix in SUFFIXES:
            others = read(Path(name), "data.labels")
            return others["labels"] if "labels" in others else _named(others, "x", Path(name), "data.labels")
        return _named(arrays, name, path, "data.labels")

    def _scaled(self, x: Tensor) -> Tensor:
        if self.config.range is None:
            return x
        low, high = self.config.range
        if not low < high:
            raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
        return (x.to(torch.float32) - low) / (high - low)


def read(path: Path, option: str) -> dict[str, Any]:
    """All arrays of a file by name (x in a .npy file); raises DataError, which names the option of the file."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{option}: {path} is none of {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    except FileNotFoundError:
        raise DataError(f"{option}: {path}: there is no such file") from None
    except (*_DAMAGED, _safetensor_error()) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{option}: {path}: cannot be read as {path.suffix}: {reason}") from None


def _safetensor_error() -> type[Exception]:
    from safetensors import SafetensorError

    return SafetensorError


def _named(arrays: dict[str, Any], name: str, path: Path, option: str) -> Any:
    if name not in arrays:
        raise DataError(f"{option}: {path} holds no '{name}'; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays[name]


def _number_tensor(array: Any, path: Path) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise DataError(f"data.path: {path}: holds {array.dtype}, not numbers")
    x = torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.float32))
    return x.unsqueeze(1) if x.ndim == 1 else x


def _coded(labels: Any) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """Labels as indices (N,) into their sorted names."""
    if labels is None:
        return None, None
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS":
        raise DataError(
            f"data.labels: labels are whole numbers or text of shape (N,), not {labels.dtype} {labels.shape}"
        )
    names, indices = np.unique(labels, return_inverse=True)
    return torch.from_numpy(indices.astype(np.int64)), tuple(str(name) for name in names)
