import math
import os
import unicodedata

import pytest

from genkit.text import BARS, printable, sparkline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é ü 猫 𝛼 100 % − ×", "plain é ü 猫 𝛼 100 % − ×"),
        ("a\nb\r\nc\td", r"a\nb\r\nc\td"),
        ("\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        ("\x9b2J\x85\x7f", r"\x9b2J\x85\x7f"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("a\u2028error: b", r"a\u2028error: b"),
        ("a\u200bb\ufeff\U000e0041", r"a\u200bb\ufeff\U000e0041"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        (7, "7"),
    ],
)
def test_what_acts_or_hides_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown


def test_nothing_that_is_shown_acts_on_a_terminal_and_all_of_it_can_be_encoded():
    everything = "".join(map(chr, range(0x11000)))
    shown = printable(everything)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI")]
    shown.encode("utf-8")


def test_long_text_is_cut():
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("abcdefghijk", 10) == "abcd…ghijk"
    assert printable("abcdefghijkl", 9) == "abcd…ijkl"


def test_a_sparkline_has_a_bar_per_value_from_the_least_to_the_greatest():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20) == BARS
    assert sparkline([7, 0, 7], 3) == "█▁█"


def test_a_sparkline_of_many_values_has_the_means_of_as_many_each():
    values = [float(number // 10) for number in range(80)]
    assert sparkline(values, 8) == BARS
    assert len(sparkline(values[:77], 8)) == 8


def test_a_first_value_far_above_all_others_leaves_their_shape():
    line = sparkline([1000.0, *(20 - number for number in range(19))], 20)
    assert line[0] == "█"
    assert set(line) == set(BARS)


@pytest.mark.parametrize("values", [[3.0] * 5, [3.0], [0.1 + 0.2, 0.3]])
def test_values_that_are_alike_are_low(values):
    assert sparkline([values[0]] * len(values), 9) == "▁" * len(values)


def test_a_sparkline_of_nothing_and_of_what_is_not_finite():
    assert sparkline([], 9) == sparkline([math.nan], 9) == sparkline([1.0], 0) == ""
    assert sparkline([math.inf, 2.0, math.nan, 1.0], 9) == "█▁"
