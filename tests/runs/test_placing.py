"""Places of parts that do not go together."""

import pytest

from genkit.errors import ComponentError, GenkitError
from genkit.runs.placing import placed, placed_lines
from genkit.runs.running import run

CONFIG = """\
data: {name: digits, transform: [standardize, log1p]}
encoder: {name: mlp, hidden: [4]}
sampler: point
decoder: mlp
likelihood: gaussian
loss:
  - reconstruction
  - {name: kl, weight: 2}
  - kl
training:
  accumulate: 2
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("sampler 'point' has none", ":3:1: "),
        ("loss 'kl' needs a KL", ":8:5: "),
        ("loss 'kl-2' needs a KL", ":9:5: "),
        ("loss 'gone' needs a KL", ":6:1: "),
        ("transform 'log1p': too low", ":1:47: "),
        ("the training split: likelihood 'gaussian' takes values", ":5:1: "),
        ("training.accumulate: is no option for it", ":11:3: "),
    ],
)
def test_a_fault_has_the_place_of_the_part_or_the_option_that_it_begins_with(path, line, where):
    assert placed_lines([line], path) == [f"{path}{where}{line}"]


@pytest.mark.parametrize("line", ["a.csv: is no table", "model 'x' is none", "the memory is small"])
def test_other_faults_stay_as_they_are(path, line):
    assert placed_lines([line], path) == [line]


def test_what_is_no_file_has_no_places():
    line = "sampler 'point' has none"
    assert placed_lines([line], {"sampler": "point"}) == placed_lines([line], "gone.yaml") == [line]


def test_a_part_of_the_command_line_has_no_line(path):
    assert placed_lines(["sampler 'x' has none"], path, ["sampler=x"]) == ["sampler 'x' has none"]
    assert placed_lines(["loss 'kl' has none"], path, ["loss=kl"]) == ["loss 'kl' has none"]


def test_an_error_keeps_its_type(path):
    with pytest.raises(ComponentError, match=r"c\.yaml:4:1: decoder 'mlp' fails"), placed(path):
        raise ComponentError("decoder 'mlp' fails")


def test_a_run_says_the_line_of_each_part_that_does_not_fit(path, tmp_path):
    with pytest.raises(GenkitError) as caught:
        run(path, ["data=digits"], out=tmp_path / "run")
    assert f"{path}:8:5: loss 'kl' needs a sampler with a KL divergence" in str(caught.value)
    assert not (tmp_path / "run").exists()
