"""genkit score: from a run and a file to named scores, a threshold and a separation."""

import csv

import numpy as np
import pytest
import torch

from genkit.evaluation.scoring import score
from genkit.runs.opening import reopen

COUNT = 400


def blobs(count, seed=0):
    """Usual rows on a plane, and one anomaly in ten, far from it."""
    rng = np.random.default_rng(seed)
    usual = rng.normal(size=(count, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(count, 4))
    y = np.where(rng.random(count) < 0.1, "odd", "usual")
    x = np.where((y == "odd")[:, None], rng.normal(0, 4, size=(count, 4)), usual)
    return {"x": x.astype(np.float32), "labels": y}


def config_of(path, **data):
    return {
        "name": "blobs",
        "data": {"name": "arrays", "path": str(path), "keep": ["usual"], "test": 0.5, **data},
        "encoder": {"name": "mlp", "hidden": [16]},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "mlp", "hidden": []},
        "likelihood": {"name": "gaussian", "scale": 0.3},
        "loss": ["reconstruction", "kl"],
        "training": {"epochs": 15, "batch_size": 20, "optimizer": {"name": "adam", "lr": 0.01}, "compile": False},
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, **blobs(COUNT))
    return path


@pytest.fixture(scope="module")
def blobs_run(path, bare_run, tmp_path_factory):
    return bare_run(config_of(path), out=tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def new(tmp_path):
    """A file of other rows."""
    path = tmp_path / "new.npz"
    np.savez(path, **blobs(30, seed=1))
    return path


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_test_split_is_scored_in_the_order_of_the_file(blobs_run, path, cli, tmp_path):
    answer = cli("score", blobs_run.directory.path, "--out", tmp_path / "s.csv", "--anomalous", "odd", "--draws", 4)
    assert answer.code == 0, answer.err
    rows = read(tmp_path / "s.csv")
    assert list(rows[0])[:6] == ["negative_elbo", "reconstruction", "kl", "bound", "squared_error", "labels"]
    assert list(rows[0])[6:] == ["class", "row", "error_0", "error_1", "error_2", "error_3"]
    places = [int(row["row"]) for row in rows]
    assert places == sorted(places)
    truth = blobs(COUNT)["labels"]
    assert [row["class"] for row in rows] == [truth[place] for place in places]
    assert len(places) == (truth == "odd").sum() + round((truth == "usual").sum() / 2)
    scores = score(*reopen(blobs_run.directory.path), draws=4).values["negative_elbo"].numpy()
    order = np.argsort(blobs_run.data.rows["test"].numpy())
    np.testing.assert_allclose([float(row["negative_elbo"]) for row in rows], scores[order], rtol=1e-12)
    for row in rows[:3]:
        parts = sum(float(row[f"error_{place}"]) for place in range(4))
        assert parts == pytest.approx(float(row["squared_error"]), rel=1e-5)
        assert float(row["negative_elbo"]) == pytest.approx(float(row["reconstruction"]) + float(row["kl"]))
    _, about, separation = answer.out.splitlines()
    assert about == "the score is negative_elbo: nats per datum, 4 draws, in the data's own units"
    assert float(separation.split()[1].rstrip(",")) > 0.9


def test_all_of_a_new_file_is_scored_and_its_anomalies_are_said(blobs_run, new, cli, tmp_path):
    out = tmp_path / "s.npz"
    words = ["score", blobs_run.directory.path, f"data.path={new}", "--out", out, "--false-alarms", "0.1"]
    answer = cli(*words, "--anomalous", "odd")
    assert answer.code == 0, answer.err
    assert "other data than those of the training: all 30 of them are taken" in answer.err
    arrays = np.load(out)
    assert arrays["row"].tolist() == list(range(30))
    assert arrays["error"].shape == (30, 4)
    assert arrays["is_anomaly"].dtype == bool
    count = len(blobs_run.data.validation.x)
    usual = score(blobs_run.model, blobs_run.data, "validation").values["negative_elbo"]
    limit = usual.sort().values[count - 1 - int(0.1 * count)]
    assert (arrays["is_anomaly"] == (arrays["negative_elbo"] > float(limit))).all()
    said = answer.out.splitlines()
    assert f"{int(0.1 * count)} of {count} validation data are above it" in said[2]
    assert said[3] == f"anomalies: {arrays['is_anomaly'].sum()} of 30 data ({arrays['is_anomaly'].mean():.2%})"


def test_labels_of_anomalies_are_left_out_of_the_threshold(path, bare_run, cli, tmp_path):
    bare_run(config_of(path, keep=[]), out=tmp_path / "run")
    words = ["score", tmp_path / "run", "--out", tmp_path / "s.csv", "--false-alarms", "0.2"]
    of_all, of_usual = cli(*words), cli(*words, "--anomalous", "odd")
    labels = reopen(tmp_path / "run")[1].validation.labels
    assert f"of {len(labels)} validation data" in of_all.out
    assert f"of {int((labels == 1).sum())} validation data" in of_usual.out


def test_another_column_can_be_the_score(blobs_run, cli, tmp_path):
    words = ["score", blobs_run.directory.path, "--out", tmp_path / "s.npy", "--false-alarms", "0.1", "--by"]
    answer = cli(*words, "squared_error")
    assert answer.out.splitlines()[1] == "the score is squared_error: ‖x − x̂‖² in the model's units"
    expected = score(blobs_run.model, blobs_run.data).values["squared_error"]
    order = blobs_run.data.rows["test"].argsort()
    np.testing.assert_allclose(np.load(tmp_path / "s.npy"), expected[order].numpy())
    answer = cli(*words, "elbo")
    assert (answer.code, answer.err) == (
        2,
        "error: --by elbo: the model gives no such score; it gives negative_elbo, reconstruction, kl, bound, "
        "squared_error\n",
    )


def test_pixels_go_into_arrays_and_not_into_tables(trained, cli, tmp_path):
    where = trained["autoencoder"].directory.path
    for suffix in ("csv", "npz"):
        assert cli("score", where, "--out", tmp_path / f"s.{suffix}").code == 0
    assert list(read(tmp_path / "s.csv")[0]) == ["reconstruction", "squared_error", "labels", "row"]
    assert np.load(tmp_path / "s.npz")["error"].shape[1:] == (1, 8, 8)


def test_a_model_that_only_generates_scores_nothing(trained, cli, tmp_path):
    answer = cli("score", trained["gan"].directory.path, "--out", tmp_path / "s.csv")
    assert answer.code == 2
    assert answer.err.startswith("error: the model has no encoder: it generates")


@pytest.mark.parametrize(
    ("arrays", "words", "message"),
    [
        (None, ["--anomalous", "od"], "error: --anomalous od: anomalies: there is no class 'od'; there are odd, usual"),
        (None, ["--anomalous", "odd,usual"], "error: --anomalous odd,usual: of the 223 data all are of these classes"),
        (
            {"x": np.zeros((3, 4), np.float32)},
            ["--anomalous", "odd"],
            "error: --anomalous odd: the data have no labels",
        ),
        ({"x": np.zeros((3, 5), np.float32)}, [], "error: the model takes data of shape (N, 4), not (3, 5)"),
        ({"x": np.full((3, 4), np.nan)}, [], "error: data 'arrays': 3 of 3 data hold NaN or infinite values"),
        (None, ["--draws", "0"], "--draws"),
        (None, ["--false-alarms", "1.5"], "--false-alarms"),
    ],
)
def test_mistakes_are_answered_and_write_nothing(blobs_run, cli, tmp_path, arrays, words, message):
    if arrays is not None:
        np.savez(tmp_path / "new.npz", **arrays)
        words = [f"data.path={tmp_path / 'new.npz'}", *words]
    answer = cli("score", blobs_run.directory.path, *words, "--out", tmp_path / "s.csv")
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "s.csv").exists()


def test_a_threshold_needs_validation_data_of_the_training(blobs_run, bare_run, path, new, cli, tmp_path):
    bare_run(config_of(path, validation=0), out=tmp_path / "run")
    answer = cli("score", tmp_path / "run", "--out", tmp_path / "s.csv", "--false-alarms", "0.1")
    assert answer.err == (
        "error: --false-alarms: the threshold is fitted to the validation data of the training: the validation split "
        "is empty; hold more data out for it, for example data.validation=0.1\n"
    )
    moved = path.rename(path.with_name("moved.npz"))
    try:
        words = ["score", blobs_run.directory.path, f"data.path={new}", "--out", tmp_path / "s.csv"]
        assert "there is no such file" in cli(*words, "--false-alarms", "0.1").err
        assert cli(*words).code == 0
    finally:
        moved.rename(path)


def test_a_split_of_a_new_file_is_taken_if_asked_for(blobs_run, new, cli, tmp_path):
    words = ["score", blobs_run.directory.path, f"data.path={new}", "--out", tmp_path / "s.csv", "--split"]
    answer = cli(*words, "train")
    assert (answer.code, answer.err) == (0, "")
    usual = int((blobs(30, seed=1)["labels"] == "usual").sum())
    assert len(read(tmp_path / "s.csv")) == usual - round(0.5 * usual) - round(0.1 * usual)
    assert torch.equal(reopen(blobs_run.directory.path)[1].test.x, blobs_run.data.test.x)


def test_a_threshold_that_few_data_cannot_hold_says_so(blobs_run, cli, tmp_path):
    answer = cli("score", blobs_run.directory.path, "--out", tmp_path / "s.csv", "--false-alarms", "0.001")
    count = len(blobs_run.data.validation.x)
    assert f"0 of {count} validation data are above it (0.00%); it is the greatest of their scores, as" in answer.out
