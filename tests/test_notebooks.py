"""The notebooks of the lessons run from top to bottom, and are kept without outputs."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in codes)
    assert notebook["cells"][0]["source"][0].startswith("# ")
    assert re.search(r"^epochs = \d+$", "".join(codes[0]["source"]), re.MULTILINE)
    for cell in codes:
        compile("".join(cell["source"]), str(path), "exec")


def test_the_page_names_each_notebook():
    page = (FOLDER.parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 4
    assert all(f"notebooks/{path.name}" in page for path in NOTEBOOKS)


@pytest.mark.slow
def test_the_notebooks_run_to_their_ends(tmp_path, environment, users_cache, monkeypatch):
    """With one epoch each, one after the other in one kernel. They show runs and pictures."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    client = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    for name, value in {**environment, "XDG_CACHE_HOME": str(users_cache), "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    notebooks = [nbformat.read(path, as_version=4) for path in NOTEBOOKS]
    for notebook in notebooks:
        notebook.cells[1].source = re.sub(r"epochs = \d+", "epochs = 1", notebook.cells[1].source)
    whole = nbformat.v4.new_notebook(cells=[cell for notebook in notebooks for cell in notebook.cells])
    for number, cell in enumerate(whole.cells):
        cell.id = f"cell-{number}"
    client.NotebookClient(whole, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in whole.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    data = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in each for each in data) >= 2 * len(NOTEBOOKS)
    displays = [each["text/plain"] for each in data if "finished: runs/" in each.get("text/plain", "")]
    assert len(displays) == len(list((tmp_path / "runs").iterdir()))
    assert any("<table" in each.get("text/html", "") for each in data)
