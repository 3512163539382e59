"""What follows the validation data, against counts by hand and torch's own."""

from dataclasses import replace

import pytest
import torch

from genkit.record.scores import EpochRecord, Scores
from genkit.runs.opening import as_config, prepare
from genkit.settings.schedules import Plateau
from genkit.settings.training import Stop
from genkit.training.monitor import Monitor, ReducedRate

SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]"]


def model_of(digits, *overrides, system="vae-digits"):
    return prepare(as_config(digits.with_stem(system), [*SMALL, *overrides]))[1]


def record(reconstruction, kl=0.0, epoch=1):
    """The record of an epoch with these terms on the validation data, both of weight 0.5 so far."""
    terms = {"reconstruction": reconstruction, "kl": kl}
    scores = Scores(0.5 * (reconstruction + kl), terms, {}, reconstruction, kl, -reconstruction - kl)
    bad = replace(scores, terms=dict.fromkeys(terms, 0.0), reconstruction=0.0, kl=0.0, elbo=0.0)
    return EpochRecord(epoch, 1, 1.0, 1.0, 0.1, dict.fromkeys(terms, 0.5), bad, scores)


@pytest.mark.parametrize(
    ("figure", "weight", "value"),
    [
        ("loss", "1.0", 13.0),
        ("loss", "{from: 0, to: 4, epochs: 9}", 22.0),
        ("loss", "{schedule: steps, from: 1, factor: 2, after: [3, 4]}", 22.0),
        ("elbo", "{from: 0, to: 4, epochs: 9}", 13.0),
        ("reconstruction", "4.0", 10.0),
    ],
)
def test_the_loss_has_each_weight_at_its_end_and_an_elbo_is_turned_over(digits, figure, weight, value):
    monitor = Monitor(model_of(digits, f"loss.kl.weight={weight}"), figure)
    assert monitor.value(record(10.0, 3.0)) == value


def test_a_term_with_a_critic_has_no_direction(digits):
    model = model_of(digits, "data={name: digits, size: 8}", "encoder={name: mlp, hidden: [8]}", system="vae-gan")
    assert model.critics
    assert Monitor(model, "loss").weights.keys() == model.losses.keys() - model.critics.keys()


def test_training_ends_once_no_epoch_in_a_row_was_better(digits):
    monitor = Monitor.of(model_of(digits), Stop(patience=3, min_delta=0.5))
    met = []
    for value in (9.0, 8.0, 7.6, 7.7, 7.5, 7.4, 7.2, 7.1, 7.0):  # 7.5 is not more than 0.5 below 8.0, 7.4 is
        monitor.improved(record(value))
        met.append(monitor.exhausted)
    assert met == [False, False, False, False, True, False, False, False, True]


@pytest.mark.parametrize("min_delta", [0.0, 0.3])
def test_the_rate_falls_where_that_of_torch_does(digits, min_delta):
    options = {"from": 0.1, "factor": 0.5, "patience": 3, "to": 0.01, "min_delta": min_delta}
    ours = ReducedRate(model_of(digits), Plateau.model_validate(options))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=min_delta, threshold_mode="abs", min_lr=0.01
    )
    torch.manual_seed(0)
    rates = []
    for value in (20 + torch.linspace(0, -4, 60) + torch.randn(60)).tolist():
        ours(record(value))
        theirs.step(value)
        rates.append((ours.at(0.0), optimizer.param_groups[0]["lr"]))
    assert [mine for mine, _ in rates] == pytest.approx([its for _, its in rates])
    assert len({mine for mine, _ in rates}) > 3


def test_a_state_comes_back_unless_it_is_of_another_figure(digits):
    model = model_of(digits)
    one = Monitor(model, "loss")
    one.improved(record(9.0))
    one.improved(record(9.5))
    same, other = Monitor(model, "loss"), Monitor(model, "elbo")
    heavier = Monitor(model_of(digits, "loss.kl.weight=2"), "loss")
    for each in (same, other, heavier):
        each.load_state_dict(one.state_dict())
    assert (same.best, same.waited) == (9.0, 1)
    assert (other.best, other.waited) == (heavier.best, heavier.waited) == (None, 0)


@pytest.mark.parametrize("change", [{"waited": -1}, {"waited": True}, {"best": float("nan")}, {"best": float("inf")}])
def test_a_damaged_state_is_refused(digits, change):
    monitor = Monitor(model_of(digits), "loss")
    with pytest.raises(ValueError, match="no best value"):
        monitor.load_state_dict({**monitor.state_dict(), **change})


@pytest.mark.parametrize("times", [-1, 1.0, None])
def test_a_damaged_number_of_reductions_is_refused(digits, times):
    rate = ReducedRate(model_of(digits), Plateau.model_validate({"from": 0.1}))
    with pytest.raises(ValueError, match="no number of reductions"):
        rate.load_state_dict({**rate.state_dict(), "times": times})
