"""Plugins in one file: run where the user names them, and never because a run or a model file does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import ComponentError, ConfigError, GenkitError, GenkitWarning
from genkit.files.tensors import read_tensors, write_tensors
from genkit.pictures import plots
from genkit.record.directory import RunDirectory
from genkit.registry import trust
from genkit.registry.choices import installed_with_files
from genkit.registry.files import read
from genkit.registry.registry import installed, registry
from genkit.registry.selection import VARIABLE
from genkit.runs.opening import as_config, config_of, reopen, unfinished_directory
from genkit.settings import yaml
from genkit.sharing import weights

MINE = '''"""An encoder of one file."""

from math import prod
from pathlib import Path
from typing import Literal

import torch
from genkit import Encoder

Path(r"{mark}").touch()


class Sines(Encoder):
    """x (B, *shape) -> a dense layer -> its sines (B, 8)."""

    class Config(Encoder.Config):
        name: Literal["sines"] = "sines"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (8,)
        self.dense = torch.nn.Linear(prod(shape), 8)

    def forward(self, x):
        return {factor} * torch.sin(self.dense(x.flatten(1)))
'''

CONFIG = """plugins: [./mine.py]
data: {{name: arrays, path: '{data}'}}
encoder: sines
sampler: {{name: gaussian, latent: 2}}
decoder: {{name: mlp, hidden: []}}
likelihood: gaussian
loss: [reconstruction, kl]
training: {{epochs: 4, compile: false, batch_size: 10}}
"""

pytestmark = pytest.mark.filterwarnings("ignore:.*is code that runs")


@pytest.fixture
def lab(tmp_path, monkeypatch, new_machine, bare):
    """A folder with a config and its plugin, which leaves a mark when it runs; the working directory is another."""
    lab, other = tmp_path / "lab", tmp_path / "other"
    lab.mkdir()
    other.mkdir()
    monkeypatch.chdir(other)
    np.save(lab / "x.npy", np.random.default_rng(0).random((40, 3), np.float32))
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=1))
    (lab / "mine.yaml").write_text(CONFIG.format(data=lab / "x.npy"))
    return lab


@pytest.fixture
def downloaded(lab, new_machine):
    """A run that somebody else made, on a machine where nobody has run its plugin."""
    genkit.run(lab / "mine.yaml", out=lab / "run")
    (lab / "mark").unlink()
    new_machine()
    return lab / "run"


def word_of(path):
    return yaml.read(path / "config.yaml").values["plugins"][0]


def test_one_file_trains_and_resumes_bit_for_bit_and_is_used_from_anywhere(lab, cli):
    with pytest.warns(GenkitWarning, match=r"^plugins: \./mine\.py is code that runs \(sha256 [0-9a-f]{12}…\)$"):
        whole = genkit.run(lab / "mine.yaml", out="whole")
    cut = genkit.run(lab / "mine.yaml", out="cut", until=(1, 2))
    assert not cut.directory.model.exists()
    genkit.resume("cut")
    assert (whole.directory.model).read_bytes() != b""
    one, other = genkit.load("whole").state_dict(), genkit.load("cut").state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    for command in (("sample", "cut", "--out", "s.npy"), ("evaluate", "cut"), ("encode", "cut", "--out", "z.npy")):
        assert cli(*command).code == 0
    assert genkit.reproduce("cut").different == []


def test_a_run_keeps_the_name_the_hash_and_a_copy_and_no_path(lab):
    run = genkit.run(lab / "mine.yaml", out="run").directory
    sha256 = word_of(run.path).removeprefix("./mine.py@")
    assert (run.path / "code" / "mine.py").read_text() == (lab / "mine.py").read_text()
    header = weights.read_header(run.model)
    (record,) = [each for each in header.plugins if each.file]
    assert (record.file, record.sha256, record.components) == ("mine.py", sha256, ("encoder/sines",))
    assert header.format == 3
    assert b"mine.py" in run.model.read_bytes()
    assert str(lab / "mine.py").encode() not in run.model.read_bytes()
    assert str(lab / "mine.py") not in (run.path / "config.yaml").read_text()


def test_a_run_goes_on_with_the_code_that_it_began_with_whatever_the_file_says_now(lab):
    before = genkit.run(lab / "mine.yaml", out="run").model
    (lab / "mine.py").write_text("raise SystemExit(3)")
    z = before.encode(np.ones((5, 3), np.float32))
    (lab / "mine.py").unlink()
    assert torch.equal(genkit.load("run").encode(np.ones((5, 3), np.float32)), z)


OPENING = [
    ("sample", "{run}", "--out", "s.npy"),
    ("evaluate", "{run}"),
    ("encode", "{run}", "--out", "z.npy"),
    ("reconstruct", "{run}", "--out", "z.npy"),
    ("export", "{run}", "--format", "onnx", "--out", "m.onnx"),
    ("describe", "{run}"),
    ("resume", "{run}", "--epochs", "9"),
    ("reproduce", "{run}"),
    ("load", "{run}"),
    ("card", "{run}"),
    ("compare", "{run}", "{copy}", "--out", "page.png"),
]


@pytest.mark.parametrize("command", OPENING, ids=lambda command: command[0])
@pytest.mark.parametrize("kind", ["its hash", "its path"])
def test_no_command_that_opens_a_run_from_elsewhere_runs_its_code(downloaded, cli, command, kind):
    if kind == "its path":  # the file lies in the run and beside it, and the model file and the config name it
        for folder in (downloaded, downloaded.parent):
            shutil.copy(downloaded / "code" / "mine.py", folder / "evil.py")
        for name in ("model.safetensors", "checkpoint.safetensors", "config.yaml"):
            rename(downloaded / name)
    shutil.copytree(downloaded, downloaded.parent / "copy")
    answer = cli(*(word.format(run=downloaded, copy=downloaded.parent / "copy") for word in command))
    assert not (downloaded.parent / "mark").exists()
    assert answer.code == 2
    said = answer.out if command[0] == "load" else answer.err
    assert "read the file, and if you trust it, name it: GENKIT_PLUGINS=all,PATH/" in said
    if command[0] != "load":
        assert answer.err.count("error: ") == 1


def rename(path):
    """Let a file of a run name `./evil.py` where it names the content of `./mine.py`."""
    if path.suffix == ".yaml":
        path.write_text(yaml.write({**yaml.read(path).values, "plugins": ["./evil.py"]}))
        return
    tensors, metadata = read_tensors(path)
    header = json.loads(metadata[weights.KEY])
    header["config"]["plugins"] = ["./evil.py"]
    write_tensors(path, tensors, {**metadata, weights.KEY: json.dumps(header)})


@pytest.mark.parametrize("word", ["{lab}/mine.py", "../lab/mine.py", "~/mine.py", "./mine.py@" + "0" * 64, "mine.py"])
def test_a_model_file_never_names_what_is_opened(downloaded, altered, word, monkeypatch):
    monkeypatch.setenv("HOME", str(downloaded.parent))
    word = word.format(lab=downloaded.parent)
    path = altered(
        downloaded.parent / "m.safetensors",
        downloaded / "model.safetensors",
        lambda h: h["config"].update(plugins=[word]),
    )
    with pytest.raises(ComponentError, match=r"read the file, and if you trust it") as caught:
        genkit.load(path)
    assert len(caught.value.args) == 1
    assert not (downloaded.parent / "mark").exists()


@pytest.mark.parametrize("changes", ["plugins=[./evil.py]", "plugins=[{lab}/mine.py]"])
def test_options_that_a_run_says_it_was_given_open_nothing(downloaded, changes):
    changes = [{"epoch": 1, "step": 0, "overrides": [changes.format(lab=downloaded.parent)]}]
    (downloaded / "changes.json").write_text(json.dumps(changes))
    for act in (genkit.reproduce, genkit.resume):
        with pytest.raises(ComponentError, match=r"is a path to code|is code that you have not run"):
            act(downloaded)
    assert not (downloaded.parent / "mark").exists()


def test_text_of_a_stranger_in_the_name_is_shown_and_acts_on_nothing(downloaded, altered, cli):
    path = altered(
        downloaded.parent / "m.safetensors",
        downloaded / "model.safetensors",
        lambda h: h["config"].update(plugins=["./\x1b[2J;rm -rf x.py"]) or h.update(plugins=[]),
    )
    answer = cli("sample", path, "--out", "s.npy")
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "PATH/FILE.py" in answer.err


def test_a_file_that_is_named_in_the_environment_runs(downloaded, new_machine):
    copy = downloaded / "code" / "mine.py"
    new_machine(f"all,{copy}")
    x = np.ones((5, 3), np.float32)
    z = genkit.load(downloaded).encode(x)
    assert (downloaded.parent / "mark").exists()
    new_machine(cache=downloaded.parents[1] / "cache-2")  # the same cache, and the variable is gone
    assert torch.equal(genkit.load(downloaded).encode(x), z)


def test_another_content_that_is_named_in_the_environment_is_used_and_said(downloaded, new_machine, lab):
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=2))
    new_machine(f"all,{lab / 'mine.py'}")
    with pytest.warns(
        GenkitWarning, match=r"may give other figures: made with \./mine\.py, and the file is other code"
    ):
        genkit.load(downloaded)


def test_an_environment_without_it_leaves_it_out(lab, new_machine):
    new_machine("none")
    with pytest.raises(ConfigError, match=r"unknown encoder 'sines'.*left out by GENKIT_PLUGINS=none: \./mine\.py"):
        genkit.run(lab / "mine.yaml")
    assert not (lab / "mark").exists()
    new_machine(cache=lab / "cache")
    genkit.run(lab / "mine.yaml", out="run")
    new_machine("none", cache=lab / "cache")
    with pytest.raises(ComponentError, match=r"model\.safetensors: .*left out by GENKIT_PLUGINS=none: \./mine\.py"):
        genkit.load("run")


def test_where_the_code_cannot_be_noted_the_run_goes_on(lab, new_machine):
    (lab / "cache").write_text("")
    new_machine(cache=lab / "cache")
    with pytest.warns(GenkitWarning, match=r"that \./mine\.py is trusted cannot be noted"):
        genkit.run(lab / "mine.yaml", out="run")
    genkit.load("run")  # in this process
    new_machine(cache=lab / "cache")
    with pytest.raises(ComponentError, match=r"is code that you have not run here"):
        genkit.load("run")


def test_files_of_one_config_are_not_those_of_another(lab):
    view = installed_with_files(["./mine.py"], lab)
    assert "sines" in view.names("encoder")
    assert "sines" not in installed().names("encoder")
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=2))
    other = installed_with_files(["./mine.py"], lab)
    assert other.find("encoder", "sines") is not view.find("encoder", "sines")
    assert len([plugin for plugin in registry().plugins if plugin.sha256 is not None]) == 2


def test_the_same_content_runs_once(lab):
    first = installed_with_files(["./mine.py"], lab).find("encoder", "sines")
    (lab / "mark").unlink()
    assert installed_with_files("mine.py, ../lab/mine.py", lab).find("encoder", "sines") is first
    assert not (lab / "mark").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef f(:", r"its import failed: SyntaxError: .*\(mine\.py, line 2\)"),
        ("x = 1\n\n1 / 0", r"its import failed: ZeroDivisionError: division by zero \(mine\.py:3\)"),
        ("import sys\nsys.exit(3)", r"its import failed: SystemExit: 3 \(mine\.py:2\)"),
        (
            "import helper",
            r"No module named 'helper' \(mine\.py:1\); a plugin in one file imports nothing .*new-plugin",
        ),
        ("import no_such_module", r"No module named 'no_such_module' \(mine\.py:1\)$"),
        ("import genkit.hookspecs", r"No module named 'genkit.hookspecs' .*other modules may have moved"),
        ("x = 1", r"it has no part: no class that derives from one of genkit's interfaces"),
        (MINE.replace('"sines"', '"mlp"'), r"encoder 'mlp' is also of genkit-torch; choose another name"),
        (MINE.replace('"sines"', '"a b"'), r"Sines has the name 'a b'"),
        (MINE.replace("def forward", "def other"), r"Sines is abstract: it does not implement forward"),
        (
            MINE + MINE[MINE.index("class") :].replace("class Sines", "class Again"),
            r"is also of another class of the file",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_message_with_its_place(lab, cli, text, message):
    (lab / "helper.py").write_text("")
    (lab / "mine.py").write_text(text.format(mark=lab / "mark", factor=1) if "{mark}" in text else text)
    with pytest.raises(ComponentError, match=message) as caught:
        genkit.run(lab / "mine.yaml")
    assert {line.partition(": ")[0] for line in caught.value.args} == {f"{lab / 'mine.yaml'}:1:1"}
    assert cli("check", lab / "mine.yaml").code == 2
    assert [plugin for plugin in registry().plugins if plugin.sha256 is not None] == []
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=1))
    assert cli("check", lab / "mine.yaml", "--no-probe").code == 0


def test_a_file_that_is_not_there_is_named_with_the_place_in_the_config(lab):
    (lab / "mine.py").unlink()
    with pytest.raises(ConfigError, match=rf"mine\.yaml:1:1: \./mine\.py: there is no such file \({lab}/mine\.py\)"):
        genkit.run(lab / "mine.yaml")


def test_two_files_with_one_name_or_one_part_are_told_apart(lab):
    (lab / "more").mkdir()
    (lab / "more" / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=3))
    (lab / "other.py").write_text(MINE.format(mark=lab / "mark", factor=4))
    with pytest.raises(ComponentError, match=r"two files are called mine\.py: give one of them another name"):
        installed_with_files(["./mine.py", "./more/mine.py"], lab)
    view = installed_with_files(["./mine.py", "./other.py"], lab)
    with pytest.raises(ComponentError, match=r"claimed by \./mine.py and \./other.py; write '\./mine.py/sines' or"):
        view.find("encoder", "sines")
    assert view.find("encoder", "./other.py/sines") is not view.find("encoder", "./mine.py/sines")
    run = genkit.run(
        lab / "mine.yaml", ["plugins=[../lab/mine.py, ../lab/other.py]", "encoder=./other.py/sines"], "run"
    )
    assert config_of(run.directory).encoder.name == "./other.py/sines"
    assert genkit.load("run").encode(np.ones((5, 3), np.float32)).shape == (5, 2)


def test_what_is_typed_starts_in_the_working_directory(lab, cli):
    (lab / "mine.yaml").write_text(CONFIG.format(data=lab / "x.npy").replace("plugins: [./mine.py]\n", ""))
    assert cli("check", lab / "mine.yaml", "plugins=[../lab/mine.py]", "--no-probe").code == 0
    answer = cli("check", lab / "mine.yaml", "plugins=[./mine.py]", "--no-probe")
    assert answer.code == 2
    assert "there is no such file" in answer.err


def test_the_other_items_start_in_the_folder_of_the_config_where_one_is_typed(lab, cli):
    for folder, factor in ((lab, 3), (Path(), 4)):
        (folder / "more.py").write_text(MINE.format(mark=lab / "mark", factor=factor).replace("sines", "more"))
    (lab / "mine.yaml").write_text(CONFIG.format(data=lab / "x.npy").replace("./mine.py", "./mine.py, ./mine.py"))
    Path("mine.py").write_text(MINE.format(mark="mark", factor=5))
    for key in ("plugins[1]", "plugins.1"):
        assert cli("check", lab / "mine.yaml", f"{key}=./more.py", "--no-probe").code == 0
    assert (lab / "mark").exists()
    assert not Path("mark").exists()
    plugins = as_config(lab / "mine.yaml", ["plugins.1=./more.py"]).plugins
    assert plugins[1] == read("./more.py", Path()).word


def test_a_file_beside_names_and_all(lab):
    names = {plugin.name for plugin in installed().plugins}
    for wanted in (["all", "./mine.py"], ["genkit-torch", "./mine.py"], ["-acme", "./mine.py"], ["none", "./mine.py"]):
        view = installed_with_files(wanted, lab)
        assert {plugin.name for plugin in view.plugins if view.wants(plugin)} == {*names, "mine"}


def test_it_is_checked_and_shown(lab, cli, new_machine):
    answer = cli("check-plugin", lab / "mine.py")
    assert answer.code == 0
    assert "encoder/sines  (./mine.py)" in answer.out
    new_machine("none")
    answer = cli("check-plugin", lab / "mine.py")
    assert answer.code == 2
    assert "plugin 'mine' of ./mine.py is left out by GENKIT_PLUGINS=none; allow it there" in answer.err
    new_machine(f"all,{lab / 'mine.py'}")
    assert "encoder/sines  (./mine.py)" in cli("plugins", "show", "encoder/sines").out
    assert "mine  (./mine.py)\n    components: encoder/sines" in cli("plugins").out


def test_a_card_names_the_file_and_what_loads_it(lab, cli):
    genkit.run(lab / "mine.yaml", out="run")
    assert cli("card", "run", "--out", "card.md").code == 0
    text = Path("card.md").read_text("utf-8")
    assert "of the file `mine.py` (sha256 `" in text
    assert "`GENKIT_PLUGINS=all,PATH/mine.py`" in text
    assert "pip install 'genkit-torch==" in text
    assert "mine.py=" not in text


def test_a_run_config_from_python_opens_no_path(lab):
    config = genkit.run(lab / "mine.yaml", out="run").config
    with pytest.raises(GenkitError, match="is a path to code"):
        genkit.run(config, ["plugins=[../lab/other.py]"], out="again")
    assert genkit.run(config, ["seed=1"], out="again").config.plugins == config.plugins


def test_a_run_that_goes_on_with_another_content_records_it_and_is_repeated_with_both(lab, new_machine):
    cache = lab / "cache"
    new_machine(cache=cache)
    genkit.run(lab / "mine.yaml", out="run", until=(2, 0))
    first = word_of(Path("run"))
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=2))
    new_machine(f"all,{lab / 'mine.py'}", cache=cache)
    with pytest.warns(GenkitWarning, match=r"the file is other code"):
        run = genkit.resume("run")
    (second,) = run.config.plugins
    assert second != first
    assert json.loads(Path("run/changes.json").read_text())[-1]["overrides"] == [f"plugins=[{second}]"]
    new_machine(cache=cache)
    assert genkit.load("run").config.plugins == config_of(run.directory).plugins == (second,)
    with pytest.warns(GenkitWarning, match=r"the file is other code"):
        assert genkit.reproduce("run").different == []
    with pytest.warns(GenkitWarning, match=r"the file is other code"):
        assert genkit.resume("run", epochs=5).config.plugins == (second,)


def test_the_environment_and_a_config_name_one_file_of_a_name(lab, new_machine):
    (lab / "more").mkdir()
    (lab / "more" / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=3))
    new_machine(f"all,{lab / 'more' / 'mine.py'}")
    with pytest.raises(
        ConfigError, match=r"GENKIT_PLUGINS names another file that is called mine\.py; name one of them"
    ):
        genkit.run(lab / "mine.yaml")


def test_runs_with_two_contents_of_one_file_are_compared_each_with_its_own(lab, monkeypatch):
    x, runs = np.ones((5, 3), np.float32), []
    for factor in (1, 2):
        (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=factor))
        runs.append(genkit.run(lab / "mine.yaml", out=f"run{factor}"))
    for run in runs:
        assert torch.equal(genkit.load(run.directory.path).encode(x), run.model.encode(x))
    models = [genkit.load(run.directory.path) for run in runs]
    assert type(models[0].encoder) is not type(models[1].encoder)


LISTENER = """
from pathlib import Path
from genkit import hookimpl


@hookimpl
def epoch_ended(run, record):
    with Path(run.directory.path / "heard").open("a") as stream:
        stream.write(f"{record.epoch}\\n")
"""


def test_a_file_with_a_hook_follows_the_runs_that_name_it_alone(tmp_path, monkeypatch, new_machine):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "draw_all", lambda *_: [])
    np.save("x.npy", np.random.default_rng(0).random((40, 3), np.float32))
    Path("logger.py").write_text(LISTENER)
    text = CONFIG.format(data="x.npy").replace("encoder: sines", "encoder: {name: mlp, hidden: []}")
    Path("with.yaml").write_text(text.replace("./mine.py", "-genkit-torch/tensorboard, ./logger.py"))
    Path("without.yaml").write_text(text.replace("./mine.py", "-genkit-torch/tensorboard"))
    genkit.run("with.yaml", out="with")
    genkit.run("without.yaml", out="without")
    assert Path("with/heard").read_text() == "1\n2\n3\n4\n"
    assert not Path("without/heard").exists()
    new_machine()
    assert genkit.load("with").sample(2).shape == (2, 3)  # a model needs no logger
    assert reopen("with", ["data=digits"])[1].shape == (1, 8, 8)
    with pytest.raises(ComponentError, match=r"\./logger\.py .* is code that you have not run here"):
        genkit.resume("with", epochs=9)
    with pytest.raises(ComponentError, match=r"\./logger\.py .* is code that you have not run here"):
        genkit.run(genkit.load("with").config, out="again")
    listeners = json.loads(Path("with/environment.json").read_text())["listeners"]
    assert [each["plugin"] for each in listeners if each["plugin"].startswith("./")] == ["./logger.py/logger"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on tracing
@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_a_model_with_it_is_compiled_and_exported(lab, cli, format):
    run = genkit.run(lab / "mine.yaml", ["training.compile=true", "training.epochs=1"], out="run")
    assert run.plan.compiled
    answer = cli("export", "run", "--format", format, "--out", "m.onnx" if format == "onnx" else "m.pt2")
    assert answer.code == 0, answer.err


@pytest.mark.slow
def test_processes_that_share_a_run_each_run_the_file_and_one_says_so(lab, environment):
    environment |= {VARIABLE: "all", "XDG_CACHE_HOME": str(lab / "cache"), "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    command = ["genkit", "run", str(lab / "mine.yaml"), "--out", "two"]
    done = subprocess.run([*launcher, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is code that runs") == 1
    one = genkit.run(lab / "mine.yaml", out="one").model.state_dict()
    two = genkit.load("two").state_dict()
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def test_one_file_alone_is_a_choice_too_and_plain_values_name_it_from_the_working_directory(lab, monkeypatch):
    (lab / "mine.yaml").write_text((lab / "mine.yaml").read_text().replace("[./mine.py]", "./mine.py"))
    run = genkit.run(lab / "mine.yaml", out="run")
    monkeypatch.chdir(lab)
    values = {**yaml.read("mine.yaml").values, "name": "mine"}
    assert genkit.run(values, out="again").config.plugins == run.config.plugins == (word_of(Path("again")),)


def test_a_file_that_the_environment_named_alone_is_named_again(lab, new_machine):
    (lab / "mine.yaml").write_text(CONFIG.format(data=lab / "x.npy").replace("plugins: [./mine.py]\n", ""))
    new_machine(f"all,{lab / 'mine.py'}", cache=lab / "cache")
    genkit.run(lab / "mine.yaml", out="run")
    assert genkit.load("run").config.plugins == "all"
    new_machine(cache=lab / "cache")
    with pytest.raises(
        ComponentError, match=r"named neither by the config nor now by GENKIT_PLUGINS: GENKIT_PLUGINS=a"
    ):
        genkit.load("run")


@pytest.mark.parametrize("named_by", ["config", "environment"])
def test_a_file_that_registers_its_class_as_notebooks_do_is_a_file_all_the_same(lab, new_machine, named_by):
    text = (lab / "mine.py").read_text()
    (lab / "mine.py").write_text(text.replace("\n\nclass ", "\nimport genkit\n\n@genkit.register\nclass "))
    new_machine(f"all,{lab / 'mine.py'}" if named_by == "environment" else "all")
    genkit.run(lab / "mine.yaml", out="run")
    assert [plugin.distribution for plugin in registry().plugins if "Sines" in str(plugin.components)] == ["./mine.py"]
    genkit.load("run")


def test_an_interrupted_import_leaves_nothing(lab):
    text = (lab / "mine.py").read_text()
    (lab / "mine.py").write_text(text + "\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        genkit.run(lab / "mine.yaml", out="run")
    assert [plugin for plugin in registry().plugins if plugin.sha256 is not None] == []


def test_a_file_that_is_left_out_is_not_trusted(lab, new_machine, cli):
    new_machine("none", cache=lab / "cache")
    (lab / "mine.yaml").write_text(CONFIG.format(data=lab / "x.npy").replace("encoder: sines", "encoder: mlp"))
    answer = cli("check", lab / "mine.yaml", "--no-probe")
    assert answer.code == 0
    assert "is code that runs" not in answer.err
    assert not (lab / "mark").exists()
    assert not (lab / "cache").exists()


def test_a_file_that_one_choice_left_out_runs_for_the_next(lab, new_machine):
    new_machine(f"all,{lab / 'mine.py'}")
    assert "sines" not in installed("none").names("encoder")
    assert "sines" in installed("all").names("encoder")


def test_the_environment_may_name_a_file_by_its_content(lab, new_machine):
    genkit.run(lab / "mine.yaml", out="run")
    word = word_of(Path("run"))
    new_machine(f"all,{word}", cache=lab.parent / "cache-0")
    assert "sines" in installed().names("encoder")
    new_machine(f"all,{word}")
    with pytest.raises(ComponentError, match=r"unknown encoder 'sines'.*\./mine\.py .* is code that you have not run"):
        installed().find("encoder", "sines")


def test_the_environment_names_no_two_files_of_one_name(lab, new_machine):
    (lab / "more").mkdir()
    (lab / "more" / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=3))
    with pytest.raises(ComponentError, match=r"GENKIT_PLUGINS: two files are called mine\.py"):
        new_machine(f"all,{lab / 'mine.py'},{lab / 'more' / 'mine.py'}")


def test_the_home_of_nobody_is_one_error(lab, cli):
    answer = cli("check", lab / "mine.yaml", "plugins=[~no-such-user/mine.py]")
    assert answer.code == 2
    assert "~no-such-user/mine.py: cannot be read: Could not determine home directory" in answer.err


def test_the_name_of_a_folder_acts_on_no_terminal(lab):
    (lab / "a\x1b[2J").mkdir()
    shutil.copy(lab / "mine.py", lab / "a\x1b[2J" / "mine.py")
    with pytest.warns(GenkitWarning, match=r"^plugins: \./a\\x1b\[2J/mine\.py is code that runs"):
        installed_with_files(["./a\x1b[2J/mine.py"], lab)


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_what_people_read_is_what_runs(lab, start):
    hidden = "# coding: utf-7\n# +AAo-raise SystemExit(3)\n"
    (lab / "mine.py").write_text(start + hidden + MINE.format(mark=lab / "mark", factor=1), encoding="utf-8")
    assert "sines" in installed_with_files(["./mine.py"], lab).names("encoder")


def test_a_long_word_of_a_stranger_fills_no_screen(downloaded):
    config = yaml.read(downloaded / "config.yaml").values
    (downloaded / "config.yaml").write_text(yaml.write({**config, "plugins": [f"./{'A' * 3000}/x.py"]}))
    with pytest.raises(ComponentError) as caught:
        config_of(RunDirectory(downloaded))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("local_rank", "notes"), [("0", True), ("1", False)])
def test_one_process_on_each_machine_of_a_group_notes_that_code_is_trusted(lab, monkeypatch, local_rank, notes):
    for name, value in {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": local_rank}.items():
        monkeypatch.setenv(name, value)
    (word,) = installed_with_files(["./mine.py"], lab).wanted
    assert (trust.recall(*word.removeprefix("./").split("@")) is not None) is notes


def test_a_file_of_the_environment_that_changed_meanwhile_is_named(lab, new_machine):
    new_machine(f"all,{lab / 'mine.py'}")
    (lab / "mine.py").write_text(MINE.format(mark=lab / "mark", factor=2))
    with pytest.raises(ConfigError, match=r"\./mine\.py: has changed since this process read it for GENKIT_PLUGINS"):
        installed_with_files(["./mine.py"], lab)


@pytest.mark.parametrize("words", [["../lab/mine.py"], ["all", "{lab}/mine.py"], "./mine.py"])
def test_the_config_of_a_model_of_a_stranger_can_be_run_as_plain_values(lab, new_machine, altered, words, monkeypatch):
    one = genkit.run(lab / "mine.yaml", ["encoder={name: mlp, hidden: []}"], out="run").directory.model
    words = [word.format(lab=lab) for word in words] if isinstance(words, list) else words
    path = altered(lab / "m.safetensors", one, lambda h: h["config"].update(plugins=words))
    (lab / "mark").unlink()
    new_machine()
    monkeypatch.chdir(lab)
    values = genkit.load(path).config.resolved()
    assert genkit.run(values, out="again").directory.model.is_file()
    assert not (lab / "mark").exists()


def test_an_unfinished_run_is_found_beside_one_whose_code_was_never_run_here(lab):
    run = genkit.run(lab / "mine.yaml", until=(1, 0))
    shutil.copytree(run.directory.path, "runs/mine-2")
    config = yaml.read("runs/mine-2/config.yaml").values
    Path("runs/mine-2/config.yaml").write_text(yaml.write({**config, "plugins": ["./evil.py"]}))
    assert unfinished_directory(run.config).path == run.directory.path
