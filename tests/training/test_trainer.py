import copy
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genkit.data.dataset import Batch
from genkit.errors import ComponentError, ConfigError
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import run
from genkit.training import epochs
from genkit.training.epochs import fit
from genkit.training.guards import check_last_batch
from genkit.training.objective import objective
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.trainer import Trainer

SMALL = ["encoder.hidden=[16]", "decoder.hidden=[16]", "training.epochs=2"]


def trainer_of(digits, *overrides):
    config = as_config(digits, [*SMALL, *overrides])
    data, model = prepare(config)
    return Trainer(model, config.training), data


def figures_by_hand(model, x, eps):
    """Reconstruction and KL of each datum from the layers themselves, with torch's own loss and distributions."""
    features = model.encoder(x)
    mean, log_var = model.sampler.mean(features), model.sampler.log_var(features)
    logits = model.decoder(mean + (log_var / 2).exp() * eps)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
    kl = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1)
    return entropy, kl


def test_the_objective_is_the_weighted_sum_of_what_torch_computes(digits):
    trainer, data = trainer_of(digits)
    x = data.train.x[:32]
    torch.manual_seed(5)
    loss, figures, passed = objective(trainer.model, x, torch.tensor([2.0, 0.25]))
    torch.manual_seed(5)
    eps = torch.randn(1, 32, 2)[0]
    reconstruction, kl = figures_by_hand(trainer.model, x, eps)
    assert loss.item() == pytest.approx((2 * reconstruction + 0.25 * kl).mean().item(), rel=1e-5)
    expected = {"reconstruction": reconstruction.mean().item(), "kl": kl.mean().item()}
    expected |= {f"term/{name}": value for name, value in expected.items()}
    assert {name: figure.item() for name, figure in figures.items()} == pytest.approx(expected, rel=1e-5)
    assert torch.equal(passed.latent.mean, trainer.model.encode(x))


def test_an_epochs_figures_are_means_over_the_data_whatever_the_last_batch(digits):
    """With a learning rate of nearly 0 the model stands still, so that the mean can be taken again by hand."""
    trainer, data = trainer_of(digits, "training.optimizer={name: sgd, lr: 1.0e-30}", "training.epochs=1")
    assert len(data.train.x) % 64 != 0
    record = next(fit(trainer, data, seed=3))
    with own_random_state():
        seed_everything(3, 1)
        order = torch.randperm(len(data.train.x))
        rows = []
        for index in order.split(64):
            rows.append(
                torch.stack(figures_by_hand(trainer.model, data.train.x[index], torch.randn(1, len(index), 2)[0]))
            )
    reconstruction, kl = torch.cat(rows, 1).mean(1).tolist()
    assert record.train.reconstruction == pytest.approx(reconstruction, rel=1e-5)
    assert record.train.kl == pytest.approx(kl, rel=1e-4)
    assert record.train.elbo == pytest.approx(-reconstruction - kl, rel=1e-5)


def test_the_true_elbo_is_reported_whatever_the_weights_and_free_bits(digits):
    trainer, data = trainer_of(digits, "loss.kl={name: kl, weight: 0.001, free_bits: 3}")
    record = list(fit(trainer, data, seed=0))[-1]
    scores = record.train
    assert scores.terms["kl"] >= 6
    assert scores.loss == pytest.approx(scores.terms["reconstruction"] + 0.001 * scores.terms["kl"])
    assert scores.elbo == pytest.approx(-scores.reconstruction - scores.kl)
    assert scores.kl != pytest.approx(scores.terms["kl"])


def test_weights_follow_their_schedule_step_by_step(digits, monkeypatch):
    trainer, data = trainer_of(
        digits, "loss.kl.weight={from: 0, to: 1, epochs: 2}", "training.batch_size=629", "training.epochs=3"
    )
    seen = []
    step = trainer.step
    monkeypatch.setattr(
        trainer, "step", lambda x, weights, *rest: (seen.append(weights.tolist()), step(x, weights, *rest))[1]
    )
    records = list(fit(trainer, data, seed=0))
    assert [row[1] for row in seen] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert [record.weights["kl"] for record in records] == pytest.approx([0.25, 0.75, 1])


def test_the_learning_rate_follows_its_schedule(digits):
    trainer, data = trainer_of(
        digits, "training.optimizer.lr={from: 0.1, to: 0, epochs: 2}", "training.batch_size=629", "training.epochs=3"
    )
    assert [record.lr for record in fit(trainer, data, seed=0)] == pytest.approx([0.075, 0.025, 0])


def test_gradients_are_scaled_down_to_the_norm_that_is_asked_for(digits):
    moved = {}
    for norm in (None, 0.5):
        option = [] if norm is None else [f"training.clip_norm={norm}"]
        trainer, data = trainer_of(digits, "training.optimizer={name: sgd, lr: 1}", *option)
        before = torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])
        torch.manual_seed(0)
        trainer.step(data.train.x[:32], torch.ones(2))
        after = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
        moved[norm] = (after - before).norm().item()
    assert moved[None] > 1
    assert moved[0.5] == pytest.approx(0.5, rel=1e-3)


def test_validation_uses_the_same_objective_and_changes_nothing(digits):
    trainer, data = trainer_of(digits)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    torch.manual_seed(0)
    scores = trainer.evaluate(data, data.validation, {"reconstruction": 1.0, "kl": 0.5})
    torch.manual_seed(0)
    rows = [
        torch.stack(figures_by_hand(trainer.model, x, torch.randn(1, len(x), 2)[0]))
        for x in data.validation.x.split(64)
    ]
    reconstruction, kl = torch.cat(rows, 1).mean(1).tolist()
    assert scores.loss == pytest.approx(reconstruction + 0.5 * kl, rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert trainer.model.training


def test_training_reaches_what_a_plain_loop_reaches(digits):
    """The same model, data order and noise in a loop written out by hand end in the same weights."""
    trainer, data = trainer_of(digits)
    _, twin = prepare(trainer.model.config)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    with own_random_state():
        for epoch in (1, 2):
            seed_everything(0, epoch)
            for index in torch.randperm(len(data.train.x)).split(64):
                eps = torch.randn(1, len(index), 2)[0]
                reconstruction, kl = figures_by_hand(twin, data.train.x[index], eps)
                optimizer.zero_grad()
                (reconstruction + kl).mean().backward()
                optimizer.step()
    with own_random_state():
        list(fit(trainer, data, seed=0))
    for one, other in zip(trainer.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
@pytest.mark.parametrize(
    ("example", "options"),
    [("vae-digits", []), ("gan-conv", [])],
)
def test_a_compiled_step_takes_the_gradients_of_the_eager_one(example, options):
    """The same random numbers, and the same gradients and figures to float tolerance, in one graph."""
    found = []
    torch.compiler.reset()
    for compiled in (False, True):
        data, model = prepare(as_config(EXAMPLES / f"{example}.yaml", options))
        trainer = Trainer(model, model.config.training, compiled)
        weights = torch.tensor(list(trainer.weights_at(1).values()))
        torch.manual_seed(3)
        found.append(trainer.differentiate(data.train.x[:32], weights))
    (gradients, figures), (others, other_figures) = found
    assert list(gradients) == list(others)
    torch.testing.assert_close(figures, other_figures, rtol=1e-4, atol=1e-4)
    for owner, each in gradients.items():
        torch.testing.assert_close(list(each), list(others[owner]), rtol=1e-3, atol=1e-4)


def test_progress_is_reported_with_the_figures_so_far(digits, monkeypatch):
    monkeypatch.setattr(epochs, "SECONDS_BETWEEN_REPORTS", 0.0)
    trainer, data = trainer_of(digits, "training.epochs=1")
    reports = []
    record = next(fit(trainer, data, seed=0, report=reports.append))
    assert [report.step for report in reports] == list(range(1, 21))
    assert {report.steps for report in reports} == {20}
    assert reports[-1].scores == record.train


def test_frozen_parameters_stay_as_they_are(digits):
    trainer, data = trainer_of(digits)
    for parameter in trainer.model.encoder.parameters():
        parameter.requires_grad_(False)
    trainer = Trainer(trainer.model, trainer.config)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    list(fit(trainer, data, seed=0))
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("encoder."), name
    trainer.model.requires_grad_(False)
    with pytest.raises(ComponentError, match="no parameter to fit"):
        Trainer(trainer.model, trainer.config)


# Batch normalization and a last batch of one datum: the digits leave 1,258 = 3 · 419 + 1 data to train on

EXAMPLES = Path(__file__).parents[2] / "examples"
GAN = ["data.size=8", "data.validation=0.1", "decoder.hidden=[8]", "loss.adversarial.critic.hidden=[8]"]
WHICH = "training.batch_size: 1,258 data in batches of 419 leave a last one of a single datum"
NORMALIZED = {
    "encoder": ("vae-digits", [*SMALL, "encoder.normalization=batch"]),
    "decoder": ("vae-digits", [*SMALL, "decoder.normalization=batch"]),
    "generator": ("gan", GAN),
    "critic": ("gan", [*GAN, "decoder.normalization=none", "loss.adversarial.critic.normalization=batch"]),
}


@pytest.mark.parametrize("part", NORMALIZED)
def test_batch_normalization_and_a_last_batch_of_one_datum_are_refused(part):
    example, overrides = NORMALIZED[part]
    with pytest.raises(ConfigError, match=f"{WHICH}.*choose another batch_size"):
        prepare(as_config(EXAMPLES / f"{example}.yaml", [*overrides, "training.batch_size=419"]))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("part", NORMALIZED)
def test_one_datum_more_in_the_last_batch_is_enough(part, tmp_path):
    example, overrides = NORMALIZED[part]
    options = [*overrides, "training.batch_size=628", "training.epochs=1"]
    assert len(run(EXAMPLES / f"{example}.yaml", options, out=tmp_path / "run").history) == 1


@pytest.mark.parametrize("size", [1, 3, 419, 1257])
def test_a_last_batch_of_one_datum_is_refused_whatever_the_number_of_batches(digits, size):
    with pytest.raises(ConfigError, match=f"1,258 data in batches of {size} leave a last one of a single datum"):
        prepare(as_config(digits, ["encoder.normalization=batch", f"training.batch_size={size}"]))


def test_a_last_batch_of_one_datum_is_no_matter_without_batch_normalization(digits):
    for normalization in ("none", "layer"):
        prepare(as_config(digits, [f"encoder.normalization={normalization}", "training.batch_size=419"]))


def test_maps_have_enough_to_average_over_in_a_single_datum(digits):
    layers = "layers: [{channels: 4, kernel: 3, stride: 2}], normalization: batch"
    data, model = prepare(as_config(digits, [f"encoder={{name: cnn, {layers}}}", "training.batch_size=419"]))
    assert len(data.train.x) % 419 == 1
    assert torch.isfinite(model.train()(data.train.x[:1]).log_prob).all()


def test_checking_the_last_batch_leaves_the_model_and_the_random_state_as_they_were(digits):
    _, model = prepare(as_config(digits, [*SMALL, "decoder.normalization=batch"]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, mode = torch.get_rng_state(), model.training
    check_last_batch(model, 1258, 64)
    with pytest.raises(ConfigError):
        check_last_batch(model, 129, 64)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training == mode
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("command", ["run", "describe"])
def test_the_command_line_refuses_such_a_config_in_one_message(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    answer = cli(command, EXAMPLES / "gan.yaml", *GAN, "training.batch_size=419")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {WHICH}, over which batch normalization cannot average")
    assert len(answer.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_networks_compute_in_the_type_that_is_asked_for_and_figures_in_float32(digits, precision):
    seen = []
    trainer, data = trainer_of(digits, f"training.precision={precision}")
    plain, _ = trainer_of(digits)
    for network in (trainer.model.encoder, trainer.model.decoder):
        last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    figures = []
    for each in (trainer, plain):
        torch.manual_seed(0)
        figures.append(each.step(data.train.x[:64], torch.ones(2)))
    assert seen == [getattr(torch, precision)] * 2
    assert {value.dtype for value in figures[0].values()} == {torch.float32}
    for name, value in figures[1].items():
        assert float(figures[0][name]) == pytest.approx(float(value), rel=0.02, abs=0.02), name
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    before, after = (each.model.state_dict() for each in (plain, trainer))
    for name in before:  # the first step of Adam is as long as the learning rate whatever the gradient's scale
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=2.1e-3)
    assert trainer.model.autocast is None


def test_a_float16_step_that_overflows_is_left_out_and_the_scale_goes_down(digits):
    trainer, data = trainer_of(digits, "training.precision=float16")
    trainer.optimization.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(2):
        trainer.step(data.train.x[:64], torch.ones(2))
        assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert trainer.optimization.scaler.get_scale() == 2.0**58
    for _ in range(60):
        trainer.step(data.train.x[:64], torch.ones(2))
    assert not any(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())


def test_callables_act_after_each_step(digits):
    trainer, data = trainer_of(digits, "training.epochs=2")
    seen = []
    trainer.after_step.append(lambda trainer: seen.append(next(trainer.model.parameters()).detach().clone()))
    records = list(fit(trainer, data, seed=0))
    assert len(seen) == records[-1].steps
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[-1], next(trainer.model.parameters()))


def test_training_ends_after_the_epoch_at_which_somebody_says_so(digits):
    trainer, data = trainer_of(digits, "training.epochs=9")
    asked = []
    trainer.stops += [lambda record: record.epoch >= 3, lambda record: asked.append(record.epoch) or False]
    assert [record.epoch for record in fit(trainer, data, seed=0)] == [1, 2, 3]
    assert asked == [1, 2, 3]  # everybody counts every epoch


def test_a_trainers_state_takes_another_to_the_same_next_step(digits):
    one, data = trainer_of(digits)
    other, _ = trainer_of(digits, "seed=9")
    weights = torch.ones(len(one.weights))
    torch.manual_seed(0)
    one.step(data.train.x[:32], weights)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for trainer in (one, other):
        torch.manual_seed(1)
        trainer.step(data.train.x[32:64], weights)
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_gradients_of_a_critic_are_scaled_down_by_its_own_norm(digits):
    options = ["data={name: digits, size: 8}", "decoder.hidden=[8]", "loss.adversarial.critic.hidden=[8]"]
    options += ["loss.adversarial.optimizer={name: sgd, lr: 1}", "training.optimizer={name: sgd, lr: 1}"]
    moved = {}
    for norm in (None, 0.01):
        config = as_config(
            digits.with_stem("gan"), [*options, *([f"loss.adversarial.clip_norm={norm}"] if norm else [])]
        )
        data, model = prepare(config)
        trainer = Trainer(model, config.training)
        owners = {owner: list(each) for owner, each in trainer.optimization.parameters.items()}
        before = {owner: torch.cat([p.detach().flatten().clone() for p in each]) for owner, each in owners.items()}
        torch.manual_seed(0)
        trainer.step(data.train.x[:32], torch.ones(1))
        after = {owner: torch.cat([p.detach().flatten() for p in each]) for owner, each in owners.items()}
        moved[norm] = {owner: (after[owner] - before[owner]).norm().item() for owner in owners}
    assert moved[None]["loss.adversarial"] > 0.02
    assert moved[0.01]["loss.adversarial"] == pytest.approx(0.01, rel=1e-3)
    assert moved[0.01]["model"] == moved[None]["model"]


ACCUMULATED = {
    "autoencoder": ["data={name: digits, size: 8}", "encoder.hidden=[16]", "decoder.hidden=[16]"],
    "gan": ["data={name: digits, size: 8}", "decoder={name: mlp, hidden: [8]}", "loss.adversarial.critic.hidden=[8]"],
}


@pytest.mark.parametrize("system", ACCUMULATED)
def test_gradients_over_several_batches_are_those_of_one_with_all_their_data(digits, system):
    """With draws that do not depend on the batches; the last of them has fewer data."""
    config = as_config(digits.with_stem(system), ACCUMULATED[system])
    data, model = prepare(config)
    trainer, x, z = Trainer(model, config.training), data.train.x[:56], torch.randn(56, *model.sampler.latent_shape)
    weights, seen = torch.ones(len(trainer.weights)), []
    trainer.inspect = lambda gradients, figures: seen.append((gradients, figures))
    trainer.optimization.apply = lambda _: None
    for sizes in ([56], [16, 16, 16, 8]):
        rows = iter(z)
        model.sampler.prior = lambda n, rows=rows: torch.stack([next(rows) for _ in range(n)])
        trainer.step_over([Batch(part, len(part)) for part in x.split(sizes)], weights)
    (whole, figures), (summed, others) = seen
    assert list(whole) == list(summed)
    torch.testing.assert_close(figures, others)
    for owner, gradients in whole.items():
        assert any(bool(each.any()) for each in gradients)
        torch.testing.assert_close(list(gradients), summed[owner], rtol=1e-4, atol=1e-6)


def test_a_training_that_accumulates_is_that_of_the_larger_batch(digits):
    records, weights = [], []
    for options in (["training.batch_size=64"], ["training.batch_size=16", "training.accumulate=4"]):
        small = ["training.epochs=2", "training.optimizer={name: sgd, lr: 0.001}"]
        config = as_config(digits.with_stem("autoencoder"), [*ACCUMULATED["autoencoder"], *small, *options])
        data, model = prepare(config)
        records.append(list(fit(Trainer(model, config.training), data, seed=0)))
        weights.append(dict(model.state_dict()))
    assert [record.steps for record in records[1]] == [record.steps for record in records[0]]
    assert [record.train.loss for record in records[1]] == pytest.approx([each.train.loss for each in records[0]], 1e-5)
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)
