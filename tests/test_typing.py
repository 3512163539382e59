"""The public interface under type checkers in strict mode, as the documents use it and as a wheel brings it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    "README.md": None,
    "docs/python.md": 2,
    "docs/plugins.md": 1,
    "docs/series.md": None,
    "docs/tables.md": None,
    "docs/counts.md": None,
    "docs/conditions.md": 1,
    "docs/anomalies.md": 1,
}
"""The documents, and how many of their first blocks are checked; None: all.

The others use packages without types, or write classes as briefly as Python allows."""
PYRIGHT = "pyright@1.1.400"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outside(tmp_path_factory, genkit_wheel, unpacked):
    """A folder outside the clone with every Python block of the documents, and a Python that has the wheel."""
    folder = tmp_path_factory.mktemp("outside")
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    places = [str(unpacked("typed", genkit_wheel)), sysconfig.get_paths()["purelib"]]
    (site / "others.pth").write_text("\n".join(places))
    for document, count in DOCUMENTS.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:count]):
            name = f"{Path(document).stem}_{number}".lower().replace("-", "_")
            (folder / f"{name}.py").write_text(block)
    settings = {"typeCheckingMode": "strict", "include": ["*.py"], "reportMissingTypeStubs": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return folder


def test_the_documents_pass_mypy(outside):
    files = sorted(path.name for path in outside.glob("*.py"))
    assert files
    options = ["--strict", "--config-file=", "--python-executable", outside / "env" / "bin" / "python"]
    command = [sys.executable, "-m", "mypy", *options, "--cache-dir", ROOT / ".mypy_cache" / "outside", *files]
    done = subprocess.run([*map(str, command)], cwd=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documents_pass_pyright(outside):
    if shutil.which("npx") is None:
        pytest.skip("needs npx, of Node.js, which brings pyright")
    python = ["--pythonpath", str(outside / "env" / "bin" / "python")]
    answer = ["npx", "--yes", PYRIGHT, "--outputjson", *python]
    done = subprocess.run(answer, cwd=outside, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    if "generalDiagnostics" not in done.stdout:
        pytest.skip(f"npx cannot get pyright: {done.stderr.strip()[-200:]}")
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(list(outside.glob("*.py")))
    assert [f"{each['file']}: {each['message']}" for each in report["generalDiagnostics"]] == []
