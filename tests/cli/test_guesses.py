import pytest

from genkit.cli import application
from genkit.cli.guesses import commands


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "some").mkdir(parents=True)
    (tmp_path / "runs" / "some" / "config.yaml").write_text("name: some\ndata: digits\n")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            "train vae-digits a=1",
            "there is no command 'train'; did you mean `genkit run vae-digits a=1`? Train the model",
        ),
        ("generate last", "did you mean `genkit sample last`? Generate data"),
        ("rnu x.yaml", "did you mean `genkit run x.yaml`?"),
        ("vae-digits a=1", "'vae-digits' is a config, and no command; did you mean `genkit run vae-digits a=1`?"),
        ("xyzzy", "there is no command 'xyzzy'; there are run, "),
        ("TRAIN", "did you mean `genkit run`?"),
    ],
)
def test_a_word_that_is_no_command(cli, words, answer):
    given = cli(*words.split())
    assert given.code == 2
    assert given.err.startswith("error: ")
    assert answer in given.err


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (
            "run",
            "run: CONFIG is missing; `genkit examples` lists configs to begin with, and `genkit init` writes one: ",
        ),
        ("check", ": genkit check vae-digits"),
        ("sample", "sample: RUN is missing; `genkit runs` lists what was trained, and `last` is the latest one: "),
        ("compare", "compare: RUN is missing; "),
        ("describe", ": genkit describe vae-digits"),
        ("check-plugin", "Missing argument 'NAME'"),
    ],
)
def test_a_command_without_its_argument(cli, command, answer):
    given = cli(command)
    assert given.code == 2
    assert answer in given.err


@pytest.mark.parametrize("command", ["runs", "examples", "plugins"])
def test_a_command_that_needs_no_argument_is_called_without(cli, command):
    assert cli(command).code == 0


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (
            "run vae-digits --epochs 5",
            "--epochs: is no flag; an option of the config is written KEY=VALUE: training.epochs=5",
        ),
        ("run vae-digits --lr=0.1", "KEY=VALUE: training.optimizer.lr=0.1"),
        ("check gan --latent-dim 8", "KEY=VALUE: sampler.latent=8"),
        ("run vae-digits --training.epochs 5", "KEY=VALUE: training.epochs=5"),
        ("run vae-digits --hidden [8]", "KEY=VALUE: 'encoder.hidden=[8]' or 'decoder.hidden=[8]'"),
        ("run vae-digits --seed", "KEY=VALUE: seed=..."),
        ("encode some --split-seed 8 --out x.npz", "KEY=VALUE: data.split_seed=8"),
    ],
)
def test_an_option_of_the_config_as_a_flag(cli, words, written):
    answer = cli(*words.split())
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.strip().endswith(written)


@pytest.mark.parametrize("words", ["run vae-digits --xyzzy 5", "encode some --epochs 3", "plugins --xyzzy"])
def test_other_flags_are_left_to_the_command(cli, words):
    answer = cli(*words.split())
    assert answer.code == 2
    assert "No such option" in answer.err


@pytest.mark.parametrize(
    ("assignment", "path"),
    [
        ("epochs=5", "'training.epochs'"),
        ("lr=0.1", "'training.optimizer.lr'"),
        ("latent=8", "'sampler.latent'"),
        ("hidden=[8]", "'encoder.hidden' or 'decoder.hidden'"),
        ("kl.weight=2", "'loss.kl'"),
        ("training.lr=3", "'training.optimizer.lr'"),
        ("encoder.latent=3", "'sampler.latent'"),
        ("batch=3", "'training.batch_size'"),
        ("training.seed=3", "'seed'"),
    ],
)
def test_an_option_that_is_written_elsewhere(cli, assignment, path):
    answer = cli("check", "vae-digits", assignment)
    assert answer.code == 2
    key = assignment.partition("=")[0]
    last = key.partition(".")[0] if key.startswith("kl") else key.rpartition(".")[2]
    assert answer.err.splitlines()[-1].endswith(f"unknown key '{last}'; did you mean {path}?")


def test_the_help_begins_with_run_and_shows_lines_to_type(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "79")
    assert next(iter(commands(application()))) == "run"
    page = cli("--help").out
    assert page.index(" run ") < page.index(" check ") < page.index(" compare ")
    assert "genkit run vae-digits" in page
    assert "genkit interpolate last 0 7" in cli("interpolate", "--help").out


def test_a_part_is_shown_by_its_name_and_a_kind_lists_its_parts(cli):
    page = cli("plugins", "show", "mlp").out
    assert page.index("encoder/mlp  (genkit-torch") < page.index("decoder/mlp  (genkit-torch")
    assert "encoder/cnn\nencoder/mlp\n" in cli("plugins", "show", "encoder").out
    assert cli("plugins", "show", "mpl").err == "error: no part is called 'mpl'; did you mean 'mlp'?\n"
    assert "`genkit plugins show KIND` lists those of data, encoder" in cli("plugins", "show", "xyzzy").err
