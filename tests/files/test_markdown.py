import pytest

from genkit.files.markdown import code, escaped, fenced, table


def test_a_table_has_a_head_a_rule_and_a_line_for_each_row():
    assert table(("part",), [("encoder", "3"), ("decoder", "4")], numbers=("size",)).splitlines() == [
        "| part | size |",
        "|---|---:|",
        "| encoder | 3 |",
        "| decoder | 4 |",
    ]


def test_text_stays_in_its_cell_and_is_no_markup():
    assert table(("a",), [("x\ny | <b>",)]).splitlines()[2] == "| x y \\| &lt;b> |"


def test_code_stays_as_it_is():
    assert table(("a",), [("`list[<T>]` < 3",)]).splitlines()[2] == "| `list[<T>]` &lt; 3 |"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("vae-digits 1.2.0, é", "vae-digits 1.2.0, é"),
        ("$5_to_$10", r"&#36;5\_to\_&#36;10"),
        ("[a](b) <c>", r"\[a\]\(b\) &lt;c&gt;"),
        ("a\nb|c", r"a\\nb&#124;c"),
        ("https://www.evil.example", r"https\://www\.evil\.example"),
        (7, "7"),
    ],
)
def test_text_is_escaped_and_stays_on_one_line(text, markdown):
    assert escaped(text) == markdown
    assert table(("a",), [(escaped(text),)]).splitlines()[2] == f"| {markdown} |"


def test_text_that_code_cannot_hold_is_escaped():
    assert code("encoder/mlp <T> $x$") == "`encoder/mlp <T> $x$`"
    assert code("a`b") == r"a\`b"
    assert code("a|b") == "a&#124;b"
    assert code("") == ""


def test_a_block_is_ended_by_nothing_in_it():
    assert fenced("a: 1\n", "yaml") == "```yaml\na: 1\n```"
    assert fenced("````\n<b>\x1b", "") == "`````\n````\n<b>\\x1b\n`````"
