import os
import unicodedata

import pytest

from genkit.text import printable


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
