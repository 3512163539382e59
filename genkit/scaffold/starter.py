"""A first config for some data: the source that reads them, and the parts of a system that fit them.

The texts of the systems, and what is tried in which order, lie beside this module; the parts decide what fits.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import torch

from genkit.config import parse
from genkit.data.assumptions import notes
from genkit.data.checks import check_support
from genkit.data.dataset import Dataset
from genkit.data.loading import load as load_data
from genkit.errors import DataError, GenkitError, GenkitWarning, ScaffoldError, in_a_line
from genkit.interfaces.columns import are_counts
from genkit.interfaces.data import Opener
from genkit.registry.registry import installed
from genkit.runs.preflight import check, meta_model
from genkit.settings import yaml
from genkit.settings.base import nearest
from genkit.text import printable

HERE = Path(__file__).parent
STEPS, BATCH = 10_000, 64
"""About how many steps a first training takes, and of how many data each."""
FEWEST, MOST = 10, 100
"""The least and the largest number of epochs."""
RISE = 5
"""In which part of the epochs, one of so many, a weight that rises reaches its value."""
WIDTH = 110
"""The width of a comment in characters."""
SHOWN = 5
"""The number of faults that an error lists."""
PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[A-Za-z_][\w./-]*", re.IGNORECASE)
"""Text that YAML reads as text without quotes."""


class Starter(NamedTuple):
    """A config for some data."""

    text: str
    notes: tuple[str, ...]
    """How the data are read, and which likelihood was chosen, and why."""


def systems() -> dict[str, str]:
    """The systems that a config can be written for, each with what it is."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted((HERE / "systems").glob("*.yaml"))}
    return {name: text.partition(" of $what")[0].removeprefix("# ") for name, text in texts.items()}


def built_in() -> list[str]:
    """The names of the sources of data that need no option, such as a file."""
    view = installed()
    each = {name: view.settings("data", name) for name in view.spellings("data")}
    return sorted(
        name for name, own in each.items() if not any(field.is_required() for field in own.model_fields.values())
    )


def start(data: str, system: str, overrides: Sequence[str] = ()) -> Starter:
    """A config of a system for a file, a folder, or a source of data by its name.

    Args:
        data: the path, or the name.
        system: one of `systems`.
        overrides: options of the data besides, such as data.label=species.

    Raises:
        ScaffoldError: there is no such system or source, nothing reads the data, or no choice of parts passes `check`.
        ConfigError: an override is none.
    """
    if system not in systems():
        raise ScaffoldError(f"--system {printable(system)}: there is no such system; {nearest(system, systems())}")
    faults: list[str] = []
    networks = _choices()["networks"]
    for source in sources(data):
        for parts, dataset in _readings(system, source, overrides, networks[0], faults):
            for each in networks:
                text = _text(system, {**parts, **each}, _facts(data, dataset))
                if _passes(text, dataset, faults):
                    chosen = f"likelihood {_flow(parts['likelihood'])}: {parts['why']}"
                    return Starter(text, (f"data are taken as: {'; '.join(notes(dataset))}", chosen))
    raise ScaffoldError(
        f"{printable(data)}: no config for these data passes `check`", *list(dict.fromkeys(faults))[:SHOWN]
    )


def sources(data: str) -> list[dict[str, Any]]:
    """The options of each source that reads a file or a folder, or has a name; raises ScaffoldError."""
    path, view = Path(data).expanduser(), installed()
    if path.exists():
        each = {name: view.find("data", name) for name in sorted(view.spellings("data"))}
        options = {name: _options(name, component, path) for name, component in each.items()}
        if readers := [{"name": name, **own} for name, own in options.items() if own is not None]:
            return readers
        openers = ", ".join(name for name, component in each.items() if isinstance(component, Opener))
        raise ScaffoldError(
            f"{printable(data)}: no source of data takes it by its name ({openers} look at files); write a config with "
            "the source that reads it, of those that `genkit plugins show data` lists"
        )
    if data in built_in():
        return [{"name": data}]
    if data in view.spellings("data"):
        raise ScaffoldError(f"--data {data}: this source needs a file or a folder; name that: --data PATH")
    raise ScaffoldError(
        f"--data {printable(data)}: there is no such file or folder, and no such source; {nearest(data, built_in())}"
    )


def _options(name: str, component: Any, path: Path) -> dict[str, Any] | None:
    """The options with which a source reads a path; None: it does not, or cannot say."""
    if not isinstance(component, Opener):
        return None
    try:
        options = component.options_for(path)
    except Exception as error:
        warnings.warn(
            f"data '{name}' cannot say whether it reads {path}: {in_a_line(error)}", GenkitWarning, stacklevel=2
        )
        return None
    return None if options is None else dict(options)


def _choices() -> dict[str, Any]:
    choices: dict[str, Any] = yaml.values_in((HERE / "choices.yaml").read_text("utf-8"))
    return choices


def _readings(
    system: str, source: Mapping[str, Any], overrides: Sequence[str], network: Mapping[str, Any], faults: list[str]
) -> Iterator[tuple[dict[str, Any], Dataset]]:
    """The data in each of the ways to read them, with the likelihood to try on them; notes the faults of reading."""
    seen: dict[str, Dataset] = {}
    for choice in _choices()["likelihoods"]:
        for options in choice["data"]:
            document = yaml.Document("data", {"data": {**source, **options}})
            for assignment in overrides:
                document.override(assignment)
            parts = {**choice, "data": document.values["data"]}
            key = json.dumps(parts["data"], sort_keys=True, default=str)
            try:
                if key not in seen:
                    draft = _text(system, {**parts, **network}, {"what": "", "source": "", "epochs": 1, "warm_up": 1})
                    seen[key] = load_data(parse(yaml.values_in(draft), installed).data)
            except GenkitError as error:
                faults += str(error).splitlines()
            else:
                yield parts, seen[key]


def _facts(data: str, dataset: Dataset) -> dict[str, Any]:
    """The words about the data in a config, and how long the training is."""
    steps = math.ceil(len(dataset.train.x) / BATCH)
    epochs = max(FEWEST, min(MOST, STEPS // steps))
    sizes = "×".join(map(str, dataset.shape))
    counts = ", ".join(f"{count:,} {name}" for name, count in dataset.counts().items())
    source = textwrap.fill(f"Each datum has {sizes} values: {counts}. Taken as: {'; '.join(notes(dataset))}.", WIDTH)
    return {
        "what": printable(data),
        "source": "\n# ".join(printable(line) for line in source.splitlines()),
        "epochs": epochs,
        "warm_up": max(1, epochs // RISE),
    }


def _text(system: str, parts: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The text of a config, from that of its system."""
    template = (HERE / "systems" / f"{system}.yaml").read_text("utf-8")
    texts = {name: _flow(parts[name]) for name in ("data", "encoder", "decoder", "likelihood")}
    return Template(template).substitute(facts, why=parts["why"], more=parts.get("more", ""), **texts)


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}: {_flow(item)}" for key, item in value.items())
        return str(value["name"]) if [*value] == ["name"] else f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value)


def _check_asked(likelihood: Any, dataset: Dataset) -> None:
    """Refuse a likelihood that asks for facts that the data lack, or one of no counts for counts; raises DataError."""
    missing = [fact for fact in likelihood.component.asks if not getattr(dataset.schema, fact)]
    if missing or (are_counts(dataset.columns) and not likelihood.component.whole_numbers):
        what = f"{missing[0]}, which the data have not" if missing else "other data than counts"
        raise DataError(f"likelihood '{likelihood.name}' is for {what}")


def _passes(text: str, dataset: Dataset, faults: list[str]) -> bool:
    """Whether a config fits the data and passes `check`; notes the faults."""
    try:
        config = parse(yaml.values_in(text), installed)
        _check_asked(config.likelihood, dataset)
        with torch.random.fork_rng(devices=[]):
            model = meta_model(config, dataset.schema)
        for split in filter(None, (dataset.train, dataset.validation, dataset.test)):
            check_support(split.x, model.likelihood, f"likelihood '{config.likelihood.name}'", dataset.transforms)
    except GenkitError as error:
        faults += str(error).splitlines()
        return False
    errors = check(config, probe=False).errors
    faults += errors
    return not errors
