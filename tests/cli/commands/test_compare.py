from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from genkit.cli import extensions
from genkit.cli.commands.compare import _writer, show
from genkit.errors import ComponentError
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.sample_quality import SampleQuality
from genkit.runs.comparison import Comparison, Entry

FLOOR = SampleQuality(359, 0.731, -0.0012, 0.0304, 0.958, 0.964, 0.991, 0.983, 0.483, 1.0, [0.1] * 10)
VAE = Entry(
    "vae",
    "runs/vae",
    99_908,
    20,
    3.6,
    12_345.6,
    Evaluation("test", 359, 1, 2, elbo=-27.444, reconstruction=25.1, kl=2.344),
    SampleQuality(359, 60.214, 0.62614, 0.03314, 1.0, 0.25, 2.0084, 0.047, 0.997, 0.9, [0.1] * 10),
)
GAN = replace(VAE, name="gan", evaluation=Evaluation("test", 359, 1, 32), samples=replace(VAE.samples, frechet=7.5))
AUTOENCODER = replace(
    VAE, name="autoencoder", evaluation=Evaluation("test", 359, 1, 2, reconstruction=61.2), samples=None
)


@pytest.fixture
def printed(capsys, monkeypatch):
    """`printed(entries)`: the lines of their comparison, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def lines_of(*entries, floor=FLOOR):
        show(Comparison(entries, floor, "64 features of a classifier"))
        return capsys.readouterr().out.splitlines()

    return lines_of


def row(lines, title):
    """What stands behind a title, in all pieces of the table."""
    return [word for line in lines if line.startswith(f"{title} ") for word in line.removeprefix(title).split()]


def test_a_comparison_shows_what_each_took_and_reaches_and_how_good_its_samples_are(printed):
    lines = printed(VAE)
    assert lines[0].split() == ["vae", "floor"]
    assert row(lines, "parameters") == ["99,908", "–"]
    assert row(lines, "training time, seconds") == ["4", "–"]
    assert row(lines, "training rate, data per second") == ["12,346", "–"]
    assert row(lines, "evidence lower bound (ELBO), nats per datum") == ["↑", "-27.44", "–"]
    assert row(lines, "KL(q(z|x) ‖ p(z)), nats per datum") == ["2.34", "–"]
    assert row(lines, "Fréchet distance") == ["↓", "60.21", "0.73"]
    assert row(lines, "kernel distance (KID)") == ["↓", "0.626", "-0.001"]
    assert row(lines, "its standard error") == ["0.033", "0.030"]
    assert row(lines, "classes covered") == ["↑", "90%", "100%"]


def test_names_are_no_markup(printed):
    assert "vae[beta=4]" in printed(replace(VAE, name="vae[beta=4]"))[0]


def test_it_says_in_what_samples_are_compared_and_what_is_better(printed):
    said = " ".join(word for line in printed(VAE) for word in line.split())
    assert "↑ higher is better, ↓ lower is better; figures are of the test split" in said
    assert "359 samples against as many test data, in 64 features of a classifier" in said
    assert "floor: training data in place of samples" in said
    assert "1-NN accuracy, best at 0.5" in said


def test_each_entry_has_a_column_in_the_order_given(printed):
    assert printed(GAN, VAE, AUTOENCODER)[0].split() == ["gan", "vae", "autoencoder", "floor"]


def test_a_dash_stands_for_what_a_model_does_not_have(printed):
    lines = printed(GAN, AUTOENCODER)
    assert row(lines, "reconstruction, E[−log p(x|z)], nats per datum") == ["↓", "–", "61.20", "–"]
    assert row(lines, "Fréchet distance") == ["↓", "7.50", "–", "0.73"]


def test_a_figure_that_no_model_has_takes_no_row(printed):
    assert row(printed(VAE), "classes covered")
    bare = replace(VAE, epochs=None, samples=replace(VAE.samples, classes=None))
    lines = printed(bare, floor=replace(FLOOR, classes=None))
    assert row(lines, "classes covered") == row(lines, "epochs") == []


def test_a_table_that_is_too_wide_goes_on_below(printed):
    names = [f"a-run-with-a-name-{number}" for number in range(5)]
    lines = printed(*(replace(VAE, name=name) for name in names))
    heads = [line.split() for line in lines if line.split() and line.split()[0] in names]
    assert [name for head in heads for name in head] == [*names, "floor"]
    assert len(heads) > 1
    assert max(map(len, lines)) <= 80
    assert row(lines, "parameters") == ["99,908"] * 5 + ["–"]


def fails(compared, path):
    raise KeyError("mean")


def of_a_plugin(monkeypatch, function):
    """The page's writer of a plugin that brings the suffix `.txt`."""
    entry = EntryPoint("txt", "pages_of_wavelets:write", extensions.COMPARISONS)
    command = extensions.Command("genkit-wavelets", "1.0", entry)
    monkeypatch.setattr(extensions, "formats", lambda: {".txt": command})
    monkeypatch.setattr(extensions, "load", lambda _: function)
    return _writer(Path("x.txt"))


def test_a_plugin_brings_a_format_of_the_page(monkeypatch):
    written = []
    of_a_plugin(monkeypatch, lambda compared, path: written.append((compared, path)))("compared", Path("x.txt"))
    assert written == [("compared", Path("x.txt"))]
    assert extensions.formats().keys() == {".txt"}


def test_a_format_that_fails_is_named(monkeypatch):
    with pytest.raises(ComponentError, match=r"format of comparisons 'txt' of genkit-wavelets fails: KeyError.*mean"):
        of_a_plugin(monkeypatch, fails)("compared", Path("x.txt"))


def test_the_formats_are_those_of_the_entry_points():
    assert extensions.formats()[".html"].label == "format of comparisons 'html' of genkit-torch"
    assert extensions.commands(["html"], extensions.COMPARISONS)[0].problem.startswith("genkit has a format of comp")
