"""The parts of dictionaries: codes by hand and by brute force, kernels against closed forms, planted dictionaries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.errors import ComponentError
from genkit.model.model import Model
from genkit.parallel.draws import Rows, adding_by, taking
from genkit_dictionaries import (
    Auxiliary,
    BatchTopKSampler,
    DictionaryDecoder,
    GatedSampler,
    JumpReLUSampler,
    TopKSampler,
)
from genkit_dictionaries.thresholds import heaviside, jump
from tests.models import built

KINDS = ("topk", "batch_topk", "jumprelu", "gated")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def dictionary(sampler: Any = "topk", *losses: Any, shape: tuple[int, ...] = (6,), **changes: Any) -> Model:
    """A small dictionary with 12 units, of which 3 are kept where the sampler keeps some."""
    options = {"name": sampler} if isinstance(sampler, str) else sampler
    own: dict[str, Any] = {"latent": 12, **({"k": 3} if "topk" in options["name"] else {}), **options}
    parts = {"encoder": "centred", "sampler": own, "decoder": "dictionary", "loss": ["reconstruction", *losses]}
    return built(shape, **{**parts, **changes})


# The codes


def test_topk_is_the_rectified_k_largest() -> None:
    sampler = TopKSampler(TopKSampler.Config(latent=10, k=3), (4,))
    features = torch.randn(50, 4)
    code, pre = sampler(features).mean, sampler.code(features)
    for row, own in zip(code, pre, strict=True):
        largest = own.sort(descending=True).values[:3].clamp(min=0)
        assert row.sort(descending=True).values[:3].tolist() == largest.tolist()
    assert int((code > 0).sum(1).max()) == 3


def test_batch_topk_keeps_exactly_k_units_per_datum_in_the_mean() -> None:
    sampler = BatchTopKSampler(BatchTopKSampler.Config(latent=32, k=3), (4,)).train()
    features = torch.randn(40, 4)
    code, relu = sampler(features).mean, torch.relu(sampler.code(features))
    kept = code > 0
    assert int(kept.sum()) == 3 * 40
    assert len(set(kept.sum(1).tolist())) > 1
    assert float(code[kept].min().detach()) > float(relu[~kept].max().detach())
    assert torch.equal(code[kept], relu[kept])


def test_batch_topk_keeps_exactly_k_units_where_they_are_equal() -> None:
    sampler = BatchTopKSampler(BatchTopKSampler.Config(latent=8, k=2), (4,)).train()
    torch.nn.init.zeros_(sampler.code.weight)
    torch.nn.init.ones_(sampler.code.bias)
    assert int((sampler(torch.randn(5, 4)).mean > 0).sum()) == 2 * 5


def test_the_threshold_is_the_mean_of_the_smallest_units_that_were_kept() -> None:
    sampler, smallest = BatchTopKSampler(BatchTopKSampler.Config(latent=16, k=2, rate=0.25), (4,)).train(), []
    for _ in range(3):
        code = sampler(torch.randn(20, 4)).mean
        smallest.append(float(code[code > 0].min().detach()))
    assert float(sampler.threshold) == pytest.approx(sum(smallest) / 3, rel=1e-5)  # a plain mean until 1 / rate
    expected = float(sampler.threshold)
    for batch in range(4, 8):
        code = sampler(torch.randn(20, 4)).mean
        expected += max(1 / batch, 0.25) * (float(code[code > 0].min().detach()) - expected)
    assert float(sampler.threshold) == pytest.approx(expected, rel=1e-5)


def test_outside_training_a_code_does_not_depend_on_its_batch_and_has_k_units_in_the_mean() -> None:
    sampler = BatchTopKSampler(BatchTopKSampler.Config(latent=64, k=5), (8,)).train()
    for _ in range(20):
        sampler(torch.randn(200, 8))
    sampler.eval()
    before, features = sampler.threshold.clone(), torch.randn(2000, 8)
    code = sampler(features).mean
    assert torch.equal(code[:7], sampler(features[:7]).mean)
    assert torch.equal(sampler.threshold, before)
    assert float((code > 0).sum(1).float().mean()) == pytest.approx(5, abs=0.3)


def test_two_processes_keep_the_units_of_the_whole_batch() -> None:
    """One process plays two: each takes its own rows, and the sum over both is handed to it."""
    features = torch.randn(10, 4)
    whole = BatchTopKSampler(BatchTopKSampler.Config(latent=16, k=2), (4,)).train()
    share = BatchTopKSampler(BatchTopKSampler.Config(latent=16, k=2), (4,)).train()
    share.load_state_dict(whole.state_dict())
    expected = whole(features).mean
    relu = torch.relu(whole.code(features)).detach()
    for start, stop in ((0, 3), (3, 10)):
        share.batches.zero_()
        share.threshold.zero_()
        with taking(Rows(start, stop, 10)), adding_by(lambda own: relu):
            torch.testing.assert_close(share(features[start:stop]).mean, expected[start:stop])
        assert torch.equal(share.threshold, whole.threshold)


def test_jumprelu_passes_what_is_above_its_threshold() -> None:
    sampler = JumpReLUSampler(JumpReLUSampler.Config(latent=10, threshold=0.3), (4,))
    features = torch.randn(30, 4)
    latent, pre = sampler(features), sampler.code(features)
    assert torch.equal(latent.mean, torch.where(pre > 0.3, pre, 0.0))
    assert torch.equal(latent.extra["active"], (pre > 0.3).float())


def test_gated_is_what_the_paper_writes() -> None:
    sampler = GatedSampler(GatedSampler.Config(latent=10), (4,))
    for parameter in (sampler.log_scale, sampler.magnitude_bias, sampler.code.bias):
        torch.nn.init.normal_(parameter, std=0.3)
    features = torch.randn(30, 4)
    linear = features @ sampler.code.weight.T
    gates = (linear + sampler.code.bias > 0).float()
    magnitudes = torch.relu(linear * sampler.log_scale.exp() + sampler.magnitude_bias)
    torch.testing.assert_close(sampler(features).mean, gates * magnitudes)


@pytest.mark.parametrize("name", ["topk", "batch_topk"])
def test_more_units_to_keep_than_there_are_are_refused(name: str) -> None:
    with pytest.raises(ComponentError, match=rf"sampler '{name}': a code of 12 units cannot keep the 13 largest"):
        dictionary({"name": name, "k": 13})


@pytest.mark.parametrize("name", KINDS)
def test_without_an_encoder_there_is_no_code(name: str) -> None:
    with pytest.raises(ComponentError, match=f"sampler '{name}' needs an encoder"):
        dictionary(name, encoder=None)
    with pytest.raises(ComponentError, match=f"sampler '{name}' has no prior"):
        dictionary(name).sample(3)


# The kernels


def test_the_kernel_gives_the_gradient_of_the_expected_number_of_active_units() -> None:
    """E[H(π − θ)] = 1 − Φ(θ) for π ~ N(0, 1), whose derivative is −φ(θ); and E[π H(π − θ)] has −θ φ(θ)."""
    pre = torch.randn(400_000, 1, dtype=torch.float64)
    for value in (0.2, 0.7, 1.5):
        threshold = torch.tensor([value], dtype=torch.float64, requires_grad=True)
        density = math.exp(-(value**2) / 2) / math.sqrt(2 * math.pi)
        width = 0.2
        error = 4 * math.sqrt(density / (width * len(pre)))
        (slope,) = torch.autograd.grad(heaviside(pre, threshold, width).mean(), threshold)
        assert float(slope) == pytest.approx(-density, abs=error + width**2 / 24)
        (slope,) = torch.autograd.grad(jump(pre, threshold, width).mean(), threshold)
        assert float(slope) == pytest.approx(-value * density, abs=value * (error + width**2 / 24))


def test_each_datum_has_the_pseudo_derivatives_of_the_paper() -> None:
    pre = torch.tensor([[0.1, 0.44, 0.46, 0.54, 0.56, 2.0]], requires_grad=True)
    threshold = torch.full((6,), 0.5, requires_grad=True)
    inside = [0, 0, 1, 1, 0, 0]
    value = jump(pre, threshold, 0.1)
    assert torch.equal(value, torch.where(pre > 0.5, pre, 0.0))
    by_pre, by_threshold = torch.autograd.grad(value.sum(), (pre, threshold))
    assert by_pre.tolist() == [[0, 0, 0, 1, 1, 1]]
    assert by_threshold.tolist() == pytest.approx([-0.5 / 0.1 * each for each in inside])
    (slope,) = torch.autograd.grad(heaviside(pre, threshold, 0.1).sum(), threshold)
    assert slope.tolist() == pytest.approx([-1 / 0.1 * each for each in inside])


# The dictionary


def test_atoms_keep_norm_1_and_the_bias_is_shared() -> None:
    model = dictionary("topk")
    with torch.no_grad():
        model.decoder.atoms.mul_(3)
        model.decoder.bias.copy_(torch.randn(6))
    x = torch.rand(8, 6)
    model.eval()
    code = model.encode(x)
    pre = model.sampler.code(x - model.decoder.bias)
    assert torch.equal(code > 0, (pre > 0) & (pre >= pre.topk(3).values[:, 2:]))
    atoms = F.normalize(model.decoder.atoms, dim=1)
    torch.testing.assert_close(model.decode(code), (code @ atoms + model.decoder.bias).detach())
    with torch.no_grad():
        model.decoder.stepped(1, 0.1)
    torch.testing.assert_close(model.decoder.atoms.norm(dim=1), torch.ones(12))


def test_no_gradient_runs_along_an_atom() -> None:
    decoder = DictionaryDecoder(DictionaryDecoder.Config(), (12,), (6,))
    (gradient,) = torch.autograd.grad(decoder(torch.rand(5, 12)).square().sum(), decoder.atoms)
    assert float((gradient * decoder.atoms).sum(1).abs().max().detach()) < 1e-5 < float(gradient.abs().max())


def test_units_start_as_the_transpose_of_the_atoms() -> None:
    for name in KINDS:
        model = dictionary(name)
        assert torch.equal(model.sampler.code.weight, model.decoder.atoms)


def test_the_bias_moves_to_the_mean_of_the_first_batch_once() -> None:
    model = dictionary("topk").train()
    x = torch.rand(50, 6) + 4
    model(x)
    with torch.no_grad():
        model.encoder.stepped(1, 0.1)
        torch.testing.assert_close(model.decoder.bias, x.mean(0))
        model.encoder.stepped(1, 0.1)  # as after a start from weights that are there
    torch.testing.assert_close(model.decoder.bias, x.mean(0))


def test_the_shared_bias_needs_a_dictionary_of_the_data() -> None:
    with pytest.raises(ComponentError, match=r"encoder 'centred' refuses the model: .* write decoder: dictionary"):
        dictionary("topk", decoder="mlp")


# The terms


def test_auxiliary_is_what_dead_units_leave_of_the_error() -> None:
    model = dictionary("topk", {"name": "auxiliary", "dead_after": 3, "units": 2})
    term: Auxiliary = model.losses["auxiliary"]
    x = torch.rand(9, 6)
    model.train()
    assert float(term(model(x)).detach().abs().sum()) == 0
    term.idle[:] = torch.tensor([5.0] * 5 + [0.0] * 7)
    model.eval()
    passed = model(x)
    value = term(passed)
    missed = (x - passed.params[0]).detach()
    pre = passed.latent.extra["pre_activations"]
    for row in range(9):
        dead = sorted(range(5), key=lambda unit: -pre[row, unit].item())[:2]
        rebuilt: Any = sum(torch.relu(pre[row, unit]) * model.decoder.directions()[unit] for unit in dead)
        torch.testing.assert_close(value[row], (missed[row] - rebuilt).square().sum() / 2)


def test_a_unit_is_dead_after_so_many_batches_without_activity() -> None:
    model = dictionary("topk", {"name": "auxiliary", "dead_after": 4}).train()
    term: Auxiliary = model.losses["auxiliary"]
    with torch.no_grad():
        model.sampler.code.bias[:2] = -100
    for _ in range(4):
        term(model(torch.rand(200, 6) * 4 - 2))
    assert term.idle.tolist()[:2] == [4, 4]
    assert float(term.idle[2:].max()) < 4


def test_matryoshka_is_the_sum_over_prefixes() -> None:
    model = dictionary("topk", {"name": "matryoshka", "prefixes": [2, 5]})
    x = torch.rand(9, 6)
    passed = model(x)
    expected = torch.zeros(9)
    for m in (2, 5):
        code = passed.latent.mean * (torch.arange(12) < m)
        expected -= model.likelihood.log_prob(x, model.decoder(code).unsqueeze(0))[0].detach()
    torch.testing.assert_close(model.losses["matryoshka"](passed).detach(), expected)


def test_the_gates_learn_by_a_dictionary_that_stands_still() -> None:
    model = dictionary("gated", "gate_reconstruction", "gate_l1")
    x = torch.rand(9, 6)
    passed = model(x)
    gates = torch.relu(passed.latent.extra["gate"])
    term = model.losses["gate_reconstruction"](passed)
    torch.testing.assert_close(term, -model.likelihood.log_prob(x, model.decoder(gates).unsqueeze(0))[0])
    torch.testing.assert_close(model.losses["gate_l1"](passed), gates.sum(1))
    by_atoms, by_gates = torch.autograd.grad(
        term.sum(), (model.decoder.atoms, model.sampler.code.bias), allow_unused=True
    )
    assert by_atoms is None
    assert bool(by_gates.any())


@pytest.mark.parametrize(
    ("sampler", "term", "message"),
    [
        ("topk", "l0", r"loss 'l0'.*reads 'active', which the sampler does not give: choose sampler: jumprelu"),
        ("topk", "gate_l1", r"loss 'gate_l1'.*reads 'gate', which the sampler does not give: choose sampler: gated"),
        ("topk", {"name": "matryoshka", "prefixes": [3, 12]}, r"parts of a code of 12 units, and 12 is none"),
    ],
)
def test_terms_of_another_dictionary_are_refused(sampler: str, term: Any, message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        dictionary(sampler, term)


@pytest.mark.parametrize("term", ["auxiliary", "matryoshka"])
def test_terms_over_atoms_need_a_dictionary(term: str) -> None:
    with pytest.raises(ComponentError, match=f"loss '{term}' refuses the model: .* write decoder: dictionary"):
        dictionary("topk", term, encoder="mlp", decoder="mlp")


def planted(units: int, active: int, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Atoms (units, size) of norm 1, and data (count, size) that each are made of `active` of them, with an offset."""
    atoms = F.normalize(torch.randn(units, size), dim=1)
    chosen = torch.rand(count, units).argsort(1) < active
    return atoms, (chosen * (torch.rand(count, units) + 0.5)) @ atoms + torch.randn(size)
