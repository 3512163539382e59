"""The verdict on a model, from what is recorded of it."""

from dataclasses import replace

import pytest

from genkit.evaluation.figures import Evaluation
from genkit.record.diagnosis import RULES, Signals
from genkit.record.scores import EpochRecord, Scores
from genkit.record.verdict import verdict

VAE = Evaluation("test", 100, 1, latents=8, elbo=-25.0, reconstruction=20.0, kl=5.0, active_units=6, unexplained=0.3)
COLLAPSED = replace(VAE, kl=0.02, active_units=0, unexplained=1.0)
GENERATOR = Evaluation("test", 100, 1, latents=8)


def judged(losses, terms):
    """The records of a model with a critic."""
    pairs = zip(losses, terms, strict=False)
    scores = [Scores(term, {"judge": term}, {"judge": loss}, None, None, None) for loss, term in pairs]
    return [EpochRecord(n + 1, n, 1.0, 9.0, 1e-3, {"judge": 1.0}, each, None) for n, each in enumerate(scores)]


EVEN = judged([1.3] * 8, [0.8] * 8)
BEATEN = judged([1.2, 0.4, 0.05, 0.02, 0.01, 0.01, 0.01], [0.8, 2.0, 4.0, 6.0, 7.0, 7.5, 8.0])


@pytest.mark.parametrize(
    ("signals", "alive", "start"),
    [
        (
            Signals(evaluation=VAE),
            True,
            "alive: 6 of 8 latent dimensions are active, and the reconstructions explain 70% of the variance",
        ),
        (Signals(evaluation=replace(VAE, active_units=1, unexplained=None)), True, "alive: 1 of 8 latent dimensions "),
        (Signals(evaluation=replace(VAE, unexplained=1.2)), True, "alive: 6 of 8 latent dimensions are active, but"),
        (Signals(evaluation=COLLAPSED), False, "not alive: no latent dimension is active"),
        (
            Signals(evaluation=replace(COLLAPSED, unexplained=0.2)),
            True,
            "alive: the 8 latent dimensions vary little, and the reconstructions explain 80%",
        ),
        (Signals(EVEN, GENERATOR), True, "alive, as far as losses say: the critic does not win (that of judge has a"),
        (Signals(BEATEN, GENERATOR), False, "not alive: the critic of judge wins"),
        (Signals(BEATEN, VAE), True, "alive: 6 of 8"),
        (Signals(EVEN), None, "no verdict: no figures of a test split"),
        (Signals(BEATEN), False, "not alive: the critic"),
        (Signals(evaluation=GENERATOR), None, "no verdict: neither"),
        (Signals(), None, "no verdict"),
    ],
)
def test_the_verdict_is_that_of_the_figures_and_the_rules(signals, alive, start):
    result = verdict(signals)
    assert result.alive is alive
    assert result.text.startswith(start)


def test_what_kills_a_model_is_said_once_and_all_else_is_a_note():
    assert verdict(Signals(BEATEN, VAE)).notes[0].rule == "critic wins"
    assert verdict(Signals(BEATEN, GENERATOR)).notes == []
    assert {rule.name for rule in RULES if rule.grave} == {"collapsed latents", "critic wins"}
    weighted = [replace(each, weights={"reconstruction": 1.0, "kl": 0.5}) for each in _of_vae()]
    assert [note.rule for note in verdict(Signals(weighted, VAE)).notes] == ["weighted ELBO"]


def _of_vae():
    terms = {"reconstruction": 20.0, "kl": 5.0}
    return [EpochRecord(1, 10, 1.0, 9.0, 1e-3, dict.fromkeys(terms, 1.0), Scores(25, terms, {}, 20, 5, -25), None)]
