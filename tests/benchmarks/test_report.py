import pytest

from benchmarks.report import DOCUMENTS, PLACE, filled


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_the_tables_of_the_documents_are_those_of_the_committed_results(document):
    text = document.read_text(encoding="utf-8")
    assert len(PLACE.findall(text)) == text.count("<!-- end -->") > 0
    assert filled(text) == text, "bring them up to date: python -m benchmarks.report"


def test_a_table_takes_the_place_of_an_older_one_and_all_else_stays(tmp_path):
    (tmp_path / "one.md").write_text("| new |\n")
    text = "before\n<!-- one -->\n| old |\n<!-- end -->\nafter <!-- a remark -->\n"
    assert filled(text, tmp_path) == "before\n<!-- one -->\n| new |\n<!-- end -->\nafter <!-- a remark -->\n"
