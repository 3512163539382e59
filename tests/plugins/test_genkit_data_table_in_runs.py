"""Tables from a file to a model, and back to a file."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from genkit.data.assumptions import doubts
from genkit.data.dataset import DataSignature
from genkit.data.loading import load as load_data
from genkit.errors import ComponentError, ConfigError, DataError, GenkitError, GenkitWarning
from genkit.evaluation.figures import evaluate
from genkit.runs.opening import as_config, prepare, reopen
from genkit.runs.preflight import check
from genkit.runs.running import run
from genkit.sharing import weights
from genkit.sharing.export import export

ROWS = 600
NUMBERS = torch.Generator().manual_seed(0)


def rows():
    """A table in which the port goes with the fare, and the age is often missing where somebody is alone."""
    for row in range(ROWS):
        port = "CQS"[int(torch.multinomial(torch.tensor([0.2, 0.1, 0.7]), 1, generator=NUMBERS))]
        fare = {"C": 60, "Q": 12, "S": 25}[port] + 5 * float(torch.randn((), generator=NUMBERS))
        alone = bool(torch.rand((), generator=NUMBERS) < 0.6)
        missing = alone and bool(torch.rand((), generator=NUMBERS) < 0.5)
        age = "" if missing else round(30 + 10 * float(torch.randn((), generator=NUMBERS)))
        yield {"who": f"p{row}", "port": port, "fare": f"{fare:.2f}", "alone": alone, "age": age, "line": "White Star"}


def write(path, table):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0])
        writer.writeheader()
        writer.writerows(table)
    return path


def read(path):
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def config_of(path, **data):
    return as_config(
        {
            "name": "table",
            "data": {"name": "table", "path": str(path), "id": "who", "transform": "standardize", **data},
            "encoder": {"name": "mlp", "hidden": [32]},
            "sampler": {"name": "gaussian", "latent": 3},
            "decoder": {"name": "mlp", "hidden": [32]},
            "likelihood": "mixed",
            "loss": ["reconstruction", "kl"],
            "training": {"epochs": 40, "batch_size": 30, "optimizer": {"name": "adam", "lr": 0.005}, "compile": False},
        }
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "t.csv", list(rows()))


@pytest.fixture(scope="module")
def trained(path, tmp_path_factory):
    return run(config_of(path), out=tmp_path_factory.mktemp("trained") / "run")


def test_standardize_changes_the_observed_numbers_alone(path):
    data = load_data(config_of(path).data)
    columns = {column.name: column for column in data.columns}
    age, x = columns["age"], data.train.x
    seen = x[:, age.mark] == 0
    y = data.transforms(x)
    expected = (x[:, age.start] - x[seen, age.start].mean()) / x[seen, age.start].std(correction=0)
    torch.testing.assert_close(y[seen, age.start], expected[seen])
    assert torch.equal(y[~seen, age.start], torch.zeros(int((~seen).sum())))
    others = [place for place in range(x.shape[1]) if place not in (age.start, columns["fare"].start)]
    assert torch.equal(y[:, others], x[:, others])
    torch.testing.assert_close(data.transforms.inverse(y)[seen], x[seen])
    scales = torch.stack([x[:, columns["fare"].start].std(correction=0), x[seen, age.start].std(correction=0)])
    log_det = -scales[0].log() - seen.float() * scales[1].log()
    torch.testing.assert_close(data.transforms.log_det(x), log_det, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"transform": "log1p"},
            ComponentError,
            "transform 'log1p' changes all columns alike, and 'port' has categories",
        ),
        (
            {"transform": (), "standardize": True},
            DataError,
            "standardize: true knows no columns, .*transform: standardize",
        ),
        ({"transform": (), "binarize": "dynamic"}, DataError, "binarize: dynamic knows no columns"),
    ],
)
def test_what_knows_no_columns_is_refused(path, options, error, message):
    with pytest.raises(error, match=message):
        load_data(config_of(path, **options).data)


def test_unscaled_numbers_are_doubted(tmp_path):
    path = write(tmp_path / "t.csv", [{"who": i, "x": 200 * i} for i in range(9)])
    data = load_data(config_of(path, transform=()).data)
    assert "data.transform=standardize brings each column of numbers" in doubts(data, data.range())[-1]


def test_check_says_what_columns_are_taken_for(path):
    report = check(config_of(path), probe=False)
    assert report.errors == []
    assert "columns: numeric fare, age; categorical port (3); boolean alone" in report.notes
    assert "left out, as they have one value alone: line ('White Star')" in report.notes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sampled_rows_are_a_table_like_the_original(trained, path, cli, tmp_path):
    real = read(path)
    assert cli("sample", trained.directory.path, "-n", 2000, "--out", tmp_path / "rows.csv").code == 0
    sampled = read(tmp_path / "rows.csv")
    assert list(sampled[0]) == [name for name in real[0] if name != "who"]
    for name in ("port", "alone", "line"):
        ours, theirs = (Counter(row[name] for row in table) for table in (sampled, real))
        assert set(ours) <= set(theirs)
        for value, count in theirs.items():
            assert ours[value] / len(sampled) == pytest.approx(count / len(real), abs=0.05), value
    gone = [np.mean([row["age"] == "" for row in table]) for table in (sampled, real)]
    assert gone[0] == pytest.approx(gone[1], abs=0.05)
    fares = {port: np.mean([float(row["fare"]) for row in sampled if row["port"] == port]) for port in "CS"}
    assert fares["C"] > fares["S"] + 15
    assert all(row["age"] == "" or str(int(row["age"])) == row["age"] for row in sampled)
    assert cli("sample", trained.directory.path, "--mean", "-n", 3, "--out", tmp_path / "mean.csv").code == 0
    assert trained.model.table(trained.model.sample(2)).keys() == sampled[0].keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_codes_are_joined_back_by_row_and_id(trained, path, cli, tmp_path):
    real, where = read(path), trained.directory.path
    assert cli("encode", where, "--split", "all", "--out", tmp_path / "z.csv").code == 0
    codes = read(tmp_path / "z.csv")
    assert [row["id"] for row in codes] == [row["who"] for row in real]
    assert [int(row["row"]) for row in codes] == list(range(ROWS))
    few = write(tmp_path / "few.csv", [{k: v for k, v in row.items() if k != "who"} for row in reversed(real[:4])])
    assert cli("encode", where, f"data.path={few}", "--split", "all", "--out", tmp_path / "few.npz").code == 0
    z = np.array([[float(row[f"z_{i}"]) for i in range(3)] for row in codes])
    np.testing.assert_allclose(np.load(tmp_path / "few.npz")["z"][::-1], z[:4], atol=1e-5)
    tenfold = write(tmp_path / "tenfold.csv", [{**row, "fare": 10 * float(row["fare"])} for row in real])
    assert cli("encode", where, f"data.path={tenfold}", "--split", "all", "--out", tmp_path / "other.npz").code == 0
    assert (np.abs(np.load(tmp_path / "other.npz")["z"] - z).max(1) > 0.1).mean() > 0.9
    bad = write(tmp_path / "bad.csv", [{**row, "port": "X"} for row in real[:2]])
    answer = cli("encode", where, f"data.path={bad}", "--split", "all", "--out", tmp_path / "bad.npz")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "line 2, column 'port': 'X' is none of the categories" in answer.err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scores_are_by_row_and_by_column(trained, path, cli, tmp_path):
    real, where = read(path), trained.directory.path
    odd = write(tmp_path / "odd.csv", [{**real[0], "fare": 900}, *real[1:6], {**real[6], "who": "twice"}])
    answer = cli("score", where, f"data.path={odd}", "--out", tmp_path / "s.csv", "--false-alarms", "0.1")
    assert answer.code == 0
    scores = read(tmp_path / "s.csv")
    assert [row["id"] for row in scores] == [*(f"p{number}" for number in range(6)), "twice"]
    assert scores[0]["is_anomaly"] == "True"
    assert [name for name in scores[0] if name.startswith("error_")] == [
        *("error_port", "error_fare", "error_alone", "error_age")
    ]
    assert max(scores, key=lambda row: float(row["error_fare"]))["id"] == "p0"
    figures = evaluate(*reopen(where), draws=16)
    assert cli("score", where, "--out", tmp_path / "s.csv").code == 0
    mean = np.mean([float(row["negative_elbo"]) for row in read(tmp_path / "s.csv")])
    assert mean == pytest.approx(-figures.elbo, rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": "X"}, "line 2, column 'port': 'X' is none of the categories of the training data: C, Q, S"),
        ({"fare": None}, "lacks columns that the model was trained on: fare"),
        ({"fare": ""}, "line 2, column 'fare': the value is missing, and none was in the training data"),
        ({"fare": "dear"}, "line 2, column 'fare': 'dear' is no number"),
    ],
)
def test_rows_that_the_model_cannot_read_are_not_scored(trained, path, cli, tmp_path, change, message):
    rows_of_file = [{k: v for k, v in {**row, **change}.items() if v is not None} for row in read(path)[:2]]
    bad = write(tmp_path / "bad.csv", rows_of_file)
    answer = cli("score", trained.directory.path, f"data.path={bad}", "--out", tmp_path / "s.csv")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert message in answer.err
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_reconstructions_are_rows(trained, path, cli, tmp_path):
    assert cli("reconstruct", trained.directory.path, "-n", 7, "--out", tmp_path / "r.csv").code == 0
    made, real = read(tmp_path / "r.csv"), read(path)
    rows = [int(row["row"]) for row in made]
    assert (len(made), rows) == (7, sorted(rows))
    assert [row["id"] for row in made] == [real[row]["who"] for row in rows]
    assert list(made[0]) == ["row", "id", "port", "fare", "alone", "age", "line"]
    assert np.mean([row["port"] == real[int(row["row"])]["port"] for row in made]) > 0.5
    parquet = pytest.importorskip("pyarrow.parquet")
    assert cli("reconstruct", trained.directory.path, "-n", 7, "--out", tmp_path / "r.parquet").code == 0
    types = {field.name: str(field.type) for field in parquet.read_table(tmp_path / "r.parquet").schema}
    numbers = {"fare": "double", "age": "int64", "row": "int64"}
    assert types == {"id": "string", "port": "string", "alone": "bool", "line": "string", **numbers}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_file_knows_its_columns(trained, tmp_path):
    model = weights.load(trained.directory.model)
    assert model.schema.columns == trained.data.columns
    x = trained.data.test.x
    assert torch.equal(model.encode(x), trained.model.encode(x))
    figures = evaluate(*reopen(trained.directory.path))
    assert (figures.unexplained, figures.dispersion) == (None, None)
    assert figures.elbo == pytest.approx(trained.evaluation.elbo, rel=1e-4)
    assert export(model, tmp_path / "model.pt2", "all", "torch-export").difference < 1e-4


def test_the_own_name_of_rows_is_no_column(path):
    data, model = prepare(config_of(path))
    assert data.ids_of("all") is not None
    assert "who" not in {column.name for column in model.schema.columns}
    with pytest.raises(GenkitError, match=r"table takes data of shape \(N, 7\)"):
        model.table(torch.zeros(2, 3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_rows_of_a_conditional_model_name_their_classes(path, cli, tmp_path):
    values = config_of(path, label="port").resolved()
    values["condition"] = ["labels"]
    values["training"] |= {"epochs": 2}
    trained = run(values, out=tmp_path / "run")
    where = trained.directory.path
    assert cli("sample", where, "-n", 5, "--out", tmp_path / "r.csv").code == 0
    assert [row["labels"] for row in read(tmp_path / "r.csv")] == ["C", "Q", "S", "C", "Q"]
    assert cli("sample", where, "-n", 2, "--given", "labels=S", "--out", tmp_path / "r.csv").code == 0
    assert {row["labels"] for row in read(tmp_path / "r.csv")} == {"S"}
    assert cli("encode", where, "--out", tmp_path / "z.csv").code == 0
    real = read(path)
    assert all(row["class"] == real[int(row["row"])]["port"] for row in read(tmp_path / "z.csv"))
    for suffix in ("png", "safetensors", "npy"):
        assert cli("sample", where, "-n", 9, "--out", tmp_path / f"r.{suffix}").code == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_file_from_elsewhere_asks_for_the_file_alone(trained, path, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(trained.directory.model.read_bytes())
    with pytest.raises(ConfigError, match=r"says data\.path=.*read only if asked for"):
        reopen(alone)
    _, data = reopen(alone, [f"data.path={path}"])
    assert data.ids_of("all") is not None


@pytest.mark.slow
def test_doubts_about_other_data_are_said(trained, path, tmp_path):
    other = write(tmp_path / "other.csv", [{**row, "more": 1} for row in read(path)[:9]])
    with pytest.warns(GenkitWarning, match="columns that the model was not trained on are left out: more"):
        reopen(trained.directory.path, [f"data.path={other}"])


@pytest.mark.slow
def test_columns_that_fill_no_datum_are_refused(trained):
    signature = trained.model.data.model_dump()
    with pytest.raises(ValidationError, match="the columns do not fill a datum of this shape"):
        DataSignature.model_validate({**signature, "columns": signature["columns"][:-2]})
