"""The config of a run, from a YAML file, the command line or Python, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import Component, DataSource, Decoder, Encoder, Likelihood, Loss, Metric, Prior, Sampler
from genkit.interfaces.data import Step
from genkit.settings import yaml
from genkit.settings.base import CHOICES, Choices, ChosenByName, Settings, several
from genkit.settings.training import Init, TrainingConfig
from genkit.settings.tree import elsewhere
from genkit.settings.yaml import LISTS, Document, dotted

Term = Annotated[Loss.Config, ChosenByName("loss")]
Terms = Annotated[
    tuple[Term, ...],
    BeforeValidator(several, json_schema_input_type=Annotated[tuple[Term, ...], Field(min_length=1)] | Term),
    Field(min_length=1, description="the terms of the objective; one term stands for a list of one"),
]

Measure = Annotated[Metric.Config, ChosenByName("metric")]
Metrics = Annotated[
    tuple[Measure, ...],
    BeforeValidator(several, json_schema_input_type=tuple[Measure, ...] | Measure),
    Field(description="what is measured after training beside the ELBO and its parts, by `genkit evaluate` too"),
]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise PydanticCustomError("twice", f"'{twice[0]}' is there twice")
    return names


Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


PLUGINS = {
    "anyOf": [
        {"type": "string"},
        *({"type": "array", "items": {"type": "string", "pattern": start}} for start in ("^[^-]", "^-")),
        {"type": "array", "prefixItems": [{"const": "all"}], "items": {"type": "string", "pattern": r"^-|\.py"}},
    ]
}
"""The JSON Schema of a choice of plugins: names, or names that each have a minus."""


class RunConfig(Settings):
    """A whole run."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            description="the name of the run and of its directory: letters, digits, . _ -",
        ),
    ] = "run"
    seed: Annotated[
        int, Field(ge=0, lt=2**63, description="the seed of the weights, of the order of the data and of all draws")
    ] = 0
    plugins: Annotated[
        str | tuple[str, ...],
        WithJsonSchema(PLUGINS),
        Field(
            description="which plugins are used: of those installed all, none but genkit's own, some by the names of "
            "their distributions, or all but those with a minus; and Python files such as ./mine.py, whose code runs"
        ),
    ] = "all"
    data: Annotated[DataSource.Config, ChosenByName("data"), Field(description="the source of the data")]
    encoder: Annotated[
        Annotated[Encoder.Config, ChosenByName("encoder")] | None,
        Field(description="the encoder, x -> features; null: none, for a model that only generates"),
    ] = None
    encoder_transform: Annotated[
        tuple[Step, ...],
        BeforeValidator(several, json_schema_input_type=tuple[Step, ...] | Step),
        Field(
            description="what the data go through on their way to the encoder alone, one after the other, such as "
            "log1p for counts; the likelihood sees them as they are"
        ),
    ] = ()
    sampler: Annotated[
        Sampler.Config,
        ChosenByName("sampler"),
        Field(description="the sampler, features -> q(z|x), and the prior p(z)"),
    ]
    prior: Annotated[
        Annotated[Prior.Config, ChosenByName("prior")] | None,
        Field(description="the prior p(z); null: the sampler's own"),
    ] = None
    decoder: Annotated[
        Decoder.Config, ChosenByName("decoder"), Field(description="the decoder, z -> the parameters of p(x|z)")
    ]
    likelihood: Annotated[
        Likelihood.Config,
        ChosenByName("likelihood"),
        Field(description="the distribution p(x|z) that the decoder's output stands for"),
    ]
    loss: Terms
    """The terms of the objective."""
    metrics: Metrics = ()
    """What is measured after training beside the ELBO and its parts."""
    condition: Annotated[
        Annotated[tuple[Name, ...], Field(max_length=20), AfterValidator(_each_once)],
        BeforeValidator(several, json_schema_input_type=tuple[Name, ...] | Name),
        Field(
            description="the side data that encoder and decoder are conditioned on, such as labels: they get them as "
            "further features or channels"
        ),
    ] = ()
    init: Annotated[
        Init | None, Field(description="the trained model that parts start from; null: all weights are drawn")
    ] = None
    training: Annotated[TrainingConfig, Field(description="how the model is fitted")] = TrainingConfig()

    def resolved(self) -> dict[str, Any]:
        """Every option with its value, defaults included, as plain values for YAML or JSON."""
        return self.model_dump(mode="json", by_alias=True)

    def components(self) -> list[tuple[str, Component.Config]]:
        """The kind and the settings of every component in the config, in the order of the fields."""
        values = [getattr(self, name) for name in type(self).model_fields]
        each = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
        return [(part.component.kind, part) for part in each if isinstance(part, Component.Config)]


class PluginChoices(Choices, Protocol):
    """The components of some plugins."""

    @property
    def wanted(self) -> str | Sequence[str]:
        """The choice of these plugins, with each file by its content in place of its path."""


LookUp = Callable[[str | Iterable[str]], PluginChoices]
"""Takes a config's choice of plugins and returns their components; raises ConfigError where it is no such choice."""


def load(path: str | Path, look_up: LookUp, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML config and apply `key=value` overrides.

    Args:
        path: the path of the file.
        look_up: the function that gives the components to choose from.
        overrides: the assignments, as on the command line.

    Raises:
        ConfigError: something is wrong; one line per fault, with file, line and column, in the order of the file.
    """
    document = yaml.read(path)
    document.values.setdefault("name", _as_name(Path(path).stem))
    return validated(document, look_up, overrides)


def _as_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip(".-_") or "run"


def parse(
    values: Mapping[str, Any], look_up: LookUp, overrides: Iterable[str] = (), source: str = "config"
) -> RunConfig:
    """A config from plain values; raises ConfigError as `load` does, with `source` in place of the file."""
    return validated(Document(source, dict(values)), look_up, overrides)


def validated(document: Document, look_up: LookUp, overrides: Iterable[str] = ()) -> RunConfig:
    """The config of a document, with overrides applied; raises ConfigError."""
    for key in LISTS:
        document.make_list(key)
    for assignment in overrides:
        document.override(assignment)
    choices = _choices(document, look_up)
    if "plugins" in document.values and not isinstance(choices.wanted, str):
        document.values["plugins"] = [*choices.wanted]
    try:
        return RunConfig.model_validate(document.values, context={CHOICES: choices})
    except ValidationError as error:
        details = error.errors(include_url=False)
        details.sort(key=lambda detail: document.order(tuple(detail["loc"])))
        raise ConfigError(*dict.fromkeys(_line(document, detail, choices) for detail in details)) from None


def _choices(document: Document, look_up: LookUp) -> PluginChoices:
    wanted = document.values.get("plugins", "all")
    words = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not all(isinstance(word, str) for word in words):
        return look_up("all")  # it is refused with all else that is wrong
    try:
        return look_up(wanted)
    except (ConfigError, ComponentError) as error:
        raise type(error)(*(f"{document.place(('plugins',))}: {line}" for line in error.args)) from None


def _line(document: Document, detail: Any, choices: Choices) -> str:
    location, message = tuple(detail["loc"]), detail["msg"]
    key = location[-1] if location else ""
    if detail["type"] == "missing" and isinstance(key, int):
        location, message = location[:-1], f"must have more than {len(detail['input'])} items"
        place, what = document.place(location), dotted(location)
    elif detail["type"] == "missing":
        what = dotted(location[:-1])
        message = f"'{key}' is missing" + ("" if what else f"; say which {key} the run uses")
        place = document.place(location[:-1])
    else:
        place = document.place(location)
        what = dotted(location[:-1] if detail["type"] == "unknown_key" else location)
    if detail["type"] == "unknown_key":
        message = _with_paths(message, str(key), document, choices)
    message = (
        message.replace("Input should be", "must be")
        .replace("String should match pattern", "must match the pattern")
        .replace("a valid tuple", "a list")
        .replace("Tuple should", "the list should")
    )
    if message.startswith("must be") and not isinstance(detail["input"], Mapping | list):
        message += f", not {detail['input']!r}"
    return ": ".join(part for part in (place, what, message) if part)


def _with_paths(message: str, key: str, document: Document, choices: Choices) -> str:
    """The answer to an unknown key: the paths of options that are called so, else its own hint if that is near."""
    is_near = "did you mean" in message
    paths = elsewhere(key, RunConfig, document.values, choices, exactly=is_near)
    return f"unknown key '{key}'; did you mean {' or '.join(map(repr, paths))}?" if paths else message
