"""The options with which a component is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import Component
from genkit.registry.kinds import name_of
from genkit.settings.yaml import dotted


def settings_of(component: type[Component], values: Mapping[str, Any] | None = None) -> Component.Config:
    """A component's options: plain values for some, the defaults for the others.

    Raises:
        ComponentError: an option without a default is missing; the message says how to give it.
        ConfigError: values are wrong; one line per value.
    """
    part = f"{component.kind}/{name_of(component)}"
    try:
        return component.Config.model_validate({"name": name_of(component), **(values or {})})
    except ValidationError as error:
        problems = error.errors(include_url=False)
    wrong = [detail for detail in problems if detail["type"] != "missing"]
    if wrong:
        lines = [f"{part}: {dotted(tuple(detail['loc']))}: {detail['msg']}" for detail in wrong]
        raise ConfigError(*lines)
    missing = [dotted(tuple(detail["loc"])) for detail in problems]
    assignments = [f"{name}=..." for name in missing]
    call = f"contract({component.__name__}, {component.__name__}.Config({', '.join(assignments)}))"
    raise ComponentError(
        f"{part} has options without a default: {', '.join(missing)}; give them: genkit check-plugin {part} "
        f"{' '.join(assignments)}, or {call}"
    )


def config_of(component: type[Component], config: Component.Config) -> Component.Config:
    """Options by which a config chooses a component: a class without options of its own has those of another."""
    if config.component is component:
        return config
    members = {"component": component, "__module__": component.__module__}
    derived: type[Component.Config] = type("Config", (type(config),), members)
    return derived.model_construct(**{name: getattr(config, name) for name in type(config).model_fields})
