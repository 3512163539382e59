"""A plugin of somebody else's: a distribution of its own, built, installed, used by name, and taken away again."""

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "third_party" / "genkit-fourier"
HERE = any(each.name == "genkit-fourier" for each in metadata.distributions())
RUN = ["training.epochs=2", "encoder={name: fourier, width: 24}"]


@pytest.fixture
def genkit(process):
    return lambda *arguments, env: process("genkit", *arguments, env=env)


@pytest.fixture(scope="session")
def installed(once, wheels_of, unpacked):
    """The plugin as pip installs it from its wheel, in a folder that the tests put on the path or not."""
    source = once("fourier-source", lambda folder: shutil.copytree(SOURCE, folder, dirs_exist_ok=True))
    (wheel,) = wheels_of("fourier-wheel", source).glob("genkit_fourier-1.2.0-*.whl")
    return unpacked("fourier", wheel)


@pytest.mark.slow
@pytest.mark.skipif(HERE, reason="genkit-fourier is installed here, so that it cannot be missing")
def test_a_third_party_encoder_trains_by_name_and_is_named_when_it_is_missing(
    genkit, installed, tmp_path, environment, digits
):
    with_plugin = {**environment, "PYTHONPATH": str(installed), "GENKIT_PLUGINS": "genkit-fourier"}
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
    (fourier,) = [plugin for plugin in recorded if plugin["distribution"] == "genkit-fourier"]
    source = (SOURCE / "src" / "genkit_fourier.py").read_bytes()
    assert fourier == {
        "distribution": "genkit-fourier",
        "version": "1.2.0",
        "components": ["encoder/fourier"],
        "sha256": hashlib.sha256(f"genkit_fourier.py\n{hashlib.sha256(source).hexdigest()}\n".encode()).hexdigest(),
    }

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


ENCODER = """
from typing import Literal
from genkit import Encoder, hookimpl

class Made(Encoder):
    class Config(Encoder.Config):
        name: Literal["{name}"] = "{name}"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = tuple(shape)

    def forward(self, x):
        return x

@hookimpl
def components():
    return [Made]
"""
FAKES = {
    **{f"fine{number}": ENCODER.format(name=f"fine{number}") for number in range(14)},
    "broken": "import a_module_that_is_not_there",
    "raises": "from genkit import hookimpl\n@hookimpl\ndef components():\n    raise RuntimeError('no licence')",
    "wrong": "from genkit import hookimpl\n@hookimpl\ndef components():\n    return [dict]",
    "twin": ENCODER.format(name="mlp"),
    "sleeps": "import time\ntime.sleep(1)\n" + ENCODER.format(name="late"),
    "ancient": "raise SystemExit('imported')",
}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory):
    """Twenty distributions, each of one plugin, six of them faulty or unusual; the folder that holds them."""
    folder = tmp_path_factory.mktemp("fakes")
    for name, source in FAKES.items():
        (folder / f"fake_{name}.py").write_text(source)
        info = folder / f"fake_{name}-1.0.dist-info"
        info.mkdir()
        needs = "Requires-Dist: genkit-torch<0.0.1\n" if name == "ancient" else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{name}\nVersion: 1.0\n{needs}")
        (info / "entry_points.txt").write_text(f"[genkit]\n{name} = fake_{name}\n")
    assert len(FAKES) == 20
    return folder


@pytest.mark.slow
def test_twenty_plugins_of_which_some_are_broken_stop_nothing_and_are_told_apart(
    genkit, fakes, tmp_path, environment, digits
):
    crowded = {**environment, "PYTHONPATH": str(fakes), "GENKIT_PLUGINS": "all"}
    run = genkit("run", digits, "training.epochs=1", "--out", tmp_path / "run", env=crowded)
    assert run.returncode == 0, run.stderr
    rows = {row["name"]: row for row in json.loads(genkit("plugins", "--json", env=crowded).stdout)}
    assert all(rows[f"fine{number}"]["components"] == [f"encoder/fine{number}"] for number in range(14))
    assert all(rows[f"fine{number}"]["problems"] == rows[f"fine{number}"]["notes"] == [] for number in range(14))
    found = {name: "; ".join(rows[name]["problems"] + rows[name]["notes"]) for name in list(FAKES)[14:]}
    assert "its import failed: ModuleNotFoundError: No module named 'a_module_that_is_not_there'" in found["broken"]
    assert found["raises"].startswith("its registration failed: RuntimeError: no licence (fake_raises.py:")
    assert found["wrong"].startswith("dict is no component")
    assert found["twin"].startswith("encoder 'mlp' is also of genkit-torch")
    assert found["sleeps"].startswith("took 1.")
    assert found["ancient"].startswith("it needs genkit-torch<0.0.1, and this is ")
    shown = genkit("plugins", env=crowded).stdout
    assert "problems: its registration failed: RuntimeError: no licence" in shown

    named = genkit("run", digits, "encoder=broken", "--out", tmp_path / "other", env=crowded)
    assert named.returncode == 2
    assert "unknown encoder 'broken'" in named.stderr
    assert "(plugin 'broken' of fake-broken 1.0 has a problem: its import failed: ModuleNotFoundError" in named.stderr
    twin = genkit("describe", digits, "encoder=fake-twin/mlp", "--json", env=crowded)
    assert twin.returncode == 0, twin.stderr
    assert "encoder" not in " ".join(row["name"] for row in json.loads(twin.stdout) if row["parameters"])


@pytest.mark.slow
def test_what_is_left_out_is_never_imported_and_help_imports_nothing(genkit, fakes, tmp_path, environment, digits):
    tell = "import sys\nprint('imported', __name__, file=sys.stderr)\n"
    for name, source in FAKES.items():
        (fakes / f"fake_{name}.py").write_text(tell + source)
    crowded = {**environment, "PYTHONPATH": str(fakes), "GENKIT_PLUGINS": "all"}
    assert "imported" not in genkit("--help", env=crowded).stderr
    none = genkit(
        "run", digits, "training.epochs=1", "--out", tmp_path / "none", env={**crowded, "GENKIT_PLUGINS": "none"}
    )
    assert none.returncode == 0, none.stderr
    assert "imported" not in none.stderr
    config = genkit("run", digits, "training.epochs=1", "plugins=[fake-fine1]", "--out", tmp_path / "one", env=crowded)
    assert config.returncode == 0, config.stderr
    assert [line for line in config.stderr.splitlines() if "imported" in line] == ["imported fake_fine1"]
    kept = genkit("describe", tmp_path / "one", env=crowded)
    assert "imported fake_fine2" not in kept.stderr
    wrong = genkit("plugins", env={**crowded, "GENKIT_PLUGINS": "a,-b"})
    assert wrong.returncode == 2
    assert "GENKIT_PLUGINS=a,-b: names either" in wrong.stderr
