"""Parts that start from a trained model: their weights, what stays of them, and what is said where they do not fit."""

import json
import shutil

import pytest
import torch

import genkit
from genkit.errors import ConfigError, GenkitWarning, RunError
from genkit.runs.opening import as_config, prepare
from genkit.runs.preflight import check
from genkit.runs.reproduction import reproduce
from genkit.runs.running import resume, run

pytestmark = pytest.mark.usefixtures("bare")
NORMALIZED = ["encoder={name: mlp, hidden: [8], normalization: batch, dropout: 0.2}", "decoder.hidden=[8]"]
SMALL = [*NORMALIZED, "training.epochs=2", "training.batch_size=128"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A finished run of the digits, whose encoder normalizes and drops out."""
    from tests.conftest import DIGITS

    folder = tmp_path_factory.mktemp("origin") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("genkit.pictures.plots.draw_all", lambda *_: [])
        run(DIGITS, SMALL, out=folder)
    return folder


def tensors(path):
    return {name: each.clone() for name, each in genkit.load(path).state_dict().items()}


def started(origin, **options):
    values = {"from": str(origin), **options}
    return [*SMALL, "seed=5", f"init={json.dumps(values)}"]


def test_all_parts_start_from_it(digits, tmp_path, origin):
    run(digits, [*started(origin), "training.optimizer={name: sgd, lr: 0}"], out=tmp_path / "run")
    trained = tensors(origin)
    running = {name for name in trained if "running" in name or "num_batches" in name}
    assert running
    for name, each in tensors(tmp_path / "run").items():
        assert torch.equal(each, trained[name]) == (name not in running), name
    record = json.loads((tmp_path / "run" / "init.json").read_text())
    assert record["from"] == str(origin)
    assert len(record["sha256"]) == 64
    assert record["parts"] == ["decoder", "encoder", "sampler"]


def test_a_frozen_part_stays_as_it_is_while_others_are_fitted(digits, tmp_path, origin):
    done = run(digits, started(origin, parts=["encoder", "sampler"], freeze=["encoder"]), out=tmp_path / "run")
    trained, now = tensors(origin), tensors(tmp_path / "run")
    for name, each in now.items():
        assert torch.equal(each, trained[name]) == name.startswith("encoder."), name
    assert not any(parameter.requires_grad for parameter in done.model.encoder.parameters())
    done.model.train()
    assert done.model.decoder.training
    assert not any(part.training for part in done.model.encoder.modules())  # no dropout, no statistics of the batch


def test_parts_that_are_not_named_are_drawn(digits, tmp_path, origin):
    _, fresh = prepare(as_config(digits, [*SMALL, "seed=5"]))
    options = [*started(origin, parts=["encoder"]), "training.optimizer={name: sgd, lr: 0}"]
    now = run(digits, options, out=tmp_path / "run").model.state_dict()
    assert all(torch.equal(each, now[name]) for name, each in fresh.state_dict().items() if name.startswith("decoder"))


@pytest.mark.parametrize("until", [(0, 0), (0, 3), (1, 0)])
def test_it_is_resumed_where_the_trained_model_has_gone(digits, tmp_path, origin, until):
    there = shutil.copytree(origin, tmp_path / "there")
    options = started(there, parts=["encoder"], freeze=["encoder"])
    run(digits, options, out=tmp_path / "whole")
    if until == (0, 0):

        class Interrupted:
            def step_ended(self):
                raise KeyboardInterrupt

            def epoch_ended(self):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(digits, [*options, "training.checkpoint.epochs=9"], out=tmp_path / "left", listeners=[Interrupted()])
    else:
        run(digits, options, out=tmp_path / "left", until=until)
    shutil.rmtree(there)
    resume(tmp_path / "left")
    one, other = tensors(tmp_path / "whole"), tensors(tmp_path / "left")
    assert all(torch.equal(each, other[name]) for name, each in one.items())


def test_without_any_checkpoint_the_same_weights_have_to_be_there(digits, tmp_path, origin):
    there = shutil.copytree(origin, tmp_path / "there")
    run(digits, started(there, parts=["encoder"]), out=tmp_path / "whole")
    run(digits, started(there, parts=["encoder"]), out=tmp_path / "left", until=(0, 3))
    for path in (tmp_path / "left").glob("checkpoint*"):
        path.unlink()
    one, other = shutil.copytree(tmp_path / "left", tmp_path / "one"), tmp_path / "left"
    resume(one)
    assert all(torch.equal(each, tensors(one)[name]) for name, each in tensors(tmp_path / "whole").items())
    shutil.copy(one / "model.safetensors", there / "model.safetensors")
    with pytest.raises(RunError, match="are not those that the run began with; put them back, or accept them"):
        resume(other)
    with pytest.warns(GenkitWarning, match="are not those that the run began with"):
        resume(other, accept_changes=True)


def test_it_can_be_reproduced(digits, tmp_path, origin, monkeypatch):
    shutil.copytree(origin, tmp_path / "origin")
    monkeypatch.chdir(tmp_path)
    run(digits, started("origin", parts=["encoder"]), out=tmp_path / "run")
    monkeypatch.chdir("/")
    assert reproduce(tmp_path / "run").different == []


@pytest.mark.parametrize(
    ("options", "init", "said"),
    [
        ([], {"from": "nowhere"}, r"init.from: nowhere: there is no such file"),
        ([], {"parts": ["encodr"]}, r"init.parts: the model has no part 'encodr'; did you mean 'encoder'\?"),
        ([], {"freeze": ["encodr"]}, r"init.freeze: the model has no part 'encodr'; did you mean 'encoder'\?"),
        (
            [],
            {"parts": ["encoder"], "freeze": ["decoder"]},
            r"init.freeze: init.parts has no 'decoder' to freeze; did you mean 'encoder'",
        ),
        ([], {"parts": []}, r"init.parts: .*at least 1 item"),
        (
            ["encoder.hidden=[9]", "encoder.normalization=none"],
            {},
            r"init.from: \S+run: encoder\.\S+ is float32 \(8, 64\) there, and float32 \(9, 64\) here\n(.*\n)*"
            r"init.from: \S+run: and \d+ more tensors\n"
            r"init: give encoder and sampler the options, data and condition of \S+run, or name others in init.parts$",
        ),
        (
            [],
            {"freeze": ["encoder", "sampler", "decoder"]},
            "the model has no parameter to fit; leave a part out of init.freeze",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(digits, tmp_path, origin, options, init, said):
    with pytest.raises(genkit.GenkitError, match=said):
        run(digits, [*started(origin), f"init={json.dumps({'from': str(origin), **init})}", *options], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_check_before_a_run_names_misfits_too(digits, origin):
    errors = check(as_config(digits, [*started(origin), "decoder.hidden=[9]"]), probe=False).errors
    assert any("decoder." in error and "there, and float32" in error for error in errors)
    assert check(as_config(digits, started(origin)), probe=False).errors == []


def test_an_unfinished_run_is_no_trained_model(digits, tmp_path, origin):
    run(digits, SMALL, out=tmp_path / "left", until=(1, 0))
    with pytest.raises(ConfigError, match=r"init.from: .*the run is not finished"):
        run(digits, started(tmp_path / "left"), out=tmp_path / "run")
