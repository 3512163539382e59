"""A component: anything that a config chooses by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from genkit.settings.base import Settings

Shape = tuple[int, ...]


class Component:
    """Something that a config chooses by name. Its options are the fields of its nested `Config`."""

    kind: ClassVar[str]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """The checks of `genkit.testing` that the component cannot pass: name -> reason."""

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
