"""Model cards: what a trained model is, how to load it and how it was trained, as Markdown after YAML.

The Hugging Face Hub reads the YAML: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from torch import nn

from genkit.data.dataset import DataSignature
from genkit.evaluation.descriptions import LEGEND
from genkit.files.markdown import code, escaped, fenced, table
from genkit.interfaces import Side
from genkit.model.model import Model
from genkit.pictures.mosaic import is_image
from genkit.record.directory import MODEL_FILE
from genkit.registry.plugin import THIS_PROCESS
from genkit.registry.provenance import PluginRecord, named, pip_line
from genkit.registry.selection import FIRST_PARTY, VARIABLE
from genkit.settings import yaml
from genkit.sharing.facts import Facts

CLASSES = 100
"""The largest number of names of classes in a card."""
FIRST = ("samples", "reconstructions", "manifold", "latents")
"""The most telling pictures, in order; the others follow."""


def write(facts: Facts, folder: Path, license: str | None = None, repository: str | None = None) -> str:
    """The text of a card.

    Args:
        facts: the facts of the model, from `genkit.facts`.
        folder: the folder of the card, from which its links to pictures start.
        license: the license by the Hub's name, such as apache-2.0; None: the card names no license.
        repository: the address from which the model will be loaded, hf://USER/REPO.
    """
    sections = {
        "Use": _use(facts, repository),
        "Figures": _figures(facts),
        "Notes": "\n".join(f"- {escaped(note.text)}" for note in facts.notes()),
        "Pictures": _pictures(facts.pictures, folder),
        "Parts": _parts(facts.model),
        "Data": _data(facts.data),
        "Training": _training(facts),
        "Plugins": _plugins(facts.plugins),
        "Config": fenced(yaml.write(facts.config.resolved()), "yaml"),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items() if text)
    matter = yaml.write(front_matter(facts, license))
    return f"---\n{matter}---\n\n# {escaped(facts.config.name)}\n\n{_summary(facts)}\n\n{body}\n"


def front_matter(facts: Facts, license: str | None = None) -> dict[str, Any]:
    """The values that the Hub reads: library, tags, task, and the figures as a model index."""
    parts = [f"{kind}-{settings.name.rpartition('/')[2]}" for kind, settings in facts.config.components()]
    matter: dict[str, Any] = {"library_name": "genkit", "tags": ["genkit", "generative-model", *dict.fromkeys(parts)]}
    if license is not None:
        matter["license"] = license
    task = _task(facts.model)
    if task is not None:
        matter["pipeline_tag"] = task
    metrics = [
        {"type": figure.key, "value": round(figure.value, 4), "name": figure.about.title} for figure in facts.figures()
    ]
    if metrics and facts.evaluation is not None:
        source = facts.data.source
        dataset = {"type": source, "name": source, "split": facts.evaluation["split"]}
        result = {"task": {"type": task or "other"}, "dataset": dataset, "metrics": metrics}
        matter["model-index"] = [{"name": facts.config.name, "results": [result]}]
    return matter


def _task(model: Model) -> str | None:
    """The Hub's name for the task of the model; None: it has none."""
    if not is_image(model.shape):
        return None
    return "unconditional-image-generation" if model.has_prior else "image-feature-extraction"


def _summary(facts: Facts) -> str:
    model = facts.model
    what = f"{'images of' if is_image(model.shape) else 'data of'} shape {_times(model.shape)}"
    does = []
    if model.encoder is not None:
        does.append(f"encodes {what} into {_latents(model)} and decodes them again")
    if model.has_prior:
        does.append("generates new ones" if does else f"generates {what}")
    start = f"A model with a latent space, made with genkit: it {', and '.join(does)}."
    return f"{start} It has {_size(model):,} parameters and was trained on {code(facts.data.source)}."


def _beside(model: Model, names: Iterable[str]) -> str:
    """Side data as further arguments of a call: the first class, or ones."""
    return "".join(f", {name}={_example(model.schema.side[name])}" for name in names)


def _example(side: Side) -> str:
    """A value of side data in Python, the same for all data."""
    value: Any = 1.0 if side.classes is None else 0
    for length in reversed(side.shape):
        value = [value] * length
    return repr(value)


def _use(facts: Facts, repository: str | None) -> str:
    model = facts.model
    install = pip_line(facts.plugins)
    if repository:  # loading from the Hub needs the extra
        install = re.sub(rf"'{FIRST_PARTY}\b", f"'{FIRST_PARTY}[hub]", install)
    lines = ["import genkit", "", f'model = genkit.load("{repository or MODEL_FILE}")']
    shape, (low, high) = ", ".join(map(str, model.shape)), facts.data.range
    if model.has_prior:
        count = "64, noise=True" if model.likelihood.whole_numbers or model.likelihood.levels else "64"
        numbers = [name for name in model.decoder_inputs if model.schema.side[name].classes is None]
        lines += [
            f"x = model.sample({count}{_beside(model, numbers)})  # (64, {shape}), values from {low:g} to {high:g}"
        ]
    else:
        lines.insert(1, "import torch")
        lines += [f"x = torch.rand(64, {shape})  # in place of your own data, values from {low:g} to {high:g}"]
    if model.encoder is not None:
        lines += [f"z = model.encode(x{_beside(model, model.encoder_inputs)})  # of these, or of your own data"]
        lines += [f"x = model.decode(z{_beside(model, model.decoder_inputs)})  # (64, {shape})"]
    notes = [
        f"It needs {escaped(record.owner)}, which no distribution brings: register the same class first, with "
        "`genkit.register`."
        for record in facts.plugins
        if record.distribution == THIS_PROCESS
    ]
    notes += [_file_note(record) for record in facts.plugins if record.file]
    end = "Loading reads a safetensors file and runs no code from it."
    console = [fenced(install, "console")] if install else []
    return "\n\n".join([*console, *notes, fenced("\n".join(lines), "python"), end])


def _file_note(record: PluginRecord) -> str:
    """The sentence on a file that brings parts of the model, and is no part of the card."""
    which = f"{code(record.file)} (sha256 {code(record.sha256)})" if record.sha256 else code(record.file)
    remedy = code(f"{VARIABLE}=all,PATH/{record.file}")
    what = f"{escaped(named(record.components))} of the file {which}"
    return f"It needs {what}: read that file, and if you trust it, load the model with {remedy}."


def _figures(facts: Facts) -> str:
    rows = [
        (
            f"{figure.about.name} {figure.about.arrow}".rstrip(),
            f"{figure.text} {figure.about.unit}".rstrip(),
            escaped(figure.about.sentence),
        )
        for figure in facts.figures()
    ]
    if not rows or facts.evaluation is None:
        return ""
    split, count, draws = (facts.evaluation[key] for key in ("split", "count", "draws"))
    where = f"On the {escaped(split)} split, {count:,} data, with {draws} draw{'s' if draws > 1 else ''} of z for each"
    return f"{where}; {LEGEND}.\n\n{table(('figure', 'value', 'what'), rows)}"


def _pictures(pictures: Iterable[Path], folder: Path) -> str:
    links = []
    for picture in sorted(pictures, key=lambda picture: (_place(picture.stem), picture.stem)):
        relative = Path(os.path.relpath(picture, folder)).as_posix()
        title = picture.stem.replace("_", " ").replace("-", " ").strip().capitalize()
        links.append(f"**{escaped(title)}**\n\n![{escaped(title)}]({quote(os.fsencode(relative))})")
    return "\n\n".join(links)


def _place(stem: str) -> int:
    return FIRST.index(stem) if stem in FIRST else len(FIRST)


def _parts(model: Model) -> str:
    assert model.config is not None
    parts = [(kind, settings.name, getattr(model, kind, None)) for kind, settings in model.config.components()]
    parts += [("loss", name, term) for name, term in model.losses.items()]
    rows = [(kind, code(name), f"{_size(part):,}") for kind, name, part in parts if isinstance(part, nn.Module)]
    return table(("part", "which", "parameters"), rows)


def _data(data: DataSignature) -> str:
    rows = [
        ("source", code(data.source)),
        ("shape of a datum", _times(data.shape)),
        ("values", f"{data.range[0]:g} to {data.range[1]:g}"),
        *((f"{split} split", f"{count:,} data") for split, count in data.counts.items()),
    ]
    if data.transforms:
        rows.append(("transforms between them and the model", ", ".join(map(code, data.transforms))))
    if data.classes is not None:
        more = [f"and {len(data.classes) - CLASSES:,} more"] if len(data.classes) > CLASSES else []
        rows.append(("classes", ", ".join([*map(escaped, data.classes[:CLASSES]), *more])))
    return table(("what", "value"), rows)


def _training(facts: Facts) -> str:
    if not facts.history:
        return ""
    last, config = facts.history[-1], facts.config.training
    rows = [
        ("epochs", f"{last.epoch:,}"),
        ("steps", f"{last.steps:,}, of up to {config.batch_size:,} data each"),
        ("optimizer", f"{config.optimizer.name}, learning rate {last.lr:g} in the last epoch"),
        ("seconds", f"{math.fsum(record.seconds for record in facts.history):,.1f}"),
        ("objective, training data", f"{last.train.loss:,.2f} nats per datum"),
    ]
    if config.keep == "best" or config.ema is not None:
        kept = "of the best epoch on the validation data" if config.keep == "best" else "of the last epoch"
        rows.append(("weights", kept if config.ema is None else f"{kept}, averaged with decay {config.ema.decay:g}"))
    if last.validation is not None:
        rows.append(("objective, validation data", f"{last.validation.loss:,.2f} nats per datum"))
    if facts.environment is not None:
        versions = facts.environment.get("versions", {})
        rows.append(("made with", ", ".join(escaped(f"{name} {version}") for name, version in versions.items())))
    return table(("what", "value"), rows)


def _plugins(records: Iterable[PluginRecord]) -> str:
    rows = [
        (
            escaped(record.distribution),
            escaped(record.version),
            ", ".join(map(code, record.components)),
            code(record.sha256) if record.sha256 else "not known",
        )
        for record in records
    ]
    note = "The hash is of the distribution's Python files; it does not depend on where they are installed."
    return f"{table(('distribution', 'version', 'parts used', 'sha256'), rows)}\n\n{note}"


def _times(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))


def _latents(model: Model) -> str:
    shape = model.sampler.latent_shape
    return f"{shape[0]} latent dimensions" if len(shape) == 1 else f"latents of shape {_times(shape)}"


def _size(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
