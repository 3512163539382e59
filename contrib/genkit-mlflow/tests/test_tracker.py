from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import genkit
import numpy as np
import pytest
from genkit import hookimpl, resume
from genkit.errors import TrainingError
from genkit.record.run import Run
from mlflow.entities import Run as Tracked
from mlflow.tracking import MlflowClient


@functools.cache
def _store() -> bytes:
    """A store without runs: MLflow takes a second to make one."""
    with tempfile.TemporaryDirectory() as folder:
        MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_experiments()
        return Path(folder, "mlflow.db").read_bytes()


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setattr("genkit.pictures.plots.draw_all", lambda *_: [])  # except for the example


def config(folder: Path, **training: Any) -> dict[str, Any]:
    """A small VAE on twelve small images, all of them used; in the folder there is a store."""
    store = folder / "mlruns" / "mlflow.db"
    if not store.exists():
        store.parent.mkdir()
        store.write_bytes(_store())
    np.save(folder / "x.npy", np.random.default_rng(0).random((12, 1, 2, 2)))
    return {
        "data": {"name": "arrays", "path": str(folder / "x.npy"), "validation": 2, "test": 2},
        "encoder": {"name": "mlp", "hidden": [4]},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "mlp", "hidden": [4]},
        "likelihood": "bernoulli",
        "loss": ["reconstruction", {"name": "kl", "weight": 0.5}],
        "training": {"epochs": 3, "device": "cpu", **training},
    }


def client(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db")


def tracked(directory: Path) -> Tracked:
    """The MLflow run of a run's directory, in the store beside it."""
    run_id = json.loads((directory / "mlflow.json").read_text())["run_id"]
    return client(directory.parent).get_run(run_id)


def metric(directory: Path, name: str) -> dict[int, float]:
    history = client(directory.parent).get_metric_history(tracked(directory).info.run_id, name)
    assert len({one.step for one in history}) == len(history)
    return {one.step: one.value for one in history}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        return genkit.run(config(folder), out=folder / "run")


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("figure", ["loss", "reconstruction", "kl", "elbo"])
def test_the_figures_of_each_epoch_are_those_of_the_metrics(example: Run, split: str, figure: str) -> None:
    expected = {line["epoch"]: line[split][figure] for line in lines(example)}
    assert list(expected) == [1, 2, 3]
    assert metric(example.directory.path, f"{split}/{figure}") == pytest.approx(expected)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("term", ["reconstruction", "kl"])
def test_each_term_is_written_unweighted_beside_its_weight(example: Run, split: str, term: str) -> None:
    expected = {line["epoch"]: line[split]["terms"][term] for line in lines(example)}
    assert metric(example.directory.path, f"{split}/term/{term}") == pytest.approx(expected)
    weight = {"reconstruction": 1.0, "kl": 0.5}[term]
    assert metric(example.directory.path, f"weight/{term}") == {1: weight, 2: weight, 3: weight}


def test_the_elbo_is_the_true_one_whatever_the_weights_are(example: Run) -> None:
    for epoch, elbo in metric(example.directory.path, "train/elbo").items():
        parts = [metric(example.directory.path, f"train/{part}")[epoch] for part in ("reconstruction", "kl")]
        assert elbo == pytest.approx(-sum(parts))
        assert metric(example.directory.path, "train/loss")[epoch] == pytest.approx(parts[0] + 0.5 * parts[1])


def test_learning_rate_and_throughput_are_written(example: Run) -> None:
    for name, key in (("training/learning_rate", "lr"), ("training/examples_per_second", "examples_per_second")):
        assert metric(example.directory.path, name) == pytest.approx(
            {line["epoch"]: line[key] for line in lines(example)}
        )


def test_the_figures_of_the_test_split_come_last(example: Run) -> None:
    figures = json.loads(example.directory.evaluation.read_text())
    for name in ("elbo", "reconstruction", "kl", "bits_per_dim", "active_units"):
        assert metric(example.directory.path, f"test/{name}") == pytest.approx({3: figures[name]})


def test_options_are_parameters_and_their_origin_is_in_tags(example: Run) -> None:
    entry = tracked(example.directory.path)
    params = entry.data.params
    assert params["sampler.latent"] == "2"
    assert params["encoder.hidden"] == "[4]"
    assert params["loss.kl.weight"] == "0.5"
    assert params["data.name"] == "arrays"
    assert params["training.clip_norm"] == "null"
    assert {name.split(".")[0] for name in params} == set(example.config.resolved())
    version = json.loads(example.directory.environment.read_text())["versions"]["genkit-torch"]
    assert entry.data.tags["genkit.version.genkit-torch"] == version
    plugin = entry.data.tags["genkit.plugin.genkit-torch"]
    assert plugin.startswith(f"{version}: data/arrays, encoder/mlp")
    assert entry.info.run_name == "run"
    assert entry.info.status == "FINISHED"


def test_pictures_weights_and_config_are_artifacts(example: Run) -> None:
    root = Path(tracked(example.directory.path).info.artifact_uri.removeprefix("file://"))
    assert root.is_relative_to(example.directory.path.parent / "mlruns" / "artifacts")
    for file in (example.directory.config, example.directory.model):
        assert (root / file.name).read_bytes() == file.read_bytes()
    names = {path.name for path in example.directory.pictures.iterdir()}
    assert names == {path.name for path in (root / "pictures").iterdir()} != set()


def test_runs_side_by_side_share_an_experiment(tmp_path: Path) -> None:
    first, second = (genkit.run(config(tmp_path, epochs=1), out=tmp_path / name) for name in ("one", "two"))
    one, two = tracked(first.directory.path), tracked(second.directory.path)
    assert one.info.experiment_id == two.info.experiment_id
    assert one.info.run_id != two.info.run_id
    assert client(tmp_path).get_experiment(one.info.experiment_id).name == "genkit"


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(tmp_path: Path) -> None:
    first = genkit.run(config(tmp_path, epochs=2), out=tmp_path / "run")
    before = tracked(first.directory.path)
    resumed = resume(first.directory.path, epochs=4)
    after = tracked(first.directory.path)
    assert before.info.run_id == after.info.run_id
    assert (before.info.status, after.info.status) == ("FINISHED", "FINISHED")
    expected = {line["epoch"]: line["train"]["loss"] for line in lines(resumed)}
    assert list(expected) == [1, 2, 3, 4]
    assert metric(first.directory.path, "train/loss") == pytest.approx(expected)
    assert after.data.params["training.epochs"] == "2"
    assert {name: value for name, value in after.data.tags.items() if name.startswith("resumed.")} == {
        "resumed.training.epochs": "4"
    }
    root = Path(after.info.artifact_uri.removeprefix("file://"))
    assert (root / "model.safetensors").read_bytes() == resumed.directory.model.read_bytes()
    (change,) = json.loads((root / "changes.json").read_text())
    assert change["overrides"] == ["training.epochs=4"]


def test_what_a_lost_store_held_is_written_anew(tmp_path: Path) -> None:
    first = genkit.run(config(tmp_path, epochs=2), out=tmp_path / "run")
    moved = (tmp_path / "elsewhere") / "run"
    moved.parent.mkdir()
    first.directory.path.rename(moved)
    resume(moved, epochs=3)
    assert set(metric(moved, "train/loss")) == {1, 2, 3}
    assert tracked(moved).data.params["training.epochs"] == "3"


class Stops:
    """A listener that stops a run after its second epoch."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl
    def epoch_ended(self, run: Run) -> None:
        if len(run.history) == 2:
            raise self.error


def test_an_interrupted_run_is_killed_with_all_its_epochs_and_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        genkit.run(config(tmp_path, epochs=4), out=tmp_path / "run", listeners=[Stops(KeyboardInterrupt())])
    entry = tracked(tmp_path / "run")
    assert entry.info.status == "KILLED"
    assert set(metric(tmp_path / "run", "train/loss")) == {1, 2}
    resume(tmp_path / "run")
    after = tracked(tmp_path / "run")
    assert (after.info.run_id, after.info.status) == (entry.info.run_id, "FINISHED")
    assert set(metric(tmp_path / "run", "train/loss")) == {1, 2, 3, 4}


def test_a_failed_run_is_failed_with_its_error(tmp_path: Path) -> None:
    failing = config(tmp_path, epochs=2, optimizer={"name": "sgd", "lr": 1e30})
    with pytest.raises(TrainingError) as caught:
        genkit.run(failing, out=tmp_path / "run")
    entry = tracked(tmp_path / "run")
    assert entry.info.status == "FAILED"
    assert entry.data.tags["genkit.error"] == f"TrainingError: {caught.value}"
    assert entry.data.params["training.optimizer.lr"] == "1e+30"


def test_a_run_within_the_handling_of_another_error_is_finished_all_the_same(tmp_path: Path) -> None:
    try:
        raise ValueError("of somebody else")
    except ValueError:
        run = genkit.run(config(tmp_path, epochs=1), out=tmp_path / "run")
    entry = tracked(run.directory.path)
    assert entry.info.status == "FINISHED"
    assert "genkit.error" not in entry.data.tags


def test_mlflows_own_variables_say_where_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts by default
    run = genkit.run(config(tmp_path, epochs=1), out=tmp_path / "deep" / "run")
    assert not (tmp_path / "deep" / "mlruns").exists()
    run_id = json.loads((run.directory.path / "mlflow.json").read_text())["run_id"]
    entry = client(tmp_path).get_run(run_id)
    assert client(tmp_path).get_experiment(entry.info.experiment_id).name == "another"


def test_a_store_that_cannot_be_used_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuch://place")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = genkit.run(config(tmp_path, epochs=1), out=tmp_path / "run")
    assert run.directory.model.is_file()
    (warning,) = [one for one in caught if "mlflow" in str(one.message)]
    assert "failed in epoch_ended and hears no more of this run" in str(warning.message)


def test_a_short_run_is_written_in_few_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    monkeypatch.setattr("genkit_mlflow.tracker.SECONDS_BETWEEN_WRITES", 1e9)
    write = MlflowClient.log_batch

    def counted(self: MlflowClient, *arguments: Any, **named: Any) -> Any:
        batches.append(len(named.get("metrics", ())))
        return write(self, *arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    run = genkit.run(config(tmp_path, epochs=150), out=tmp_path / "run")
    assert [size for size in batches if size][1:-1] == [1000, 1000, 384]  # epochs 2 to 150; then the test split
    assert len(metric(run.directory.path, "train/loss")) == 150


def test_listing_the_plugin_imports_no_mlflow() -> None:
    code = "import genkit_mlflow, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
