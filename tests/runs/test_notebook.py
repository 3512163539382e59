"""The display of a training in Python: in place in a notebook, lines on a terminal, nothing where nobody looks."""

import io
import math
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

import genkit
from genkit.record.diagnosis import Note
from genkit.record.run import Run
from genkit.record.scores import Progress
from genkit.runs import notebook
from genkit.runs.notebook import LineDisplay, NotebookDisplay, with_display
from tests.markup import ATTACK, Tags
from tests.models import PARTS


class Output:
    """The output of a cell: stands for IPython's display function, and for the handle that it gives."""

    def __init__(self):
        self.shown = []

    def __call__(self, bundle, raw, display_id):
        assert raw
        assert display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle, raw):
        assert raw
        self.shown.append(bundle)


def followed(run, display):
    """The events of a finished run of three epochs, as a listener meets them."""
    history, run = list(run.history), replace(run, history=[])
    display.run_started(run)
    for record in history:
        steps = Progress(record.epoch, 3, 1, 2, 100.0, record.weights, record.train)
        display.step_ended(run, steps)
        run.history.append(record)
        display.epoch_ended(run, record)
    for event in ("run_ended", "run_stopped"):
        getattr(display, event, lambda run: None)(run)


def test_a_notebook_shows_the_run_in_one_place_from_start_to_end(trained, monkeypatch):
    monkeypatch.setattr(notebook, "BETWEEN", 0.0)
    run, output = trained["vae-digits"], Output()
    followed(run, NotebookDisplay(output))
    assert len(output.shown) == 1 + 2 * 3 + 1
    first, last = output.shown[0]["text/plain"], output.shown[-1]["text/plain"]
    assert first.startswith("vae-digits  epoch 1/3")
    assert "loss" not in first
    assert "epoch 3/3" in last.splitlines()[0]
    assert f"loss {run.history[-1].train.loss:.2f}" in last
    assert re.search(rf"stopped: {re.escape(str(run.directory.path))}$|finished: ", last)
    for bundle in output.shown:
        page = Tags(bundle["text/html"])
        assert {*page.tags} <= {"pre", "span", "p"}
        assert "".join("".join(page.texts).split()) == "".join(bundle["text/plain"].split())


def test_drawings_are_apart_in_time_but_the_end_is_drawn(trained, monkeypatch):
    monkeypatch.setattr(notebook, "BETWEEN", math.inf)
    output = Output()
    followed(trained["vae-digits"], NotebookDisplay(output))
    assert len(output.shown) == 3  # the start, the last epoch, the end


def test_nothing_of_a_run_is_read_as_markup(trained, monkeypatch):
    monkeypatch.setattr(Run, "notes", lambda self, during=False: [Note("rule", ATTACK)])
    run, output = trained["vae-digits"], Output()
    directory = type(run.directory)(run.directory.path / ATTACK)
    followed(replace(run, directory=directory), NotebookDisplay(output))
    for bundle in output.shown:
        assert "img" not in Tags(bundle["text/html"]).tags


def test_a_terminal_gets_a_line_per_epoch_and_the_run(trained, monkeypatch):
    monkeypatch.setattr(notebook, "BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    followed(trained["vae-digits"], LineDisplay(stream))
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(len(line) < 80 for line in lines[:3])
    assert lines[3:] == [repr(trained["vae-digits"])]


def test_a_display_is_there_in_a_notebook_on_a_terminal_and_on_demand(monkeypatch):
    listener = object()
    assert with_display([listener], None) == [listener]
    assert [type(each) for each in with_display([], True)] == [LineDisplay]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert [type(each) for each in with_display([], None)] == [LineDisplay]
    assert with_display([], False) == []
    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    assert [type(each) for each in with_display([], None)] == [LineDisplay]
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert [type(each) for each in with_display([], None)] == [NotebookDisplay]


@pytest.mark.usefixtures("bare")
def test_a_run_and_its_resumption_show_their_progress_on_demand(tmp_path, capsys):
    genkit.run(PARTS, out=tmp_path / "run", epochs=1, progress=True)
    assert capsys.readouterr().err.startswith("epoch 1/1  ")
    genkit.resume(tmp_path / "run", 2, progress=True)
    assert capsys.readouterr().err.startswith("epoch 2/2  ")
