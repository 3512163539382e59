"""Series of different lengths in a model: what is not there changes nothing."""

import json
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import genkit
from genkit.data.steps import mask_of
from genkit.errors import ComponentError, DataError
from genkit.evaluation.figures import evaluate
from genkit.interfaces import FactorizedLikelihood, Likelihood, Schema, Side, Split
from genkit.model.building import build
from genkit.runs.opening import as_config, prepare
from genkit.sharing import weights
from genkit.sharing.export import export

STEPS, FEATURES = 7, 2
LENGTHS = torch.tensor([7, 3, 1, 5])
ENCODERS = {
    "rnn": {"name": "rnn", "hidden": 5, "bidirectional": True, "layers": 2},
    "cnn": {"name": "cnn", "layers": [{"channels": 4, "stride": 2}]},
    "mlp": {"name": "mlp", "hidden": [6]},
}
CONFIG = {
    "data": "digits",
    "encoder": ENCODERS["rnn"],
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "rnn", "hidden": 5},
    "likelihood": {"name": "gaussian", "scale": 0.5},
    "loss": ["reconstruction", "kl"],
}


def schema(steps=STEPS, **more):
    return Schema((steps, FEATURES), {"mask": Side((steps,))}, **more)


def model_of(steps=STEPS, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(as_config({**CONFIG, **changes}), schema(steps)).eval()


@pytest.fixture(scope="module")
def x():
    return torch.randn(4, STEPS, FEATURES, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def mask():
    return mask_of(LENGTHS, STEPS)


@pytest.fixture
def vowels(tmp_path):
    """A config of series of a formula, with its file."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, 60)
    values = rng.normal(5, 2, (int(lengths.sum()), 2)).cumsum(0) % 7
    np.savez(tmp_path / "s.npz", values=values, offsets=lengths.cumsum() - lengths)
    data = {"name": "series", "path": str(tmp_path / "s.npz"), "transform": "standardize"}
    return as_config({**CONFIG, "data": data, "training": {"epochs": 1, "batch_size": 20, "compile": False}})


@pytest.mark.parametrize(("likelihood", "density"), [("gaussian", "normal"), ("bernoulli", "bernoulli")])
def test_the_likelihood_counts_the_steps_that_are_there(likelihood, density, x, mask):
    model = model_of(likelihood=likelihood)
    params = torch.randn(3, 4, STEPS, FEATURES)
    data = x if density == "normal" else (x > 0).float()
    own = model.log_prob(data, params, model.beside({"mask": mask}))
    for number, length in enumerate(LENGTHS.tolist()):
        values, places = data[number, :length], params[:, number, :length]
        if density == "normal":
            by_value = torch.distributions.Normal(places, 1.0).log_prob(values)
        else:
            by_value = torch.distributions.Bernoulli(logits=places).log_prob(values)
        torch.testing.assert_close(own[:, number], by_value.sum((1, 2)))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_codes_and_figures_are_the_same_whatever_pads(encoder, x, mask):
    model = model_of(encoder=ENCODERS[encoder])
    other = torch.where(mask.unsqueeze(2) > 0, x, torch.full_like(x, 1e3))
    blank = torch.where(mask.unsqueeze(2) > 0, x, torch.nan)
    codes = model.encode(x, mask=mask)
    assert torch.equal(codes, model.encode(other, mask=mask))
    assert torch.equal(codes, model.encode(blank, mask=mask))
    assert torch.equal(codes, model.encode(x, lengths=LENGTHS))
    assert not torch.allclose(codes[1:], model.encode(x, lengths=STEPS)[1:])
    passes = []
    for each in (x, other):
        torch.manual_seed(2)
        passes.append(model(each, side={"mask": mask}).log_prob)
    assert torch.equal(*passes)


def test_codes_of_a_recurrent_encoder_do_not_change_with_the_length_padded_to(x):
    model, longer = model_of(), model_of(STEPS + 4)
    longer.encoder.load_state_dict(model.encoder.state_dict())
    longer.sampler.load_state_dict(model.sampler.state_dict())
    padded = torch.nn.functional.pad(x, (0, 0, 0, 4), value=9.0)
    torch.testing.assert_close(longer.encode(padded, lengths=LENGTHS), model.encode(x, lengths=LENGTHS))


def test_what_is_decoded_and_sampled_ends_where_it_ends(x, mask):
    model = model_of()
    for values in (model.reconstruct(x, mask=mask), model.decode(torch.zeros(4, 2), lengths=LENGTHS)):
        assert torch.equal(values.isnan().any(2), mask == 0)
    model.schema = model.schema._replace(lengths=(0, 0, 0, 30, 0, 0, 0, 10))
    lengths = (~model.sample(40).isnan().any(2)).sum(1)
    assert torch.bincount(lengths).tolist() == pytest.approx([0, 0, 0, 30, 0, 0, 0, 10], abs=1)
    assert (~model.sample(5, noise=True, lengths=4).isnan().any(2)).sum(1).tolist() == [4] * 5


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ({}, "the model reads 'mask' beside the data, and there are none: say mask=... or lengths=..."),
        ({"lengths": 8}, "lengths: go from 1 to 7, the steps that the model has, not 8"),
        ({"lengths": 0}, "lengths: go from 1 to 7"),
        ({"lengths": 2.5}, "lengths: takes a whole number"),
        ({"lengths": "long"}, "lengths: takes numbers"),
        ({"lengths": 3, "mask": torch.ones(7)}, "'mask' and 'lengths' say the same"),
    ],
)
def test_lengths_that_cannot_be_are_refused(side, message, x):
    with pytest.raises(DataError) as caught:
        model_of().encode(x, **side)
    assert message in str(caught.value)


class Whole(Likelihood):
    """A density for a whole datum."""

    class Config(Likelihood.Config):
        name: Literal["whole"] = "whole"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.params_shape = shape

    def log_prob(self, x, params):
        return -(x - params).square().flatten(2).sum(2)

    def mean(self, params):
        return params

    def sample(self, params):
        return params


class Reading(Likelihood):
    """The same, by a mask that it reads itself."""

    reads = ("mask",)

    class Config(Likelihood.Config):
        name: Literal["reading"] = "reading"

    def __init__(self, config, shape, mask):
        super().__init__(config, shape)
        self.params_shape = shape

    def log_prob(self, x, params, mask):
        return -((x - params) * mask.unsqueeze(2)).square().flatten(2).sum(2)

    def mean(self, params, mask):
        return params

    def sample(self, params, mask):
        return params


def test_a_likelihood_that_would_count_what_is_not_there_is_refused(x, mask):
    config = as_config(CONFIG)
    assert issubclass(type(model_of().likelihood), FactorizedLikelihood)
    with pytest.raises(ComponentError, match=r"likelihood 'whole' has one density for a whole datum.*not there would"):
        build(config.model_copy(update={"likelihood": Whole.Config()}), schema())
    forward = build(config.model_copy(update={"likelihood": Reading.Config()}), schema())(x, side={"mask": mask})
    squares = (x - forward.params).square() * mask.unsqueeze(2)
    torch.testing.assert_close(forward.log_prob, -squares.flatten(2).sum(2))


def test_figures_count_the_steps_that_are_there(vowels):
    data, model = prepare(vowels)
    figures = evaluate(model, data, "test", seed=3)
    split = data.test
    there = split.side["mask"].double().numpy()[:, :, np.newaxis]
    x, means = split.x.double().numpy(), model.reconstruct(split).double().nan_to_num().numpy()
    errors = (there * (x - means) ** 2).sum()
    centres = (there * x).sum(0) / np.maximum(there.sum(0), 1)
    assert figures.unexplained == pytest.approx(errors / (there * (x - centres) ** 2).sum(), rel=1e-5)
    log_det = -there.sum() * float(model.transforms[0].deviation.double().log().sum()) / len(x)
    assert figures.log_det == pytest.approx(log_det, rel=1e-5)
    steps = there.sum() / len(x)
    assert figures.bits_per_dim == pytest.approx(-figures.elbo / np.log(2) / (2 * steps), rel=1e-6)
    scaled = (x - means) / model.transforms[0].deviation.double().numpy()
    expected = (there * scaled**2).sum() / (0.25 * 2 * there.sum())  # a draw adds a variance of 0.5² to each value
    assert figures.dispersion == pytest.approx(expected, rel=0.2)


def test_a_run_of_series_is_saved_and_sampled_with_their_lengths(vowels, tmp_path, cli):
    trained = genkit.run(vowels, out=tmp_path / "run")
    model = genkit.load(tmp_path / "run")
    assert sum(model.schema.lengths) == len(trained.data.train.x)
    assert model.schema.channels_first is False
    assert torch.equal(model.encode(trained.data.test), trained.model.encode(trained.data.test))
    out = tmp_path / "s.npy"
    assert cli("sample", tmp_path / "run", "-n", 6, "--given", "lengths=3", "--out", out).code == 0
    assert (~np.isnan(np.load(out)).any(2)).sum(1).tolist() == [3] * 6
    assert cli("sample", tmp_path / "run", "-n", 6, "--out", out).code == 0
    assert np.isnan(np.load(out)).any()
    answer = cli("sample", tmp_path / "run", "-n", 6, "--given", "lengths=30", "--out", out)
    assert (answer.code, "--given: lengths: go from 1 to 8" in answer.err) == (2, True)


def test_what_is_written_of_series_has_a_row_per_step_that_is_there(vowels, tmp_path, cli, bare):
    trained = genkit.run(vowels, out=tmp_path / "run")
    lengths = trained.data.test.side["mask"].sum(1).int().tolist()
    order = trained.data.rows["test"].argsort().tolist()
    assert cli("reconstruct", tmp_path / "run", "--out", tmp_path / "r.csv").code == 0
    head, *rows = (line.split(",") for line in (tmp_path / "r.csv").read_text().splitlines())
    assert head == ["series", "step", "row", "channel 0", "channel 1"]
    expected = [[n, step] for n, place in enumerate(order) for step in range(lengths[place])]
    assert [[int(row[0]), int(row[1])] for row in rows] == expected
    assert cli("reconstruct", tmp_path / "run", "--out", tmp_path / "r.npz").code == 0
    with np.load(tmp_path / "r.npz") as arrays:
        assert np.array_equal(np.isnan(arrays["x"]), np.isnan(arrays["reconstruction"]))
        assert np.isnan(arrays["x"]).any()
    assert cli("interpolate", tmp_path / "run", "--out", tmp_path / "i.npy").code == 0
    path, data = np.load(tmp_path / "i.npy"), trained.data.test
    ends = trained.model.encode(data.first(2))
    longer = data.side["mask"][:2].amax(0)
    expected = trained.model.decode(ends, mask=longer).numpy()
    assert np.allclose(path[[0, -1]], expected, atol=1e-6, equal_nan=True)


def test_terms_see_no_difference_beyond_the_end(x, mask):
    torch.manual_seed(0)
    model = build(as_config({**CONFIG, "encoder": None, "loss": {"name": "adversarial", "critic": "mlp"}}), schema())
    forward = model(x, side={"mask": mask})
    assert torch.equal((forward.x != 0).any(2), mask > 0)
    assert torch.equal((forward.generated != 0).any(2), mask > 0)


@pytest.mark.parametrize("part", ["encoder", "all"])
def test_a_model_of_series_is_exported_with_its_mask(part, tmp_path):
    exported = export(model_of(), tmp_path / "m.pt2", part, "torch-export")
    assert exported.inputs == ("x", "mask")


def test_a_model_file_of_before_series_reads_channels_first(tmp_path):
    changes = {"encoder": ENCODERS["cnn"], "decoder": {"name": "cnn", "layers": [{"channels": 3, "stride": 2}, {}]}}
    old = build(as_config({**CONFIG, **changes}), Schema((6, 6), channels_first=True)).eval()
    assert old.encoder.layers[0].conv.weight.shape == (4, 6, 3)
    new = build(as_config({**CONFIG, **changes}), Schema((6, 6))).eval()
    x = torch.randn(3, 6, 6)
    for kind in ("encoder", "decoder", "sampler"):
        own = getattr(new, kind).state_dict()
        other = dict(zip(own, getattr(old, kind).state_dict().values(), strict=True))
        getattr(new, kind).load_state_dict(other)
    torch.testing.assert_close(new.encode(x.transpose(1, 2)), old.encode(x))
    torch.testing.assert_close(new.decode(new.encode(x)), old.decode(new.encode(x)).transpose(1, 2))
    old.data = _signature((6, 6))
    weights.save(tmp_path / "old.safetensors", old)
    header = json.loads(weights.header_text(old))
    del header["data"]["channels_first"]
    save_file(load_file(tmp_path / "old.safetensors"), tmp_path / "old.safetensors", {"genkit": json.dumps(header)})
    assert torch.equal(weights.load(tmp_path / "old.safetensors").reconstruct(x), old.reconstruct(x))


def _signature(shape):
    from genkit.data.dataset import DataSignature

    return DataSignature(source="arrays", shape=shape, range=(-4.0, 4.0), classes=None, counts={"train": 3})


def test_a_split_brings_its_mask(x, mask):
    model = model_of()
    assert torch.equal(model.encode(Split(x, None, {"mask": mask})), model.encode(x, mask=mask))
