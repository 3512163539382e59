"""Checks of metrics: figures that are described, finite and the same for the same seed, of a model that stays as it is.

N data, K draws.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

import numpy as np
import torch

from genkit.data.dataset import Dataset
from genkit.errors import GenkitError, MetricError
from genkit.evaluation.descriptions import wrong_figures
from genkit.evaluation.metrics import measure_by
from genkit.interfaces import Metric, MetricNeed, Shape, Split
from genkit.model.model import Model
from genkit.testing.check import promise
from genkit.testing.passes import OPTIONS, tiny_model
from genkit.testing.subject import SHAPES, ContractError, NotApplicable, Subject, generators, require
from genkit.testing.tiny_codes import TinyCodes

COUNT = 60
"""The number of data, a third of them in the test split."""
KEY = r"[a-z][a-z0-9_]*"
"""The pattern of a figure's key."""
WITHOUT: Mapping[MetricNeed, str] = {
    "encoder": "an encoder",
    "density": "a density of q(z|x)",
    "prior": "a prior to draw from",
    "labels": "labels",
    "factors": "several classes per datum",
}
"""What each need is, in words."""


@promise(Metric, after=("signatures",))
def figures(subject: Subject) -> None:
    """Each figure has a key that is a word, a name, and a sentence that says what it means."""
    described = getattr(_built(subject), "figures", None)
    wrong = wrong_figures(described)
    require(wrong is None, wrong or "")
    assert isinstance(described, Mapping)
    for key, about in described.items():
        right = re.fullmatch(KEY, key)
        require(bool(right), f"the key {key!r} is no word of small letters, digits and _: other programs read it")
        require(bool(about.sentence), f"figure '{key}' has no sentence: say what it means, and where its formula is")


@promise(Metric, after=("figures", "values"))
def needs(subject: Subject) -> None:
    """It names in `needs` what it reads: a model or data that lack anything else are measured all the same."""
    for need, what in WITHOUT.items():
        if need in subject.component.needs or (need == "encoder" and "density" in subject.component.needs):
            continue
        for shape in _shapes(subject):
            try:
                _measured(subject, _model(subject, shape, need), _data(shape, need))
            except ContractError as error:
                message = f"without {what} it fails, and does not name '{need}' in `needs`: {error}"
                raise ContractError(message) from None


@promise(Metric, after=("figures",))
def values(subject: Subject) -> None:
    """It gives at least one of its figures, each a finite number."""
    for shape in _shapes(subject):
        require(bool(_measured(subject, _model(subject, shape), _data(shape))), "it gives no figure")


@promise(Metric, after=("values",))
def repetition(subject: Subject) -> None:
    """The same seed gives the same figures, whatever was drawn before; the random generators stay as they were."""
    for shape in _shapes(subject):
        model, data = _model(subject, shape), _data(shape)
        random.random(), np.random.random_sample()  # so that a metric that seeds them shows
        states = generators()
        one = _measured(subject, model, data)
        require(
            states == generators(),
            "it changes the global generator of numpy or Python: use one of its own (numpy.random.default_rng(seed))",
        )
        torch.rand(1)
        other = _measured(subject, model, data)
        require(
            one == other,
            f"measured twice with one seed it gives {one}, then {other}: take random numbers from torch, which is "
            "seeded, or from a generator of your own with `seed`",
        )


@promise(Metric, after=("values",))
def model_is_kept(subject: Subject) -> None:
    """The model and the data are the same after it: weights, mode, values and labels."""
    for shape in _shapes(subject):
        model, data = _model(subject, shape), _data(shape)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        copies = [split.x[:].clone() for split in data.splits().values()]
        model.train()
        _measured(subject, model, data)
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, state[name])]
        require(not changed, f"it changes {', '.join(changed)} of the model: work on a copy")
        modes = {part.training for part in model.modules()}
        require(modes == {True}, "it leaves parts of the model in another mode: put it back")
        same = all(torch.equal(split.x[:], copy) for split, copy in zip(data.splits().values(), copies, strict=True))
        require(same, "it changes the data in place: clone them")


def _built(subject: Subject) -> Metric:
    try:
        metric: Metric = subject.component(subject.config)
    except GenkitError as error:
        raise ContractError(f"it cannot be built with its options: {error}") from error
    return metric


def _shapes(subject: Subject) -> list[Shape]:
    """The shapes of data that the metric takes; with a shape asked for, that one."""
    if subject.shapes is not None:
        return list(subject.shapes)
    taken = [shape for shape in SHAPES if not _is_refused(subject, shape)]
    if not taken:
        raise NotApplicable("it takes data of none of the shapes tried; say which it takes (shapes, --shape)")
    return taken


def _is_refused(subject: Subject, shape: Shape) -> bool:
    """Whether the metric refuses a shape by an error of genkit's own."""
    try:
        measure_by(_built(subject), _model(subject, shape), _data(shape), "test", 0, subject.config.name)
    except MetricError as error:
        return isinstance(error.__cause__, GenkitError)
    return False


def _measured(subject: Subject, model: Model, data: Dataset) -> dict[str, float]:
    try:
        return measure_by(_built(subject), model, data, "test", 0, subject.config.name)
    except MetricError as error:
        raise ContractError(str(error)) from error


def _model(subject: Subject, shape: Shape, lacks: MetricNeed | None = None) -> Model:
    """A small model, which may lack something; it has codes where the metric needs some."""
    has_codes = "codes" in subject.component.needs
    model = tiny_model(shape, TinyCodes.latent_shape) if has_codes else tiny_model(shape)
    if has_codes:
        model.sampler = TinyCodes(OPTIONS, (6,))
    model.generates = False
    if lacks == "encoder":
        model.encoder = None
    if lacks == "prior":
        model.sampler.has_prior = False  # type: ignore[misc]
    if lacks == "density":
        model.sampler.has_density = False  # type: ignore[assignment]
    return model


def _data(shape: Shape, lacks: MetricNeed | None = None) -> Dataset:
    """Random data with values from 0 to 1, labels of two classes, and two further factors, which may lack something."""
    x = torch.rand(COUNT, *shape, generator=torch.Generator().manual_seed(0))
    places = torch.arange(COUNT)
    labels = None if lacks == "labels" else places % 2
    side = {} if lacks == "factors" else {"third": places % 3, "half": places // 2 % 2}
    whole = Split(x, labels, side)
    rest = COUNT // 3
    train, test = (whole.rows(places[rows]) for rows in _rows(rest))
    return Dataset(train, None, test, None if labels is None else ("even", "odd"), False)


def _rows(rest: int) -> tuple[slice, slice]:
    return slice(rest, COUNT), slice(0, rest)
