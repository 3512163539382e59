"""MNIST: 60,000 + 10,000 handwritten digits (LeCun, Bottou, Bengio & Haffner 1998)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, RELATIVE
from genkit_data import idx

ROOT_VARIABLE = "GENKIT_MNIST"

# The SHA-256 of each file as it has been published since 1998.
PUBLISHED = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class MNIST(DataSource):
    """Grey images of 28x28 pixels in one byte each: (N, 1, 28, 28), ten classes, the published test split.

    The IDX files are read from `root`, else from the folder that the environment variable GENKIT_MNIST names, else
    downloaded once into the user's cache and checked. Data of the same form (Fashion-MNIST) work from `root` too.

    Args:
        config: the folder of the files, and the splits.
    """

    class Config(DataSource.Config):
        """Options of MNIST."""

        name: Literal["mnist"] = "mnist"
        root: Annotated[
            str | None,
            FILE,
            Field(
                description=f"the folder of the four IDX files, gzipped or not, {RELATIVE}; null: download them once"
            ),
        ] = None

    config: Config

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A folder with the first of the four files."""
        first = next(iter(PUBLISHED))
        inside = (path / name for name in (first, f"{first}.gz"))
        return {"root": str(path)} if any(file.is_file() for file in inside) else None

    def load(self) -> RawData:
        """Read the four files; raises DataError naming a file that is missing or damaged."""
        images, labels, test_images, test_labels = (idx.read(self._file(name)) for name in PUBLISHED)
        train = Split(_as_images(images, "train-images"), labels.long())
        test = Split(_as_images(test_images, "t10k-images"), test_labels.long())
        return RawData(train, test, tuple(str(digit) for digit in range(10)))

    def _file(self, name: str) -> Path:
        root = self.config.root or os.environ.get(ROOT_VARIABLE)
        if not root:
            return _downloaded(name)
        folder = Path(root).expanduser()
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
        option = "data.root" if self.config.root else ROOT_VARIABLE
        raise DataError(f"{option}: {root} holds neither {name} nor {name}.gz")


def _as_images(x: Tensor, name: str) -> Tensor:
    if x.ndim != 3:
        raise DataError(f"{name}: holds an array of shape {tuple(x.shape)}, not images (N, height, width)")
    return x.unsqueeze(1)


def _downloaded(name: str) -> Path:
    """The file in the user's cache, first downloaded, from the first mirror that answers, if it is not there."""
    import pooch

    failures = []
    for mirror in MIRRORS:
        try:
            return Path(
                pooch.retrieve(
                    f"{mirror}{name}.gz",
                    f"sha256:{PUBLISHED[name]}",
                    f"{name}.gz",
                    pooch.os_cache("genkit") / "mnist",
                )
            )
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}: {type(error).__name__}")
    raise DataError(
        f"MNIST could not be downloaded ({'; '.join(failures)}); put the four IDX files into a folder and give it as "
        f"data.root=DIR or {ROOT_VARIABLE}=DIR, or use data=digits, which needs no download"
    )
