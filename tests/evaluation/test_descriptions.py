from dataclasses import asdict, dataclass
from typing import Annotated

import pytest

from genkit.evaluation.descriptions import Figure, descriptions, figures, wrong_figures
from genkit.interfaces import NATS, Description

LOSS = Description("loss", NATS, "lower", "What is minimised.", ",.2f")
SHARE = Description("share")


@dataclass
class Inner:
    share: Annotated[float, SHARE]
    count: int


@dataclass
class Outer:
    name: str
    loss: Annotated[float | None, LOSS] = None
    inner: Inner | None = None


def test_the_described_fields_of_a_dataclass_and_of_those_in_it():
    assert descriptions(Outer) == {"loss": LOSS, "inner.share": SHARE}
    assert list(descriptions(Inner, "here.")) == ["here.share"]


def test_a_model_has_the_figures_that_are_numbers():
    whole = asdict(Outer("a", 0.0, Inner(0.5, 3)))
    assert figures(whole, Outer) == [Figure("loss", 0.0, LOSS), Figure("inner.share", 0.5, SHARE)]
    assert figures(asdict(Outer("a")), Outer) == []
    assert figures({"inner": {"share": 0.5}}, Outer) == [Figure("inner.share", 0.5, SHARE)]


def test_a_figure_says_its_number_its_unit_and_its_direction():
    figure = Figure("loss", 1234.567, LOSS)
    assert (figure.text, figure.about.title, figure.about.arrow) == ("1,234.57", "loss, nats per datum", "↓")
    assert (Figure("share", 0.123456, SHARE).text, SHARE.title, SHARE.arrow) == ("0.1235", "share", "")


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (None, "`figures` is None: it must map the key of each figure to a genkit.Description"),
        ({}, "`figures` is {}: it must map"),
        ({3: SHARE}, "the key 3 of a figure is no text"),
        ({"a": "a share"}, "figure 'a' is described by no genkit.Description: 'a share'; write Description("),
        ({"a": Description("")}, "figure 'a': it has no name"),
        ({"a": Description(3)}, "figure 'a': name is 3, and must be a text"),
        ({"a": SHARE._replace(unit=None)}, "figure 'a': unit is None, and must be a text"),
        ({"a": SHARE, "b": SHARE._replace(better="up")}, "figure 'b': better is 'up'; write 'lower', 'higher' or None"),
        ({"a": SHARE._replace(better=["up"])}, "figure 'a': better is ['up']"),
        ({"a": SHARE._replace(form="zz")}, "figure 'a': form 'zz' formats no number (ValueError: Unknown format code"),
        ({"a": SHARE._replace(form=",d")}, "figure 'a': form ',d' formats no number"),
    ],
)
def test_what_cannot_be_shown_is_said_with_its_key(described, said):
    wrong = wrong_figures(described)
    assert wrong is not None
    assert wrong.startswith(said)


def test_figures_that_can_be_shown_pass():
    assert wrong_figures({"loss": LOSS, "share": SHARE}) is None
