from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import genkit
from genkit.data.dataset import as_float
from genkit.errors import GenkitWarning
from genkit.pictures import plots
from genkit.record.run import Run
from genkit.record.scores import EpochRecord
from genkit.runs.running import resume
from genkit_tensorboard import projector, writer
from genkit_tensorboard.projector import thumbnails
from genkit_tensorboard.writer import RunWriter

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "vae-digits.yaml"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs of the example."""
    out = tmp_path_factory.mktemp("tensorboard") / "run"
    return genkit.run(EXAMPLE, ["training.epochs=2", "training.device=cpu", "loss.1.weight=0.5"], out=out)


def small(folder: Path, shape: tuple[int, ...], **changes: Any) -> dict[str, Any]:
    """A config for eight data of a shape without labels, all of them to train on."""
    np.save(folder / "x.npy", np.random.default_rng(0).random((8, *shape)))
    return {
        "data": {"name": "arrays", "path": str(folder / "x.npy"), "validation": 0, "test": 0},
        "encoder": {"name": "mlp", "hidden": [4]},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "mlp", "hidden": [4]},
        "likelihood": "bernoulli",
        "loss": ["reconstruction", "kl"],
        "training": {"epochs": 1, "device": "cpu"},
        **changes,
    }


def events(run: Run) -> EventAccumulator:
    found = EventAccumulator(str(run.directory.path), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def scalars(run: Run, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events(run).Scalars(tag)}


def metrics(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("figure", ["loss", "reconstruction", "kl", "elbo"])
def test_the_figures_of_each_epoch_are_those_of_the_metrics(example: Run, split: str, figure: str) -> None:
    expected = {line["epoch"]: line[split][figure] for line in metrics(example)}
    assert scalars(example, f"{split}/{figure}") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("term", ["reconstruction", "kl"])
def test_each_term_is_written_unweighted(example: Run, split: str, term: str) -> None:
    expected = {line["epoch"]: line[split]["terms"][term] for line in metrics(example)}
    assert scalars(example, f"{split}/term/{term}") == pytest.approx(expected, rel=1e-6)


def test_weights_learning_rate_and_throughput_are_written(example: Run) -> None:
    lines = metrics(example)
    assert scalars(example, "weight/reconstruction") == {1: 1, 2: 1}
    assert scalars(example, "weight/kl") == {1: 0.5, 2: 0.5}
    assert scalars(example, "training/learning_rate") == pytest.approx({line["epoch"]: line["lr"] for line in lines})
    expected = {line["epoch"]: line["examples_per_second"] for line in lines}
    assert scalars(example, "training/examples_per_second") == pytest.approx(expected, rel=1e-6)


def test_the_elbo_is_the_true_one_whatever_the_weights_are(example: Run) -> None:
    for epoch, elbo in scalars(example, "train/elbo").items():
        parts = [scalars(example, f"train/{part}")[epoch] for part in ("reconstruction", "kl")]
        assert elbo == pytest.approx(-sum(parts), rel=1e-6)
        assert scalars(example, "train/loss")[epoch] == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-6)


def test_the_figures_of_the_test_split_come_last(example: Run) -> None:
    figures = json.loads(example.directory.evaluation.read_text())
    for name in ("elbo", "reconstruction", "kl", "bits_per_dim", "active_units", "unexplained"):
        assert scalars(example, f"test/{name}") == pytest.approx({2: figures[name]}, rel=1e-6)


@pytest.mark.parametrize("tag", ["reconstructions", "samples"])
def test_pictures_are_written_and_can_be_decoded(example: Run, tag: str) -> None:
    found = events(example).Images(tag)
    assert [event.step for event in found] == [1, 2]
    shown = [np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) for event in found]
    assert not np.array_equal(*shown)
    model, data = example.model, example.data.test
    expected = plots.samples(model) if tag == "samples" else plots.reconstructions(model, data.x)
    assert np.array_equal(shown[1], expected)


def test_the_projector_holds_each_latent_with_its_label_and_thumbnail(example: Run) -> None:
    folder, test = example.directory.path, example.data.test
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    latents = folder / "projector"
    assert (embedding.tensor_name, embedding.tensor_path) == ("latents", "projector/tensors.tsv")
    assert (embedding.metadata_path, embedding.sprite.image_path) == ("projector/metadata.tsv", "projector/sprite.png")
    assert list(embedding.sprite.single_image_dim) == [8, 8]
    z = np.loadtxt(latents / "tensors.tsv", delimiter="\t")
    np.testing.assert_allclose(z[:, :2], example.model.encode(test.x).numpy(), atol=1e-6)
    assert z.shape[1] == 3  # of fewer the projector draws nothing
    assert (z[:, 2] == 0).all()
    assert (latents / "metadata.tsv").read_text().split() == [str(label) for label in test.labels.tolist()]
    sprite = np.asarray(Image.open(latents / "sprite.png").convert("L"))
    assert sprite.shape == (19 * 8, 19 * 8)  # 359 data of 8x8 in the least square
    by_row = sprite.reshape(19, 8, 19, 8).swapaxes(1, 2).reshape(-1, 8, 8)[: len(test.x)]
    np.testing.assert_allclose(by_row / 255, as_float(test.x)[:, 0], atol=1 / 255)


def test_the_options_are_hyperparameters_beside_the_final_figures(example: Run) -> None:
    content = events(example).PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info.hparams
    assert start["seed"].number_value == 0
    assert start["sampler.latent"].number_value == 2
    assert start["training.epochs"].number_value == 2
    assert start["training.optimizer.lr"].number_value == pytest.approx(1e-3)
    assert start["encoder.hidden"].string_value == "[256, 128]"
    assert start["loss.kl.weight"].number_value == 0.5
    assert start["data.name"].string_value == "digits"


def test_tensorboard_lists_runs_by_their_names_and_options_that_differ_first(example: Run, tmp_path: Path) -> None:
    shutil.copytree(example.directory.path, tmp_path / "digits")
    genkit.run(small(tmp_path, (5,), seed=5), out=tmp_path / "five")
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    hparams = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(tmp_path))))
    request = RequestContext()
    table = hparams.experiment_from_metadata(request, "", True, hparams.hparams_metadata(request, ""), [])
    assert multiplexer.Runs().keys() == {"digits", "five"}
    differs = [info.differs for info in table.hparam_infos]
    assert differs == sorted(differs, reverse=True)
    by_name = {info.name: info.differs for info in table.hparam_infos}
    assert by_name["seed"]
    assert not by_name["encoder.name"]
    figures = [info.name.tag for info in table.metric_infos]
    assert {"test/elbo", "test/reconstruction", "test/kl", "train/loss"} <= {*figures}
    assert figures[0].startswith("test/")


def test_all_goes_into_one_event_file(example: Run) -> None:
    assert len(list(example.directory.path.glob("events.*"))) == 1


def closed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the event files that are closed from here on."""
    folders: list[Path] = []
    close = RunWriter.close

    def noted(self: RunWriter) -> None:
        close(self)
        folders.append(Path(self.writer.log_dir))

    monkeypatch.setattr(RunWriter, "close", noted)
    return folders


def test_the_event_file_is_closed_after_a_whole_run_and_after_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = closed(monkeypatch)
    genkit.run(small(tmp_path, (1, 2, 2)), out=tmp_path / "whole")
    training = {"epochs": 9, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        genkit.run(small(tmp_path, (1, 2, 2), training=training), out=tmp_path / "failed", listeners=[Ends(True)])
    assert folders == [tmp_path / "whole", tmp_path / "failed"]


def test_a_run_that_fails_before_its_first_record_opens_no_event_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        genkit.run(small(tmp_path, (1, 2, 2)), out=tmp_path / "run", listeners=[NeverBegins()])
    assert not list((tmp_path / "run").glob("events.*"))


class NeverBegins:
    """Interrupts a run at its start."""

    def run_started(self) -> None:
        raise KeyboardInterrupt


class Ends:
    """Ends a run after its second epoch, by its word or by an interruption."""

    def __init__(self, interrupts: bool) -> None:
        self.interrupts = interrupts

    def should_stop(self, record: EpochRecord) -> bool:
        if record.epoch == 2 and self.interrupts:
            raise KeyboardInterrupt
        return record.epoch == 2


def test_the_last_epoch_of_a_run_that_is_ended_early_has_pictures_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genkit_tensorboard.writer.IMAGES", 3)
    training = {"epochs": 10, "device": "cpu"}
    run = genkit.run(small(tmp_path, (1, 2, 2), training=training), out=tmp_path / "run", listeners=[Ends(False)])
    assert [event.step for event in events(run).Images("samples")] == [1, 2]


def test_a_run_without_labels_images_and_held_out_data_is_written_too(tmp_path: Path) -> None:
    config = small(tmp_path, (5,), sampler={"name": "gaussian", "latent": 1})
    run = genkit.run(config, out=tmp_path / "run")
    tags = events(run).Tags()
    assert {"reconstructions", "samples"} <= set(tags["images"])
    assert not [tag for tag in tags["scalars"] if tag.startswith(("validation/", "test/"))]
    latents = tmp_path / "run" / "projector"
    z = np.loadtxt(latents / "tensors.tsv", delimiter="\t")
    assert z.shape == (8, 3)
    assert (z[:, 1:] == 0).all()
    assert [path.name for path in latents.iterdir()] == ["tensors.tsv"]


def sprite_of(run: Run) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(run.directory.path / "projector" / "sprite.png").convert("L"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "square"),
    [((1, 24, 48), 48), ((29, 12), 64), ((3, 9, 10), 10), ((1, 100, 50), 64)],
)
def test_thumbnails_have_any_form(tmp_path: Path, shape: tuple[int, ...], square: int) -> None:
    run = genkit.run(small(tmp_path, shape), out=tmp_path / "run")
    assert sprite_of(run).shape == (3 * square, 3 * square)  # 8 data in the least square
    assert events(run).Tags()["images"] == ["reconstructions", "samples"]
    assert "_hparams_/session_start_info" in events(run).PluginTagToContent("hparams")


def test_a_thumbnail_lies_in_the_middle_of_its_square() -> None:
    x = torch.arange(8 * 4).reshape(1, 8, 4).float()
    shown = thumbnails(x.expand(2, 1, 8, 4))
    assert shown is not None
    assert shown.shape == (2, 3, 8, 8)
    torch.testing.assert_close(shown[0, 0, :, 2:6], x[0] / 31)
    assert (shown[:, :, :, [0, 1, 6, 7]] == 0.5).all()


def test_thumbnails_of_series_are_curves() -> None:
    x = torch.zeros(5, 20, 1)
    x[:, 10:] = 1
    x[0] = torch.nan  # no step is there
    shown = thumbnails(x)
    assert shown is not None
    assert shown.shape == (5, 3, 64, 64)
    assert torch.equal(shown[1], shown[2])
    darker = (shown[1] < 0.9).any(0)[12:52, 6:58]
    low, high = (darker[:, half].float().argmax(0).float().mean() for half in (slice(0, 20), slice(32, 52)))
    assert low > high  # the curve rises from its left half to its right one
    assert float(shown[0].std()) < float(shown[1].std())


def test_the_sprite_of_many_large_images_is_no_larger_than_tensorboard_shows() -> None:
    shown = thumbnails(torch.zeros(projector.THUMBNAILS, 1, 300, 200, dtype=torch.uint8))
    assert shown is not None
    assert shown.shape[2:] == (64, 64)
    assert math.ceil(len(shown) ** 0.5) * 64 <= 8192


def test_names_of_classes_are_one_line_each(tmp_path: Path) -> None:
    names = ["a\tb\nc", "", "$5_to_$10", "d\x1b"]
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((8, 2)), labels=np.array(names * 2))
    data = {"name": "arrays", "path": str(tmp_path / "x.npz"), "validation": 0, "test": 0}
    run = genkit.run(small(tmp_path, (2,), data=data), out=tmp_path / "run")
    lines = (run.directory.path / "projector" / "metadata.tsv").read_text().splitlines()
    assert lines == [r"a\tb\nc", "(no name)", "$5_to_$10", r"d\x1b"] * 2


def test_many_dimensions_give_fewer_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "NUMBERS", 20)
    run = genkit.run(small(tmp_path, (1, 2, 2), sampler={"name": "gaussian", "latent": 4}), out=tmp_path / "run")
    z = np.loadtxt(run.directory.path / "projector" / "tensors.tsv", delimiter="\t")
    assert z.shape == (5, 4)


@pytest.mark.parametrize("part", ["reconstructions", "samples", "projector", "hyperparameters"])
def test_a_part_that_fails_takes_nothing_else_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no\nway")

    owner, name = {
        "projector": (writer, "write_projector"),
        "hyperparameters": (RunWriter, "_hyperparameters"),
    }.get(part, (writer.plots, part))
    monkeypatch.setattr(owner, name, fails)
    monkeypatch.setattr("genkit.pictures.plots.draw_all", lambda *_: [])
    with pytest.warns(GenkitWarning, match=rf"^tensorboard: the [a-z ]*{part} could not be written: \w+: no way"):
        run = genkit.run(small(tmp_path, (1, 2, 2)), out=tmp_path / "run")
    tags = events(run).Tags()
    assert set(tags["images"]) == {"reconstructions", "samples"} - {part}
    assert {"train/loss", "weight/kl"} <= set(tags["scalars"])
    assert (run.directory.path / "projector").exists() == (part != "projector")


def test_a_resumed_run_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    first = genkit.run(small(tmp_path, (1, 2, 2)), out=tmp_path / "run")
    resumed = resume(first.directory.path, epochs=3)
    expected = {line["epoch"]: line["train"]["loss"] for line in metrics(resumed)}
    assert list(expected) == [1, 2, 3]
    assert scalars(resumed, "train/loss") == pytest.approx(expected, rel=1e-6)
    assert set(scalars(resumed, "weight/kl")) == {1, 2, 3}


def test_a_run_of_an_earlier_version_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    first = genkit.run(small(tmp_path, (1, 2, 2)), out=tmp_path / "run").directory.path
    (first / "tensorboard").mkdir()
    for path in [*first.glob("events.*"), *first.glob("projector*")]:
        path.rename(first / "tensorboard" / path.name)
    resume(first, epochs=2)
    assert not list(first.glob("events.*"))
    assert len(list((first / "tensorboard").glob("events.*"))) == 2
    assert (first / "tensorboard" / "projector_config.pbtxt").is_file()


def test_pictures_of_a_long_run_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genkit_tensorboard.writer.IMAGES", 3)
    run = genkit.run(small(tmp_path, (1, 2, 2), training={"epochs": 10, "device": "cpu"}), out=tmp_path / "run")
    assert [event.step for event in events(run).Images("samples")] == [1, 4, 8, 10]
    assert len(scalars(run, "train/loss")) == 10
