"""The reference page, generated from the code as Markdown: hooks, kinds, all options of a config, and figures."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from genkit.config import RunConfig
from genkit.errors import GenkitError
from genkit.evaluation.descriptions import descriptions
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.metrics import descriptions as of_metrics
from genkit.evaluation.sample_quality import SampleQuality
from genkit.files.markdown import table
from genkit.interfaces import (
    INTERFACES,
    Augmentation,
    CodeSampler,
    Component,
    DensitySampler,
    Description,
    Forward,
    Latent,
    LearnedLoss,
    Loss,
    Metric,
    MetricData,
    MetricNeed,
    Need,
    RawData,
    Split,
)
from genkit.registry import hooks, schema
from genkit.registry.hooks import RUN_HOOKS
from genkit.registry.kinds import name_of
from genkit.registry.registry import installed
from genkit.settings.schedules import Cosine, Plateau, Ramp, Steps

COMMAND = "GENKIT_PLUGINS=none genkit plugins reference --out docs/reference.md"
DESCRIBED: tuple[type[Component], ...] = (*INTERFACES, DensitySampler, CodeSampler, LearnedLoss, Augmentation)
SCHEDULES = (Ramp, Cosine, Steps, Plateau)
PASSED = (Latent, Forward, Split, RawData, MetricData, Description)
"""The values that parts pass to each other."""
NEEDS: Mapping[type[Component], tuple[str, Any]] = {Loss: ("Need", Need), Metric: ("MetricNeed", MetricNeed)}
"""The kinds whose parts name what they need, with the name and the type of such a need."""


def reference() -> str:
    """The whole page, for every plugin that is wanted."""
    legend = "B: data in a batch. K: draws from the posterior. D: latent dimensions. `shape` and its like leave B out."
    head = ("# Reference\n", f"Made of the code by `{COMMAND}`.\n", f"{legend}\n")
    return "\n".join((*head, *_hooks(), *_kinds(), *_passed(), *_config(), *_components(), *_figures()))


def _hooks() -> Iterator[str]:
    yield "## Hooks\n"
    yield "A plugin is a module that implements some of them, marked with `genkit.hookimpl`.\n"
    rows = [(_call(getattr(hooks, name)), _prose(getattr(hooks, name))) for name in ("components", *RUN_HOOKS)]
    yield table(("hook", "what"), rows) + "\n"


def _kinds() -> Iterator[str]:
    yield "## Kinds\n"
    for interface in DESCRIBED:
        yield f"### {interface.__name__}\n"
        yield f"`genkit.{interface.__name__}`, of the kind `{interface.kind}`. {_prose(interface)}\n"
        arguments = _arguments(interface)
        if arguments:
            yield table(("argument", "what"), [(f"`{name}`", text) for name, text in arguments]) + "\n"
        methods = [getattr(interface, name) for name in sorted(getattr(interface, "__abstractmethods__", ()))]
        yield table(("to implement", "what"), [(_call(method), _prose(method)) for method in methods]) + "\n"
        yield from _attributes(interface)
        if interface in NEEDS:
            name, need = NEEDS[interface]
            needs = " ".join(_documented(inspect.getmodule(interface))[name][1].split())
            yield f"A need is one of {_shown(need)}. {needs}\n"


def _attributes(cls: type) -> Iterator[str]:
    attributes = _documented(cls)
    if attributes:
        rows = [(f"`{name}: {annotation}`", text) for name, (annotation, text) in attributes.items()]
        yield table(("attribute", "what"), rows) + "\n"


def _passed() -> Iterator[str]:
    yield "## What is passed\n"
    for cls in PASSED:
        yield f"### {cls.__name__}\n"
        yield f"{_prose(cls)}\n"
        yield from _attributes(cls)


def _config() -> Iterator[str]:
    yield "## Config\n"
    yield "What a YAML file says of a run, beside the options of its parts.\n"
    schedules = {name: group for kind in SCHEDULES for name, group in schema.groups("schedule", kind).items()}
    for name, group in {**schema.groups("config", RunConfig), **schedules}.items():
        yield from _group(f"### {name}", group)
    for key, group in schema.schema()["$defs"].items():
        if key.startswith("optimizer."):
            yield from _group(f"### {key.replace('.', '/')}", group)


def _group(heading: str, group: dict[str, Any]) -> Iterator[str]:
    yield f"{heading}\n"
    yield f"{_plain(group['description'])}\n"
    yield from _options(group)


def _figures() -> Iterator[str]:
    yield "## Figures\n"
    yield "`genkit evaluate` and `genkit compare` give those that a model has, and those of its metrics.\n"
    by_key = descriptions(Evaluation) | descriptions(SampleQuality, "samples.")
    yield _table_of(by_key)


def _table_of(figures: Mapping[str, Description]) -> str:
    rows = [
        (f"`{key}`", about.name, about.unit or "–", about.better or "–", _plain(about.sentence))
        for key, about in figures.items()
    ]
    return table(("key", "figure", "unit", "better", "what"), rows) + "\n"


def _components() -> Iterator[str]:
    yield "## Parts\n"
    for interface in INTERFACES:
        for name in installed().spellings(interface.kind):
            component = installed().find(interface.kind, name)
            yield f"### {interface.kind}/{name}\n"
            yield f"{_prose(component)}\n"
            if issubclass(component, Loss):
                yield f"It needs: {', '.join(component.needs)}.\n"
            if issubclass(component, Metric):
                yield from _measured(component)
            whole, *inside = schema.groups(f"{interface.kind}.{name}", component.Config).items()
            yield from _options(whole[1])
            for title, group in inside:
                yield from _group(f"#### {title}", group)


def _measured(metric: type[Metric]) -> Iterator[str]:
    """What a metric needs, and its figures where its options all have defaults."""
    yield f"It needs: {', '.join(metric.needs) or 'nothing'}.\n"
    with contextlib.suppress(ValidationError, GenkitError):
        if by_key := of_metrics([metric.Config.model_validate({"name": name_of(metric)})]):
            yield _table_of(by_key)


def _options(options: dict[str, Any]) -> Iterator[str]:
    rows = [
        (f"`{option.name}`", f"`{option.type}`", f"`{option.default}`" if option.default else "needed", option.what)
        for option in schema.described(options)
    ]
    if rows:
        yield table(("option", "type", "default", "what"), rows) + "\n"
    else:
        yield "No options.\n"


def _call(function: Any) -> str:
    """A function with its arguments: `epoch_ended(run, record)`."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return f"`{function.__name__}({', '.join(names)})`"


def _prose(documented: Any) -> str:
    """A docstring up to its sections; that of a function, for a table, on one line."""
    text = re.split(r"\n\n(?=(?:Args|Raises|Example|Returns):\n)", inspect.getdoc(documented) or "")[0]
    return _plain(" ".join(text.split()) if inspect.isfunction(documented) else text)


def _plain(text: str) -> str:
    """Prose with its stars escaped, so that (B, *shape) is no emphasis."""
    return re.sub(r"(`[^`]*`)|\*", lambda match: match[1] or "\\*", text)


def _arguments(cls: type) -> list[tuple[str, str]]:
    """The arguments that a docstring lists."""
    section = re.search(r"(?s)\n\nArgs:\n(.*?)(\n\n|$)", inspect.getdoc(cls) or "")
    pairs = re.findall(r"(?ms)^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", section[1] if section else "")
    return [(name, _plain(" ".join(text.split()))) for name, text in pairs]


def _documented(owner: Any) -> dict[str, tuple[str, str]]:
    """The type and the docstring of each attribute with a docstring, in a class or a module."""
    tree: ast.Module | ast.stmt = ast.parse(inspect.getsource(owner))
    if isinstance(owner, type) and isinstance(tree, ast.Module):
        tree = tree.body[0]
    attributes = {}
    for node, after in itertools.pairwise(getattr(tree, "body", [])):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(text, str) and isinstance(node, ast.AnnAssign | ast.Assign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            attributes[ast.unparse(target)] = (annotation, _plain(" ".join(text.split())))
    return attributes


def _shown(choice: Any) -> str:
    return ", ".join(f"`{value}`" for value in choice.__args__)
