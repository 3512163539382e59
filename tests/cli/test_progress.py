import copy
import io
from dataclasses import replace

from rich.console import Console

from genkit.cli.progress import ProgressBar, terms, units
from genkit.evaluation.figures import Evaluation
from genkit.record.diagnosis import Note
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


def collapsed(finished):
    return replace(finished, evaluation=replace(finished.evaluation, active_units=0, unexplained=1.0))


def test_a_collapsed_posterior_is_pointed_out(finished):
    assert "note: no latent dimension is active" in shown(collapsed(finished), terminal=False)
    alive = replace(finished, evaluation=replace(finished.evaluation, active_units=1))
    assert "no latent dimension" not in shown(alive, terminal=False)


def test_unscaled_data_are_said_before_the_collapse_that_they_cause(finished):
    train = finished.data.train._replace(x=finished.data.train.x * 255)
    data = finished.data._replace(train=train)
    model = copy.copy(finished.model)
    model.data = data.signature("digits")
    text = " ".join(shown(replace(collapsed(finished), data=data, model=model), terminal=False).split())
    scale = text.index("note: the data are unscaled: values go from 0 to 255 (channel 0 from 0 to 255;")
    assert text.index("(posterior collapse); mend the scale of the data first") > scale
    assert "smaller weight" not in text


def test_the_epoch_of_the_best_weights_is_said(finished):
    said = "the weights are those of epoch 2, the best on the validation data"
    assert said in shown(replace(finished, kept=2), terminal=False)
    assert "the weights are those" not in shown(finished, terminal=False)


def test_what_is_noted_during_a_run_is_said_once(finished, monkeypatch):
    notes = [Note("some rule", "something \x1b[31mis wrong")]
    monkeypatch.setattr(type(finished), "notes", lambda self, during=False: notes)
    lines = shown(finished, terminal=False).splitlines()
    (place,) = [index for index, line in enumerate(lines) if "something" in line]
    assert lines[place] == r"note: something \x1b[31mis wrong"
    assert lines[place + 1].startswith("epoch 1/3")


def test_terms_show_the_weights_that_are_not_one():
    assert terms(SCORES, {"reconstruction": 1.0, "kl": 0.5}) == "loss 92.65 (reconstruction 80.10 + 0.5 × kl 25.10)"


def test_what_transforms_do_to_the_units_of_the_figures_is_said():
    plain = Evaluation("test", 9, 1, 2, elbo=-3.0, reconstruction=2.0, kl=1.0)
    assert units(plain) == ""
    assert units(replace(plain, log_det=62.5)).endswith("as in training, the reconstruction is 64.50")
    assert units(replace(plain, log_det=0.0, own_units="clip")) == ", in the units of clip"


def test_without_a_terminal_there_are_plain_lines(finished):
    active = replace(finished, evaluation=replace(finished.evaluation, active_units=2, unexplained=0.5))
    text = shown(active, terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[1] == "data are taken as: numbers as they are; 1×8×8 as (C, H, W), 1 channel of 8×8"
    assert lines[2].startswith("steps are not compiled: 60 steps of 4,096 values save about 0.0 s")
    assert "going on after epoch 3 of 3" in lines[3]
    assert lines[4].startswith("epoch 1/3  train loss ")
    assert f"validation {finished.history[0].validation.loss:.2f}" in lines[4]
    assert lines[-3].startswith("epoch 3/3")
    assert lines[-1] == "note: the loss still falls after epoch 3: a longer training may give a better model"
    assert lines[-2].startswith(f"test: ELBO {finished.evaluation.elbo:.2f} = −(reconstruction")


def test_with_a_terminal_there_is_a_bar(finished):
    text = shown(finished, terminal=True)
    assert "━" in text
    assert "1,234 examples/s" in text
