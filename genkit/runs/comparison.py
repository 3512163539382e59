"""Trained models of the same data side by side: what each took, what each is worth, and how good its samples are.

N data.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.errors import DataError, RunError
from genkit.evaluation.classifier import FEATURES, feature_network
from genkit.evaluation.descriptions import Description
from genkit.evaluation.figures import Evaluation, evaluate
from genkit.evaluation.sample_quality import LEAST, SampleQuality, sample_quality
from genkit.model.model import Model
from genkit.record.directory import MODEL_FILE, RunDirectory
from genkit.runs.opening import reopen

MOST = 10_000


@dataclass(frozen=True)
class Entry:
    """One model of a comparison."""

    name: str
    path: str
    parameters: Annotated[
        int, Description("parameters", sentence="All that were fitted, a critic's included.", form=",d")
    ]
    epochs: Annotated[int | None, Description("epochs", sentence="Passes over the training data.", form=",d")]
    """None for weights without their run, as the next two."""
    seconds: Annotated[
        float | None,
        Description("training time", "seconds", sentence="As the run's machine took them.", form=",.0f"),
    ]
    examples_per_second: Annotated[
        float | None, Description("training rate", "data per second", sentence="The median over epochs.", form=",.0f")
    ]
    evaluation: Evaluation
    """On the test split."""
    samples: SampleQuality | None
    """None where the sampler has no prior to draw from."""


@dataclass(frozen=True)
class Comparison:
    """Models of the same data, and what real data would reach in their place."""

    entries: tuple[Entry, ...]
    floor: SampleQuality
    """Of training data in place of samples: the best that a figure can be expected to be at this N."""
    features: str
    """What samples and data were compared in."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """The models themselves, for pictures."""

    comparison: Comparison
    models: tuple[Model, ...]
    data: Dataset


def compare(
    paths: Sequence[str | Path],
    overrides: Iterable[str] = (),
    count: int = MOST,
    seed: int = 0,
    cache: Path | None = None,
) -> Compared:
    """Compare trained models on the test split of the data that they share.

    Args:
        paths: run directories, or model.safetensors files.
        overrides: other data for all of them: data=NAME, data.KEY=VALUE.
        count: N of the samples and the data they are compared with, fewer where a split has fewer.
        seed: of the samples and of the ELBO's draws.
        cache: see `feature_network`.

    Raises:
        RunError: there is no path, or one twice.
        DataError: the models are of different data, or the data are too few.
        GenkitError: as `reopen` does.
    """
    if not paths or len({_run_of(path).resolve() for path in paths}) < len(paths):
        raise RunError("compare takes at least one run, and each of them once")
    opened = [reopen(path, overrides) for path in paths]
    data = opened[0][1]
    for path, (model, other) in zip(paths, opened, strict=True):
        _check_same(data, other, model, (paths[0], path))
    judge = _Judge(data, count, seed, cache)
    entries = [
        _entry(name, Path(path), model, judge)
        for name, path, (model, _) in zip(_names(paths), paths, opened, strict=True)
    ]
    comparison = Comparison(tuple(entries), judge.floor(), judge.described())
    return Compared(comparison, tuple(model for model, _ in opened), data)


class _Judge:
    """Judges samples by N data of the test split, drawn at random where it has more."""

    def __init__(self, data: Dataset, count: int, seed: int, cache: Path | None) -> None:
        self.data = data
        self.seed = seed
        held_out = data.split("test")
        self.count = min(count, len(held_out.x), len(data.train.x))
        if self.count < LEAST:
            raise DataError(
                f"{self.count} data are too few to judge samples by, it takes {LEAST}: the least of -n ({count:,}), "
                f"the test split ({len(held_out.x):,}) and the training split ({len(data.train.x):,})"
            )
        self.network = feature_network(data, cache)
        self.real, self.looks = self.network.read(self._some(held_out.x))

    def of(self, x: Tensor) -> SampleQuality:
        """Of data x (N, *shape) in place of samples."""
        features, looks = self.network.read(x)
        both = None if looks is None or self.looks is None else (self.looks, looks)
        return sample_quality(self.real, features, both, self.network.classes)

    def samples_of(self, model: Model) -> SampleQuality | None:
        """Of the means of p(x|z) for z from the prior."""
        if not model.sampler.has_prior:
            return None
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self.of(model.sample(self.count).cpu())

    def floor(self) -> SampleQuality:
        """Of as many training data."""
        return self.of(self._some(self.data.train.x))

    def _some(self, x: Tensor) -> Tensor:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))
        return x[order[: self.count]]

    def described(self) -> str:
        """What the features are."""
        accuracy = self.network.accuracy(self.data.split("test"))
        if accuracy is None:
            return f"{FEATURES} features of a random network, as the data have no labels"
        return f"{FEATURES} features of a classifier of the data, right for {accuracy:.1%} of the test split"


def _check_same(data: Dataset, other: Dataset, model: Model, paths: tuple[str | Path, str | Path]) -> None:
    """Refuse models that cannot be measured on the same data."""
    remedy = "give data that fit all of them: data=NAME data.KEY=VALUE"
    if model.shape != data.shape:
        raise DataError(
            f"{paths[1]} is for data of shape {model.shape}, those of {paths[0]} have {data.shape}; {remedy}"
        )
    if data.binarize != other.binarize:
        raise DataError(f"{paths[0]} and {paths[1]}: one of them binarizes its data, so their ELBOs differ; {remedy}")
    if not torch.equal(as_float(data.split("test").x), as_float(other.split("test").x)):
        raise DataError(f"{paths[0]} and {paths[1]} hold out different data for their tests; {remedy}")


def _entry(name: str, path: Path, model: Model, judge: _Judge) -> Entry:
    history = RunDirectory(path).history() if path.is_dir() else []
    return Entry(
        name=name,
        path=str(path),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        epochs=len(history) or None,
        seconds=sum(record.seconds for record in history) if history else None,
        examples_per_second=statistics.median(r.examples_per_second for r in history) if history else None,
        evaluation=evaluate(model, judge.data, seed=judge.seed),
        samples=judge.samples_of(model),
    )


def _run_of(path: str | Path) -> Path:
    """The directory of a run that is given by it, or by the weights in it."""
    path = Path(path)
    return path.absolute().parent if path.name == MODEL_FILE else path


def _names(paths: Sequence[str | Path]) -> list[str]:
    """The runs' own names, or their paths where two are called the same."""
    names = [_run_of(path).resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
