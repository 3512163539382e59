"""The signature of data: what a model keeps of those that it was trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from genkit.data.scaling import Scaling
from genkit.interfaces import Column, Schema, Side
from genkit.interfaces.columns import fits
from genkit.settings.base import Settings

SPLITS = ("train", "validation", "test")

Size = Annotated[int, Field(ge=1, lt=2**31)]


class SideSignature(Settings):
    """What a model has to know of one of its side data."""

    shape: tuple[Size, ...] = Field(default=(), max_length=8)
    """The shape of one datum's value."""
    classes: Size | None = None
    """The number of classes; None: real numbers."""
    names: tuple[str, ...] | None = None
    """The names of the classes; None: they have numbers only."""

    @property
    def side(self) -> Side:
        """The same for the parts of a model."""
        return Side(self.shape, self.classes, self.names)


class DataSignature(Settings):
    """What a model has to know of its data; it is stored with the weights, in a file that may be anybody's."""

    source: str = Field(pattern=r"^([\w.-]+/)?[\w.-]*$", max_length=200)
    """The name of the source."""
    shape: tuple[Size, ...] = Field(min_length=1, max_length=8)
    """The shape of one datum."""
    range: tuple[float, float]
    """The least and the greatest value of the training data, in the units that the model takes and gives."""
    classes: tuple[str, ...] | None
    """The names of the labels; None: labels have numbers only, or there are none."""
    counts: dict[Annotated[str, Field(pattern=f"^({'|'.join(SPLITS)})$")], Annotated[int, Field(ge=0, lt=2**63)]]
    """The number of data in each split."""
    fingerprint: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """The fingerprint of the data in their splits; None: the file is older than fingerprints."""
    scaling: Scaling | None = None
    """What standardized the data; None: nothing did."""
    transforms: tuple[Annotated[str, Field(max_length=200)], ...] = Field(default=(), max_length=100)
    """The names of the transforms between the data's own units and the model's; the model keeps what they fitted."""
    side: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,99}$")], SideSignature] = Field(default={}, max_length=100)
    """What the side data hold, by name."""
    columns: tuple[Column, ...] = Field(default=(), max_length=10_000)
    """The columns of a table; (): the data are no table."""
    channels: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(default=(), max_length=10_000)
    """The names of the channels of series; (): they have none."""
    lengths: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(default=(), max_length=1_000_001)
    """How many training series have 0, 1, ..., T steps; (): all have T."""
    channels_first: bool = True
    """Whether convolutions read data with two axes as (C, T): so in files of before series, which do not say it."""

    @model_validator(mode="after")
    def _columns_have_places(self) -> DataSignature:
        if self.columns and not fits(self.columns, self.shape):
            raise PydanticCustomError("columns", "the columns do not fill a datum of this shape")
        return self

    def for_parts(self) -> Schema:
        """What the parts of a model are built for."""
        side = {name: each.side for name, each in self.side.items()}
        if self.classes and "labels" not in side:  # a file from before side data
            side["labels"] = Side(classes=len(self.classes))
        if self.classes and "labels" in side:
            side["labels"] = side["labels"]._replace(names=self.classes)
        count = self.counts.get("train")
        return Schema(self.shape, side, count, self.columns, self.channels, self.lengths, self.channels_first)
