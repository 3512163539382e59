"""The distributions in contrib/: built as wheels, installed beside genkit's wheel, and used from there."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import Done, Processes

ROOT = Path(__file__).parents[1]
CONTRIB = ROOT / "contrib"
DISTRIBUTIONS = ("genkit-backbones", "genkit-mlflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CONTRIB.is_dir(), reason="a source distribution has no contrib/"),
]

RESNET = "{embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 1], layer_type: basic}"

Call = Callable[..., Done]


@pytest.fixture(scope="session")
def wheels(wheels_of: Callable[..., Path], genkit_wheel: Path) -> list[Path]:
    """Of genkit and of each distribution."""
    folder = wheels_of("contrib-wheels", *(CONTRIB / name for name in DISTRIBUTIONS))
    made = [*sorted(folder.glob("*.whl")), genkit_wheel]
    assert [path.name.split("-")[0] for path in made] == ["genkit_backbones", "genkit_mlflow", "genkit_torch"]
    return made


@pytest.fixture(scope="session")
def site(wheels: list[Path], unpacked: Callable[..., Path]) -> Path:
    """The wheels, installed in a folder of their own that comes before this environment's."""
    return unpacked("contrib", *wheels)


@pytest.fixture
def clean(site: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that finds the wheels first."""
    chosen = ("PYTHON", "MLFLOW", "GENKIT", "VIRTUAL_ENV")
    values = {name: value for name, value in environment.items() if not name.startswith(chosen)}
    values["GENKIT_PLUGINS"] = "-genkit-torch/tensorboard"  # which takes seconds and is not looked at here
    return {**values, "PYTHONPATH": str(site)}


@pytest.fixture
def call(clean: dict[str, str], tmp_path: Path, process: Processes) -> Call:
    """A command where the wheels are, called far from the checkout."""

    def run(*command: object) -> Done:
        done = process(*command, cwd=tmp_path, env=clean)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


def test_genkits_own_wheel_and_sdist_leave_them_out(wheels: list[Path], tmp_path: Path) -> None:
    (own,) = [path for path in wheels if path.name.startswith("genkit_torch")]
    assert not [name for name in zipfile.ZipFile(own).namelist() if "backbones" in name or "mlflow" in name]
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as source:
        names = source.getnames()
    assert any(name.endswith("genkit/interfaces/__init__.py") for name in names)
    assert not [name for name in names if "/contrib/" in name]


def test_the_wheels_find_all_that_they_require_and_are_those_that_run(site: Path, call: Call) -> None:
    call("python", "-m", "pip", "--disable-pip-version-check", "check")
    for module in ("genkit", "genkit_vae", "genkit_backbones", "genkit_mlflow"):
        path = call("python", "-c", f"import {module}; print({module}.__file__)").stdout.strip()
        assert Path(path).is_relative_to(site)
    rows = {row["name"]: row for row in json.loads(call("genkit", "plugins", "--json").stdout)}
    assert rows["backbones"]["distribution"] == "genkit-backbones"
    assert rows["backbones"]["components"] == ["encoder/backbone"]
    assert rows["mlflow"]["distribution"] == "genkit-mlflow"
    assert rows["mlflow"]["events"] == ["listener"]
    assert not [problem for row in rows.values() for problem in row["problems"]]


def test_a_run_with_both_from_its_first_to_its_last(call: Call, tmp_path: Path, digits: Path) -> None:
    backbone = f"encoder={{name: backbone, model: resnet, options: {RESNET}}}"
    call("genkit", "run", digits, backbone, "training.epochs=2", "--out", tmp_path / "runs" / "resnet")
    call("genkit", "resume", tmp_path / "runs" / "resnet", "--epochs", 3)
    recorded = json.loads((tmp_path / "runs" / "resnet" / "environment.json").read_text())
    (own,) = [plugin for plugin in recorded["plugins"] if plugin["distribution"] == "genkit-backbones"]
    assert own["version"] == "0.1.0"
    assert own["components"] == ["encoder/backbone"]
    assert len(own["sha256"]) == 64
    assert "genkit-mlflow/mlflow" in [listener["plugin"] for listener in recorded["listeners"]]
    figures = json.loads(call("genkit", "evaluate", tmp_path / "runs" / "resnet", "--json").stdout)
    code = (
        "import json; from mlflow.tracking import MlflowClient; c = MlflowClient('sqlite:///runs/mlruns/mlflow.db')\n"
        "run_id = json.load(open('runs/resnet/mlflow.json'))['run_id']; run = c.get_run(run_id)\n"
        "steps = [m.step for m in c.get_metric_history(run_id, 'train/elbo')]\n"
        "print(json.dumps([run.info.status, run.data.metrics, run.data.params, run.data.tags, steps]))"
    )
    status, metrics, params, tags, steps = json.loads(call("python", "-c", code).stdout)
    assert status == "FINISHED"
    assert steps == [1, 2, 3]
    assert metrics["test/elbo"] == pytest.approx(figures["elbo"])
    assert params["encoder.options.depths"] == "[1, 1]"
    assert tags["genkit.plugin.genkit-backbones"] == "0.1.0: encoder/backbone"


def test_their_own_tests_pass_there(clean: dict[str, str]) -> None:
    few = ["-k", "not usual_size and not compiled_pass"]  # forty architectures; the contract compiles too
    options = ["-v", "-p", "no:cacheprovider", "-c", CONTRIB / DISTRIBUTIONS[0] / "pyproject.toml"]  # all have the same
    command = [sys.executable, "-m", "pytest", *options, *few, *(CONTRIB / name / "tests" for name in DISTRIBUTIONS)]
    done = subprocess.run(command, cwd=CONTRIB, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path.name for path in CONTRIB.glob("*/tests/test_*.py")]
    assert len(files) == 4
    assert [name for name in files if f"{name}::" not in done.stdout] == []
