"""Data sources: where the data of a run come from.

N data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.interfaces.columns import Column
from genkit.interfaces.component import Component, Side
from genkit.interfaces.reader import Data, Reader, Selected
from genkit.interfaces.transform import Transform
from genkit.settings.base import ChosenByName, several


def _share(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (0 <= value < 1 or (isinstance(value, int) and value >= 1)):
        return value
    raise PydanticCustomError("share", "must be a share from 0 to below 1, or a whole number of data")


Classes = tuple[int | str, ...]
"""A config field: classes by name or number."""


def one_class(value: Any) -> Any:
    """A tuple: one class stands for a list of one."""
    return (value,) if isinstance(value, int | str) else value


Share = Annotated[
    Any,
    BeforeValidator(_share, json_schema_input_type=Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=1)]),
]
"""A config field: how many of the data, as a share below 1 or as a number."""


FILE = "file"
"""A mark of an option that is the path of a file or a folder: `Annotated[str, FILE, Field(...)]`.

A relative path is looked for in the folder in which the run was started, whatever the folder is in which the run is
opened later.
"""


def _files(value: Any) -> Any:
    texts = value if isinstance(value, list | tuple) else [value]
    if texts and all(isinstance(text, str) for text in texts):
        return value if isinstance(value, str) else tuple(value)
    raise PydanticCustomError("files", "must be a path, a pattern of paths such as part-*.npy, or a list of them")


Files = Annotated[Any, FILE, BeforeValidator(_files, json_schema_input_type=str | tuple[str, ...])]
"""A config field: one or several files, as text (a path, or a pattern such as part-*.npy), or a tuple of texts."""


NAMES = "names"
"""A mark of an option whose text names something in the data, such as a column, and never a file."""


RELATIVE = "relative to the folder in which the run is started, and ~ is the home folder"
"""What the description of such an option says."""


RESERVED = ("labels", "noise", "steps")
"""Names that no further side data can have: those of the labels, and of options of a model's methods."""


Step = Annotated[Transform.Config, ChosenByName("transform")]


class Split(NamedTuple):
    """Some data, with their labels if there are any."""

    x: Data
    """(N, *shape): float32, or uint8, read as x / 255; a tensor, or a reader of data that stay where they are."""
    labels: Tensor | None
    """(N,) int64: indices into the classes."""
    side: Mapping[str, Tensor] = MappingProxyType({})
    """Further side data by name, (N, ...): float32, or int64 for indices of classes.

    `mask` (N, T) of series x (N, T, F) is 1 for each step that is there: others count nothing, whatever x holds."""

    def __repr__(self) -> str:
        """The shapes of the data, the labels and the side data."""
        shapes = [f"{name}={tuple(values.shape)}" for name, values in {"x": self.x, **self.named()}.items()]
        return f"Split({', '.join(shapes)})"

    def first(self, count: int | None) -> Split:
        """The first data, in memory; None: all of them, where they are."""
        if count is None:
            return self
        side = {name: values[:count] for name, values in self.side.items()}
        return Split(self.x[:count], None if self.labels is None else self.labels[:count], side)

    def rows(self, index: Tensor) -> Split:
        """The data at some places (n,), in this order."""
        side = {name: values[index] for name, values in self.side.items()}
        x = Selected(self.x, index) if isinstance(self.x, Reader) else self.x[index]
        return Split(x, None if self.labels is None else self.labels[index], side)

    def classified(self) -> dict[str, Tensor]:
        """The labels and the further side data that are one class per datum, (N,) each, by name."""
        return {name: each for name, each in self.named().items() if each.ndim == 1 and each.dtype == torch.int64}

    def named(self) -> dict[str, Tensor]:
        """All side data by name, labels among them."""
        return {**({} if self.labels is None else {"labels": self.labels}), **self.side}


class RawData(NamedTuple):
    """The data as a source reads them. The core checks them, and splits them where the source does not."""

    train: Split
    """All data, or the training data where there is a test split."""
    test: Split | None = None
    """The source's own test split; None: it has none."""
    classes: tuple[str, ...] | None = None
    """The names of the labels; None: labels have numbers only."""
    validation: Split | None = None
    """The source's own validation split; None: it has none."""
    notes: tuple[str, ...] = ()
    """A line for each thing that the source assumes: type, scale, layout, what it leaves out."""
    doubts: tuple[str, ...] = ()
    """A line for each thing that may be a mistake, with the remedy: `genkit run` and `genkit check` say them."""
    side: Mapping[str, Side] = MappingProxyType({})
    """What the further side data of the splits hold; those that are not named here are real numbers."""
    columns: tuple[Column, ...] = ()
    """The columns of a table, with their places in a datum; (): the data are no table."""
    ids: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The names of the data of a split, one per datum, by the split's name (`train`, ...): ids, names of files."""
    channels: tuple[str, ...] = ()
    """The names of the F channels of series (T, F); (): they have none."""


@runtime_checkable
class Opener(Protocol):
    """A source of data that says whether a file or a folder is of its kind; `genkit init` asks it."""

    @classmethod
    def options_for(cls, path: FilePath) -> Mapping[str, Any] | None:
        """The options with which the source reads a file or a folder; None: it is of another kind.

        A look at the name, or at a few files, is enough: `load` says what is wrong with the content.
        """


class DataSource(Component, ABC):
    """A source of data. It may have `options_for`, as `Opener` says.

    Args:
        config: the source's options.
    """

    kind = "data"

    class Config(Component.Config):
        """Options that every data source has."""

        validation: Annotated[
            Share,
            Field(
                description="how many training data are held out to watch training, where the source has no "
                "validation split of its own: a share below 1, or a number"
            ),
        ] = 0.1
        test: Annotated[
            Share,
            Field(
                description="how many data are held out for the final figures, where the source has no test split of "
                "its own: a share below 1, or a number"
            ),
        ] = 0.2
        split_seed: Annotated[
            int, Field(ge=0, description="the seed that chooses the data held out; independent of the run's seed")
        ] = 0
        keep: Annotated[
            Classes,
            BeforeValidator(one_class, json_schema_input_type=Classes | int | str),
            Field(
                description="the classes that are trained on, by name or number; test and validation are shares of "
                "their data, and the data of all other classes are the test split's, or left out where the source has "
                "a test split of its own; none: all classes"
            ),
        ] = ()
        binarize: Annotated[
            Literal["dynamic"] | None,
            Field(description="dynamic: each value is drawn anew from Bernoulli(value) whenever it is used"),
        ] = None
        standardize: Annotated[
            bool,
            Field(
                description="whether each column, feature (T, F) or channel (C, ...) is brought to mean 0 and standard "
                "deviation 1 over the training data; the model then takes and gives values in these units"
            ),
        ] = False
        shuffle_window: Annotated[
            int | None,
            Field(
                ge=1,
                description="how many data are shuffled together, so that data that are larger than memory are read "
                "near each other; null: all data, or those that take 1 GiB where there are more",
            ),
        ] = None
        transform: Annotated[
            tuple[Step, ...],
            BeforeValidator(several, json_schema_input_type=tuple[Step, ...] | Step),
            Field(
                description="what brings the data into units that suit the model, one after the other; the model takes "
                "and gives the data's own units"
            ),
        ] = ()

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def load(self) -> RawData:
        """Read the data; raises DataError with the path and the remedy."""
