import gzip
import json
import signal
import struct
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import genkit
from genkit.errors import GenkitWarning
from genkit.runs import running
from genkit.runs.comparison import compare
from genkit.runs.opening import as_config, create_directory, prepare
from genkit.sharing.weights import save

QUICK = ["training.epochs=2", "encoder.hidden=[16]", "decoder.hidden=[16]"]
CONFIG = """\
data: digits
encoder: mlp
sampler: gaussian
decoder: mlp
likelihood: bernoulli
loss: [reconstruction, kl]
"""


def one_message(answer):
    """The refusal of bad input: code 2, something said, no traceback."""
    assert answer.code == 2, answer
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err + answer.out
    return answer.err


def idx(shape, content=None, magic=None):
    header = (
        magic if magic is not None else struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    )
    return header + (bytes(int(np.prod(shape))) if content is None else content)


@pytest.fixture
def mnist(tmp_path):
    """A folder with the four files of MNIST's form, all zeros."""
    for name, n in (("train", 20), ("t10k", 10)):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx((n, 28, 28)))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx((n,))))
    return tmp_path


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


# What each command gives


@pytest.mark.usefixtures("bare")
def test_run_prints_its_directory_alone_on_stdout_and_the_terms_on_stderr(cli, digits, tmp_path):
    answer = cli("run", digits, *QUICK, "--out", tmp_path / "run")
    assert answer.code == 0, answer
    assert answer.out == f"{tmp_path / 'run'}\n"
    lines = answer.err.splitlines()
    assert lines[0].startswith("digits: 1,258 train, 180 validation, 359 test;")
    assert lines[1].startswith("data are taken as: ")
    assert lines[2].startswith("steps are not compiled: ")
    first, second = (line for line in lines if line.startswith("epoch "))
    assert first.startswith("epoch 1/2  loss ")
    assert " kl " in first
    assert second.startswith("epoch 2/2  loss ")
    assert any(line.startswith("test: ELBO -") for line in lines)
    assert lines[-1] == f"weights: {tmp_path / 'run' / 'model.safetensors'}"


@pytest.mark.usefixtures("bare")
def test_a_quiet_run_prints_its_directory_and_else_nothing_but_errors(cli, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "train", _warning_of(running.train))
    out = tmp_path / "run"
    quiet = cli("run", "vae-digits", *QUICK, "training.epochs=1", "--out", out, "-q")
    assert quiet == (0, f"{out}\n", "")
    assert cli("resume", out, "--epochs", 2, "--quiet") == (0, f"{out}\n", "")
    assert cli("run", digits, "epoks=1", "-q").err.startswith("error: ")
    with warnings.catch_warnings():
        warnings.simplefilter("default", GenkitWarning)
        loud = cli("resume", out, "--epochs", 3)
    assert (loud.code, loud.out) == (0, f"{out}\n")
    assert "warning: take heed" in loud.err
    assert "printed by a plugin" in loud.err


def _warning_of(train):
    """`train` in a process where a plugin prints, and something is warned of."""

    def call(*arguments, **options):
        warnings.warn("take heed", GenkitWarning, stacklevel=1)
        if arguments[0].config.training.epochs == 3:
            print("printed by a plugin")
        return train(*arguments, **options)

    return call


def test_describe_shows_each_layer_and_the_heads_side_by_side(cli, digits):
    answer = cli("describe", digits)
    assert "sampler.mean | log_var  Linear | Linear" in answer.out
    assert "99,908 parameters" in answer.out


def test_evaluate_and_describe_say_what_the_diagnosis_says(cli, finished):
    expected = [f"note: {each.text}" for each in finished.notes()]
    assert "note: the loss still falls after epoch 3: a longer training may give a better model" in expected
    for command in ("describe", "evaluate"):
        lines = cli(command, finished.directory.path).out.splitlines()
        assert [line for line in lines if line.startswith("note: ")] == expected
    notes = json.loads(cli("evaluate", finished.directory.path, "--json").out)["notes"]
    assert [each["rule"] for each in notes] == [each.rule for each in genkit.diagnose(finished.directory.path)]
    assert finished.notes() == genkit.diagnose(finished.directory.path)


def test_describe_gives_the_same_rows_for_config_run_and_file(cli, digits, finished):
    sources = digits, finished.directory.path, finished.directory.model
    rows = [json.loads(cli("describe", source, "--json").out) for source in sources]
    assert rows[0] == rows[1] == rows[2]
    assert {"name", "type", "shape", "parameters"} <= rows[0][0].keys()
    assert rows[0][0]["shape"] == [1, 8, 8]
    assert sum(row["parameters"] for row in rows[0]) == 99_908


def test_evaluate_gives_the_figures_of_the_run(cli, finished):
    figures = json.loads(cli("evaluate", finished.directory.path, "--json").out)
    probes = figures.pop("metrics").pop("probe")
    del figures["notes"]
    assert figures == finished.evaluation.to_json()
    assert set(probes) == {"knn", "linear", "knn_pca", "linear_pca"}
    assert 0.5 < probes["knn_pca"] < 1
    assert figures["split"] == "test"
    assert figures["elbo"] == pytest.approx(-figures["reconstruction"] - figures["kl"])
    assert "reconstruction" in cli("evaluate", finished.directory.model, "--split", "train").out


def test_encode_writes_the_same_latents_and_labels_twice(cli, finished, tmp_path):
    for name in ("one.npz", "two.npz"):
        assert cli("encode", finished.directory.path, "--out", tmp_path / name).code == 0
    one, two = np.load(tmp_path / "one.npz"), np.load(tmp_path / "two.npz")
    assert set(one) == {"z", "labels", "row"}
    assert np.array_equal(one["z"], two["z"])
    order = finished.data.rows["test"].argsort()
    assert np.array_equal(one["row"], finished.data.rows["test"][order].numpy())
    assert np.array_equal(one["labels"], finished.data.test.labels[order].numpy())
    assert torch.equal(torch.from_numpy(one["z"]), finished.model.encode(finished.data.test.x)[order])


def test_encode_takes_other_data_than_the_runs(cli, finished, tmp_path):
    x = finished.data.test.x[:7]
    save_file({"x": x}, tmp_path / "mine.safetensors")
    source = f"data={{name: arrays, path: {tmp_path / 'mine.safetensors'}}}"
    answer = cli("encode", finished.directory.path, source, "--split", "all", "--out", tmp_path / "z.npz")
    assert answer.code == 0, answer
    z = np.load(tmp_path / "z.npz")["z"]
    assert z.shape == (7, 2)  # in the order of the file
    assert z[:, 0].tolist() == pytest.approx(finished.model.encode(x)[:, 0].tolist(), abs=1e-6)
    assert np.load(tmp_path / "z.npz")["row"].tolist() == list(range(7))


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.safetensors", "evaluation.json"])
def test_no_output_takes_the_place_of_a_file_of_a_run(cli, finished, name):
    path = finished.directory.path / name
    before = path.read_bytes()
    answer = cli("sample", finished.directory.path, "--out", path)
    assert answer.code == 2
    assert f"error: --out {path}: is a file of that run, and would be lost" in answer.err
    assert path.read_bytes() == before


def test_encode_writes_tables(cli, finished, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("z.csv", "z.parquet"):
        assert cli("encode", finished.directory.path, "--out", tmp_path / name).code == 0
    lines = (tmp_path / "z.csv").read_text().splitlines()
    assert lines[0] == "z_0,z_1,labels,row"
    assert len(lines) == 1 + 359
    table = parquet.read_table(tmp_path / "z.parquet")
    assert table.column_names == ["z_0", "z_1", "labels", "row"]
    assert table.num_rows == 359


def test_sample_writes_arrays_and_pictures_and_repeats_itself(cli, finished, tmp_path):
    for name in ("one.npy", "two.npy", "s.png", "s.safetensors"):
        assert cli("sample", finished.directory.path, "-n", 64, "--out", tmp_path / name).code == 0
    x = np.load(tmp_path / "one.npy")
    assert x.shape == (64, 1, 8, 8)
    assert x.min() >= 0
    assert x.max() <= 1
    assert np.array_equal(x, np.load(tmp_path / "two.npy"))
    assert np.array_equal(x, load_file(tmp_path / "s.safetensors")["x"].numpy())
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size == (8 * 58 + 2, 8 * 58 + 2)
    cli("sample", finished.directory.path, "-n", 64, "--seed", 1, "--out", tmp_path / "two.npy")
    assert not np.array_equal(x, np.load(tmp_path / "two.npy"))


def test_many_samples_are_streamed_to_what_one_call_gives(cli, finished, tmp_path):
    assert cli("sample", finished.directory.path, "--n", 2500, "--out", tmp_path / "x.npy").code == 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = finished.model.sample(2500)
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected.numpy())


def test_interpolate_goes_from_one_reconstruction_to_another(cli, finished, tmp_path):
    ends = ["--from", 3, "--to", 8, "--steps", 5]
    for name in ("i.npy", "i.png"):
        assert cli("interpolate", finished.directory.path, *ends, "--out", tmp_path / name).code == 0
    between = np.load(tmp_path / "i.npy")
    x = finished.data.test.x
    assert between.shape == (5, 1, 8, 8)
    np.testing.assert_allclose(between[[0, 4]], finished.model.reconstruct(x[[3, 8]]).numpy(), atol=1e-6)
    middle = finished.model.decode(finished.model.encode(x[[3, 8]]).mean(0, keepdim=True))
    np.testing.assert_allclose(between[2], middle[0].numpy(), atol=1e-6)
    answer = cli("interpolate", finished.directory.path, "--to", 400, "--out", tmp_path / "i.npy")
    assert "the test split has the data 0 to 358, not 400" in one_message(answer)


def test_sample_makes_a_grid_of_pictures_but_not_of_arrays(cli, finished, tmp_path):
    assert cli("sample", finished.directory.path, "--grid", "-n", 9, "--out", tmp_path / "grid.png").code == 0
    assert cli("sample", finished.directory.path, "-n", 9, "--out", tmp_path / "plain.png").code == 0
    assert (tmp_path / "grid.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (3 * 58 + 2, 3 * 58 + 2)
    answer = cli("sample", finished.directory.path, "--grid", "--out", tmp_path / "grid.npy")
    assert "--grid makes a picture; call it grid.png" in one_message(answer)
    assert not (tmp_path / "grid.npy").exists()


def test_sample_with_noise_draws_from_the_likelihood(cli, finished, tmp_path):
    cli("sample", finished.directory.path, "--noise", "--out", tmp_path / "x.npy")
    assert set(np.unique(np.load(tmp_path / "x.npy"))) == {0.0, 1.0}


def test_reconstruct_writes_data_beside_what_the_model_makes_of_them(cli, finished, tmp_path):
    assert cli("reconstruct", finished.directory.path, "-n", 5, "--out", tmp_path / "r.npz").code == 0
    arrays = np.load(tmp_path / "r.npz")
    order = finished.data.rows["test"].argsort()[:5]  # in the order of the source
    assert np.array_equal(arrays["row"], finished.data.rows["test"][order].numpy())
    assert np.array_equal(arrays["labels"], finished.data.test.labels[order].numpy())
    x = finished.data.test.x[order]
    assert np.array_equal(arrays["x"], x.numpy())
    assert np.array_equal(arrays["reconstruction"], finished.model.reconstruct(x).numpy())
    assert cli("reconstruct", finished.directory.path, "--out", tmp_path / "r.png").code == 0
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.size == (12 * 58 + 2, 4 * 58 + 2)


def test_plugins_lists_what_is_installed(cli):
    rows = {row["name"]: row for row in json.loads(cli("plugins", "--json").out)}
    assert rows["mlp"]["distribution"] == "genkit-torch"
    assert rows["mlp"]["components"] == ["encoder/mlp", "decoder/mlp"]
    assert rows["tensorboard"]["events"] == ["listener"]
    assert rows["vae"]["problems"] == []
    assert "mlp  (genkit-torch" in cli("plugins").out


def test_version(cli):
    assert cli("--version").out.startswith("genkit-torch ")


def test_python_finds_the_command_line_as_a_module():
    done = subprocess.run([sys.executable, "-m", "genkit", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("genkit-torch ")
    done = subprocess.run([sys.executable, "-m", "genkit", "no-such-command"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no-such-command" in done.stderr


KNOT = """
import gc, sys
from genkit.cli import main
class Knot:
    def __init__(self): self.own = self
    def __del__(self): print("found")
gc.disable()
Knot()
if sys.argv[1:]:
    main()
"""


def test_a_command_does_not_end_with_a_search_for_cycles():
    def said(*arguments):
        return subprocess.run([sys.executable, "-c", KNOT, *arguments], capture_output=True, text=True).stdout

    assert "found" in said()
    assert said("--version").startswith("genkit-torch ")
    assert "found" not in said("--version")


HELP_IN_ANOTHER_PROCESS = """
import sys
from genkit.cli import main
sys.argv = ["genkit", "--help"]
try:
    main()
finally:
    print([name for name in ("torch", "numpy", "pydantic", "matplotlib") if name in sys.modules], file=sys.stderr)
"""


def test_help_imports_no_torch_and_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP_IN_ANOTHER_PROCESS], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert "describe" in done.stdout


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_resume_finishes(digits, tmp_path, environment, process):
    command = ["genkit", "run", str(digits), "training.epochs=25", "--out", str(tmp_path / "run")]
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in err
    assert f"To go on: genkit resume {tmp_path / 'run'}" in err
    resumed = process("genkit", "resume", tmp_path / "run", env=environment)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after epoch" in resumed.stderr
    whole = genkit.run(digits, ["training.epochs=25"], out=tmp_path / "whole")
    there = genkit.load(tmp_path / "run").state_dict()
    assert all(torch.equal(tensor, there[name]) for name, tensor in whole.model.state_dict().items())


# compare


@pytest.fixture
def comparing(monkeypatch, tmp_path_factory, tmp_path):
    """A wide terminal, a folder to work in, and a cache of classifiers that have seen little."""
    monkeypatch.setattr("genkit.evaluation.classifier.STEPS", 20)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path_factory.getbasetemp() / "cache" / project)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def of_other_data(digits, tmp_path):
    """The directories of two models that nobody trained, one of digits split otherwise and one of larger digits."""
    made = {"otherwise": "data.split_seed=1", "larger": "data.size=9"}
    for name, override in made.items():
        save(tmp_path / "other" / name / "model.safetensors", prepare(as_config(digits, [*QUICK, override]))[1])
    return [tmp_path / "other" / name for name in made]


@pytest.mark.usefixtures("comparing")
def test_compare_prints_its_table_and_the_page_that_it_wrote(cli, trained, tmp_path):
    paths = [one.directory.path for one in trained.values()]
    answer = cli("compare", *paths, "--out", "pages/page.png")
    assert answer.code == 0, answer
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert lines[-1] == "pages/page.png"
    assert lines[0].split() == [*trained, "floor"]
    counts = [f"{sum(parameter.numel() for parameter in one.model.parameters()):,}" for one in trained.values()]
    assert lines[1].split()[0] == "encoder", "options that differ come first"
    assert ["parameters", *counts, "–"] in [line.split() for line in lines]
    (elbo,) = (line.split()[-4:] for line in lines if line.startswith("evidence lower bound"))
    assert elbo == [f"{trained['vae-digits'].evaluation.elbo:.2f}", "–", "–", "–"]
    with Image.open(tmp_path / "pages" / "page.png") as page:
        page.load()
        assert page.width > page.height * 0.8


@pytest.mark.usefixtures("comparing")
def test_compare_prints_json_alone_and_names_its_page_itself(cli, trained, tmp_path):
    path = trained["gan"].directory.path
    answer = cli("compare", path, "-n", 100, "--seed", 5, "--json")
    values = json.loads(answer.out)
    assert values == json.loads(json.dumps(compare([path], count=100, seed=5).comparison.to_json()))
    assert [entry["name"] for entry in values["entries"]] == ["gan"]
    assert values["floor"]["count"] == 100
    assert [file.name for file in tmp_path.iterdir()] == ["compare.png"]


@pytest.mark.usefixtures("comparing")
def test_compare_takes_a_file_of_weights_in_place_of_a_run(cli, trained, tmp_path):
    one, other = (trained[name].directory for name in ("vae-digits", "gan"))
    answer = cli("compare", one.model, other.path, "-n", 100)
    assert answer.code == 0, answer
    assert answer.out.splitlines()[0].split() == ["vae-digits", "gan", "floor"]
    assert (tmp_path / "compare.png").is_file()


@pytest.mark.usefixtures("comparing")
def test_compare_takes_other_data_for_all(cli, trained, of_other_data):
    path = trained["vae-digits"].directory.path
    given = [path, of_other_data[0], "-n", 100, "--json"]
    assert cli("compare", *given).code == 2
    answer = cli("compare", *given, "data.split_seed=4", "data.test=0.1")
    assert answer.code == 0, answer
    assert [entry["evaluation"]["count"] for entry in json.loads(answer.out)["entries"]] == [180, 180]
    assert "only the data can be changed" in one_message(cli("compare", path, "seed=3"))


@pytest.mark.usefixtures("comparing")
def test_compare_writes_a_page_of_a_format_or_nothing(cli, trained, tmp_path):
    for name in ("page.gif", "page", "page.npz"):
        message = one_message(cli("compare", trained["gan"].directory.path, "--out", name))
        assert f"--out {name}: the page is one of .png, .svg, .pdf, .html; call it page.png" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("comparing")
def test_compare_refuses_runs_of_different_data_and_keeps_the_page_that_is_there(cli, trained, of_other_data, tmp_path):
    path = trained["vae-digits"].directory.path
    (tmp_path / "old.png").write_bytes(b"kept")
    for out in ("old.png", "new.png"):
        message = one_message(cli("compare", path, of_other_data[0], "--out", out))
        for said in (f"{path} and {of_other_data[0]} hold out different data", "data=NAME data.KEY=VALUE"):
            assert said in message
        message = one_message(cli("compare", path, of_other_data[1], "--out", out))
        for said in (str(of_other_data[1]), "(1, 9, 9)", "(1, 8, 8)", "data=NAME data.KEY=VALUE"):
            assert said in message
    assert (tmp_path / "old.png").read_bytes() == b"kept"
    assert not (tmp_path / "new.png").exists()


@pytest.mark.usefixtures("comparing")
def test_compare_refuses_what_is_no_finished_run_of_its_own(cli, trained, digits, tmp_path):
    path = trained["gan"].directory.path
    unfinished = create_directory(as_config(digits), tmp_path / "run").path
    assert "each of them once" in one_message(cli("compare", path, path))
    assert "at least one run" in one_message(cli("compare", "data.size=8"))
    assert f"genkit resume {unfinished}" in one_message(cli("compare", path, unfinished))
    assert "no/such: there is no such file" in one_message(cli("compare", path, "no/such"))
    assert "too few" in one_message(cli("compare", path, "-n", 99))
    assert not (tmp_path / "compare.png").exists()


# Bad input: one clear message, code 2, nothing overwritten


def test_a_missing_config(cli):
    assert "no/such.yaml: there is no such file" in one_message(cli("run", "no/such.yaml"))


def test_broken_yaml_with_line_and_column(cli, config):
    path = config("data: digits\nencoder: {name: mlp, hidden: [3\nloss: kl\n")
    assert f"{path}:3:" in one_message(cli("run", path))


def test_an_unknown_key_and_an_unknown_component_with_the_nearest_names(cli, config):
    path = config(CONFIG.replace("encoder: mlp", "encoder: {name: mlp, hiden: [3]}").replace("gaussian", "gausian"))
    lines = one_message(cli("run", path)).splitlines()
    assert lines[0] == f"error: {path}:2:22: encoder: unknown key 'hiden'; did you mean 'hidden'?"
    assert lines[1] == f"error: {path}:3:1: sampler: unknown sampler 'gausian'; did you mean 'gaussian'?"


def test_several_errors_at_once_with_types_and_ranges(cli, config):
    text = CONFIG + "seed: -1\ntraining:\n  epochs: many\n  batch_size: 0\n  optimizer: adem\n"
    answer = one_message(cli("run", config(text.replace("likelihood: bernoulli\n", ""))))
    assert len(answer.splitlines()) == 5
    for part in (
        ":6:1: seed: must be greater than or equal to 0, not -1",
        ":8:3: training.epochs: must be a valid integer, not 'many'",
        ":9:3: training.batch_size: must be greater than or equal to 1, not 0",
        ":10:3: training.optimizer: unknown optimizer 'adem'; did you mean 'adam'?",
        "'likelihood' is missing",
    ):
        assert part in answer


def test_a_bad_override_is_named(cli, digits):
    assert "'epochs' is no override" in one_message(cli("run", digits, "epochs"))
    assert "'training.epochs=x': training.epochs: must be" in one_message(cli("run", digits, "training.epochs=x"))


def test_evaluating_gives_the_figures_of_the_run_whatever_its_seed(cli, digits, tmp_path):
    from genkit.runs.running import run

    done = run(digits, ["training.epochs=1", "seed=5", "encoder.hidden=[8]", "decoder.hidden=[8]"], tmp_path / "run")
    found = json.loads(cli("evaluate", done.directory.path, "--json").out)
    assert found["elbo"] == done.evaluation.elbo
    assert json.loads(cli("evaluate", done.directory.path, "--seed", "0", "--json").out)["elbo"] != found["elbo"]


def test_the_way_to_an_error_is_printed_where_it_is_asked_for(cli, digits, monkeypatch):
    assert "Traceback" not in cli("run", digits, "encoder=mpl").err
    monkeypatch.setenv("GENKIT_TRACEBACK", "1")
    answer = cli("run", digits, "encoder=mpl")
    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert "error: 'encoder=mpl'" in answer.err


@pytest.mark.parametrize("command", ["encode", "evaluate"])
def test_data_of_another_shape_than_the_models(cli, finished, tmp_path, command):
    np.save(tmp_path / "x.npy", np.zeros((30, 1, 9, 9), np.float32))
    out = ["--out", tmp_path / "z.npz"] if command == "encode" else []
    answer = cli(command, finished.directory.path, f"data={{name: arrays, path: {tmp_path / 'x.npy'}}}", *out)
    message = one_message(answer)
    assert "1, 8, 8" in message
    assert "1, 9, 9" in message
    assert not (tmp_path / "z.npz").exists()


@pytest.mark.parametrize("value", [1.5, -0.1])
def test_pixels_out_of_the_likelihoods_range(cli, digits, tmp_path, value):
    np.save(tmp_path / "x.npy", np.full((30, 1, 4, 4), value, np.float32))
    answer = cli("run", digits, f"data={{name: arrays, path: {tmp_path / 'x.npy'}}}", "--out", tmp_path / "run")
    assert "likelihood 'bernoulli' takes values from 0 to 1" in one_message(answer)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (idx((20, 28, 28))[:-5], "promises 20x28x28"),
        (idx((20, 28, 28), magic=b"\x00\x00\x0d\x03" + bytes(12)), "is no IDX file of bytes"),
        (b"\x89PNG", "is no IDX file of bytes"),
        (gzip.compress(idx((20, 28, 28)))[:30], "damaged or cut short"),
    ],
    ids=["empty", "truncated", "of another type", "of another kind", "truncated gzip"],
)
def test_bad_idx_files(cli, digits, mnist, content, said):
    (mnist / "train-images-idx3-ubyte").write_bytes(content)
    message = one_message(cli("run", digits, "data=mnist", f"data.root={mnist}", "--out", mnist / "run"))
    assert "train-images-idx3-ubyte" in message
    assert said in message
    assert not (mnist / "run").exists()


def test_a_missing_idx_file(cli, digits, mnist):
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    message = one_message(cli("run", digits, "data=mnist", f"data.root={mnist}"))
    assert "holds neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz" in message


def test_nan_in_the_data(cli, digits, tmp_path):
    x = np.zeros((30, 5), np.float32)
    x[7, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    message = one_message(cli("run", digits, f"data={{name: arrays, path: {tmp_path / 'x.npy'}}}"))
    assert "1 of 30 data hold NaN or infinite values (the first: datum 7, nan)" in message


def test_an_unwritable_run_directory(cli, digits, tmp_path):
    (tmp_path / "file").write_text("kept")
    message = one_message(cli("run", digits, *QUICK, "--out", tmp_path / "file" / "run"))
    assert "cannot make the run directory" in message
    assert (tmp_path / "file").read_text() == "kept"


def test_a_run_directory_that_is_taken(cli, digits, finished):
    before = finished.directory.model.read_bytes()
    assert "never overwrites" in one_message(cli("run", digits, *QUICK, "--out", finished.directory.path))
    assert finished.directory.model.read_bytes() == before


@pytest.mark.parametrize("command", ["describe", "evaluate"])
def test_truncated_and_foreign_weights(cli, finished, tmp_path, command):
    (tmp_path / "cut.safetensors").write_bytes(finished.directory.model.read_bytes()[:500])
    save_file({"w": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    assert "cut short" in one_message(cli(command, tmp_path / "cut.safetensors"))
    assert "not of genkit" in one_message(cli(command, tmp_path / "foreign.safetensors"))
    assert "there is no such file" in one_message(cli(command, tmp_path / "none.safetensors"))


def test_an_unfinished_run_says_how_to_finish_it(cli, digits, tmp_path):
    path = create_directory(as_config(digits), tmp_path / "run").path
    assert f"genkit resume {path}" in one_message(cli("evaluate", path))


def test_a_format_that_is_not_known_is_refused_before_the_work(cli, finished, tmp_path):
    for command in ("sample", "encode", "reconstruct"):
        message = one_message(cli(command, finished.directory.path, "--out", tmp_path / "x.pkl"))
        assert "choose one of .npz, .npy" in message


def test_a_split_that_is_not_there(cli, finished, tmp_path):
    assert "no split 'tst'" in one_message(
        cli("encode", finished.directory.path, "--split", "tst", "--out", tmp_path / "z.npz")
    )


def test_only_the_data_of_a_trained_model_can_be_changed(cli, finished):
    assert "only the data can be changed" in one_message(cli("evaluate", finished.directory.path, "training.epochs=3"))


def test_a_missing_option_is_a_usage_error(cli, finished):
    answer = cli("encode", finished.directory.path)
    assert answer.code == 2
    assert "--out" in answer.err


def test_plugins_show_prints_what_a_part_is_and_its_options(cli):
    shown = cli("plugins", "show", "loss/adversarial")
    assert shown.code == 0
    assert shown.out.startswith("loss/adversarial  (genkit-torch ")
    assert "Wasserstein with gradient penalty: Gulrajani et al. 2017" in shown.out
    (line,) = [line for line in shown.out.splitlines() if line.startswith("critic ")]
    assert line.split()[:6] == ["critic", "centred", "|", "cnn", "|", "mlp"]
    assert json.loads(cli("plugins", "show", "encoder/mlp", "--json").out)["properties"]["dropout"]["default"] == 0
    wrong = cli("plugins", "show", "encoder/mpl")
    assert wrong.code == 2
    assert wrong.err == "error: unknown encoder 'mpl'; did you mean 'mlp'?\n"


def test_schema_is_printed_or_written(cli, tmp_path):
    printed = json.loads(cli("schema").out)
    answer = cli("schema", "--out", tmp_path / "s.json")
    assert answer.out == f"{tmp_path}/s.json\n"
    assert json.loads((tmp_path / "s.json").read_text()) == printed
    assert printed["title"] == "genkit config"


def test_check_says_what_a_run_takes_or_what_is_wrong(cli, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = cli("check", digits)
    assert good.code == 0
    assert [line.partition(":")[0] for line in good.out.splitlines()] == [
        *("data", "data are taken as", "model", "memory", "time", "note"),
        "no errors; see the notes",
    ]
    wrong = cli("check", digits, "training.precision=tf32")
    assert wrong.code == 2
    assert wrong.err.startswith("error: training.precision: tf32")
    assert "no errors" not in wrong.out
    assert json.loads(cli("check", digits, "--no-probe", "--json").out)["parameters"] == 99_908
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_on_a_panel_of_the_help():
    from genkit.cli import application
    from genkit.cli.app import PANELS

    panels = [command.rich_help_panel for command in application().registered_commands]
    assert panels == sorted(panels, key=PANELS.index)
    assert {*panels} == {*PANELS}
