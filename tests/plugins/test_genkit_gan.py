from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

import genkit
from genkit.errors import ComponentError, ConfigError
from genkit.evaluation.figures import evaluate
from genkit.interfaces import Forward, Shape
from genkit.model.building import build
from genkit.model.model import Model
from genkit.model.summary import describe
from genkit.pictures import plots
from genkit.registry.hooks import hookimpl
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import resume, run
from genkit.training import checkpoint
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_gan import Adversarial

SHAPE = (1, 8, 8)
FORMS = ("non_saturating", "hinge", "wasserstein")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(19)
        yield


def adversarial(**options: Any) -> dict[str, Any]:
    return {"name": "adversarial", "critic": {"name": "mlp", "hidden": [6], "activation": "tanh"}, **options}


def parts(**changes: Any) -> dict[str, Any]:
    return {
        "data": "digits",
        "sampler": {"name": "gaussian", "latent": 3},
        "decoder": {"name": "mlp", "hidden": [5], "activation": "tanh"},
        "likelihood": "bernoulli",
        "loss": adversarial(),
        "training": {"epochs": 2, "batch_size": 200},
        **changes,
    }


def made(shape: Shape = SHAPE, **changes: Any) -> Model:
    return build(as_config(parts(**changes)), shape)


def trainer_of(model: Model) -> Trainer:
    return Trainer(model, model.config.training)


def term(shape: Shape = (4,), **options: Any) -> Adversarial:
    return Adversarial(Adversarial.Config.model_validate(adversarial(**options)), shape)


def passed(x: Tensor, generated: Tensor, support: tuple[float, float] = (-math.inf, math.inf)) -> Forward:
    """A pass of which only the data, the generated data and the likelihood's support matter."""
    likelihood: Any = SimpleNamespace(support=support)
    return Forward(x, None, None, None, generated, likelihood)


def pair(n: int = 6, shape: Shape = (4,)) -> tuple[Tensor, Tensor]:
    return torch.randn(n, *shape), torch.randn(n, *shape)


def with_critic(made: Adversarial, critic: nn.Module) -> Adversarial:
    made.critic = critic
    return made


def values_of(parameters: Any) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def same(one: list[Tensor], other: list[Tensor]) -> list[bool]:
    return [torch.equal(a, b) for a, b in zip(one, other, strict=True)]


# The three forms


def test_the_non_saturating_form_is_the_binary_cross_entropy_of_the_critics_answers() -> None:
    made, (x, generated) = term(form="non_saturating"), pair()
    real, fake = made.judge(x), made.judge(generated)
    ones, zeros = torch.ones(6), torch.zeros(6)
    entropy = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(made(passed(x, generated)), entropy(fake, ones, reduction="none"))
    expected = entropy(real, ones, reduction="none") + entropy(fake, zeros, reduction="none")
    torch.testing.assert_close(made.critic_loss(passed(x, generated)), expected)


@pytest.mark.parametrize("form", ["non_saturating", "hinge", "wasserstein"])
@pytest.mark.parametrize("support", [(0.0, 1.0), (-3.0, 5.0)])
def test_bounded_data_reach_the_critic_from_minus_one_to_one(form: str, support: tuple[float, float]) -> None:
    made, (x, generated) = term(form=form), (torch.rand(6, 4), torch.rand(6, 4))
    low, high = support
    within = [low + (high - low) * part for part in (x, generated)]
    torch.testing.assert_close(made(passed(*within, support)), made(passed(2 * x - 1, 2 * generated - 1)))
    torch.manual_seed(3)
    given = made.critic_loss(passed(*within, support))
    torch.manual_seed(3)
    torch.testing.assert_close(given, made.critic_loss(passed(2 * x - 1, 2 * generated - 1)), rtol=1e-4, atol=1e-4)


class FirstValue(nn.Module):
    """A critic whose answers are in the data themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]


REAL = torch.tensor([[-2.0], [0.0], [0.5], [1.0], [3.0]])
FAKE = torch.tensor([[-3.0], [-1.0], [0.25], [0.0], [2.0]])


def test_the_non_saturating_form_by_hand() -> None:
    made = with_critic(term((1,), form="non_saturating"), FirstValue())
    sigma = [1 / (1 + math.exp(-value)) for value in FAKE[:, 0].tolist()]
    of_data = [1 / (1 + math.exp(-value)) for value in REAL[:, 0].tolist()]
    given = passed(REAL, FAKE)
    assert made(given).tolist() == pytest.approx([-math.log(s) for s in sigma], rel=1e-5)
    expected = [-math.log(r) - math.log(1 - s) for r, s in zip(of_data, sigma, strict=True)]
    assert made.critic_loss(given).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_hinge_form_by_hand() -> None:
    made = with_critic(term((1,), form="hinge"), FirstValue())
    given = passed(REAL, FAKE)
    assert made(given).tolist() == [3.0, 1.0, -0.25, 0.0, -2.0]
    assert made.critic_loss(given).tolist() == [3.0 + 0, 1.0 + 0, 0.5 + 1.25, 0.0 + 1.0, 0.0 + 3.0]


def test_the_wasserstein_form_without_a_penalty_by_hand() -> None:
    made = with_critic(term((1,), form="wasserstein", penalty=0), FirstValue())
    given = passed(REAL, FAKE)
    assert made(given).tolist() == [3.0, 1.0, -0.25, 0.0, -2.0]
    assert made.critic_loss(given).tolist() == [-1.0, -1.0, -0.25, -1.0, -1.0]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_a_value_for_each_datum(form: str) -> None:
    made, (x, generated) = term(form=form), pair()
    assert made(passed(x, generated)).shape == (6,)
    assert made.critic_loss(passed(x, generated)).shape == (6,)


@pytest.mark.parametrize("form", FORMS)
def test_model_and_critic_pull_the_critics_answer_in_opposite_directions(form: str) -> None:
    made = with_critic(term((1,), form=form, penalty=0), FirstValue())
    x, generated = torch.zeros(3, 1, requires_grad=True), torch.zeros(3, 1, requires_grad=True)
    (wanted,) = torch.autograd.grad(made(passed(x, generated)).sum(), generated)
    of_data, of_generated = torch.autograd.grad(made.critic_loss(passed(x, generated)).sum(), (x, generated))
    assert (wanted < 0).all()
    assert (of_generated > 0).all()
    assert (of_data < 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_extreme_answers_give_finite_values(form: str) -> None:
    made = with_critic(term((1,), form=form), FirstValue())
    given = passed(torch.tensor([[-1e4], [1e4]]), torch.tensor([[1e4], [-1e4]]))
    assert torch.isfinite(made(given)).all()
    assert torch.isfinite(made.critic_loss(given)).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("r1", [0, 2])
def test_gradcheck_of_model_and_critic(form: str, r1: float) -> None:
    made = term(form=form, r1=r1).double()
    x, generated = (values.double() for values in pair(3))
    generated.requires_grad_()

    def model(*_: Tensor) -> Tensor:
        return made(passed(x, generated))

    def critic(*_: Tensor) -> Tensor:
        torch.manual_seed(3)
        return made.critic_loss(passed(x, generated.detach()))

    assert torch.autograd.gradcheck(model, (generated,))
    assert torch.autograd.gradcheck(critic, tuple(made.critic.parameters()))


# The gradient penalty


@pytest.mark.parametrize("penalty", [0.5, 10])
def test_the_gradient_penalty_of_a_linear_critic_has_a_closed_form(penalty: float) -> None:
    made, (x, generated) = term(form="wasserstein", penalty=penalty, critic={"name": "mlp", "hidden": []}), pair()
    weight = next(parameter for parameter in made.critic.parameters() if parameter.ndim == 2)
    norm = weight.detach().norm()
    wasserstein = made.judge(generated) - made.judge(x)
    loss = made.critic_loss(passed(x, generated))
    torch.testing.assert_close(loss, wasserstein + penalty * (norm - 1).square())
    (gradient,) = torch.autograd.grad((loss - wasserstein).mean(), weight)
    torch.testing.assert_close(gradient, 2 * penalty * (norm - 1) * weight.detach() / norm, rtol=1e-4, atol=1e-5)


class HalfSquare(nn.Module):
    """A critic whose gradient at a point is the point."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square().sum(1, keepdim=True) / 2


def test_the_penalty_is_taken_at_points_uniformly_between_a_datum_and_a_generated_one() -> None:
    """Between 0 and 2 the norm is that of a uniform number u: (2u - 1)² has the mean 1/3 and the variance 4/45."""
    made, n = with_critic(term((1,), form="wasserstein", penalty=1), HalfSquare()), 20_000
    x, generated = torch.zeros(n, 1), torch.full((n, 1), 2.0)
    penalty = (made.critic_loss(passed(x, generated)) - 2).detach()
    assert penalty.min() >= -1e-5
    assert penalty.max() <= 1 + 1e-5
    assert penalty.mean().item() == pytest.approx(1 / 3, abs=5 * math.sqrt(4 / 45 / n))
    assert penalty.var().item() == pytest.approx(4 / 45, rel=0.05)


def test_all_values_of_a_datum_are_mixed_in_the_same_proportion() -> None:
    """From 0 to all ones, the points lie on the diagonal: every gradient has equal values."""
    seen: list[Tensor] = []

    class Watched(HalfSquare):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return super().forward(x)

    made = with_critic(term((1, 2, 2), form="wasserstein"), Watched())
    made.critic_loss(passed(torch.zeros(5, 1, 2, 2), torch.ones(5, 1, 2, 2)))
    between = seen[-1].flatten(1)
    assert torch.equal(between, between[:, :1].expand(-1, 4))
    assert len(between[:, 0].unique()) == 5


@pytest.mark.parametrize("form", ["non_saturating", "hinge"])
def test_only_the_wasserstein_form_has_a_penalty(form: str) -> None:
    with_one, without = term(form=form, penalty=100), term(form=form, penalty=0)
    without.load_state_dict(with_one.state_dict())
    given = passed(*pair())
    assert torch.equal(with_one.critic_loss(given), without.critic_loss(given))


@pytest.mark.parametrize("form", FORMS)
def test_r1_is_half_the_squared_gradient_at_the_data(form: str) -> None:
    """∇D(x) = x for this critic, so that r1/2 · ‖x‖² is added, wherever the generated data are."""
    with_r1, without = (with_critic(term(form=form, penalty=0, r1=r1), HalfSquare()) for r1 in (3.0, 0.0))
    x, generated = pair()
    for other in (generated, 10 * generated):
        added = with_r1.critic_loss(passed(x, other)) - without.critic_loss(passed(x, other))
        torch.testing.assert_close(added, 1.5 * x.square().sum(1), rtol=1e-4, atol=1e-4)


def test_r1_of_a_linear_critic_pulls_its_weights_to_zero() -> None:
    """‖∇D‖² = ‖w‖², whose gradient is 2 w; the model's own loss is without it."""
    made = term(r1=4.0, critic={"name": "mlp", "hidden": []})
    plain = term(critic={"name": "mlp", "hidden": []})
    plain.load_state_dict(made.state_dict())
    given = passed(*pair())
    (weight, _), (weight_of_plain, _) = made.critic.parameters(), plain.critic.parameters()
    (gradient,) = torch.autograd.grad(made.critic_loss(given).mean(), weight)
    (without,) = torch.autograd.grad(plain.critic_loss(given).mean(), weight_of_plain)
    torch.testing.assert_close(gradient - without, 4.0 * weight.detach())
    assert torch.equal(made(given), plain(given))


# The critic

CRITICS = {
    "mlp": {"name": "mlp", "hidden": [6]},
    "cnn": {"name": "cnn", "layers": [{"channels": 3, "stride": 2}]},
    "lstm": {"name": "rnn", "hidden": 5},
    "gru": {"name": "rnn", "hidden": 5, "cell": "gru", "bidirectional": True},
}


@pytest.mark.parametrize(("form", "r1"), [*((form, 0) for form in FORMS), ("non_saturating", 1)])
@pytest.mark.parametrize("critic", CRITICS)
def test_any_encoder_can_be_the_critic(critic: str, form: str, r1: float) -> None:
    model = made(loss=adversarial(critic=CRITICS[critic], form=form, r1=r1))
    before = values_of(model.critics["adversarial"].parameters())
    figures = trainer_of(model).step(torch.rand(6, *SHAPE), torch.ones(1))
    assert set(figures) == {"term/adversarial", "critic/adversarial"}
    assert all(torch.isfinite(value) and value.shape == () for value in figures.values())
    moved = [not equal for equal in same(before, values_of(model.critics["adversarial"].parameters()))]
    # Where the critic's loss does not change with a number added to every answer, the last bias stands still.
    assert all(moved[:-1])
    assert moved[-1] or form != "non_saturating"


def test_a_critic_that_cannot_read_the_data_is_refused_with_the_reason() -> None:
    with pytest.raises(ComponentError, match=r"encoder 'cnn' takes series \(T, F\), images"):
        made((12,), loss=adversarial(critic="cnn"))


def test_a_term_without_a_critic_is_refused_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        as_config(parts(loss="adversarial"))
    assert str(caught.value) == "config: loss[0]: 'critic' is missing"
    text = "data: digits\nsampler: gaussian\ndecoder: mlp\nlikelihood: bernoulli\nloss:\n  - adversarial\n"
    (tmp_path / "gan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gan\.yaml:6:\d+: loss\[0\]: 'critic' is missing"):
        as_config(tmp_path / "gan.yaml")


def test_a_slip_within_the_critic_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        as_config(parts(loss=adversarial(critic={"name": "mlp", "hiden": [3]})))
    assert str(caught.value) == "config: loss[0].critic: unknown key 'hiden'; did you mean 'hidden'?"
    with pytest.raises(ConfigError, match=r"loss\[0\]\.critic: unknown encoder 'mpl'; did you mean 'mlp'\?"):
        as_config(parts(loss=adversarial(critic="mpl")))


@pytest.mark.parametrize(
    "options", [{"form": "least_squares"}, {"penalty": -1}, {"r1": -1}, {"optimizer": {"name": "adams"}}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ConfigError), match=next(iter(options))):
        Adversarial.Config.model_validate(adversarial(**options))


# The step


def still(**options: Any) -> dict[str, Any]:
    return {"name": "sgd", "lr": 0, **options}


def moving(**options: Any) -> dict[str, Any]:
    return {"name": "sgd", "lr": 0.1, **options}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("of_model", "of_critic"), [(True, False), (False, True)])
def test_each_optimizer_moves_its_own_parameters_and_no_others(of_model: bool, of_critic: bool, form: str) -> None:
    optimizer, critics = moving() if of_model else still(), moving() if of_critic else still()
    model = made(loss=adversarial(form=form, optimizer=critics), training={"optimizer": optimizer})
    critic, generator = model.critics["adversarial"], model.decoder
    before = values_of(critic.parameters()), values_of(generator.parameters())
    trainer_of(model).step(torch.rand(6, *SHAPE), torch.ones(1))
    unmoved = same(before[0], values_of(critic.parameters())), same(before[1], values_of(generator.parameters()))
    assert all(unmoved[0]) is not of_critic
    assert all(unmoved[1]) is not of_model


def test_every_parameter_belongs_to_exactly_one_optimizer() -> None:
    model = made(encoder="mlp", loss=["reconstruction", "kl", adversarial(), adversarial(form="hinge")])
    optimizers = trainer_of(model).optimization.optimizers
    assert list(optimizers) == ["model", "loss.adversarial", "loss.adversarial-2"]
    owned = [id(p) for optimizer in optimizers.values() for group in optimizer.param_groups for p in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(parameter) for parameter in model.parameters()}


def test_the_models_backward_leaves_no_gradient_in_the_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    critic, seen = model.critics["adversarial"], []
    own = critic.critic_loss

    def watched(given: Forward) -> Tensor:
        seen.append([parameter.grad for parameter in critic.parameters()])
        return own(given)

    monkeypatch.setattr(critic, "critic_loss", watched)
    trainer_of(model).step(torch.rand(6, *SHAPE), torch.ones(1))
    assert seen == [[None] * len(list(critic.parameters()))]


def test_the_gradients_are_those_of_two_losses_written_out_by_hand() -> None:
    """With a learning rate of 0 everything stands still, step after step, and no gradient adds up."""
    model = made(loss=adversarial(optimizer=still()), training={"optimizer": still()})
    trainer, x = trainer_of(model), torch.rand(6, *SHAPE)
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        trainer.step(x, torch.ones(1))
        torch.manual_seed(seed)
        gradients, _ = trainer.differentiate(x, torch.ones(1))
        critic = model.critics["adversarial"]
        torch.manual_seed(seed)
        generated = torch.sigmoid(model.decoder(torch.randn(6, 3)))
        against = F.binary_cross_entropy_with_logits(critic.judge(2 * generated - 1), torch.ones(6))
        expected = torch.autograd.grad(against, list(model.decoder.parameters()))
        for found, gradient in zip(gradients["model"], expected, strict=True):
            torch.testing.assert_close(found, gradient)
        answers = torch.cat([critic.judge(2 * x - 1), critic.judge(2 * generated.detach() - 1)])
        truth = torch.cat([torch.ones(6), torch.zeros(6)])
        told_apart = 2 * F.binary_cross_entropy_with_logits(answers, truth)
        expected = torch.autograd.grad(told_apart, list(critic.parameters()))
        for found, gradient in zip(gradients["loss.adversarial"], expected, strict=True):
            torch.testing.assert_close(found, gradient)


def test_the_critic_learns_on_a_detached_pass_of_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adversarial, "needs", (*Adversarial.needs, "log_q"))  # so that the sampler gives it
    model = made(encoder={"name": "mlp", "hidden": [4]}, loss=["reconstruction", adversarial()])
    term, seen = model.critics["adversarial"], []
    monkeypatch.setattr(term, "forward", lambda given: (seen.append(given), Adversarial.forward(term, given))[1])
    own = term.critic_loss
    monkeypatch.setattr(term, "critic_loss", lambda given: (seen.append(given), own(given))[1])
    trainer_of(model).step(torch.rand(6, *SHAPE), torch.ones(2))
    attached, detached = seen
    assert torch.equal(attached.generated, detached.generated)
    assert attached.generated.requires_grad
    assert torch.equal(attached.log_prob, detached.log_prob)
    for value in (detached.generated, detached.params, detached.log_prob, *detached.latent[:5]):
        assert not value.requires_grad


def test_the_critic_alone_learns_to_tell_data_from_what_a_still_model_generates() -> None:
    model = made(
        loss=adversarial(optimizer={"name": "adam", "lr": 0.01}), training={"optimizer": still()}, likelihood="gaussian"
    )
    trainer, x = trainer_of(model), torch.rand(64, *SHAPE) + 1
    values = [trainer.step(x, torch.ones(1))["critic/adversarial"].item() for _ in range(100)]
    assert values[0] == pytest.approx(2 * math.log(2), abs=0.5)
    assert values[-1] < 0.2
    judge = model.critics["adversarial"].judge
    assert judge(x).mean() > judge(model.sample(64)).mean() + 2


def test_critic_and_model_have_learning_rates_on_schedules_of_their_own() -> None:
    optimizer = {"name": "sgd", "lr": {"from": 0.1, "to": 0.2, "epochs": 2}}
    critics = {"name": "adam", "lr": {"from": 1.0, "to": 0.0, "epochs": 4}}
    trainer = trainer_of(made(loss=adversarial(optimizer=critics), training={"optimizer": optimizer}))
    found = []
    for epoch in (0, 1, 2, 4):
        rate = trainer.set_rates(epoch)
        rates = {name: each.param_groups[0]["lr"] for name, each in trainer.optimization.optimizers.items()}
        assert rate == rates["model"]
        found.append((rates["model"], rates["loss.adversarial"]))
    assert [list(rates) for rates in found] == [
        pytest.approx([0.1, 1.0]),
        pytest.approx([0.15, 0.75]),
        pytest.approx([0.2, 0.5]),
        pytest.approx([0.2, 0.0]),
    ]


def test_the_weight_of_the_term_reaches_the_model_and_not_the_critic() -> None:
    gradients = {}
    for weight in (1.0, 3.0):
        torch.manual_seed(7)
        model = made(loss=adversarial(optimizer=still()), training={"optimizer": still()})
        trainer = trainer_of(model)
        found, _ = trainer.differentiate(torch.rand(6, *SHAPE), torch.tensor([weight]))
        gradients[weight] = [torch.cat([g.flatten() for g in each]) for each in found.values()]
    torch.testing.assert_close(gradients[3.0][0], 3 * gradients[1.0][0])
    torch.testing.assert_close(gradients[3.0][1], gradients[1.0][1])


def test_a_restored_checkpoint_brings_back_both_optimizers(tmp_path: Path) -> None:
    def steps(trainer: Trainer, seed: int) -> list[float]:
        torch.manual_seed(seed)
        return [trainer.step(torch.rand(6, *SHAPE), torch.ones(1))["critic/adversarial"].item() for _ in range(3)]

    config = {"loss": adversarial(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9})}
    original = trainer_of(made(**config))
    steps(original, 1)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=4)
    restored = trainer_of(made(**config))
    point = checkpoint.read(tmp_path / "c.safetensors")
    checkpoint.restore(point, restored)
    assert point.epoch == 4
    assert steps(original, 2) == steps(restored, 2)
    assert all(same(values_of(original.model.parameters()), values_of(restored.model.parameters())))
    forgetful = trainer_of(made(**config))
    forgetful.model.load_state_dict(original.model.state_dict())
    assert steps(original, 3) != steps(forgetful, 3)  # the weights alone are not enough


# Runs


class StopAfter:
    """A listener that interrupts once so many epochs are done."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    @hookimpl
    def epoch_ended(self, record: Any) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("form", ["non_saturating", "wasserstein"])
def test_interrupted_and_resumed_it_ends_as_if_never_interrupted(tmp_path: Path, form: str) -> None:
    critics = {"name": "adam", "lr": {"from": 0.01, "to": 0.001, "epochs": 3}}
    values = parts(loss=adversarial(form=form, optimizer=critics), training={"epochs": 3, "batch_size": 200})
    run(values, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(values, out=tmp_path / "stopped", listeners=[StopAfter(2)])
    resumed = resume(tmp_path / "stopped")
    whole, stopped = (genkit.load(tmp_path / name).state_dict() for name in ("whole", "stopped"))
    assert any("critic" in name for name in whole)
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert [record.epoch for record in resumed.history] == [1, 2, 3]


@pytest.mark.usefixtures("bare")
def test_the_metrics_hold_what_the_critic_minimises_beside_the_term(tmp_path: Path) -> None:
    done = run(parts(), out=tmp_path / "run")
    lines = [json.loads(line) for line in done.directory.metrics.read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        train, validation = line["train"], line["validation"]
        assert train["critics"].keys() == train["terms"].keys() == {"adversarial"}
        assert 0 < train["critics"]["adversarial"] < 3
        assert train["loss"] == pytest.approx(train["terms"]["adversarial"])
        assert (train["reconstruction"], train["kl"], train["elbo"]) == (None, None, None)
        assert validation["critics"] == {}
        assert validation["terms"].keys() == {"adversarial"}
    assert done.evaluation.elbo is None


@pytest.mark.usefixtures("bare")
def test_the_command_line_samples_and_refuses_to_encode_or_reconstruct(tmp_path: Path, cli: Callable[..., Any]) -> None:
    run(parts(), out=tmp_path / "run")
    answer = cli("sample", tmp_path / "run", "--out", tmp_path / "x.npy", "-n", 7)
    assert answer.code == 0
    assert np.load(tmp_path / "x.npy").shape == (7, *SHAPE)
    for command in ("encode", "reconstruct"):
        answer = cli(command, tmp_path / "run", "--out", tmp_path / "z.npz")
        assert answer.code == 2
        assert answer.err.startswith("error: the model has no encoder")
        assert not (tmp_path / "z.npz").exists()


def test_a_gan_refuses_to_encode_and_to_reconstruct() -> None:
    model = made()
    for use in (model.encode, model.reconstruct):
        with pytest.raises(ComponentError, match="the model has no encoder: it generates, and has no latents of data"):
            use(torch.rand(3, *SHAPE))
    assert model.decode(torch.zeros(3, 3)).shape == (3, *SHAPE)


def test_an_evaluation_counts_the_data_and_claims_nothing_else() -> None:
    data, model = prepare(as_config(parts()))
    figures = evaluate(model, data).to_json()
    known = {name: value for name, value in figures.items() if value is not None}
    assert known == {"split": "test", "count": len(data.test.x), "draws": 1, "latents": 3}


@pytest.mark.parametrize(("latent", "drawn"), [(2, "manifold"), (3, "traversals")])
def test_its_pictures_are_those_that_need_no_encoder(tmp_path: Path, latent: int, drawn: str) -> None:
    config = as_config(parts(sampler={"name": "gaussian", "latent": latent}, training={"epochs": 1}))
    data, model = prepare(config)
    with own_random_state():
        history = list(fit(trainer_of(model), data, seed=0))
    made = plots.draw_all(model, data, history, tmp_path)
    assert {path.stem for path in made} == {"loss", "samples", drawn}
    assert all(path.stat().st_size > 0 for path in made)


def test_the_critics_layers_are_described_last_and_all_parameters_are_counted() -> None:
    model = made(loss=adversarial(critic=CRITICS["cnn"]))
    rows = describe(model)
    assert rows[0].name == "sampler"  # no input: nothing is encoded
    of_critic = [row for row in rows if row.name.startswith("loss.adversarial.")]
    assert rows[-len(of_critic) :] == of_critic
    assert [(row.type, row.shape, row.parameters) for row in of_critic if row.parameters] == [
        ("Conv2d", (3, 4, 4), 3 * 9 + 3),
        ("Linear", (1,), 48 + 1),
    ]
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())


# What a GAN is made of


def test_an_encoder_that_no_term_reads_is_refused() -> None:
    with pytest.raises(ComponentError) as caught:
        made(encoder="mlp")
    assert str(caught.value) == "encoder 'mlp' is read by no loss term ('adversarial'); leave it out"


def test_a_reconstruction_without_an_encoder_is_refused_by_name() -> None:
    with pytest.raises(ComponentError, match="loss 'reconstruction' needs an encoder, and the config has none"):
        made(loss=[adversarial(), "reconstruction"])


def test_a_gan_generates_the_mean_of_p_of_x_given_z_from_the_prior() -> None:
    model, x = made(), torch.rand(6, *SHAPE)
    torch.manual_seed(2)
    passed = model(x)
    torch.manual_seed(2)
    torch.testing.assert_close(passed.generated, torch.sigmoid(model.decoder(torch.randn(6, 3))))
    assert (passed.latent, passed.params, passed.log_prob) == (None, None, None)
    assert passed.x is x


@pytest.mark.usefixtures("bare")
def test_a_vae_gan_is_a_matter_of_configuration(tmp_path: Path) -> None:
    overrides = [
        "data.size=8",
        "encoder.hidden=[16]",
        "decoder.hidden=[16]",
        "loss.adversarial.critic.hidden=[16]",
        "training.epochs=3",
        "training.batch_size=100",
    ]
    done = run(EXAMPLES / "vae-gan.yaml", overrides, out=tmp_path / "run")
    first, *_, last = (json.loads(line) for line in done.directory.metrics.read_text().splitlines())
    terms = {"reconstruction", "kl", "adversarial"}
    for line in (first, last):
        assert line["train"]["terms"].keys() == line["validation"]["terms"].keys() == terms
        assert line["train"]["critics"].keys() == {"adversarial"}
        values = line["train"]["terms"]
        assert line["train"]["loss"] == pytest.approx(
            values["reconstruction"] + values["kl"] + 10 * values["adversarial"]
        )
        assert line["train"]["elbo"] == pytest.approx(-values["reconstruction"] - values["kl"])
    assert last["train"]["terms"]["reconstruction"] < first["train"]["terms"]["reconstruction"]
    assert done.model.reconstruct(done.data.test.x[:4]).shape == done.model.sample(4).shape == (4, *SHAPE)


@pytest.mark.parametrize(
    ("form", "critic_lr", "penalty"),
    [
        ("non_saturating", 0.004, 0),
        pytest.param("hinge", 0.004, 0, marks=pytest.mark.slow),
        pytest.param("wasserstein", 0.01, 1, marks=pytest.mark.slow),
    ],
)
def test_a_gan_moves_its_samples_to_where_the_data_are(
    tmp_path: Path, form: str, critic_lr: float, penalty: float
) -> None:
    centre = np.array([2.0, -1.5])
    x = np.random.default_rng(0).normal(size=(2000, 2)) * 0.5 + centre
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    layers = {"name": "mlp", "hidden": [32], "activation": "leaky_relu"}
    optimizer, critics = ({"name": "adam", "lr": lr, "betas": [0.5, 0.999]} for lr in (0.001, critic_lr))
    config = as_config(
        {
            "data": {"name": "arrays", "path": str(tmp_path / "x.npy"), "validation": 0, "test": 0},
            "sampler": {"name": "gaussian", "latent": 2},
            "decoder": layers,
            "likelihood": "gaussian",
            "loss": {
                "name": "adversarial",
                "critic": layers,
                "form": form,
                "penalty": penalty,
                "optimizer": critics,
            },
            "training": {"epochs": 30, "batch_size": 100, "optimizer": optimizer},
        }
    )
    data, model = prepare(config)

    def distance() -> float:
        return float(np.linalg.norm(model.sample(2000).mean(0).numpy() - centre))

    assert distance() > 2
    with own_random_state():
        list(fit(trainer_of(model), data, seed=0))
    assert distance() < 0.9
    assert model.sample(2000).std(0).min() > 0.1  # and they are not all the same


def test_a_critic_that_cannot_read_the_data_is_named_as_the_critic() -> None:
    config = Adversarial.Config.model_validate({"critic": "cnn"})
    with pytest.raises(ComponentError, match="the critic of loss 'adversarial': encoder 'cnn' takes series"):
        Adversarial(config, (5,))
