"""A component: anything that a config chooses by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from genkit.interfaces.columns import Column
from genkit.settings.base import Settings

Shape = tuple[int, ...]


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
    reads: tuple[str, ...] = ()
    """The side data that the component asks for, such as `("labels",)`.

    It gets them as keywords: in `__init__` their `Side`, in its methods that take data or latents a tensor
    (B, *shape). A class that names them cannot do without. A part that takes some only where the data have them asks
    for `side`, and sets its own `reads` in `__init__`."""
    asks: ClassVar[tuple[str, ...]] = ()
    """The facts about the data that the component asks for, fields of `Schema` such as `("columns",)`.

    It gets them as keywords in `__init__`. A source gets those of the trained model whose data it reads, and none when
    a model is trained."""

    class Config(Settings):
        """The component's options. A subclass sets `name: Literal["..."] = "..."` and describes each field."""

        component: ClassVar[type[Component]]
        """The class that takes these options."""
        name: str

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        settings = vars(cls).get("Config")
        if isinstance(settings, type) and "component" not in vars(settings):
            settings.component = cls  # type: ignore[attr-defined]


Component.Config.component = Component
