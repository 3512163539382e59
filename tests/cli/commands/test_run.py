"""What `genkit run` refuses of options that do not go with the data, with each other, or with a trained model."""

import numpy as np
import pytest

from genkit.errors import GenkitWarning
from genkit.runs.opening import as_config, prepare
from genkit_mlp import MLPEncoder

SMALL = ["training.epochs=1", "encoder.hidden=[8]", "decoder.hidden=[8]", "training.batch_size=512"]


@pytest.fixture
def refused(cli, digits, tmp_path, monkeypatch):
    """`refused(words)`: the one message with which `genkit run` refuses them, before anything is written."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words, system="vae-digits"):
        small = SMALL if system == "vae-digits" else SMALL[:1]
        answer = cli("run", digits.with_name(f"{system}.yaml"), *small, *words, "--out", tmp_path / "run")
        assert answer.code == 2
        errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "Traceback" not in answer.err
        assert not (tmp_path / "run").exists()
        return errors[0]

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["condition=colour"],
            "condition reads the side data 'colour', which the data lack: they have labels; add 'colour' to the data, "
            "or take it out of condition",
        ),
        (["condition=[labels,labels]"], "condition: 'labels' is there twice"),
        (["sampler=point", "loss=reconstruction", "prior=mixture"], "leave the prior out, or choose another sampler"),
        (["prior=mixure"], "prior: unknown prior 'mixure'; did you mean 'mixture'?"),
        (["training.keep=best", "data.validation=0"], "training.keep: best follows the validation data, and there are"),
        (["training.stop.patience=3", "data.validation=0"], "none: hold some out, for example data.validation=0.1"),
        (["training.stop.monitor=accuracy"], "must be 'loss', 'elbo' or 'reconstruction', not 'accuracy'"),
        (["metrics=nill"], "unknown metric 'nill'; did you mean 'nll'?"),
        (["training.ema=1.5"], "training.ema.decay: must be less than 1, not 1.5"),
        (["training.steps=10"], "says both epochs and steps: give one of them a number, and the other null"),
        (["training.accumulate=2", "encoder.normalization=batch"], "training.accumulate: encoder.layers.2 normalizes"),
        (
            ["training.optimizer.lr={schedule: cosine, from: 0.1, epochs: 5, warm_up: 6}"],
            "training.optimizer.lr: warm_up must be below epochs, which it is a part of",
        ),
    ],
)
def test_options_that_cannot_be_followed_are_one_message_each(refused, words, message):
    assert message in refused(*words)


def test_a_part_that_reads_side_data_which_the_data_lack(refused, variant):
    name = variant(MLPEncoder, reads=("colour",))
    message = refused(f"encoder={name}")
    assert f"encoder '{name}' reads the side data 'colour', which the data lack: they have labels" in message
    assert message.endswith("add 'colour' to the data, or choose another encoder")


def test_a_prior_that_is_fitted_to_latents_needs_an_encoder(refused):
    assert "prior 'gmm' is fitted to the latents of the data, and the model has no encoder" in refused(
        "prior=gmm", system="gan"
    )


@pytest.fixture
def table(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32))
    return f"data={{name: arrays, path: {tmp_path / 'x.npy'}, transform: TRANSFORM}}"


@pytest.mark.parametrize("name", ["flip", "crop", "shift"])
def test_augmentations_of_images_are_refused_for_a_table(refused, table, name):
    message = refused(table.replace("TRANSFORM", name), "likelihood=gaussian")
    expected = f"transform '{name}' refuses shape (5,): it takes images (C, H, W); leave it out of data.transform"
    assert message == f"error: {expected}"


def test_a_table_without_labels_has_nothing_to_be_conditioned_on(refused, table):
    message = refused(table.replace("TRANSFORM", "[]"), "likelihood=gaussian", "condition=labels")
    assert "which the data lack: they have none; add 'labels' to the data" in message


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("{from: RUN, freeze: [enc]}", "init.freeze: the model has no part 'enc'; did you mean 'encoder'?"),
        (
            "{from: RUN, parts: [encoder], freeze: [encodr]}",
            "init.freeze: init.parts has no 'encodr' to freeze; did you mean 'encoder'?",
        ),
        ("{from: nowhere}", "init.from: nowhere: there is no such file"),
    ],
)
def test_a_trained_model_that_gives_nothing(refused, trained, init, message):
    path = trained["vae-digits"].directory.path
    options = ["encoder.hidden=[16]", "decoder.hidden=[16]"]
    assert message in refused(*options, f"init={init.replace('RUN', str(path))}")


def test_a_warm_up_that_does_not_end_is_a_warning(cli, digits):
    lr = "training.optimizer.lr={schedule: cosine, from: 0.1, epochs: 50, warm_up: 6}"
    answer = cli("check", digits, *SMALL, lr)
    assert answer.code == 0
    expected = (
        "training.optimizer.lr: its warm-up takes 6 epochs, and the training 1: it never reaches 0.1; shorten warm_up, "
        "or train for longer"
    )
    assert expected in answer.out
    with pytest.warns(GenkitWarning, match="never reaches 0.1; shorten warm_up"):
        prepare(as_config(digits, [*SMALL, lr]))
    assert "warm-up" not in cli("check", digits, *SMALL, lr, "training.epochs=7").out
