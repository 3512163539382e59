from __future__ import annotations

import random
from typing import Literal

import numpy as np
import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces import Description, Metric
from genkit.testing import checks

SPREAD = Description("spread", sentence="The standard deviation of the codes.")


class Good(Metric):
    """The spread of the codes."""

    class Config(Metric.Config):
        name: Literal["of-test"] = "of-test"

    figures = {"spread": SPREAD}  # noqa: RUF012

    def measure(self, model, data, seed):
        return {"spread": float(model.encode(data.split.x).std())}


class Images(Good):
    """Takes images alone."""

    def measure(self, model, data, seed):
        if len(model.shape) != 3:
            raise DataError("it takes images")
        return {"spread": 1.0}


class Draws(Good):
    """Draws from torch, which is seeded."""

    needs = ("prior",)

    def measure(self, model, data, seed):
        return {"spread": float(model.sample(10, noise=True).std())}


class Nameless(Good):
    """Describes nothing."""

    figures = {}  # noqa: RUF012


class Wordy(Good):
    """Has a key of two words."""

    figures = {"the spread": SPREAD}  # noqa: RUF012


class Silent(Good):
    """Says nothing of its figure."""

    figures = {"spread": Description("spread")}  # noqa: RUF012


class Plain(Good):
    """Describes its figure by text."""

    figures = {"spread": "the spread"}  # noqa: RUF012


class Formless(Good):
    """Formats its figure as a text."""

    figures = {"spread": SPREAD._replace(form="s")}  # noqa: RUF012


class Empty(Good):
    """Gives nothing."""

    def measure(self, model, data, seed):
        return {}


class Infinite(Good):
    """Divides by 0."""

    def measure(self, model, data, seed):
        return {"spread": float("inf")}


class Other(Good):
    """Gives what it does not describe."""

    def measure(self, model, data, seed):
        return {"width": 1.0}


class Numpy(Good):
    """Draws from numpy's global generator."""

    def measure(self, model, data, seed):
        return {"spread": float(np.random.rand())}


class Fresh(Good):
    """Draws from a generator that is seeded anew at each call."""

    def measure(self, model, data, seed):
        return {"spread": float(np.random.default_rng().random())}


class Seeds(Good):
    """Seeds Python's global generator."""

    def measure(self, model, data, seed):
        random.seed(seed)
        return {"spread": random.random()}


class ReadsLabels(Good):
    """Reads labels, and does not say so."""

    def measure(self, model, data, seed):
        return {"spread": float(data.split.labels.double().std())}


class ReadsDensity(Good):
    """Reads a density, and says that it reads labels."""

    needs = ("encoder", "labels")

    def measure(self, model, data, seed):
        return {"spread": float(next(data.passes(4))(1).latent.log_ratio.std())}


class ReadsPrior(Good):
    """Reads the prior, and does not say so."""

    def measure(self, model, data, seed):
        return {"spread": float(model.sample(10).std())}


class ReadsEncoder(Good):
    """Reads codes, and does not say so."""

    needs = ()


class Prunes(Good):
    """Changes the model."""

    def measure(self, model, data, seed):
        for parameter in model.decoder.parameters():
            parameter.zero_()
        return {"spread": 1.0}


class Centres(Good):
    """Changes the data."""

    def measure(self, model, data, seed):
        data.train.x.sub_(data.train.x.mean(0))
        return {"spread": 1.0}


class Trains(Good):
    """Leaves a part in training mode."""

    def measure(self, model, data, seed):
        model.decoder.requires_grad_(False).eval()
        model.encoder.layer.eval()
        model.train = lambda mode=True: model
        return {"spread": 1.0}


WRONG = [
    (Nameless, "figures", "must map the key of each figure to a genkit.Description"),
    (Wordy, "figures", "the key 'the spread' is no word"),
    (Silent, "figures", "has no sentence"),
    (Plain, "figures", "is described by no genkit.Description"),
    (Formless, "figures", "form 's' formats no number"),
    (Empty, "values", "it gives no figure"),
    (Infinite, "values", "'spread' is inf, not a finite number"),
    (Other, "values", "gives 'width', which its `figures` do not describe"),
    (Numpy, "repetition", "changes the global generator of numpy or Python"),
    (Fresh, "repetition", "measured twice with one seed it gives"),
    (Seeds, "repetition", "changes the global generator of numpy or Python"),
    (ReadsLabels, "needs", "without labels it fails, and does not name 'labels' in `needs`"),
    (ReadsDensity, "needs", "without a density of q(z|x) it fails, and does not name 'density'"),
    (ReadsPrior, "needs", "without a prior to draw from it fails, and does not name 'prior'"),
    (ReadsEncoder, "needs", "without an encoder it fails, and does not name 'encoder'"),
    (Prunes, "model is kept", "it changes decoder.layer.weight, decoder.layer.bias of the model"),
    (Centres, "model is kept", "it changes the data in place"),
    (Trains, "model is kept", "it leaves parts of the model in another mode"),
]


@pytest.mark.parametrize(("component", "check", "said"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_what_breaks_a_promise_is_said(component, check, said, failures):
    assert said in failures(component)[check]


@pytest.mark.parametrize("component", [Infinite, Other])
def test_one_that_fails_everywhere_is_said_to_fail_and_not_to_lack_a_need(component, failures):
    assert [*failures(component)] == ["values"]


@pytest.mark.parametrize("component", [Good, Images, Draws])
def test_a_good_metric_passes_and_may_refuse_shapes(component, failures):
    torch.manual_seed(0)
    assert failures(component) == {}


def test_a_metric_that_takes_no_usual_shape_is_not_checked_without_its_own():
    class Wide(Good):
        """Takes vectors of 30 values."""

        def measure(self, model, data, seed):
            if model.shape != (30,):
                raise DataError("it takes vectors of 30 values")
            return {"spread": 1.0}

    def statuses(**options):
        return {check.name: check.result().status for check in checks(Wide, **options)}

    assert statuses()["values"] == "not applicable"
    assert statuses(shapes=[(30,)])["values"] == "ok"
    assert statuses(shapes=[(30,), (3,)])["values"] == "FAILED"
