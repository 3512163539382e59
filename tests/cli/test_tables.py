import json
from dataclasses import replace

import pytest

from genkit.cli import tables
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.sample_quality import SampleQuality
from genkit.model.summary import Row
from genkit.runs.comparison import Comparison, Entry


def test_layers_that_read_the_same_input_share_a_line(capsys):
    rows = [
        Row("input", "digits", (1, 8, 8), 0),
        Row("encoder.layers.1", "Linear", (5,), 325, activation="ReLU"),
        Row("sampler.mean", "Linear", (2,), 12),
        Row("sampler.log_var", "Linear", (2,), 12, parallel=True),
    ]
    tables.print_rows(rows)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["input", "digits", "1×8×8", "0"]
    assert lines[2] == ["encoder.layers.1", "Linear", "+", "ReLU", "5", "325"]
    assert " ".join(lines[3]) == "sampler.mean | log_var Linear | Linear 2 | 2 12 | 12"
    assert lines[4] == ["349", "parameters"]


def test_figures_stand_a_line_each_and_long_lists_in_short(capsys):
    tables.print_figures(
        {"elbo": -1.5, "count": 3, "kl": None, "few": [1.0, 2.0], "many": [0.0, 1.0] * 20, "p": {"q": 0.5}}
    )
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["elbo", "-1.5000"],
        ["count", "3"],
        ["few", "1.000 2.000"],
        ["many", "0.000 to 1.000, mean 0.500"],
        ["p.q", "0.5000"],
    ]


def test_plugins_show_what_they_bring_and_what_is_wrong(capsys):
    row = {
        "name": "n",
        "distribution": "d",
        "version": "1",
        "components": ["encoder/e"],
        "events": [],
        "problems": ["no"],
        "notes": ["slow"],
    }
    tables.print_plugins([row])
    lines = ["n  (d 1)", "    components: encoder/e", "    problems: no", "    notes: slow"]
    assert capsys.readouterr().out.splitlines() == lines


def test_json_is_json(capsys):
    tables.print_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


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
    """`printed(entries)`: the lines of their comparison as lists of words, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def lines_of(*entries, floor=FLOOR):
        tables.print_comparison(Comparison(entries, floor, "64 features of a classifier"))
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return lines_of


def rows_of(lines, name):
    """What the tables say of a run."""
    return [line[1:] for line in lines if line and line[0] == name]


def test_a_comparison_shows_what_each_took_and_reaches_and_how_good_its_samples_are(printed):
    lines = printed(VAE)
    assert rows_of(lines, "run") == [["parameters", "epochs", "training", "data/s", "ELBO", "reconstruction", "KL"]]
    took, judged = rows_of(lines, "vae")
    assert took == ["99,908", "20", "4", "12,346", "-27.44", "25.10", "2.34"]
    assert judged == ["60.21", "0.626±0.033", "1.000", "0.250", "2.008", "0.047", "0.997", "90%"]
    assert rows_of(lines, "floor") == [["0.73", "-0.001±0.030", "0.958", "0.964", "0.991", "0.983", "0.483", "100%"]]
    (head,) = (" ".join(line) for line in lines if line[:2] == ["samples", "of"])
    named = ("Fréchet", "KID", "prec", "recall", "dens", "cover", "1-NN", "classes")
    assert sorted(named, key=head.index) == list(named)


def test_names_are_no_markup(printed):
    assert len(rows_of(printed(replace(VAE, name="vae[beta=4]")), "vae[beta=4]")) == 2


def test_it_says_in_what_samples_are_compared_and_what_is_best(printed):
    said = " ".join(word for line in printed(VAE) for word in line)
    assert "training in seconds; ELBO and its parts on the test split, in nats per datum" in said
    assert "359 samples against as many test data, in 64 features of a classifier" in said
    assert "1-NN: 0.5" in said


def test_each_entry_has_a_line_in_each_table_in_the_order_given(printed):
    names = ("vae", "gan", "autoencoder")
    firsts = [line[0] for line in printed(GAN, VAE, AUTOENCODER) if line]
    assert [first for first in firsts if first in names] == ["gan", "vae", "autoencoder"] * 2


def test_a_dash_stands_for_what_a_model_does_not_have(printed):
    lines = printed(GAN, AUTOENCODER)
    assert rows_of(lines, "gan")[0][-3:] == ["–", "–", "–"]
    assert rows_of(lines, "autoencoder")[0][-3:] == ["–", "61.20", "–"]
    assert "–" not in rows_of(lines, "gan")[1]
    assert rows_of(lines, "autoencoder")[1] == ["–"] * 8


def test_a_dash_stands_for_the_history_of_bare_weights_and_for_classes_that_data_have_not(printed):
    bare = replace(VAE, epochs=None, seconds=None, examples_per_second=None, samples=replace(VAE.samples, classes=None))
    lines = printed(bare, floor=replace(FLOOR, classes=None))
    took, judged = rows_of(lines, "vae")
    assert took == ["99,908", "–", "–", "–", "-27.44", "25.10", "2.34"]
    assert judged[-1] == rows_of(lines, "floor")[0][-1] == "–"
    assert judged.count("–") == 1
