"""Parts that were written against older interfaces."""

from __future__ import annotations

import re
from typing import Literal

import pytest

import genkit
from genkit.data.loading import load
from genkit.data.transforming import Chain
from genkit.errors import ComponentError
from genkit.interfaces import Augmentation, DataSource, Description, Loss, Metric, Schema, Side
from genkit.registry.registry import registry
from genkit.runs.opening import as_config
from genkit_priors.normal import NormalPrior
from tests.testing.test_exports import Good
from tests.testing.test_samplers import Good as Gaussian
from tests.testing.test_supply import Labelled


class WithoutShape(Good):
    """Is built without a shape."""

    def __init__(self, config):
        super().__init__(config, (1, 8, 8))


class WithoutDraws(Gaussian):
    """Takes no number of draws."""

    def forward(self, features):
        return super().forward(features, 1)


class WithoutLabels(Labelled):
    """Reads labels, and takes none in its pass."""

    def forward(self, x):
        return self.dense(x.flatten(1))


class BuiltWithoutLabels(Labelled):
    """Reads labels, and is built without."""

    def __init__(self, config, shape):
        super().__init__(config, shape, Side((), 3))


class AttachedToParts(Good):
    """Gets to know parts, not the model."""

    def attach(self, encoder, decoder):
        pass


class DrawsNothing(NormalPrior):
    """Draws once."""

    class Config(NormalPrior.Config):
        name: Literal["of-test"] = "of-test"

    def sample(self):
        return super().sample(1)


class OfAModel(Loss):
    """Reads the model of a pass."""

    class Config(Loss.Config):
        name: Literal["of-test"] = "of-test"

    def forward(self, forward):
        return forward.latent.mean.square().flatten(1).sum(1) * forward.model.scale


class Unpacks(OfAModel):
    """Takes a Latent for a tuple of four."""

    def forward(self, forward):
        _z, _mean, kl, _log_ratio = forward.latent
        return kl.sum(1)


class OfOnePass(Augmentation):
    """Is told how much to change."""

    class Config(Augmentation.Config):
        name: Literal["of-test"] = "of-test"

    def fit(self, blocks):
        pass

    def augment(self, x, amount):
        return x


class WithoutSeed(Metric):
    """Takes no seed."""

    class Config(Metric.Config):
        name: Literal["of-test"] = "of-test"

    figures = {"one": Description("one", sentence="Always 1.")}  # noqa: RUF012

    def measure(self, model, data):
        return {"one": 1.0}


class FromAFolder(DataSource):
    """Is told where to look."""

    class Config(DataSource.Config):
        name: Literal["of-test"] = "of-test"

    def load(self, folder):
        raise NotImplementedError


OTHERS = [
    (OfOnePass, r"OfOnePass.augment has another signature .* write def augment\(self, x\)"),
    (WithoutSeed, r"write def measure\(self, model, data, seed\)"),
    (FromAFolder, r"write def load\(self\)"),
]
OLD = [
    (WithoutShape, r"WithoutShape.__init__ has another signature .* write def __init__\(self, config, shape\)"),
    (WithoutDraws, r"too many positional arguments; write def forward\(self, features, draws=1\)"),
    (WithoutLabels, r"\(reads = \('labels',\)\): .*'labels'; write def forward\(self, x, labels\)"),
    (BuiltWithoutLabels, r"write def __init__\(self, config, shape, labels\)"),
    (AttachedToParts, r"AttachedToParts.attach .* write def attach\(self, model\)"),
    (DrawsNothing, r"DrawsNothing.sample .* write def sample\(self, n\)"),
]
READS_OLD = [
    (OfAModel, "a pass has no `model` any more: read forward.likelihood"),
    (Unpacks, "read its fields by name"),
]


@pytest.mark.parametrize(("component", "said"), OLD + OTHERS)
def test_an_old_signature_is_one_message_of_the_contract(component, said, failures):
    broken = failures(component)
    assert broken.keys() == {"signatures"}
    assert re.search(said, broken["signatures"])


@pytest.mark.parametrize(("component", "said"), READS_OLD)
def test_fields_that_there_were_are_one_message_of_the_contract(component, said, failures):
    broken = failures(component)
    assert broken.keys() == {"shapes"}
    assert said in broken["shapes"]
    assert "test_options.py:" in broken["shapes"]


CONFIG = {"data": "digits", "encoder": "mlp", "sampler": "gaussian", "decoder": "mlp", "likelihood": "bernoulli"}


@pytest.mark.parametrize(("component", "said"), OLD + READS_OLD)
def test_a_model_of_an_old_part_is_refused_in_one_line(component, said):
    kind = component.kind
    parts = {**CONFIG, "loss": ["reconstruction", "kl"]}
    name = component.Config.model_fields["name"].default
    parts[kind] = ["reconstruction", name] if kind == "loss" else name
    config_class = type("Config", (component.Config,), {"component": component, "__module__": __name__})
    component = type(component.__name__, (component,), {"Config": config_class, "__doc__": component.__doc__})
    with registry().registered_within(component), pytest.raises(ComponentError, match=said) as refused:
        genkit.build(as_config(parts), Schema((1, 8, 8), {"labels": Side((), 10)}))
    assert str(refused.value).startswith(f"{kind} '")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("component", "said"), OTHERS)
def test_an_old_part_beside_the_model_is_refused_too(component, said, tmp_path):
    config = component.Config()
    build = {
        "transform": lambda: Chain.of((config,), (3,)),
        "metric": lambda: genkit.build_part(config),
        "data": lambda: load(config),
    }
    with pytest.raises(ComponentError, match=said):
        build[component.kind]()
