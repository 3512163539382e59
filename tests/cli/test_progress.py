import copy
import io
from dataclasses import replace

import pytest
from rich.console import Console

from genkit.cli.progress import ProgressBar, terms
from genkit.record.scores import Progress, Scores

SCORES = Scores(92.65, {"reconstruction": 80.1, "kl": 25.1}, {}, 80.1, 25.1, -105.2)


def shown(finished, terminal):
    """What a run shows from its start to its end."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=150)
    bar = ProgressBar(console)
    bar.run_started(finished)
    for record in finished.history:
        weights = {"reconstruction": 1.0, "kl": 1.0}
        bar.step_ended(finished, Progress(record.epoch, 3, 10, 20, 1234.0, weights, record.train))
        bar.bar.refresh()
        bar.epoch_ended(finished, record)
    bar.run_ended(finished)
    bar.run_stopped(finished)
    return stream.getvalue()


def test_a_collapsed_posterior_is_pointed_out(finished):
    dead = replace(finished, evaluation=replace(finished.evaluation, active_units=0))
    assert "no latent dimension is active" in shown(dead, terminal=False)
    alive = replace(finished, evaluation=replace(finished.evaluation, active_units=1))
    assert "no latent dimension" not in shown(alive, terminal=False)


@pytest.mark.parametrize(
    ("losses", "remedy"),
    [
        ((90, 50, 20), "the loss is still falling: train for longer"),
        ((90,), "the loss is still falling: train for longer"),
        ((90, 50.1, 50), "give the KL a smaller weight, or one that rises from 0"),
    ],
)
def test_the_remedy_for_a_collapse_depends_on_the_loss(finished, losses, remedy):
    records = [replace(finished.history[0], train=replace(SCORES, loss=loss)) for loss in losses]
    dead = replace(finished, history=records, evaluation=replace(finished.evaluation, active_units=0))
    text = " ".join(shown(dead, terminal=False).split())
    assert f"(posterior collapse); {remedy}" in text


def test_the_remedy_for_a_collapse_on_unscaled_data_is_their_scale(finished):
    train = finished.data.train._replace(x=finished.data.train.x * 255)
    data = finished.data._replace(train=train)
    model = copy.copy(finished.model)
    model.data = data.signature("digits")
    dead = replace(finished, data=data, model=model, evaluation=replace(finished.evaluation, active_units=0))
    text = " ".join(shown(dead, terminal=False).split())
    assert "(posterior collapse); the data are unscaled: values go from 0 to 255 (channel 0 from 0 to 255;" in text
    assert "smaller weight" not in text


def test_terms_show_the_weights_that_are_not_one():
    assert terms(SCORES, {"reconstruction": 1.0, "kl": 0.5}) == "loss 92.65 (reconstruction 80.10 + 0.5 × kl 25.10)"


def test_without_a_terminal_there_are_plain_lines(finished):
    active = replace(finished, evaluation=replace(finished.evaluation, active_units=2))
    text = shown(active, terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[1] == "data are taken as: numbers as they are; 1×8×8 as (C, H, W), 1 channel of 8×8"
    assert lines[2].startswith("steps are not compiled: 60 steps of 4,096 values save about 0.0 s")
    assert "going on after epoch 3 of 3" in lines[3]
    assert lines[4].startswith("epoch 1/3  train loss ")
    assert f"validation {finished.history[0].validation.loss:.2f}" in lines[4]
    assert lines[-2].startswith("epoch 3/3")
    assert lines[-1].startswith(f"test: ELBO {finished.evaluation.elbo:.2f} = −(reconstruction")


def test_with_a_terminal_there_is_a_bar(finished):
    text = shown(finished, terminal=True)
    assert "━" in text
    assert "1,234 examples/s" in text
