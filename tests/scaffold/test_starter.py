import numpy as np
import pytest
from PIL import Image

from genkit.errors import ScaffoldError
from genkit.interfaces.data import Opener
from genkit.registry.registry import installed
from genkit.runs.opening import as_config
from genkit.runs.preflight import check
from genkit.scaffold import starter
from genkit.scaffold.starter import built_in, sources, start, systems

N = 60


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with data of each sort."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    rows = "".join(f"{random.normal() * 5 + 40:.2f},{'abc'[i % 3]}\n" for i in range(N))
    (folder / "table.csv").write_text(f"length,species\n{rows}")
    np.save(folder / "reals.npy", (400 + 50 * random.normal(size=(N, 5))).astype("f4"))
    np.save(folder / "counts.npy", random.poisson(3, (N, 5)).astype("f4"))
    np.save(folder / "binary.npy", random.integers(0, 2, (N, 5)).astype("f4"))
    np.save(folder / "series.npy", random.normal(size=(N, 16, 2)).astype("f4"))
    (folder / "photos" / "cat").mkdir(parents=True)
    for i in range(N):
        Image.fromarray(random.integers(0, 256, (9, 8, 3), "u1")).save(folder / "photos" / "cat" / f"{i}.png")
    (folder / "empty.csv").touch()
    (folder / "words.odt").touch()
    (folder / "nothing").mkdir()
    return folder


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("table.csv", ["data: {name: table, path: table.csv, transform: standardize}", "likelihood: mixed"]),
        ("reals.npy", ["data: {name: arrays, path: reals.npy, standardize: true}", "{name: gaussian, scale: learned}"]),
        ("counts.npy", ["encoder_transform: log1p", "likelihood: negative_binomial", "encoder: {name: mlp"]),
        ("binary.npy", ["likelihood: bernoulli", "encoder: {name: mlp"]),
        ("series.npy", ["encoder: cnn", "{name: gaussian, scale: learned}"]),
        (
            "photos",
            ["{name: images, root: photos, size: [9, 8], colour: true}", "likelihood: bernoulli", "encoder: cnn"],
        ),
        ("digits", ["data: digits", "likelihood: bernoulli"]),
    ],
)
def test_the_parts_fit_the_data(files, monkeypatch, tmp_path, data, lines):
    monkeypatch.chdir(files)
    written = start(data, "vae")
    for line in lines:
        assert line in written.text
    path = tmp_path / "mine.yaml"
    path.write_text(written.text)
    config = as_config(path)
    assert check(config, probe=False).errors == []
    assert written.notes[0].startswith("data are taken as: ")
    assert written.notes[1].startswith("likelihood ")
    assert max(map(len, written.text.splitlines())) <= 120


@pytest.mark.parametrize("system", systems())
def test_each_system_has_a_config_of_a_table(files, monkeypatch, system):
    monkeypatch.chdir(files)
    text = start("reals.npy", system).text
    assert text.startswith(f"# {systems()[system]} of reals.npy")
    assert "$" not in text


def test_options_of_the_data_go_into_the_config(files, monkeypatch):
    monkeypatch.chdir(files)
    text = start("table.csv", "vae", ["data.label=species", "data.validation=0.2"]).text
    assert "data: {name: table, path: table.csv, transform: standardize, label: species, validation: 0.2}" in text


@pytest.mark.parametrize(
    ("data", "system", "message"),
    [
        ("none.csv", "vae", "--data none.csv: there is no such file or folder, and no such source; known: digits"),
        ("digit", "vae", "did you mean 'digits'?"),
        ("arrays", "vae", "--data arrays: this source needs a file or a folder"),
        ("empty.csv", "vae", "empty.csv: no config for these data passes `check`\ndata.path: empty.csv: is empty"),
        ("words.odt", "vae", "no source of data takes it by its name (arrays, counts, images"),
        ("nothing", "vae", "no source of data takes it by its name"),
        ("digits", "vea", "--system vea: there is no such system; did you mean 'vae'?"),
    ],
)
def test_what_has_no_config(files, monkeypatch, data, system, message):
    monkeypatch.chdir(files)
    with pytest.raises(ScaffoldError) as refused:
        start(data, system)
    assert message in str(refused.value)


def test_a_name_is_no_markup_and_ends_no_comment(files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = "a 'b\"\n#: {c}, [d] $data.csv"
    (tmp_path / name).write_bytes((files / "table.csv").read_bytes())
    text = start(name, "autoencoder").text
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert as_config(path).data.path == name
    assert text.splitlines()[0].endswith(r"""of a 'b"\n#: {c}, [d] $data.csv.""")


def test_only_sources_without_needed_options_go_by_their_names():
    assert {"digits", "mnist", "waves"} <= {*built_in()}
    assert not {"arrays", "table", "images"} & {*built_in()}


def test_a_source_that_cannot_say_is_left_out(files, variant, monkeypatch):
    def fail(path):
        raise KeyError(path)

    variant(installed().find("data", "digits"), options_for=staticmethod(fail))
    with pytest.warns(starter.GenkitWarning, match="data 'of-test' cannot say whether it reads .*: KeyError"):
        assert [each["name"] for each in sources(str(files / "table.csv"))] == ["table"]


def test_the_sources_that_look_at_files():
    openers = {name for name in installed().spellings("data") if isinstance(installed().find("data", name), Opener)}
    assert openers == {"arrays", "counts", "images", "mnist", "series", "table"}


# The command


def test_init_writes_a_config_that_passes_check_and_overwrites_nothing(cli, files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    answer = cli("init", "--data", files / "table.csv")
    assert (answer.code, answer.out) == (0, "vae-table.yaml\n")
    assert "next: genkit run vae-table.yaml" in answer.err
    written = (tmp_path / "vae-table.yaml").read_text()
    assert cli("check", "vae-table.yaml", "--no-probe").code == 0
    again = cli("init", "--data", files / "table.csv")
    assert again.code == 2
    assert "vae-table.yaml: is there already, and is not overwritten; choose another file with --out" in again.err
    assert (tmp_path / "vae-table.yaml").read_text() == written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init"], "--data: say which data: genkit init --data PATH"),
        (
            ["init", "--data", "digits", "sampler.latent=3"],
            "'sampler.latent=3': only options of the data are taken here",
        ),
        (["init", "--data", "digits", "data.sise=3"], "unknown key 'sise'; did you mean 'size'?"),
    ],
)
def test_init_refuses(cli, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    answer = cli(*words)
    assert answer.code == 2
    assert message in answer.err
    assert [*tmp_path.iterdir()] == []


def test_init_asks_at_a_terminal(cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genkit.cli.commands.init._is_asked", lambda: True)
    answers = iter(["digits", "gan"])
    monkeypatch.setattr("typer.prompt", lambda text, default=None: next(answers))
    answer = cli("init")
    assert answer.code == 0, answer
    assert answer.out.endswith("gan-digits.yaml\n")
    assert "  vae: A variational autoencoder" in answer.out
