"""Averaged weights, against the closed form of the average."""

import copy

import pytest
import torch

from genkit.runs.opening import as_config, prepare
from genkit.training.epochs import fit
from genkit.training.trainer import Trainer

SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]", "training.epochs=2"]
CRITIC = [
    "data={name: digits, size: 8, validation: 0.1}",
    "decoder={name: mlp, hidden: [8], normalization: batch}",
    "loss.adversarial.critic.hidden=[8]",
]


def trainer_of(digits, *overrides, system="vae-digits"):
    small = CRITIC if system == "gan" else SMALL
    config = as_config(digits.with_stem(system), [*small, *overrides])
    data, model = prepare(config)
    return Trainer(model, config.training), data


def steps(trainer, data, count, each=lambda: None):
    trainer.model.train()
    torch.manual_seed(0)
    for index in range(count):
        trainer.step(data.train.x[index * 32 : (index + 1) * 32], torch.ones(len(trainer.weights)))
        each()


def values(parameters):
    return [parameter.detach().clone() for parameter in parameters]


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_weighted_mean_of_the_weights_after_each_step(digits, decay):
    trainer, data = trainer_of(digits, f"training.ema={decay}")
    path = []
    steps(trainer, data, 7, lambda: path.append(values(trainer.average.parameters)))
    shares = torch.tensor([decay ** (7 - step) for step in range(1, 8)], dtype=torch.float64)
    shares = shares / shares.sum()
    for index, mean in enumerate(trainer.average.means):
        expected = sum(share * at[index].double() for share, at in zip(shares, path, strict=True))
        torch.testing.assert_close(mean.double(), expected, rtol=1e-5, atol=1e-6)


def test_validation_sees_the_averages_and_training_its_own_weights(digits):
    trainer, data = trainer_of(digits, "training.ema={decay: 0.9}")
    plain, _ = trainer_of(digits)
    averaged, own = next(fit(trainer, data, seed=0)), next(fit(plain, data, seed=0))
    assert averaged.train == own.train  # the steps are those of a training without an average
    assert averaged.validation != own.validation
    for mine, theirs in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    trainer.settle()
    torch.manual_seed(3)
    by_hand = trainer.evaluate(data, data.validation, averaged.weights)
    with trainer.judged():
        torch.manual_seed(3)
        assert trainer.evaluate(data, data.validation, averaged.weights) == by_hand


def test_critics_are_not_averaged_and_buffers_stay(digits):
    trainer, data = trainer_of(digits, "training.ema=0.9", system="gan")
    steps(trainer, data, 3)
    critic = {name: each.clone() for name, each in trainer.model.state_dict().items() if name.startswith("losses.")}
    buffers = {name: each.clone() for name, each in trainer.model.named_buffers() if "running" in name}
    generator = values(trainer.model.decoder.parameters())
    assert critic
    assert buffers
    trainer.settle()
    now = trainer.model.state_dict()
    assert all(torch.equal(now[name], each) for name, each in {**critic, **buffers}.items())
    for mine, before in zip(trainer.model.decoder.parameters(), generator, strict=True):
        assert not torch.equal(mine, before)


def test_the_state_takes_another_to_the_same_average(digits):
    one, data = trainer_of(digits, "training.ema=0.9")
    other, _ = trainer_of(digits, "training.ema=0.9", "seed=3")
    steps(one, data, 3)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for trainer in (one, other):
        steps(trainer, data, 2)
    for mine, theirs in zip(one.average.means, other.average.means, strict=True):
        assert torch.equal(mine, theirs)


def test_the_weights_come_back_after_an_error(digits):
    trainer, data = trainer_of(digits, "training.ema=0.9")
    steps(trainer, data, 2)
    before = values(trainer.model.parameters())
    seen = []

    def interrupted():
        with trainer.judged():
            seen.extend(values(trainer.model.parameters()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not torch.equal(before[0], seen[0])
    for mine, theirs in zip(trainer.model.parameters(), before, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": -1}, "no number of steps"),
        ({"steps": "2"}, "no number of steps"),
        ({"mean/0": 1.0}, "shape and type"),
    ],
)
def test_a_damaged_state_is_refused(digits, change, said):
    trainer, data = trainer_of(digits, "training.ema=0.9")
    steps(trainer, data, 1)
    with pytest.raises(ValueError, match=said):
        trainer.average.load_state_dict({**trainer.average.state_dict(), **change})


def test_steps_of_critics_alone_do_not_count(digits):
    trainer, data = trainer_of(digits, "training.ema=0.9", "loss.adversarial.steps=3", system="gan")
    before = values(trainer.model.decoder.parameters())
    steps(trainer, data, 2)
    assert (trainer.average.steps, trainer.average.means) == (0, [])
    for mine, theirs in zip(trainer.model.decoder.parameters(), before, strict=True):
        assert torch.equal(mine, theirs)
    path = []
    steps(trainer, data, 5, lambda: path.append(values(trainer.average.parameters)))
    assert (trainer.taken, trainer.average.steps) == (7, 2)
    first, second = path[0], path[3]  # after steps 3 and 6, the updates of the generator
    for mean, earlier, later in zip(trainer.average.means, first, second, strict=True):
        torch.testing.assert_close(mean, (0.9 * earlier + later) / 1.9)
