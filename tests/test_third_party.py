"""A plugin of somebody else's: a distribution of its own, built, installed, used by name, and taken away again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "third_party" / "genkit-fourier"
RUN = ["training.epochs=2", "encoder={name: fourier, width: 24}"]


def genkit(*arguments, env):
    return subprocess.run(["genkit", *map(str, arguments)], env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The plugin as pip installs it from its wheel, in a folder that the tests put on the path or not."""
    folder = tmp_path_factory.mktemp("fourier")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = shutil.copytree(SOURCE, folder / "source")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "wheels", source]
    subprocess.run([*pip, *build], check=True)
    wheel = next((folder / "wheels").glob("genkit_fourier-1.2.0-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.mark.slow
def test_a_third_party_encoder_trains_by_name_and_is_named_when_it_is_missing(installed, tmp_path, environment, digits):
    with_plugin = {**environment, "PYTHONPATH": str(installed)}
    run = genkit("run", digits, *RUN, "--out", tmp_path / "run", env=with_plugin)
    assert run.returncode == 0, run.stderr
    rows = json.loads(genkit("describe", tmp_path / "run", "--json", env=with_plugin).stdout)
    assert {"name": "encoder.dense", "type": "Linear", "shape": [24], "parameters": 33 * 24 + 24}.items() <= rows[
        1
    ].items()
    plugins = {row["name"]: row for row in json.loads(genkit("plugins", "--json", env=with_plugin).stdout)}
    assert plugins["fourier"]["distribution"] == "genkit-fourier"
    assert plugins["fourier"]["version"] == "1.2.0"
    assert plugins["fourier"]["components"] == ["encoder/fourier"]
    recorded = json.loads((tmp_path / "run" / "environment.json").read_text())["plugins"]
    assert {"distribution": "genkit-fourier", "version": "1.2.0", "components": ["encoder/fourier"]} in recorded

    for command in ("evaluate", "describe"):
        without = genkit(command, tmp_path / "run", env=environment)
        assert without.returncode == 2
        assert "needs encoder 'fourier' of genkit-fourier 1.2.0, which is not installed" in without.stderr
        assert "pip install 'genkit-fourier==1.2.0'" in without.stderr
    unknown = genkit("run", digits, *RUN, "--out", tmp_path / "other", env=environment)
    assert unknown.returncode == 2
    assert "unknown encoder 'fourier'" in unknown.stderr


def test_its_encoder_is_as_short_as_promised():
    lines = (SOURCE / "src" / "genkit_fourier.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 35
