from genkit.files.markdown import table


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
