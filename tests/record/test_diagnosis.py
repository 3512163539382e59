"""Each rule of the diagnosis, provoked and not."""

from dataclasses import replace
from pathlib import Path

import pytest

from genkit.data.dataset import DataSignature
from genkit.evaluation.figures import CodeStatistics, Evaluation
from genkit.record.diagnosis import RULES, diagnose
from genkit.record.scores import EpochRecord, Scores
from genkit.record.signals import Signals

ELBO = Evaluation("test", 100, 1, latents=2, elbo=-25.0, reconstruction=20.0, kl=5.0, active_units=2, unexplained=0.3)
DEAD = replace(ELBO, elbo=-30.0, reconstruction=29.98, kl=0.02, active_units=0, unexplained=1.0)
UNIT = DataSignature(source="digits", shape=(4,), range=(0.0, 1.0), classes=None, counts={"train": 100})
WIDE = UNIT.model_copy(update={"range": (-3.0, 4e8)})
FLAT = [90, 50, 30, 25, 24, 23.98, 23.97, 23.96]


def history(losses, validation=None, weight=1.0, critics=(), terms=None, parts=True):
    """The records of epochs: a VAE's with these losses, or with the terms of a critic and its losses."""
    records = []
    for index, loss in enumerate(losses):
        own = {"reconstruction": loss - weight * 5.0, "kl": 5.0} if terms is None else {"judged": terms[index]}
        factors = {"reconstruction": 1.0, "kl": weight} if terms is None else {"judged": 1.0}
        shown = {"judged": critics[index]} if critics else {}
        known = (own["reconstruction"], 5.0, -own["reconstruction"] - 5.0) if terms is None else (None, None, None)
        train = Scores(loss, own, shown, *known)
        held = None
        if validation is not None:
            left = {"reconstruction": validation[index] - weight * 5.0, "kl": 5.0}
            held = Scores(validation[index], left, {}, left["reconstruction"], 5.0, -validation[index])
        records.append(EpochRecord(index + 1, 10 * index + 10, 1.0, 100.0, 1e-3, factors, train, held))
    return records


def critics(losses, terms):
    return history([0.0] * len(losses), critics=losses, terms=terms)


def code(dead):
    return replace(ELBO, elbo=None, kl=None, code=CodeStatistics([0.1] * 50, 5.0, dead))


SPARSE = code(0.4)
RISING = [91, 60, 40, 35, 36, 38, 40, 42, 44, 46]
TRAIN = [90, 58, 38, 32, 30, 28, 26, 24.5, 24.4, 24.3]

CASES = {
    "unscaled data": (Signals(signature=WIDE), Signals(signature=UNIT)),
    "collapsed latents": (
        Signals(history(FLAT), DEAD, UNIT),
        Signals(history(FLAT), replace(DEAD, active_units=1), UNIT),
    ),
    "dead units": (Signals(evaluation=SPARSE), Signals(evaluation=code(0.04))),
    "critic wins": (
        Signals(critics([1.2, 0.4, 0.05, 0.02, 0.01, 0.01, 0.01], [0.8, 2.0, 4.0, 6.0, 7.0, 7.5, 8.0])),
        Signals(critics([1.3, 1.2, 1.1, 1.0, 1.0, 1.0, 1.0], [0.8, 0.9, 1.0, 1.2, 1.2, 1.2, 1.2])),
    ),
    "over-fitting": (Signals(history(TRAIN, RISING)), Signals(history(TRAIN, [each + 1 for each in TRAIN]))),
    "still falling": (Signals(history([90, 70, 50, 40])), Signals(history([*FLAT, 23.5, 24.2, 23.4, 23.9]))),
    "weighted ELBO": (Signals(history(FLAT, weight=0.5)), Signals(history(FLAT))),
    "likelihood misfit": (
        Signals(history(FLAT), replace(ELBO, dispersion=0.02)),
        Signals(history(FLAT), replace(ELBO, dispersion=0.4)),
    ),
}


def test_every_rule_has_a_case():
    assert list(CASES) == [rule.name for rule in RULES]


@pytest.mark.parametrize("name", CASES)
def test_a_rule_speaks_where_it_is_provoked_and_only_there(name):
    provoked, healthy = CASES[name]
    assert name in [note.rule for note in diagnose(provoked)]
    assert diagnose(healthy) == []


def test_without_signals_no_rule_speaks():
    assert diagnose(Signals()) == []
    assert diagnose(Signals([], Evaluation("test", 10, 1, latents=32))) == []


def text(signals, rule):
    return next((note.text for note in diagnose(signals) if note.rule == rule), None)


@pytest.mark.parametrize(
    ("signals", "remedy"),
    [
        (Signals(history(FLAT), DEAD, WIDE), "mend the scale of the data first"),
        (Signals(history([90, 50, 20]), DEAD, UNIT), "the loss is still falling: train for longer first"),
        (Signals(history([90]), DEAD, UNIT), "one epoch says little: train for longer first"),
        (Signals(history(FLAT), DEAD, UNIT), "give the KL a smaller weight, or one that rises from 0 over more epochs"),
        (Signals(history(FLAT), replace(DEAD, kl=None), UNIT), "use another learning rate, or fewer layers"),
    ],
)
def test_the_remedy_of_a_collapse_is_that_of_its_cause(signals, remedy):
    sentence = text(signals, "collapsed latents")
    assert sentence.endswith(f"; {remedy}")
    assert ("posterior collapse" in sentence) == (signals.evaluation.kl is not None)


def test_small_codes_that_explain_the_data_are_no_collapse():
    assert text(Signals(evaluation=replace(ELBO, active_units=0, unexplained=0.1)), "collapsed latents") is None


QUIET = [90, 30, 27, *(26.02, 26.01, 26.0, 26.01, 26.0) * 3]


def silent(kl, active, losses=QUIET, since=3, steps=50):
    """The history of a model with a KL that small from an epoch on, with so many active latents."""
    return [
        replace(
            each,
            steps=steps * each.epoch,
            validation=replace(each.validation, kl=kl if each.epoch >= since else 5.0, active_units=active),
        )
        for each in history(losses, losses)
    ]


@pytest.mark.parametrize(("kl", "active"), [(0.004, None), (-0.004, None), (0.04, 0), (0.0, 0)])
def test_a_collapse_is_said_while_the_run_goes_on(kl, active):
    (note,) = diagnose(Signals(silent(kl, active), signature=UNIT), during=True)
    assert note.rule == "collapsed latents"
    assert note.text.startswith("no latent dimension has been active" if active == 0 else "the KL has been near 0")
    assert f" since epoch 3, and the KL is {kl:.2g} nats now" in note.text
    assert note.text.endswith("give the KL a smaller weight, or one that rises from 0 over more epochs")


@pytest.mark.parametrize(
    "records",
    [
        silent(0.04, None),  # little, and not known to be nothing
        silent(0.004, 1),
        silent(0.2, 0),
        silent(None, 0),  # an autoencoder's codes may be small
        silent(0.004, 0, since=10),  # nine epochs
        silent(0.004, 0, steps=30),  # many epochs of few steps
        silent(0.004, 0, [90 - number for number in range(18)]),  # the decoder still learns the mean of the data
        [*silent(0.004, 0), *silent(1.0, 1)[-1:]],  # it has left the collapse
        [],
    ],
)
def test_what_may_be_no_collapse_is_not_said_while_the_run_goes_on(records):
    assert diagnose(Signals(records, signature=UNIT), during=True) == []


def test_a_run_without_figures_collapses_by_its_history():
    assert "collapsed latents" in [note.rule for note in diagnose(Signals(silent(0.004, 0), signature=UNIT))]


@pytest.mark.parametrize(
    ("critic", "term"),
    [
        (
            [0.9, 0.05, 0.02, 0.02, 0.02, 0.02, 0.02],
            [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0],
        ),  # it falls
        (
            [9.0, -5.0, -3.0, -1.0, -0.5, 0.01, 0.01],
            [0.1, 0.4, 0.9, 1.0, 1.1, 1.1, 1.2],
        ),  # no optimum at 0
        ([1.0, 0.05, 0.05, 0.05, 0.6, 0.05, 0.05], [0.8, 4.0, 4.0, 4.0, 1.0, 4.0, 4.0]),  # the model comes back
        ([0.01, 0.01], [0.8, 9.0]),  # too early to tell
    ],
)
def test_a_critic_that_is_ahead_has_not_always_won(critic, term):
    assert text(Signals(critics(critic, term)), "critic wins") is None


@pytest.mark.parametrize(
    "validation",
    [
        [91, 60, 40, 35, 34, 33.0, 33.1, 33.2, 33.1, 33.2],  # a rise within the noise
        [91, 60, 40, 35, 36, 38, 50, 36, 34.8, 36],  # a spike that comes back
        [91, 60, 40, 31, 38, 28, 44, 31, 55, 30],  # as noisy as it is high
        None,
    ],
)
def test_a_validation_loss_that_wavers_is_no_over_fitting(validation):
    assert text(Signals(history(TRAIN, validation)), "over-fitting") is None


def test_where_the_best_weights_are_kept_over_fitting_is_no_matter():
    assert text(Signals(history(TRAIN, RISING)), "over-fitting")
    assert text(Signals(history(TRAIN, RISING), keeps_best=True), "over-fitting") is None


def test_a_weight_that_rises_is_no_loss_that_rises():
    records = history(TRAIN, TRAIN)
    ramp = [
        replace(each, weights={"reconstruction": 1.0, "kl": (index + 1) / len(records)})
        for index, each in enumerate(records)
    ]
    weighted = [replace(each, train=replace(each.train, loss=10.0 + index)) for index, each in enumerate(ramp)]
    assert [note.rule for note in diagnose(Signals(weighted))] == [note.rule for note in diagnose(Signals(records))]
    assert Signals(weighted).losses("train") == pytest.approx(TRAIN)


def test_only_some_rules_speak_while_a_run_goes_on():
    falling = Signals(history([90, 70, 50, 40], weight=0.5), replace(ELBO, dispersion=0.02), WIDE)
    assert diagnose(falling, during=True) == []
    assert [note.rule for note in diagnose(Signals(history(TRAIN, RISING)), during=True)] == ["over-fitting"]


def test_an_elbo_is_weighted_only_by_its_own_terms():
    records = history(FLAT)
    last = records[-1]
    other = replace(last.train, terms={**last.train.terms, "penalty": 2.0})
    records[-1] = replace(last, weights={**last.weights, "penalty": 0.1}, train=other)
    assert text(Signals(records[-1:]), "weighted ELBO") is None


def test_the_documentation_has_every_rule_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| rule")]
    assert rows == [f"| {rule.name} | {rule.signal} | {rule.remedy} |" for rule in RULES]
