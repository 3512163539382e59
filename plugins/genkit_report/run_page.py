"""The report of a run: its verdict, figures, curves, latents, pictures, config, and the commands that repeat it."""

from __future__ import annotations

import math
import shlex
import statistics
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genkit.errors import GenkitWarning, RunError
from genkit.evaluation.descriptions import LEGEND
from genkit.evaluation.figure_tables import MISSING
from genkit.files import strict_json
from genkit.model.model import Model
from genkit.pages import page
from genkit.pages.charts import number
from genkit.pages.images import Picture, picture
from genkit.pictures import captions
from genkit.record.directory import CONFIG_FILE, RunDirectory
from genkit.record.origin import Config, Origin, config_of
from genkit.record.run import Run
from genkit.record.verdict import Verdict
from genkit.runs.changes import changes_of
from genkit.runs.opening import started_in
from genkit.settings import yaml
from genkit.settings.differences import ABSENT, text_of
from genkit.sharing import facts as gathering
from genkit.sharing.facts import Facts
from genkit_report import FILE, curves

PACKAGE = "genkit_report"
BARS = 16
"""The most latents that each have a bar."""
CLASSES = 100
"""The most names of classes that are shown."""
DRAWN = "loss"
"""The picture that the curves of the page take the place of."""


class Bar(NamedTuple):
    """A bar of a chart."""

    name: str
    value: float
    text: str


class Fact(NamedTuple):
    """A row of a table: what is said, and what it is."""

    name: str
    text: str


def write_of(run: Run) -> Path:
    """Write the report of a run that has just ended into its directory; raises GenkitError where it cannot."""
    facts = gathering.of_run(run.directory, run.model)
    return page.write(run.directory.path / FILE, text(facts, run.directory, run.verdict()))


def text(facts: Facts, directory: RunDirectory, verdict: Verdict) -> str:
    """The report as HTML.

    Args:
        facts: the facts of the run.
        directory: the run's directory, of which nothing but files of the run is read.
        verdict: what is said first.

    Raises:
        RunError: a file of the run is damaged.
    """
    pictures = list(_pictures(facts, directory))
    config = config_of(directory)
    bars = _bars(facts.evaluation or {})
    return page.render(
        PACKAGE,
        "run.html.j2",
        name=facts.config.name,
        summary=_summary(facts),
        verdict=verdict,
        sections=_sections(facts, bars is not None, bool(pictures)),
        figures=facts.figures(),
        split=facts.evaluation or {},
        legend=LEGEND,
        number=number,
        charts=curves.of_run(facts.history) if facts.history else [],
        bars=bars,
        pictures=[one for stem, one in pictures if stem != DRAWN],
        losses=next((one for stem, one in pictures if stem == DRAWN), None),
        origin=_origin(config),
        changes=_changes(config),
        later=[(_after(change.epoch, change.step), " ".join(change.overrides)) for change in changes_of(directory)],
        config=yaml.write(facts.config.resolved()),
        commands=commands(facts, directory, config.origin),
        training=_training(facts, directory),
        model=_model(facts.model),
        data=_data(facts),
        machine=_machine(facts.environment or {}),
        plugins=[(f"{each.distribution} {each.version}", ", ".join(each.components)) for each in facts.plugins],
    )


def _sections(facts: Facts, has_bars: bool, has_pictures: bool) -> list[tuple[str, str]]:
    """The sections that the page has, each by its anchor and its title."""
    parts = {
        "Figures": bool(facts.figures()),
        "Curves": bool(facts.history),
        "Latents": has_bars,
        "Pictures": has_pictures,
        "Config": True,
        "Repeat": True,
    }
    return [
        *((title.lower(), title) for title, is_there in parts.items() if is_there),
        ("made", "Hardware and versions"),
    ]


def _summary(facts: Facts) -> str:
    last = facts.history[-1].epoch if facts.history else 0
    parts = " → ".join(
        settings.name for kind, settings in facts.config.components() if kind in ("encoder", "sampler", "decoder")
    )
    epochs = f"{last:,} epoch{'s' if last != 1 else ''} on " if last else ""
    return f"{parts}, {epochs}{facts.data.source}"


def _bars(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The KL of each latent, or the mean activation of each unit of a code, the largest first; None: neither."""
    kl, code = evaluation.get("kl_per_latent"), evaluation.get("code") or {}
    values = kl or code.get("mean_activation")
    if not values:
        return None
    order = sorted(range(len(values)), key=lambda latent: -abs(values[latent]))
    rows = [Bar(f"z{latent + 1}", abs(values[latent]), number(values[latent], ".3g")) for latent in order]
    rest = rows[BARS:]
    what = "KL, nats per datum" if kl else "mean activation"
    return {
        "title": "KL of each latent dimension" if kl else "Mean activation of each unit",
        "sentence": _of_bars(bool(kl), len(values)),
        "rows": rows[:BARS],
        "rest": rest,
        "others": [(bar.name, bar.text) for bar in rest],
        "rest_sum": number(math.fsum(bar.value for bar in rest), ".3g"),
        "most": rows[0].value,
        "heads": ("latent" if kl else "unit", what),
    }


def _of_bars(is_kl: bool, count: int) -> str:
    if is_kl:
        return f"What each of the {count:,} latents says of a datum. One near 0 is not used: it follows the prior."
    return f"How active each of the {count:,} units is, in the mean over the data. One at 0 is not used."


def _pictures(facts: Facts, directory: RunDirectory) -> Iterable[tuple[str, Picture]]:
    """The run's pictures by their names; warns (GenkitWarning) of those that cannot be read."""
    for path in sorted(facts.pictures, key=lambda path: captions.place(path.stem)):
        title, sentence = captions.caption(path.stem)
        try:
            yield path.stem, picture(path, title, f"{title} of {facts.config.name}. {sentence}".strip(), sentence)
        except RunError as error:
            warnings.warn(f"{error}; the report leaves it out", GenkitWarning, stacklevel=2)


def path_of(directory: RunDirectory) -> tuple[str, bool]:
    """The run as commands name it, and whether it lies below the folder that it was started in.

    Others do not learn where on the machine that folder is.
    """
    own, folder = directory.path.absolute(), started_in(directory)
    if folder is not None and own.is_relative_to(folder):
        return str(own.relative_to(folder)), True
    return own.name, False


def commands(facts: Facts, directory: RunDirectory, origin: Origin | None) -> dict[str, Any]:
    """The commands that repeat a run, and where they are typed."""
    path, is_below = path_of(directory)
    typed = None if origin is None or not is_below else _typed(origin)
    again = ["genkit", "run", str(Path(path) / CONFIG_FILE)] if typed is None else typed
    return {
        "where": "the folder that the run was started in" if is_below else "the folder that the run lies in",
        "again": [shlex.join(["genkit", "reproduce", path])],
        "other": [shlex.join(again)],
        "more": [
            shlex.join(["genkit", "evaluate", path]),
            *([shlex.join(["genkit", "sample", path, "--out", "samples.png"])] if facts.model.has_prior else []),
            shlex.join(["genkit", "report", path]),
        ],
    }


def _typed(origin: Origin) -> list[str] | None:
    """The command that a run was started by; None: its config came from Python, or from a folder that is not told."""
    if origin.config is None or Path(origin.config).is_absolute():
        return None
    return ["genkit", "run", origin.config, *origin.overrides]


def _origin(config: Config) -> str:
    """The config that the run was started from, in words; empty where it is not recorded."""
    if config.origin is None:
        return ""
    return "its config" if config.origin.config is None else Path(config.origin.config).name


def _changes(config: Config) -> list[tuple[str, str, str]]:
    """The options that differ from those that the run was started from: both values of each."""
    return [(each.path, value_text(each.before), value_text(each.after)) for each in config.changes.values()]


def value_text(value: Any) -> str:
    """The value of an option on one line; a dash where the config has no such option."""
    return MISSING if value is ABSENT else text_of(value)


def _after(epoch: int, step: int) -> str:
    return f"after epoch {epoch:,}" + (f" and {step:,} steps" if step else "")


def _training(facts: Facts, directory: RunDirectory) -> list[Fact]:
    if not facts.history:
        return []
    last, config = facts.history[-1], facts.config.training
    seconds = math.fsum(record.seconds for record in facts.history)
    rate = statistics.median(record.examples_per_second for record in facts.history)
    stopped, kept = _recorded(directory.stopped), _recorded(directory.kept)
    ended = f", ended early by {stopped['by']}" if stopped.get("epoch") == last.epoch and "by" in stopped else ""
    rows = [
        Fact("epochs", f"{last.epoch:,}{ended}"),
        Fact("steps", f"{last.steps:,}, of up to {config.batch_size:,} data each"),
        Fact("optimizer", f"{config.optimizer.name}, learning rate {last.lr:g} in the last epoch"),
        Fact("training time", f"{seconds:,.1f} seconds, without validation and pictures"),
        Fact("training rate", f"{rate:,.0f} data per second, the median over epochs"),
        Fact("seed", str(facts.config.seed)),
    ]
    if "epoch" in kept:
        rows.append(Fact("weights", f"those of epoch {kept['epoch']}, the best by {kept.get('monitor', 'its figure')}"))
    left_out = sum(record.left_out for record in facts.history)
    return [*rows, Fact("steps left out", f"{left_out:,}, which were not finite")] if left_out else rows


def _recorded(path: Path) -> dict[str, Any]:
    """The values of a small record of the run; none where it is not there, or damaged."""
    try:
        values = strict_json.read(path)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _model(model: Model) -> list[Fact]:
    assert model.config is not None
    parts = [(kind, settings.name, getattr(model, kind, None)) for kind, settings in model.config.components()]
    sizes = [(f"{kind} {name}", part) for kind, name, part in parts if part is not None and kind != "loss"]
    sizes += [(f"loss {name}", term) for name, term in model.losses.items()]
    rows = [Fact(name, _size(part)) for name, part in sizes if hasattr(part, "parameters")]
    return [*rows, Fact("all of it", _size(model))]


def _size(part: Any) -> str:
    return f"{sum(parameter.numel() for parameter in part.parameters()):,} parameters"


def _data(facts: Facts) -> list[Fact]:
    data = facts.data
    shape = " × ".join(map(str, data.shape))
    rows = [Fact("source", data.source), Fact("shape of a datum", shape)]
    rows.append(Fact("values", f"{data.range[0]:g} to {data.range[1]:g}"))
    rows += [Fact(f"{split} split", f"{count:,} data") for split, count in data.counts.items()]
    if data.transforms:
        rows.append(Fact("transforms", ", ".join(data.transforms)))
    if data.classes is not None:
        more = f", and {len(data.classes) - CLASSES:,} more" if len(data.classes) > CLASSES else ""
        rows.append(Fact("classes", ", ".join(data.classes[:CLASSES]) + more))
    return rows


UNITS = {"memory": " GiB"}


def _machine(environment: Mapping[str, Any]) -> list[Fact]:
    """Hardware and versions, as far as they are recorded."""
    hardware = environment.get("hardware")
    own = hardware if isinstance(hardware, dict) else {}
    rows = [Fact(str(name), f"{value}{UNITS.get(name, '')}") for name, value in own.items()]
    rows += [Fact(name, str(environment[name])) for name in ("platform", "processes", "threads") if name in environment]
    return rows + [Fact(name, str(version)) for name, version in environment.get("versions", {}).items()]
