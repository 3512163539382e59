"""Conditions and side data: what parts get of them, and what they are refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from genkit.data.dataset import Dataset
from genkit.data.loading import load
from genkit.errors import ComponentError, DataError
from genkit.evaluation.figures import evaluate
from genkit.interfaces import Column, Decoder, Encoder, Likelihood, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.interfaces.signatures import misfit
from genkit.model import conditions
from genkit.model.building import build, build_part
from genkit.model.conditions import keywords
from genkit.model.model import Model
from genkit.runs.opening import as_config
from genkit.sharing.export import Part as ExportedPart
from genkit.sharing.export import export
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.trainer import Trainer
from genkit_mlp import MLPDecoder, MLPEncoder
from tests.models import LINEAR, PARTS, built

LABELS = {"labels": Side(classes=3)}


def made(schema: Schema, **changes: Any) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return built(schema, **changes)


@pytest.mark.parametrize(
    ("shape", "wide"), [((4,), (7,)), ((5, 2), (5, 5)), ((2, 4, 4), (5, 4, 4)), ((1, 2, 2, 2), (4, 2, 2, 2))]
)
def test_a_condition_widens_features_steps_and_channels(shape: tuple[int, ...], wide: tuple[int, ...]) -> None:
    x, condition = torch.rand(3, *shape), torch.eye(3)
    assert conditions.widened(shape, 3) == wide
    both = conditions.widen(x, condition)
    assert both.shape == (3, *wide)
    axis = 1 if len(shape) != 2 else 2
    kept, added = both.split([shape[axis - 1], 3], axis)
    assert torch.equal(kept, x)
    for place in np.ndindex(*(size for number, size in enumerate(shape, 1) if number != axis)):
        index = [slice(None), *place]
        index.insert(axis, slice(None))
        assert torch.equal(added[tuple(index)], condition)


def test_few_classes_are_unit_vectors_many_are_learned_and_numbers_are_themselves() -> None:
    schema = Schema((4,), {"labels": Side(classes=3), "word": Side(classes=1000), "size": Side((2,))})
    whole = conditions.Conditions(["size", "labels", "word"], schema)
    values = {"labels": torch.tensor([2, 0]), "word": torch.tensor([7, 999]), "size": torch.rand(2, 2)}
    encoded = whole(values)
    assert whole.size == encoded.shape[1] == 2 + 3 + conditions.EMBEDDING
    assert torch.equal(encoded[:, :2], values["size"])
    assert encoded[:, 2:5].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert [name for name, _ in whole.named_parameters()] == ["tables.word.weight"]


def test_the_condition_reaches_encoder_and_decoder() -> None:
    model = made(Schema((4,), LABELS), condition="labels")
    x = torch.rand(5, 4)
    of = {label: model.encode(x, labels=label) for label in (0, 1)}
    assert not torch.allclose(of[0], of[1])
    z = torch.rand(5, 2)
    assert not torch.allclose(model.decode(z, labels=0), model.decode(z, labels=1))
    mixed = model.encode(x, labels=[0, 1, 0, 1, 0])
    torch.testing.assert_close(mixed[::2], of[0][::2])
    torch.testing.assert_close(mixed[1::2], of[1][1::2])
    assert (model.inputs, model.reads, model.condition_size) == (("labels",), ("labels",), 3)


def test_draws_of_a_datum_keep_its_condition() -> None:
    model = made(Schema((4,), LABELS), condition="labels")
    labels = torch.tensor([0, 2])
    passed = model(torch.rand(2, 4), 3, {"labels": labels})
    for draw in range(3):
        expected = model.decoded(passed.latent.z[draw], {"labels": labels})
        torch.testing.assert_close(model.likelihood.mean(passed.params[draw]), expected)
    assert passed.condition.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_a_condition_that_the_data_lack_is_refused() -> None:
    with pytest.raises(ComponentError, match="condition reads the side data 'labels', which the data lack"):
        made(Schema((4,)), condition="labels")
    with pytest.raises(ComponentError, match=r"condition reads the side data 'size'.*: they have labels"):
        made(Schema((4,), LABELS), condition=["labels", "size"])


def test_a_part_reads_side_data_by_name(variant: Any) -> None:
    def init(self: Any, config: Any, shape: Any, labels: Side) -> None:
        assert labels.classes == 3
        MLPEncoder.__init__(self, config, shape)

    def forward(self: Any, x: Tensor, labels: Tensor) -> Tensor:
        return MLPEncoder.forward(self, x) + labels.unsqueeze(1)

    name = variant(MLPEncoder, __init__=init, forward=forward, reads=("labels",))
    encoder = {"name": name, "hidden": [6]}
    model = made(Schema((4,), LABELS), encoder=encoder)
    x = torch.rand(2, 4)
    plain = model.encode(x, labels=0)
    assert not torch.allclose(model.encode(x, labels=[0, 2])[1], plain[1])
    with pytest.raises(ComponentError, match=f"encoder '{name}' reads the side data 'labels', which the data lack"):
        made(Schema((4,)), encoder=encoder)


def test_each_way_takes_what_it_reads_and_no_more(variant: Any, tmp_path: Path) -> None:
    def init(self: Any, config: Any, shape: Any, labels: Side) -> None:
        MLPEncoder.__init__(self, config, shape)

    def forward(self: Any, x: Tensor, labels: Tensor) -> Tensor:
        return MLPEncoder.forward(self, x) + labels.unsqueeze(1)

    name = variant(MLPEncoder, __init__=init, forward=forward, reads=("labels",))
    model = made(Schema((4,), LABELS), encoder={"name": name, "hidden": [6]})
    assert (model.encoder_inputs, model.decoder_inputs, model.inputs) == (("labels",), (), ("labels",))
    x, z = torch.rand(2, 4), torch.randn(3, 2)
    assert torch.equal(model.reconstruct(x, labels=1), model.decode(model.encode(x, labels=1)))
    assert len(model.interpolate(x[0], x[1], 5, labels=1)) == 5
    with pytest.raises(DataError, match="'labels' would change nothing: encoding reads it, and this is decoding"):
        model.sample(3, labels=1)
    with pytest.raises(DataError, match="'labels' would change nothing"):
        model.decode(z, labels=1)
    with pytest.raises(DataError, match="not conditioned on 'size', which would change nothing; it takes labels"):
        model.reconstruct(x, labels=1, size=2)
    inputs = {part: export(model, tmp_path / "m.pt2", part, "torch-export").inputs for part in get_args(ExportedPart)}
    assert inputs == {"encoder": ("x", "labels"), "decoder": ("z",), "all": ("x", "labels")}


def test_a_decoder_that_reads_gets_the_side_data_of_each_draw(variant: Any) -> None:
    seen: list[Tensor] = []

    def init(self: Any, config: Any, latent: Any, out: Any, labels: Side) -> None:
        MLPDecoder.__init__(self, config, latent, out)

    def forward(self: Any, z: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return MLPDecoder.forward(self, z)

    name = variant(MLPDecoder, __init__=init, forward=forward, reads=("labels",))
    model = made(Schema((4,), LABELS), decoder={"name": name, "hidden": [6]})
    model(torch.rand(2, 4), 3, {"labels": torch.tensor([1, 2])})
    assert seen[-1].tolist() == [1, 2, 1, 2, 1, 2]


def fitted(changes: dict[str, Any], latents: int, classes: int, epochs: int, lr: float) -> tuple[Model, Dataset]:
    """A linear VAE, fitted to the digits of the first classes, and these as its data."""
    values = {
        **PARTS,
        **LINEAR,
        "data": {"name": "digits", "validation": 0, "test": 0},
        "sampler": {"name": "gaussian", "latent": latents},
        "likelihood": {"name": "gaussian", "scale": "learned"},
        "training": {
            "epochs": epochs,
            "batch_size": 200,
            "compile": False,
            "optimizer": {"name": "adam", "lr": {"from": lr, "to": 1e-4, "epochs": epochs}},
        },
    }
    config = as_config({**values, **changes})
    data: Dataset = load(config.data)
    data = data._replace(train=of_classes(data.train, range(classes)))
    with own_random_state():
        seed_everything(0, 0)
        model = build(config, data.schema)
        list(fit(Trainer(model, config.training), data, 0))
    return model, data


def of_classes(split: Split, classes: Iterable[int]) -> Split:
    """The data of some classes."""
    assert split.labels is not None
    chosen = torch.isin(split.labels, torch.tensor([*classes]))
    return Split(split.x[chosen], split.labels[chosen])


def elbo_of(model: Model, data: Dataset, split: Split) -> float:
    elbo = evaluate(model, data._replace(test=split), draws=100).elbo
    assert elbo is not None
    return elbo


def flat(x: Tensor) -> np.ndarray[Any, Any]:
    return x.flatten(1).double().numpy()


def ppca(x: np.ndarray[Any, Any], latents: int) -> tuple[float, float]:
    """The log-likelihood and the noise variance of probabilistic PCA (Tipping & Bishop 1999, equations 4 and 8)."""
    spectrum = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    noise = spectrum[latents:].mean()
    logs = np.log(spectrum[:latents]).sum() + (x.shape[1] - latents) * math.log(noise)
    return -(x.shape[1] * math.log(2 * math.pi) + logs + x.shape[1]) / 2, noise


@pytest.mark.slow
@pytest.mark.parametrize("condition", [[], ["labels"]])
def test_a_linear_vae_is_probabilistic_pca_and_a_condition_moves_the_mean_of_each_class(condition: list[str]) -> None:
    """A condition of a linear decoder gives each class a mean, and all one W: the PCA of what the means leave."""
    model, data = fitted({"condition": condition}, 5, 10, 400, 0.02)
    x, labels = flat(data.train.x), data.train.labels.numpy()
    if condition:
        x = x - np.stack([x[labels == label].mean(0) for label in range(10)])[labels]
    exact, noise = ppca(x, 5)
    assert exact - 0.05 < elbo_of(model, data, data.train) < exact + 0.02
    assert float(torch.exp(2 * model.likelihood.log_scale.detach())) == pytest.approx(noise, rel=0.01)


class BlockEncoder(Encoder):
    """x and 1 in the block of the datum's class, zeros in all others: a linear head is an affine map of each class."""

    reads = ("labels",)

    class Config(Encoder.Config):
        name: Literal["blocks"] = "blocks"

    def __init__(self, config: Config, shape: Any, labels: Side) -> None:
        super().__init__(config, shape)
        self.classes = labels.classes or 0
        self.out_shape = (self.classes, math.prod(shape) + 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        one_hot = torch.nn.functional.one_hot(labels, self.classes).to(x.dtype)
        return one_hot.unsqueeze(2) * torch.nn.functional.pad(x.flatten(1), (0, 1), value=1.0).unsqueeze(1)


class AffineDecoder(Decoder):
    """W_c z + b_c, of the datum's class c."""

    reads = ("labels",)

    class Config(Decoder.Config):
        name: Literal["affine"] = "affine"

    def __init__(self, config: Config, latent: Any, out: Any, labels: Side) -> None:
        super().__init__(config, latent, out)
        self.out = out
        self.weight = torch.nn.Parameter(torch.randn(labels.classes or 0, math.prod(out), *latent) / 10)
        self.bias = torch.nn.Parameter(torch.zeros(labels.classes or 0, math.prod(out)))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return (torch.einsum("bdl,bl->bd", self.weight[labels], z) + self.bias[labels]).unflatten(1, self.out)


class ScaledLikelihood(Likelihood):
    """N(x; params, s_c² I), with a learned s_c for each class c."""

    reads = ("labels",)

    class Config(Likelihood.Config):
        name: Literal["scaled"] = "scaled"

    def __init__(self, config: Config, shape: Any, labels: Side) -> None:
        super().__init__(config, shape)
        self.params_shape = shape
        self.log_scale = torch.nn.Parameter(torch.zeros(labels.classes or 0))

    def log_prob(self, x: Tensor, params: Tensor, labels: Tensor) -> Tensor:
        log_scale = self.log_scale[labels][(..., *[None] * len(self.params_shape))]
        squares = ((x - params) * torch.exp(-log_scale)).square()
        return -(squares / 2 + log_scale + math.log(2 * math.pi) / 2).flatten(2).sum(2)

    def mean(self, params: Tensor, labels: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, labels: Tensor) -> Tensor:
        scale = self.log_scale[labels].exp()[(..., *[None] * len(self.params_shape))]
        return params + scale * torch.randn_like(params)


@pytest.mark.slow
def test_a_linear_vae_whose_weights_follow_the_class_is_the_probabilistic_pca_of_each_class(variant: Any) -> None:
    """With W_c, b_c and s_c of its own, each class has the closed form of its own data alone."""
    parts = {"encoder": BlockEncoder, "decoder": AffineDecoder, "likelihood": ScaledLikelihood}
    model, data = fitted({kind: variant(part) for kind, part in parts.items()}, 2, 3, 600, 0.05)
    for label in range(3):
        split = of_classes(data.train, [label])
        exact, noise = ppca(flat(split.x), 2)
        assert exact - 0.05 < elbo_of(model, data, split) < exact + 0.02
        assert float(torch.exp(2 * model.likelihood.log_scale[label].detach())) == pytest.approx(noise, rel=0.01)


def test_splits_bring_their_side_data() -> None:
    model = made(Schema((4,), LABELS), condition="labels")
    split = Split(torch.rand(4, 4), torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(model.encode(split), model.encode(split.x, labels=split.labels))
    torch.testing.assert_close(model.reconstruct(split), model.reconstruct(split.x, labels=split.labels))


def test_a_part_gets_the_facts_that_it_asks_for() -> None:
    class Asking(Likelihood):
        asks = ("columns", "training_data")

        class Config(Likelihood.Config):
            name: Literal["asking"] = "asking"

        def __init__(self, config, shape, columns, training_data):
            super().__init__(config, shape)
            self.facts = (columns, training_data)

        def log_prob(self, x, params):
            raise NotImplementedError

        def mean(self, params):
            raise NotImplementedError

        def sample(self, params):
            raise NotImplementedError

    columns = laid_out([Column(name="a", kind="numeric")])
    schema = Schema((1,), training_data=7, columns=columns)
    assert build_part(Asking.Config(), (1,), **keywords(Asking.Config(), schema)).facts == (columns, 7)
    assert misfit(Asking) is None
    Asking.asks = ("columns", "training_data", "side")
    assert "got an unexpected keyword argument 'side'; write def __init__(self, config, shape, columns" in misfit(
        Asking
    )
