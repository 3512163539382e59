import copy
import io
import re
from dataclasses import replace

import pyte
import pytest
from rich.console import Console

from genkit.cli.progress import TrainingDisplay, units
from genkit.evaluation.figures import Evaluation
from genkit.record.diagnosis import Note
from genkit.record.scores import Progress


def shown(finished, terminal=False, width=150, **options):
    """What a run shows from its start to its end."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, force_interactive=terminal, width=width, **options)
    display = TrainingDisplay(console)
    display.screen.live.auto_refresh = False
    whole, run = finished.history, replace(finished, history=[], evaluation=None)
    display.run_started(run)
    for record in whole:
        weights = {"reconstruction": 1.0, "kl": 1.0}
        display.step_ended(run, Progress(record.epoch, 3, 10, 20, 1234.0, weights, record.train))
        display.screen.live.refresh()
        run.history.append(record)
        display.epoch_ended(run, record)
        display.screen.live.refresh()
    run.evaluation = finished.evaluation
    display.run_ended(run)
    display.run_stopped(run)
    return stream.getvalue()


def screen(text, width):
    """The lines of a terminal of that width that was sent the text."""
    terminal = pyte.Screen(width, 40)
    pyte.Stream(terminal).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in terminal.display if line.strip()]


def flat(text):
    """Text without its line ends."""
    return " ".join(text.split())


def collapsed(finished):
    return replace(finished, evaluation=replace(finished.evaluation, active_units=0, unexplained=1.0))


def test_a_collapsed_posterior_is_pointed_out(finished):
    assert "note: no latent dimension is active" in flat(shown(collapsed(finished)))
    alive = replace(finished, evaluation=replace(finished.evaluation, active_units=1))
    assert "no latent dimension" not in flat(shown(alive))


def test_unscaled_data_are_said_before_the_collapse_that_they_cause(finished):
    train = finished.data.train._replace(x=finished.data.train.x * 255)
    data = finished.data._replace(train=train)
    model = copy.copy(finished.model)
    model.data = data.signature("digits")
    text = flat(shown(replace(collapsed(finished), data=data, model=model)))
    scale = text.index("note: the data are unscaled: values go from 0 to 255 (channel 0 from 0 to 255;")
    assert text.index("(posterior collapse); mend the scale of the data first") > scale
    assert "smaller weight" not in text


def test_the_epoch_of_the_best_weights_is_said(finished):
    said = "the weights are those of epoch 2, the best on the validation data"
    assert said in shown(replace(finished, kept=2))
    assert "the weights are those" not in shown(finished)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_noted_during_a_run_is_said_once(finished, monkeypatch, terminal):
    notes = [Note("some rule", "something \x1b[31mis wrong")]
    monkeypatch.setattr(type(finished), "notes", lambda self, during=False: notes)
    text = shown(finished, terminal)
    lines = screen(text, 150)
    (place,) = [index for index, line in enumerate(lines) if "something" in line]
    assert lines[place] == r"note: something \x1b[31mis wrong"
    assert "epoch " in lines[place + 1]  # the display stands below what is said


def test_what_transforms_do_to_the_units_of_the_figures_is_said():
    plain = Evaluation("test", 9, 1, 2, elbo=-3.0, reconstruction=2.0, kl=1.0)
    assert units(plain) == ""
    assert units(replace(plain, log_det=62.5)).endswith("as in training, the reconstruction is 64.50")
    assert units(replace(plain, log_det=0.0, own_units="clip")) == ", in the units of clip"


def test_without_a_terminal_there_is_a_plain_line_per_epoch(finished):
    active = replace(finished, evaluation=replace(finished.evaluation, active_units=2, unexplained=0.5))
    text = shown(active)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[1] == "data are taken as: numbers as they are; 1×8×8 as (C, H, W), 1 channel of 8×8"
    assert lines[2].startswith("steps are not compiled: 60 steps of 4,096 values save about 0.0 s")
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line[:11] for line in epochs] == ["epoch 1/3  ", "epoch 3/3  "]
    assert f"  validation {finished.history[0].validation.loss:.2f}  " in epochs[0]
    assert re.search(r"  \d+:\d\d left", epochs[0])
    assert "  0:00 left" in epochs[1]
    after = flat("\n".join(lines[lines.index(epochs[1]) + 1 :]))
    assert after.startswith(f"test: ELBO {finished.evaluation.elbo:.2f} = −(reconstruction")
    assert after.endswith("note: the loss still falls after epoch 3: a longer training may give a better model")


def test_a_resumed_run_shows_the_epochs_before(finished):
    display = TrainingDisplay(Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=79))
    display.screen.live.auto_refresh = False
    display.run_started(finished)
    display.screen.live.refresh()
    lines = screen(display.screen.console.file.getvalue(), 79)
    assert "going on after epoch 3 of 3" in lines
    losses = [record.train.loss for record in finished.history]
    assert losses == sorted(losses, reverse=True)
    assert f"loss {losses[-1]:.2f} █" in lines[-2]
    assert lines[-1].endswith(f"{finished.history[-1].validation.active_units} of 2 latents active")
    display.run_stopped(finished)


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("width", [60, 80, 100, 130])
def test_the_display_fits_the_terminal(finished, width, colours):
    text = shown(finished, True, width, no_color=not colours, color_system="standard")
    assert bool(re.search(r"\x1b\[(\d+;)*[349]\d?(;\d+)*m", text)) == colours
    lines = screen(text, width)
    assert max(map(len, lines)) <= min(79, width)
    (head,) = [index for index, line in enumerate(lines) if "epoch 3/3" in line]
    assert lines[head].startswith("run  epoch 3/3  ━━━━━━━━")
    assert "  in 0:0" in lines[head]
    assert lines[head + 1].startswith("loss ")
    assert "  validation " in lines[head + 1]
    assert "▁" in lines[head + 1]
    assert lines[head + 2].startswith("reconstruction ")
    assert lines[head + 2].endswith(" of 2 latents active")
    assert lines[head + 3].startswith("test: ELBO ")


def test_the_display_of_a_run_that_is_left_says_so(finished):
    console = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=79)
    display = TrainingDisplay(console)
    display.run_started(replace(finished, history=finished.history[:1]))
    display.run_stopped(finished)
    (head,) = [line for line in screen(console.file.getvalue(), 79) if "epoch " in line and "━" in line]
    assert re.search(r"━─+  stopped$", head)
    assert not display.screen.live.is_started


@pytest.mark.parametrize("options", [{"quiet": True}, {"force_interactive": False}])
def test_there_is_no_display_where_nobody_looks(options):
    console = Console(file=io.StringIO(), force_terminal=True, **{"force_interactive": True, **options})
    assert not TrainingDisplay(console).screen.is_live
