import subprocess
import sys

import pytest

from genkit.cli import completion
from genkit.cli.options import options, parts, values_of
from genkit.examples import folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with two runs, a config, a model file and a hidden folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("vae-digits", "gan"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text(f"name: {name}\ndata: {{name: digits, size: 28}}\n")
    (tmp_path / "mine.yaml").write_text("sampler: {name: vmf}\n")
    (tmp_path / "model.safetensors").touch()
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def words(items):
    return [item if isinstance(item, str) else item[0] for item in items]


def test_configs_are_files_and_examples(here):
    assert words(completion.configs("mi")) == ["mine.yaml"]
    assert words(completion.configs("vae-di")) == ["vae-digits", "vae-dip"]
    assert words(completion.configs("runs/gan/")) == ["runs/gan/config.yaml"]
    assert {"mine.yaml", "runs/", "wae"} <= {*words(completion.configs(""))}
    assert ".hidden/" not in words(completion.configs(""))
    assert completion.configs("no/such/") == completion.configs("~nobody-of-that-name/") == []


def test_runs_are_names_and_the_last_one(here):
    assert {*words(completion.runs(""))} == {"vae-digits", "gan", "last", "model.safetensors", "runs/"}
    assert words(completion.runs("la")) == ["last"]
    assert words(completion.sources("vae-dig")) == ["vae-digits"]


def test_without_runs_there_is_no_last_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert completion.runs("la") == []


def test_parts_kinds_metrics_and_splits():
    assert "encoder/mlp" in completion.parts("encoder/")
    assert completion.parts("ml") == ["mlp"]
    assert "sampler" in completion.kinds("s")
    assert completion.metrics("nl") == ["nll"]
    assert completion.splits("t") == ["train", "test"]
    assert len(parts()) > 100


def test_the_options_are_those_of_the_parts_that_are_chosen(here):
    each = {option.path: option for option in options(values_of(here / "mine.yaml"))}
    assert "sampler.latent" in each
    assert "sampler.covariance" not in each
    of_gan = {option.path: option for option in options(values_of(folder() / "gan.yaml"))}
    assert of_gan["loss.adversarial.critic.hidden"].value == [512, 256]
    assert of_gan["training.optimizer.lr"].value == 2.0e-4
    assert of_gan["data.standardize"].values == ("false", "true")
    assert "mlp" in of_gan["decoder"].values
    assert all(option.what or option.path.count(".") for option in of_gan.values())
    assert values_of(here / "nothing.yaml") == {}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run vae-d", ["vae-deconv", "vae-dense", "vae-digits", "vae-dip"]),
        ("run vae-digits training.epo", ["training.epochs=", "training.epochs=200"]),
        ("run vae-digits loss.kl.we", ["loss.kl.weight=", "loss.kl.weight=1.0"]),
        ("run mine.yaml sampler=vm", ["sampler=vmf"]),
        ("run vae-digits sampler = vm", ["vmf"]),  # as bash splits it
        ("run vae-digits training.compile =", ["auto", "true", "false"]),
        ("run vae-digits seed=1 training.epo", ["training.epochs=", "training.epochs=200"]),
        ("run vae-digits no.such=", []),
        ("encode gan data.si", ["data.size=", "data.size=28"]),
        ("encode gan training.", []),
        ("evaluate gan --split te", ["test"]),
        ("evaluate gan --metric pro", ["probe"]),
        ("plugins show encoder/ml", ["encoder/mlp"]),
        ("new-plugin x --kind enc", ["encoder"]),
        ("examples wa", ["wae"]),
        ("describe ga", ["gan", "gan-ali", "gan-conditional", "gan-conv", "gan-r3"]),
        ("compare gan va", ["vae-digits"]),
        ("rec", ["reconstruct"]),
    ],
)
def test_bash_completes(cli, here, monkeypatch, typed, offered):
    monkeypatch.setenv("_GENKIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"genkit {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    answer = cli()
    assert answer.out.split() == offered
    assert answer.err == ""


def test_completion_imports_no_torch(here, environment):
    code = (
        "import sys, genkit.cli\n"
        "try: genkit.cli.main()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'numpy', 'matplotlib'} & {*sys.modules})"
    )
    typed = {"_GENKIT_COMPLETE": "complete_bash", "COMP_WORDS": "genkit encode last data.si", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **typed}, capture_output=True, text=True, cwd=here
    )
    assert done.stdout.split("\n")[-2] == "set()", done
