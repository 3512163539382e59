import hashlib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Literal

import pytest

import genkit
from genkit.errors import ComponentError, GenkitWarning
from genkit.interfaces import Encoder
from genkit.registry import provenance
from genkit.registry.provenance import PluginRecord, code_hash, compare, pip_line, plugins_of, source_hash
from genkit.registry.registry import installed, registry
from genkit.runs.opening import as_config, create_directory, prepare, recorded_plugins
from genkit.sharing import weights
from genkit.sharing.push import inspect

RECORD = {"version": "1.0", "components": ("encoder/mlp",)}


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Writes a distribution of the given files into a folder on the path; gives its hash, computed anew."""

    def write(files, entry="made_up", folder="site", name="made-up"):
        site = tmp_path / folder
        for path, content in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(content)
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genkit]\nmade = {entry}\n" if entry else "")
        with monkeypatch.context() as patched:
            patched.syspath_prepend(site)
            importlib.invalidate_caches()
            code_hash.cache_clear()
            try:
                return code_hash(name)
            finally:
                sys.path_importer_cache.pop(str(site), None)

    yield write
    code_hash.cache_clear()
    sys.modules.pop("made_up", None)


FILES = {"made_up/__init__.py": b"a = 1\n", "made_up/deep/part.py": b"b = 2\n"}


def test_the_hash_is_of_the_python_files_and_of_nothing_else(distribution):
    first = distribution(FILES)
    assert len(first) == 64
    same = {
        **FILES,
        "made_up/__pycache__/x.cpython-311.pyc": b"x",
        "made_up/weights.bin": b"x",
        "made_up/__init__.py": b"a = 1\r\n",
    }
    assert distribution(same, folder="elsewhere") == first
    changed = {
        "content": {**FILES, "made_up/deep/part.py": b"b = 3\n"},
        "name": {"made_up/__init__.py": b"a = 1\n", "made_up/deep/other.py": b"b = 2\n"},
        "one more": {**FILES, "made_up/empty.py": b""},
    }
    assert len({distribution(files, folder=name) for name, files in changed.items()} | {first}) == 4
    assert "made_up" not in sys.modules


def test_a_module_a_package_and_a_part_of_a_namespace_each_have_theirs(distribution):
    module = distribution({"made_up.py": b"a = 1\n"}, folder="module")
    package = distribution({"made_up/__init__.py": b"a = 1\n"}, folder="package")
    shared = {"spaced/one/__init__.py": b"a = 1\n", "spaced/two/__init__.py": b"of others"}
    part = distribution(shared, entry="spaced.one:plugin", folder="namespace")
    assert len({module, package, part}) == 3
    assert distribution({**shared, "spaced/two/__init__.py": b"x"}, entry="spaced.one", folder="namespace") == part


def test_what_has_no_python_file_has_no_hash(distribution):
    assert distribution({}, entry="") is None
    assert distribution({}, entry="not_there", folder="broken") is None
    assert distribution({}, entry="not_there.at.all", folder="deeper") is None
    assert code_hash("no-such-distribution") is None


def test_the_editable_install_of_genkit_has_the_hash_of_its_files_as_documented():
    plugins = Path(__file__).parents[2] / "plugins"
    names = ("genkit", *(path.parent.name for path in plugins.glob("*/__init__.py")))
    folders = {name: Path(importlib.util.find_spec(name).origin).parent for name in names}
    files = {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for name, folder in folders.items()
        for path in folder.rglob("*.py")
    }
    lines = [f"{name}\n{hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files)]
    code_hash.cache_clear()
    assert code_hash("genkit-torch") == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_run_records_each_distribution_with_its_hash(finished):
    whole = code_hash("genkit-torch")
    written = json.loads(finished.directory.environment.read_text())
    assert [(plugin["distribution"], plugin["sha256"]) for plugin in written["plugins"]] == [("genkit-torch", whole)]
    assert "encoder/mlp" in written["plugins"][0]["components"]
    (listener,) = [each for each in written["listeners"] if each["plugin"] == "genkit-torch/tensorboard"]
    assert listener["sha256"] == whole
    (record,) = weights.read_header(finished.directory.model).plugins
    assert record.model_dump(mode="json") == written["plugins"][0]


def test_a_component_inside_of_another_is_recorded_and_each_only_once():
    config = as_config(Path(__file__).parents[2] / "examples" / "gan.yaml", ["loss.adversarial.critic=cnn"])
    parts = [part for record in plugins_of(config) for part in record.components]
    assert "encoder/cnn" in parts
    assert len(parts) == len(set(parts))


class Mine(Encoder):
    class Config(Encoder.Config):
        name: Literal["mine"] = "mine"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = tuple(shape)

    def forward(self, x):
        return x


def test_a_class_of_this_process_is_known_by_its_own_source(digits):
    made = type("Made", (Mine,), {})
    assert source_hash(made) is None
    with registry().registered_within(Mine):
        records = plugins_of(as_config(digits, ["encoder=mine"]))
    (mine,) = [record for record in records if record.distribution == "this process"]
    assert (mine.components, mine.sha256) == (("encoder/mine",), source_hash(Mine))
    assert mine.owner == "encoder 'mine'"
    assert pip_line(records) == f"pip install 'genkit-torch=={records[0].version}'"


def test_pip_installs_each_once_and_nothing_that_no_distribution_brings():
    records = [
        PluginRecord(distribution="a", **RECORD),
        PluginRecord(distribution="this process", version="", components=("loss/x",)),
        PluginRecord(distribution="b", **RECORD),
        PluginRecord(distribution="a", **RECORD),
    ]
    assert pip_line(records) == "pip install 'a==1.0' 'b==1.0'"
    assert pip_line(records[1:2]) == ""


def found(**changes):
    record = {"distribution": "genkit-torch", "version": registry_version(), "components": ("encoder/mlp",), **changes}
    (finding,) = compare([PluginRecord(**record)])
    return finding


def registry_version():
    return installed().owner(installed().find("encoder", "mlp")).version


def test_what_has_become_of_a_plugin_is_told_apart(monkeypatch):
    here = registry_version()
    assert (found().state, found().message) == ("the same", "")
    assert found(sha256=code_hash("genkit-torch")).state == "the same"
    other = found(version="0.0.7")
    assert other.state == "another version"
    assert other.message == f"genkit-torch {here} is installed; for the same: pip install 'genkit-torch==0.0.7'"
    changed = found(sha256="0" * 64)
    assert changed.state == "other code"
    assert (
        changed.message == f"what is installed is other code (sha256 {code_hash('genkit-torch')}, and was {'0' * 64})"
    )
    taken = found(distribution="acme", version="2")
    assert (taken.state, taken.message) == (
        "another distribution",
        f"encoder 'mlp' is here that of genkit-torch {here}",
    )
    gone = found(distribution="acme", version="2", components=("encoder/mlp", "encoder/wavelet"))
    assert (gone.state, gone.lost) == ("missing", ("encoder/wavelet",))
    assert gone.message == "it is not installed; pip install 'acme==2'"
    lacking = found(version="9.9", components=("encoder/wavelet",))
    assert lacking.state == "unusable"
    assert lacking.message.startswith("unknown encoder 'wavelet'; known: ")
    assert lacking.message.endswith(f"genkit-torch {here} is installed; for the same: pip install 'genkit-torch==9.9'")
    mine = found(distribution="this process", version="", components=("encoder/mine",))
    assert mine.state == "missing"
    assert "pip" not in mine.message
    with registry().registered_within(Mine):
        monkeypatch.setattr(provenance, "source_hash", lambda _: "1" * 64)
        same = found(distribution="this process", version="", components=("encoder/mine",), sha256="1" * 64)
        assert same.state == "the same"
        edited = found(distribution="this process", version="", components=("encoder/mine",), sha256="2" * 64)
        assert edited.message.startswith("the class that is registered here is other code")


def test_loading_warns_of_another_version_and_of_other_code_and_goes_on(altered, finished, tmp_path):
    for key, value, said in (
        (
            "version",
            "0.0.1",
            r"m\.safetensors: may give other figures: made with genkit-torch 0\.0\.1, and genkit-torch",
        ),
        ("sha256", "0" * 64, r"m\.safetensors: may give other figures: made with genkit-torch .*is other code"),
    ):
        path = altered(
            tmp_path / "m.safetensors",
            finished.directory.model,
            lambda h, k=key, v=value: h["plugins"][0].update({k: v}),
        )
        with pytest.warns(GenkitWarning, match=said):
            assert genkit.load(path).shape == (1, 8, 8)


def test_a_file_of_format_1_without_hashes_loads_without_a_word(altered, finished, tmp_path):
    def older(header):
        assert header["format"] == 2
        header["format"] = 1
        for plugin in header["plugins"]:
            del plugin["sha256"]

    assert genkit.load(altered(tmp_path / "m.safetensors", finished.directory.model, older)).shape == (1, 8, 8)


def test_a_plugin_that_is_installed_and_does_not_work_is_no_matter_for_pip(altered, finished, tmp_path, monkeypatch):
    broken = installed().owner(installed().find("encoder", "mlp"))

    def lacking(header):
        header["config"]["encoder"] = {"name": "wavelet"}
        header["plugins"] = [
            {"distribution": "genkit-torch", "version": broken.version, "components": ["encoder/wavelet"]}
        ]

    path = altered(tmp_path / "m.safetensors", finished.directory.model, lacking)
    with pytest.raises(ComponentError) as caught:
        genkit.load(path)
    assert str(caught.value).startswith(f"{path}: unknown encoder 'wavelet'; known:")
    assert "pip" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda h: h["config"]["encoder"].update(widht=3), "encoder: unknown key 'widht'"),
        (lambda h: h["config"]["encoder"].update(hidden=[7]), "tensors do not fit the model that the config describes"),
    ],
)
def test_another_version_that_cannot_load_a_model_is_named_with_the_pip_line(
    altered, finished, tmp_path, change, first
):
    def other(header):
        change(header)
        header["plugins"][0]["version"] = "0.0.1"

    path = altered(tmp_path / "m.safetensors", finished.directory.model, other)
    here = installed().owner(installed().find("encoder", "mlp")).owner
    said = f"{path}: made with genkit-torch 0.0.1, and {here} is installed; for the same: "
    with pytest.raises(ComponentError) as caught:
        genkit.load(path)
    lines = str(caught.value).splitlines()
    assert first in lines[0]
    assert lines[1] == said + "pip install 'genkit-torch==0.0.1'"
    found = inspect(path)
    assert found.problem == str(caught.value)
    assert found.install == "pip install 'genkit-torch==0.0.1'"


def begun(digits, folder, change):
    """A run that was begun, and whose record of plugins went through `change`."""
    run = create_directory(as_config(digits), folder / "run")
    found = json.loads(run.environment.read_text())
    change(found["plugins"][0])
    run.environment.write_text(json.dumps(found))
    return run


@pytest.mark.usefixtures("bare")
def test_a_run_whose_plugin_is_gone_is_not_taken_up_and_the_pip_line_is_said(digits, tmp_path):
    run = begun(digits, tmp_path, lambda record: record.update(distribution="genkit-tide", components=["encoder/tide"]))
    run.config.write_text(run.config.read_text().replace("name: mlp", "name: tide", 1))
    with pytest.raises(ComponentError, match=r"needs encoder 'tide' of genkit-tide .*pip install 'genkit-tide=="):
        genkit.resume(run.path)


@pytest.mark.usefixtures("bare")
def test_a_run_that_began_with_another_version_is_taken_up_with_a_warning(digits, tmp_path):
    run = begun(digits, tmp_path, lambda record: record.update(version="0.0.1"))
    with pytest.warns(GenkitWarning, match=r"run: may give other figures: made with genkit-torch 0\.0\.1"):
        assert len(genkit.resume(run.path, epochs=1).history) == 1


def test_a_record_that_cannot_be_read_explains_nothing(digits, tmp_path):
    run = create_directory(as_config(digits), tmp_path / "run")
    for text in ("", "{}", '{"plugins": 3}', '{"plugins": [{"version": 3}]}'):
        run.environment.write_text(text)
        assert recorded_plugins(run) == []
    run.environment.unlink()
    assert recorded_plugins(run) == []


def test_the_hash_of_everything_is_quick_to_have_again(digits):
    config = prepare(as_config(digits))[1].config
    code_hash.cache_clear()
    plugins_of(config)
    assert code_hash.cache_info().misses == 1
