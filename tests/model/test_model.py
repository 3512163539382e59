from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.data.dataset import DataSignature
from genkit.errors import DataError, GenkitWarning, TrainingError
from genkit.interfaces import Shape
from genkit.model.batches import FEW, MOST
from genkit.model.model import Model
from genkit_mlp import MLPEncoder
from tests.models import built

SHAPE = (1, 4, 4)
Make = Callable[..., str]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(23)
        yield


def made(shape: Shape = SHAPE, **changes: Any) -> Model:
    own = {"sampler": {"name": "gaussian", "latent": 3}, "likelihood": "bernoulli"}
    return built(shape, **{**own, **changes})


# What a model does


def test_a_pass_holds_k_draws_of_everything_that_depends_on_z() -> None:
    passed = made()(torch.rand(5, *SHAPE), draws=4)
    assert passed.latent.z.shape == (4, 5, 3)
    assert passed.params.shape == (4, 5, *SHAPE)
    assert passed.log_prob.shape == (4, 5)


def test_a_pass_decodes_each_draw_of_each_datum_on_its_own() -> None:
    model = made()
    passed = model(torch.rand(5, *SHAPE), draws=4)
    torch.testing.assert_close(passed.params[2, 3], model.decoder(passed.latent.z[2, 3].unsqueeze(0))[0])
    alone = model.likelihood.log_prob(passed.x[3:4], passed.params[2:3, 3:4])
    torch.testing.assert_close(passed.log_prob[2, 3], alone[0, 0])


def test_encoding_is_the_same_each_time_and_draws_nothing() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    before = torch.get_rng_state()
    first, second = model.encode(x), model.encode(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), float("inf")])
def test_data_that_the_likelihood_does_not_take_are_refused_wherever_they_come_in(bad: float) -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    x[3, 0, 2, 2] = bad
    for use in (model.encode, model.reconstruct, lambda x: model.interpolate(x[0], x[3])):
        with pytest.raises(DataError, match=r"likelihood 'bernoulli' takes values from 0 to 1|NaN or infinite"):
            use(x)


def test_data_of_another_scale_than_those_of_training_are_warned_of() -> None:
    model = made(likelihood="gaussian")
    model.data = DataSignature(source="s", shape=SHAPE, range=(0, 1), classes=None, counts={})
    with pytest.warns(GenkitWarning, match=r"go from 0 to 255, far beyond those .* trained on, 0 to 1"):
        model.encode(torch.tensor([0.0, 255.0]).repeat(8).reshape(1, *SHAPE))


def test_weights_that_are_not_finite_give_an_error_and_no_values() -> None:
    model = made()
    with torch.no_grad():
        next(model.decoder.parameters()).fill_(float("nan"))
    for use in (lambda: model.sample(2), lambda: model.reconstruct(torch.rand(2, *SHAPE))):
        with pytest.raises(TrainingError, match=r"(sample|decode) gives values that are not finite"):
            use()
    with pytest.raises(DataError, match="z: 1 of 2 data hold NaN"):
        model.decode(torch.tensor([[0.0, 0, 0], [0, float("nan"), 0]]))


def test_encoding_gives_the_posterior_mean() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    torch.testing.assert_close(model.encode(x), model(x, draws=3).latent.mean)
    z = model(x, draws=20_000).latent.z
    assert ((model.encode(x) - z.mean(0)).abs() < 5 * z.std(0) / 20_000**0.5).all()


def test_reconstruction_decodes_the_encoding() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x)))
    assert model.reconstruct(x).shape == x.shape


def test_decoding_gives_the_mean_of_p_of_x_given_z() -> None:
    model, z = made(), torch.randn(7, 3)
    torch.testing.assert_close(model.decode(z), torch.sigmoid(model.decoder(z)))


def test_numpy_arrays_and_bytes_are_taken_too() -> None:
    model, raw = made(), np.arange(32, dtype=np.uint8).reshape(2, *SHAPE) * 8
    from_bytes = model.encode(raw)
    torch.testing.assert_close(from_bytes, model.encode(raw.astype(np.float64) / 255))
    torch.testing.assert_close(from_bytes, model.encode(torch.from_numpy(raw).float() / 255))
    z = from_bytes.numpy().astype(np.float64)
    torch.testing.assert_close(model.decode(z), model.decode(from_bytes))


def test_whole_numbers_in_z_are_themselves_and_no_bytes() -> None:
    model = made()
    assert torch.equal(model.decode(np.ones((1, 3), dtype=np.uint8)), model.decode(torch.ones(1, 3)))


def test_what_comes_out_has_no_gradient() -> None:
    model, x = made(), torch.rand(2, *SHAPE, requires_grad=True)
    for result in (model.encode(x), model.decode(torch.zeros(2, 3)), model.reconstruct(x), model.sample(2)):
        assert not result.requires_grad


@pytest.mark.parametrize("n", [0, 1, 5, MOST + 3])
@pytest.mark.parametrize("noise", [False, True])
def test_samples_are_as_many_as_asked_for(n: int, noise: bool) -> None:
    assert made().sample(n, noise).shape == (n, *SHAPE)


def test_samples_are_means_of_p_of_x_given_z_from_the_prior() -> None:
    model = made()
    torch.manual_seed(4)
    found = model.sample(5)
    torch.manual_seed(4)
    torch.testing.assert_close(found, torch.sigmoid(model.decoder(torch.randn(5, 3))))


def test_samples_with_noise_are_draws_from_p_of_x_given_z() -> None:
    model = made()
    assert set(model.sample(8, noise=True).unique().tolist()) == {0.0, 1.0}
    assert len(model.sample(8).unique()) > 2
    n, x = 5000, model.sample(5000, noise=True)
    assert ((x.mean(0) - model.sample(n).mean(0)).abs() < 5 / n**0.5).all()


@pytest.mark.parametrize("training", [True, False])
def test_using_a_model_leaves_its_mode_as_it_was(training: bool) -> None:
    model = made().train(training)
    for use in (model.encode, model.reconstruct, lambda _: model.sample(2), lambda _: model.decode(torch.zeros(2, 3))):
        use(torch.rand(2, *SHAPE))
        assert all(module.training is training for module in model.modules())


def test_a_model_in_training_is_used_without_dropout(variant: Make) -> None:
    name = variant(MLPEncoder, forward=lambda self, x: F.dropout(self.layers(x), 0.5, self.training))
    model, x = made(encoder=name).train(), torch.rand(4, *SHAPE)
    assert torch.equal(model.encode(x), model.encode(x))
    assert not torch.equal(model(x).latent.mean, model(x).latent.mean)


def test_the_mode_is_put_back_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made().train()

    def fail(_: Tensor) -> Tensor:
        assert not model.training
        raise RuntimeError("half way")

    monkeypatch.setattr(model.decoder, "forward", fail)
    with pytest.raises(RuntimeError, match="half way"):
        model.sample(2)
    assert model.training
    assert torch.is_grad_enabled()


def test_many_data_are_streamed_to_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = made(), torch.rand(2 * FEW + 5, *SHAPE)
    at_once = model.sampler(model.encoder(x), 0).mean
    at_once = at_once, model.likelihood.mean(model.decoder(at_once))
    seen: list[int] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    monkeypatch.setattr("genkit.model.batches.CACHED", 1)
    torch.testing.assert_close((model.encode(x), model.reconstruct(x)), at_once)
    assert seen == [FEW, FEW, 5] * 2
    assert model.sample(10).shape == (10, *SHAPE)


def test_more_data_than_a_batch_keep_their_order() -> None:
    model, x = made(), torch.rand(MOST + 5, *SHAPE)
    torch.testing.assert_close(model.encode(x)[-7:], model.encode(x[-7:]))


def test_no_data_give_no_result() -> None:
    model = made()
    assert model.encode(torch.empty(0, *SHAPE)).shape == (0, 3)
    assert model.decode(torch.empty(0, 3)).shape == (0, *SHAPE)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (2, 4, 4), (2, 1, 4, 5), ()])
def test_data_of_another_shape_are_refused_with_both_shapes(shape: Shape) -> None:
    with pytest.raises(DataError) as caught:
        made().encode(torch.zeros(shape))
    assert str(caught.value) == f"the model takes data of shape (N, 1, 4, 4), not {shape}"


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 1)])
def test_points_of_another_shape_are_refused_with_both_shapes(shape: Shape) -> None:
    with pytest.raises(DataError) as caught:
        made().decode(torch.zeros(shape))
    assert str(caught.value) == f"decode takes z of shape (N, 3), not {shape}"
