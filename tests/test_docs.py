"""What the documents show works as shown."""

import csv
import doctest
import importlib
import json
import math
import os
import re
import runpy
import shlex
import subprocess
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import genkit
from genkit.errors import GenkitError
from genkit.evaluation import classifier
from genkit.interfaces import Encoder, Latent
from genkit.pictures import plots
from genkit.registry.registry import installed, registry
from genkit.runs.opening import as_config
from genkit.testing import checks
from genkit_vae import GaussianSampler

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(language, document="README.md"):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def commands(document):
    """The lines that start with genkit, split into words."""
    lines = [line.split("  #")[0] for block in blocks("console", document) for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("genkit ")]


@pytest.fixture
def follow(cli, process, environment, users_cache, tmp_path, monkeypatch):
    """`follow(page)`: each command of a page in this process, then each block of Python in one of its own.

    `change(words)` changes a command, or leaves it out by None; `few` are further options of each run. Pictures are
    drawn only if they are asked for, and `python` takes the place of the page's. It gives what the Python printed.
    """
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classifier, "STEPS", 50)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment |= {"XDG_CACHE_HOME": str(users_cache), "MPLBACKEND": "agg"}

    def follow(page, *, change=lambda words: words, few=("training.epochs=1",), pictures=False, python=None):
        if not pictures:
            monkeypatch.setattr(plots, "draw_all", lambda *_: [])
        for command in commands(page):
            words = change(command[1:])
            if words is not None:
                answer = cli(*words, *(few if words[0] == "run" else ()))
                assert answer.code == 0, (command, answer.err)
        printed = []
        for code in blocks("python", page) if python is None else python:
            done = process("python", "-W", "error", "-c", code, cwd=tmp_path, env=environment)
            assert done.returncode == 0, done.stderr
            printed.append(done.stdout)
        return printed

    return follow


def test_the_config_in_the_readme_is_the_example(tmp_path, digits):
    (tmp_path / "shown.yaml").write_text(blocks("yaml")[0])
    assert as_config(tmp_path / "shown.yaml") == as_config(digits)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_example_is_a_valid_config_that_stays_the_same_when_resolved(path):
    loaded = as_config(path)
    assert loaded.name == path.stem
    assert as_config(loaded.resolved()) == loaded
    assert path.read_text().startswith("# ")


def test_the_mistakes_in_the_readme_are_answered_as_shown(tmp_path, monkeypatch):
    text = blocks("yaml")[0].replace("hidden: [256, 128]", "hiden: [256]").replace("name: gaussian", "name: gausian")
    lines = [line for line in text.splitlines() if not line.startswith(("name", "seed"))]
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("\n".join(lines))
    with pytest.raises(GenkitError) as caught:
        as_config("config.yaml")
    shown = [line.removeprefix("error: ") for line in blocks("text")[0].splitlines()]
    assert str(caught.value).splitlines() == shown


def test_the_plugin_in_the_readme_is_an_encoder():
    namespace = {"__name__": "my_package"}
    exec(next(block for block in blocks("python") if "hookimpl" in block), namespace)
    (encoder,) = namespace["components"]()
    assert issubclass(encoder, Encoder)
    made = encoder(encoder.Config(width=5), (1, 8, 8))
    assert made(torch.zeros(3, 1, 8, 8)).shape == (3, *made.out_shape)


@pytest.mark.slow
def test_the_commands_in_the_readme_work_in_its_order(follow):
    """Each line that starts with genkit, with one epoch and all pictures, and then the Python of the README."""
    shown = {command[1] for command in commands("README.md")}
    assert shown >= {"run", "describe", "evaluate", "encode", "reconstruct", "sample"}
    code = next(block for block in blocks("python") if "genkit.run(" in block)
    code += "assert z.shape == (359, 2) and x.shape == (359, 1, 8, 8) and new.shape == (64, 1, 8, 8)\n"
    follow("README.md", pictures=True, python=[code])
    assert {path.name for path in Path("runs").iterdir()} == {
        "vae-digits",
        "vae-digits-2",  # that of the Python
        "vae-digits-latent8-kl.weight0.5-seed1",
        "vae-digits-kl.weight-linear-free_bits0.1",
    }
    for name in ("z.csv", "rebuilt.png", "samples.png"):
        assert Path(name).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("page", ["systems", "conditions"])
def test_a_page_works_in_its_order(page, follow):
    """Each command, with one epoch on small digits, then the Python; all the pictures it shows are written."""

    def short(words):
        if words[0] != "run":
            return words
        named = [] if "name=" in " ".join(words) else [f"name={Path(words[1]).stem}"]
        return [word for word in words if "epochs=" not in word and word != "data=mnist"] + named

    follow(f"docs/{page}.md", change=short, few=["training.epochs=1", "data.size=8"], pictures=True)
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for name in re.findall(r"!\[([\w./-]+\.png):", text):
        assert Path(name).stat().st_size > 0, name


@pytest.mark.slow
def test_the_page_of_the_explorer_works_in_its_order(follow):
    """Each command, with one epoch; of one that serves until Ctrl-C, its options."""
    follow(
        "docs/explorer.md",
        change=lambda words: words if words[0] == "run" or "--static" in words else [*words, "--help"],
    )
    assert Path("space.html").stat().st_size < 300_000


@pytest.mark.slow
def test_the_page_on_python_works_in_its_order(tmp_path, environment, process, users_cache):
    """Each block of Python in a process of its own, and the command between them."""
    environment["XDG_CACHE_HOME"] = str(users_cache)
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    printed = []
    for language, block in re.findall(r"```(python|console)\n(.*?)```", text, re.DOTALL):
        words = ["python", "-W", "error", "-c", block] if language == "python" else shlex.split(block)
        done = process(*words, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        printed += done.stdout.splitlines()
    assert printed[0].startswith("Run('small-vae', 2 of 2 epochs, elbo=-")
    assert printed[1] == "MLPEncoder.Config(hidden=(64,))"
    assert printed[-1] == "(3, 1, 8, 8)"


@pytest.mark.slow
def test_the_page_of_reports_works_in_its_order(follow):
    follow("docs/reports.md", change=lambda words: [word for word in words if "epochs" not in word])
    pages = [Path("latents.html"), Path("digits.html"), *Path("runs").glob("*/report.html")]
    assert len(pages) == 5
    assert all(page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>") for page in pages)


@pytest.mark.parametrize("command", [each for each in commands("docs/mnist.md") if each[1] == "run"], ids=" ".join)
def test_the_configs_of_the_page_on_mnist_are_valid(command):
    changes = [word for word in command[3 : command.index("--out")] if word != "data=mnist"]
    assert as_config(ROOT / command[2], ["data={name: mnist}", *changes]).data.name == "mnist"


@pytest.mark.slow
def test_the_page_of_counts_works_in_its_order(follow, tmp_path):
    """Each command, with one epoch on a small file of the same layout, then the Python."""
    h5py = pytest.importorskip("h5py")
    counts = np.random.default_rng(0).poisson(2.0, (120, 6)).astype(np.int32) + 1
    with h5py.File(tmp_path / "pbmc_chr21.h5", "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"] = counts.ravel(), np.tile(np.arange(6), 120)
        group["indptr"], group["shape"] = np.arange(0, 721, 6), (6, 120)
        group["barcodes"] = np.array([f"cell{number}" for number in range(120)], "S")
        group["features/id"] = group["features/name"] = np.array([f"gene{number}" for number in range(6)], "S")
    rows = [f"cell{number},{'ab'[number % 2]}" for number in range(120)]
    (tmp_path / "cells.csv").write_text("\n".join(["barcode,donor", *rows, ""]))
    follow("docs/counts.md")
    genes = ",".join(f"gene{number}" for number in range(6))
    assert (tmp_path / "rows.csv").read_text().partition("\n")[0] == f"batch,{genes}"
    assert (tmp_path / "drawn.csv").read_text().partition("\n")[0] == f"row,id,{genes}"


@pytest.mark.slow
def test_the_page_of_tables_works_in_its_order(follow, tmp_path):
    """Each command, with one epoch on a small table of the same columns, then the Python."""
    names = "survived,pclass,sex,age,sibsp,parch,fare,embarked,class,who,adult_male,deck,embark_town,alive,alone"
    kinds = (
        "0,3,male,22.0,1,0,7.25,S,Third,man,True,,Southampton,no,False",
        "1,1,female,,1,2,71.2833,C,First,woman,False,C,Cherbourg,yes,True",
        "1,2,female,4,0,1,16.7,,Second,child,False,G,,yes,False",
    )
    (tmp_path / "titanic.csv").write_text("\n".join([names, *kinds * 60, ""]))
    (tmp_path / "new.csv").write_text("\n".join([names, *kinds, ""]))
    follow("docs/tables.md")
    assert (tmp_path / "rows.csv").read_text().partition("\n")[0] == names
    assert (tmp_path / "rebuilt.csv").read_text().partition("\n")[0] == f"row,{names}"


@pytest.mark.slow
def test_the_page_of_anomalies_works_in_its_order(follow, tmp_path):
    """Each command, with one epoch on small files of the same form, then the Python."""
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 10 == 0).astype(np.int64)
    for name, width in (("38_thyroid", 6), ("6_cardio", 21)):
        np.savez(tmp_path / f"{name}.npz", X=rng.normal(size=(300, width)) * (1 + 4 * y[:, None]), y=y)
    np.savez(tmp_path / "new.npz", X=rng.normal(size=(20, 6)))
    follow("docs/anomalies.md")
    assert len((tmp_path / "new.csv").read_text().splitlines()) == 21
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 30 + 135


@pytest.mark.slow
def test_the_page_of_images_works_in_its_order(follow, tmp_path):
    """Each command, with one epoch on small photos and few activations, then the Python."""
    script = runpy.run_path(str(ROOT / "examples" / "transformer_activations.py"))
    script["write"](tmp_path / "activations", steps=5, modules=("difflib",))
    (tmp_path / "photos").mkdir()
    for name in ("Landscape_6.jpg", "Portrait_8.jpg"):
        Image.linear_gradient("L").convert("RGB").save(tmp_path / "photos" / name)

    def fewer(words):
        photos = words[0] == "run" and "vae-photos" in words[1]
        return [*words, "prior.components=2", "name=vae-photos"] if photos else words

    assert [len(printed.splitlines()) for printed in follow("docs/images-and-arrays.md", change=fewer)] == [5]
    assert (tmp_path / "rebuilt.png").stat().st_size > 0
    with (tmp_path / "codes.csv").open(newline="") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    with np.load(tmp_path / "rebuilt.npz") as rebuilt:
        assert rebuilt["id"].tolist() == ids
    assert sum(name.startswith("Portrait_8.jpg[") for name in ids) > len(ids) / 3


@pytest.mark.parametrize("block", blocks("yaml", "docs/images-and-arrays.md"))
def test_the_data_of_the_page_of_images_are_valid_configs(block):
    text = " ".join(block.split()).replace("data: ", "data=", 1)
    assert as_config(ROOT / "examples" / "vae-photos.yaml", [text]).data.name in block


@pytest.mark.parametrize("block", blocks("yaml", "docs/posteriors.md"))
def test_the_samplers_of_the_page_of_posteriors_are_valid_configs(block):
    changes = [" ".join(line.split()).replace(": ", "=", 1) for line in block.splitlines()]
    assert as_config(ROOT / "examples" / "vae-digits.yaml", changes).sampler.name in block


@pytest.mark.parametrize(
    "command", [*commands("docs/posteriors.md"), *commands("docs/flows-and-priors.md")], ids=" ".join
)
def test_the_commands_of_the_pages_of_posteriors_and_priors_are_of_valid_configs(command):
    if command[1] == "run":
        path, *changes = command[2 : command.index("--out") if "--out" in command else None]
        assert as_config(ROOT / path, changes).name == Path(path).stem


@pytest.mark.parametrize("block", blocks("yaml", "docs/flows-and-priors.md"))
def test_the_parts_of_the_page_of_flows_and_priors_make_models(block):
    pytest.importorskip("zuko", reason="needs zuko, of the extra `flows`")
    config = as_config(ROOT / "examples" / "vae-digits.yaml", [block.strip().replace(": ", "=", 1)])
    passed = genkit.build(config, (1, 8, 8))(torch.rand(3, 1, 8, 8))
    assert passed.latent.log_ratio.isfinite().all()


@pytest.mark.parametrize("block", blocks("yaml", "docs/disentanglement.md"))
def test_the_terms_and_metrics_of_the_page_of_disentanglement_make_models(block):
    changes = [line.replace(": ", "=", 1) for line in block.splitlines()]
    config = as_config(ROOT / "examples" / "vae-beta.yaml", changes)
    assert genkit.build(config, (1, 16, 16)).losses.keys() >= {"reconstruction"}


@pytest.mark.parametrize("command", commands("docs/disentanglement.md"), ids=" ".join)
def test_the_commands_of_the_page_of_disentanglement_are_of_valid_configs(command):
    assert command[1] == "run"
    assert as_config(ROOT / command[2], command[3:]).name == Path(command[2]).stem


def test_the_floor_of_the_page_of_flows_and_priors_is_as_stated(finished):
    code = blocks("python", "docs/flows-and-priors.md")[0].replace("runs/vae-vamp", str(finished.directory.path))
    namespace = {}
    exec(code, namespace)
    assert f"−{-namespace['floor']:.2f}" in (ROOT / "docs" / "flows-and-priors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", commands("docs/likelihoods.md") + commands("docs/networks.md"), ids=" ".join)
def test_the_runs_of_the_pages_on_likelihoods_and_networks_are_valid(command):
    assert as_config(ROOT / command[2], [word for word in command[3:] if "=" in word]).name in command[2]


@pytest.mark.parametrize("block", blocks("yaml", "docs/likelihoods.md"))
def test_the_likelihoods_of_their_page_make_models(block):
    text = block.split("  #")[0].strip().replace("likelihood: ", "likelihood=", 1)
    config = as_config(ROOT / "examples" / "vae-digits.yaml", [text])
    assert genkit.build(config, (1, 8, 8)).likelihood.is_density


@pytest.mark.parametrize("block", blocks("yaml", "docs/dictionaries.md"))
def test_the_dictionaries_of_their_page_make_models(block):
    parts = [line.replace(": ", "=", 1) for line in block.splitlines()]
    config = as_config(ROOT / "examples" / "sae-topk.yaml", parts)
    assert genkit.build(config, (16,)).eval().encode(torch.zeros(2, 16)).shape == (2, 512)


@pytest.mark.parametrize("block", blocks("yaml", "docs/critics.md"))
def test_the_critics_of_their_page_make_models(block):
    config = as_config(ROOT / "examples" / "gan.yaml", [line.replace(": ", "=", 1) for line in block.splitlines()])
    assert genkit.build(config, (1, 8, 8)).critics


@pytest.mark.parametrize("command", commands("docs/dictionaries.md"), ids=" ".join)
def test_the_commands_of_the_page_of_dictionaries_are_of_examples(command):
    assert command[1] != "run" or as_config(ROOT / command[2]).name == Path(command[2]).stem


@pytest.mark.parametrize("block", blocks("yaml", "docs/codes.md"))
def test_the_parts_of_the_page_of_codes_make_models(block):
    changes = [block.strip().replace(": ", "=", 1), "loss=reconstruction"]
    config = as_config(ROOT / "examples" / "vq-digits.yaml", changes)
    model = genkit.build(config, (1, 8, 8))
    assert model.prior.positions == model.sampler.positions


@pytest.mark.slow
def test_the_page_of_codes_works_in_its_order(follow, tmp_path):
    """The commands of the first run, with one epoch, then the Python; the others are of valid configs."""

    def first(words):
        if "vq-digits" in words[1]:
            return words
        assert words[0] == "compare" or as_config(words[1], words[2:])
        return None

    follow("docs/codes.md", change=first, few=["training.epochs=1", "prior.epochs=1", "name=vq-digits"])


@pytest.mark.parametrize("block", blocks("yaml", "docs/networks.md"))
def test_the_networks_of_their_page_make_models(block):
    parts = [line.replace(": ", "=", 1) for line in block.splitlines()]
    config = as_config(ROOT / "examples" / "vae-digits.yaml", parts)
    assert genkit.build(config, (1, 8, 8)).encode(torch.zeros(2, 1, 8, 8)).shape == (2, 2)


@pytest.mark.slow
def test_the_page_of_series_works_in_its_order(follow, tmp_path):
    """Each command, with one epoch on small series of the same form, then the Python."""
    for part, odd in (("TRAIN", 999), ("TEST", 150)):
        steps = (f"{step},{math.sin(step / 5) + 60:.4f},{int(step == odd)}" for step in range(400))
        path = tmp_path / f"135_UCR_Anomaly_InternalBleeding16_{part}.csv"
        path.write_text("\n".join(["timestamp,value,is_anomaly", *steps, ""]))
        lengths = [7, 29, *(7 + number % 20 for number in range(58))]
        series = (
            ":".join(",".join(f"{math.cos(n + c + step / 4):.4f}" for step in range(length)) for c in range(12))
            for n, length in enumerate(lengths)
        )
        header = "@classLabel true 1 2 3 4 5 6 7 8 9\n@data"
        lines = (f"{text}:{1 + n % 9}" for n, text in enumerate(series))
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text("\n".join([header, *lines, ""]))
    follow("docs/series.md")
    assert (tmp_path / "rebuilt.csv").read_text().partition("\n")[0] == "series,step,labels,id,value"
    names = ",".join(f"channel {place}" for place in range(12))
    assert (tmp_path / "vowels.csv").read_text().partition("\n")[0] == f"series,step,{names}"


@pytest.mark.slow
def test_the_page_of_the_start_works_in_its_order_and_answers_as_it_says(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in commands("docs/start.md"):
        answer = cli(*command[1:])
        assert answer.code == 0, (command, answer)
    rows = re.findall(r"^\| `genkit ([^`]+)` \| (.+) \|$", (ROOT / "docs" / "start.md").read_text(), re.MULTILINE)
    assert len(rows) == 6
    for words, expected in rows[:-1]:
        answer = cli(*words.split())
        assert answer.code == 2
        assert expected in answer.err


@pytest.mark.slow
def test_the_training_page_works_in_its_order(follow, tmp_path):
    """Each command as it is, but for the steps of one; the example ends early with weights of an epoch before."""
    follow(
        "docs/training.md", few=(), change=lambda words: [*words, *["training.steps=50"] * ("runs/plateau" in words)]
    )
    runs = tmp_path / "runs"
    kept, stopped = (json.loads((runs / "vae-few" / f"{name}.json").read_text()) for name in ("kept", "stopped"))
    assert kept["epoch"] == stopped["epoch"] - 30
    assert len((runs / "short" / "metrics.jsonl").read_text().splitlines()) == 50
    assert (runs / "tuned" / "init.json").is_file()
    shown = re.search(r"```yaml\ntraining:\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)[1]
    example = (ROOT / "examples" / "vae-few.yaml").read_text()
    assert [line for line in shown.splitlines() if line not in example] == []


OFFLINE = "--no-deps --no-build-isolation --no-index --quiet --disable-pip-version-check"
STAND_INS = {  # for what would need a network, or change the environment that the tests run in
    "pip install -e '.[dev]'": f"python -m pip install {OFFLINE} --target ../site .",
    "pip install build": "python -c 'import build'",
    "python -m build": "python -m build --no-isolation",
    "pip uninstall --yes genkit-haar": "rm -r ../site src",
}


SHORTER = {
    "training.epochs=50": "training.epochs=1",
    "sampler.latent=2,8,32": "sampler.latent=2,8",
    "seed=0..4": "seed=0",
}
SHORTER |= {"loss.kl.weight=0.5,1": "loss.kl.weight=1", "20": "1"}


@pytest.mark.slow
def test_the_page_of_sweeps_works_in_its_order(tmp_path, environment, process):
    """Each command, with fewer and shorter runs."""
    for command in commands("docs/sweeps.md"):
        words = [SHORTER.get(word, word) for word in command]
        if "--search" not in words or find_spec("optuna") is not None:
            done = process(*words, cwd=tmp_path, env=environment)
            assert done.returncode == 0, (command, done.stderr)
            assert done.stdout in ("sweeps/vae-digits\n", "sweeps/search\n")
    files = re.findall(
        r"`([\w-]+\.[a-z]+)`", "".join(re.findall(r"^\| `.*", (ROOT / "docs/sweeps.md").read_text(), re.M))
    )
    assert len(files) == 8
    assert [name for name in files if not (tmp_path / "sweeps" / "vae-digits" / name).is_file()] == []
    histories = sorted((tmp_path / "sweeps").glob("vae-digits/runs/*/metrics.jsonl"))
    assert [len(path.read_text().splitlines()) for path in histories] == [1, 1]


def typed(command, process, folder, environment):
    """What a shell does with a line: NAME=VALUE before a command that is ours, and all else as it is."""
    variables, words = {}, shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    if words[0] == "pytest":
        words[:1] = ["python", "-m", "pytest"]
    if words[0] in ("genkit", "python"):
        return process(*words, cwd=folder, env=environment | variables)
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


def _without_others(answer):
    """An answer without the plugins that happen to be installed here."""
    for distribution in metadata.distributions():
        if any(entry.group == "genkit" for entry in distribution.entry_points):
            answer = answer.replace(f"{distribution.name} {distribution.version}, ", "")
            answer = answer.replace(f", {distribution.name} {distribution.version};", ";")
    return answer


@pytest.mark.slow
def test_the_plugin_guide_works_in_its_order(tmp_path, environment, process):
    """Each command, file and answer of it; the plugin's source comes before what is installed, as it does with -e."""
    project = tmp_path / "genkit-haar"
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    environment["PYTHONPATH"] = os.pathsep.join([str(project / "src"), str(tmp_path / "site")])
    folder, answer, answers = tmp_path, "", 0
    for language, block in re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "plugins.md").read_text(), re.DOTALL):
        if language in ("python", "yaml"):
            (folder / block.splitlines()[0].removeprefix("# ")).write_text(block)
        elif language == "text":
            given = [line.rstrip() for line in answer.splitlines()]
            assert [line for line in block.splitlines() if line not in given] == [], answer
            answers += 1
        for command in block.splitlines() if language == "console" else ():
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
                continue
            environment["GENKIT_PLUGINS"] = "all" if "sines" in command else "genkit-haar"
            done = typed(STAND_INS.get(command, command), process, folder, environment)
            answer = _without_others(done.stdout + done.stderr)
            if "new-plugin" in command:  # its example is to be trained three times
                example = project / "example.yaml"
                example.write_text(re.sub(r"epochs: \d+", "epochs: 2", example.read_text()))
            assert done.returncode == (2 if "error: " in answer else 0), (command, answer)
    assert folder == project
    assert answers == 4
    assert {path.suffix for path in (project / "dist").iterdir()} == {".whl", ".gz"}
    assert {path.name for path in (project / "runs").iterdir()} == {
        "haar",
        "haar-width128-levels2",
        "haar-encoder-haar",
        "sines",
    }


def test_the_listener_of_the_plugin_guide_ends_a_run_when_it_says():
    namespace: dict = {}
    exec(next(block for block in blocks("python", "docs/plugins.md") if "early.py" in block), namespace)
    stopping = namespace["EarlyStopping"](patience=2)
    answers, run = [], SimpleNamespace(history=[])
    for loss in (None, 3.0, 1.0, 2.0, 1.0):
        validation = None if loss is None else SimpleNamespace(loss=loss)
        run.history.append(SimpleNamespace(validation=validation))
        answers.append(stopping.should_stop(run, run.history[-1]))
    assert answers == [False, False, False, False, True]
    assert isinstance(namespace["listener"](run), namespace["EarlyStopping"])


@pytest.mark.parametrize("name", ["detour", "asinh"])
def test_a_part_of_the_plugin_guide_keeps_its_contract(name):
    namespace: dict = {"__name__": name}
    exec(next(block for block in blocks("python", "docs/plugins.md") if f"{name}.py" in block), namespace)
    (component,) = namespace["components"]()
    assert {result.status for result in (check.result() for check in checks(component))} == {"ok"}


def test_the_source_of_the_plugin_guide_reads_rows_where_they_are(tmp_path):
    namespace: dict = {"__name__": "rows"}
    exec(next(block for block in blocks("python", "docs/plugins.md") if "raw-rows" in block), namespace)
    (source,) = namespace["components"]()
    values = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    values.tofile(tmp_path / "rows")
    config = source.Config(path=str(tmp_path / "rows"), width=3)
    results = {check.name: check.result() for check in checks(source, config)}
    assert [result for result in results.values() if result.status in ("FAILED", "not run")] == []
    assert results["readers"].status == "ok"
    assert source(config).load().train.x[:].numpy().tolist() == values.tolist()


def test_the_parts_of_the_page_on_conditions_keep_their_contracts(tmp_path, monkeypatch):
    code = next(block for block in blocks("python", "docs/conditions.md") if "@genkit.register" in block)
    (tmp_path / "parts_of_the_page.py").write_text(code.partition("run = genkit.run(")[0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("genkit.register", lambda part: part)
    page = importlib.import_module("parts_of_the_page")
    for part in (page.Told, page.Wide):
        assert [result for result in (check.result() for check in checks(part)) if result.status == "FAILED"] == []


def test_the_term_over_pairs_of_the_plugin_guide_keeps_its_contract(tmp_path, monkeypatch):
    block = next(block for block in blocks("python", "docs/plugins.md") if "totalcorr.py" in block)
    (tmp_path / "totalcorr_of_the_guide.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    (term,) = importlib.import_module("totalcorr_of_the_guide").components()
    results = {check.name: check.result() for check in checks(term)}
    assert [result for result in results.values() if result.status in ("FAILED", "not run")] == []
    assert results["shared batch"].status == results["together compiled"].status == "ok"


def test_the_term_over_pairs_of_the_plugin_guide_has_the_value_of_a_gaussian_in_closed_form():
    namespace: dict = {"__name__": "totalcorr"}
    exec(next(block for block in blocks("python", "docs/plugins.md") if "totalcorr.py" in block), namespace)
    (term,) = namespace["components"]()
    sampler = GaussianSampler(GaussianSampler.Config(), None)
    made, n, rho, noise = term(term.Config(), (1,)), 2000, 0.9, 0.5
    made.attach(SimpleNamespace(sampler=sampler))
    torch.manual_seed(0)
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    mean = torch.randn(n, 2, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    z = mean + noise * torch.randn_like(mean)
    latent = Latent(z.unsqueeze(0), mean, None, None, extra={"log_var": torch.full_like(mean, 2 * math.log(noise))})
    values = made(SimpleNamespace(latent=latent))
    exact = -0.5 * math.log(1 - (rho / (1 + noise**2)) ** 2)
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / n**0.5)


def test_the_pair_of_the_plugin_guide_keeps_its_contract(tmp_path, monkeypatch):
    block = next(block for block in blocks("python", "docs/plugins.md") if "codebook.py" in block)
    (tmp_path / "codebook_of_the_guide.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    pair = importlib.import_module("codebook_of_the_guide").components()
    with registry().registered_within(*pair):
        for component in pair:
            results = {check.name: check.result() for check in checks(component)}
            assert [result for result in results.values() if result.status in ("FAILED", "not run")] == []
            assert results["together"].status == results["together compiled"].status == "ok"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_file_that_a_document_links_to_is_there(document):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_test_that_proves_a_promise_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_changelog_has_a_place_for_what_comes():
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_docstring_examples_run():
    tried = 0
    for plugin in installed().plugins:
        for component in plugin.components:
            module = importlib.import_module(component.__module__)
            tests = doctest.DocTestFinder().find(component, module=module, globs={**vars(module), "torch": torch})
            for test in tests:
                result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
                assert result.failed == 0, test.name
                tried += result.attempted
    assert tried > 0


NAMED = re.findall(r"`([^`]*=[^`]*)`", "\n".join(re.findall(r"^\|.*", (ROOT / "docs" / "models.md").read_text(), re.M)))


@pytest.mark.parametrize("options", NAMED)
def test_the_models_of_the_page_of_names_can_be_built(options):
    if re.search("form: (iaf|affine)|fitted_flow", options) and find_spec("zuko") is None:
        pytest.skip("needs zuko, of the extra flows")
    config = as_config(ROOT / "examples" / "vae-digits.yaml", shlex.split(options))
    size = 28 if "data.size=28" in options else 8
    model = genkit.build(config, (1, size, size))
    assert model(torch.rand(4, 1, size, size)).params is not None


def test_the_examples_of_the_page_of_names_are_there():
    text = (ROOT / "docs" / "models.md").read_text()
    names = set(re.findall(r"`((?:vae|vq|fsq|gan|sae|autoencoder|wae)(?:-[a-z0-9-]+)?)`", text)) - {"wae"}
    assert names
    assert [name for name in sorted(names) if not (ROOT / "examples" / f"{name}.yaml").is_file()] == []
