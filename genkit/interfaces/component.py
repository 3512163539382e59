"""A component: anything that a config chooses by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from genkit.interfaces.columns import Column
from genkit.settings.base import Settings

Shape = tuple[int, ...]

MASK = "mask"
"""The side data (T,) of series (T, F): 1 for each step that is there, 0 for one that only pads or is missing."""


class Side(NamedTuple):
    """What one of the side data holds: a tensor with a name beside x, such as the labels."""

    shape: Shape = ()
    """The shape of one datum's value; (): a single number."""
    classes: int | None = None
    """The number of classes that whole numbers (int64) are indices of; None: real numbers (float32)."""
    names: tuple[str, ...] | None = None
    """The names of the classes; None: they have numbers only."""


class Schema(NamedTuple):
    """What the parts of a model are built for."""

    shape: Shape
    """The shape of one datum."""
    side: Mapping[str, Side] = {}
    """The side data by name."""
    training_data: int | None = None
    """The number of training data; None: not known."""
    columns: tuple[Column, ...] = ()
    """The columns of a table, with their places in a datum; (): the data are no table."""
    channels: tuple[str, ...] = ()
    """The names of the F channels of series (T, F); (): they have none."""
    lengths: tuple[int, ...] = ()
    """How many training series have 0, 1, ..., T steps; (): all have T."""
    channels_first: bool = False
    """Whether convolutions read data with two axes as (C, T), as in model files of before series; else as (T, F)."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The names of the channels of series (T, F); those without a name go by their number."""
        return self.channels or tuple(f"channel {place}" for place in range(self.shape[-1]))

    @property
    def is_padded(self) -> bool:
        """Whether the data are series (T, F) with a mask (T,), 0 at the steps that are not there."""
        mask = self.side.get(MASK)
        return len(self.shape) == 2 and mask is not None and mask.shape == self.shape[:1] and mask.classes is None

    def answers(self, component: type[Component]) -> dict[str, Any]:
        """The facts that a component `asks` for, by name."""
        return {name: getattr(self, name) for name in component.asks}


class Component:
    """Something that a config chooses by name. Its options are the fields of its nested `Config`."""

    kind: ClassVar[str]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """The checks of `genkit.testing` that the component cannot pass: name -> reason."""
    checked_with: ClassVar[Mapping[str, Any]] = {}
    """Arguments of `genkit.testing.contract` for the component: its partners, shapes of data and latents, side data.

    A codebook sampler with its term: `checked_with = {"partners": {"loss": "commitment"}}`."""
    reads: ClassVar[tuple[str, ...]] = ()
    """The side data that the component asks for, such as `("labels",)`.

    It gets them as keywords: in `__init__` their `Side`, in its methods that take data or latents a tensor
    (B, *shape)."""
    may_read: ClassVar[tuple[str, ...]] = ()
    """The side data that the component reads where the data have them; where they have none, it gets no keyword."""
    asks: ClassVar[tuple[str, ...]] = ()
    """The facts about the data that the component asks for, fields of `Schema` such as `("columns",)`.

    It gets them as keywords in `__init__`. A source gets those of the trained model whose data it reads, and none when
    a model is trained."""

    class Config(Settings):
        """The component's options. A subclass sets `name: Literal["..."] = "..."` and describes each field."""

        component: ClassVar[type[Component]]
        """The class that takes these options."""
        if TYPE_CHECKING:
            name = ""  # type: ignore[pydantic-field]  # as it is inferred, checkers let a subclass narrow it
        else:
            name: str

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        settings = vars(cls).get("Config")
        if isinstance(settings, type) and "component" not in vars(settings):
            settings.component = cls  # type: ignore[attr-defined]


Component.Config.component = Component
