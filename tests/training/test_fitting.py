"""A prior that is fitted after training: the stage, its checkpoints, and a resume that fits again."""

import pytest
import torch

from genkit.errors import GenkitWarning
from genkit.record.stages import FITTED, STAGES, TRAINED
from genkit.runs.running import resume, run
from genkit.sharing import weights
from genkit.training import checkpoint

OPTIONS = [
    *("data.size=8", "encoder.hidden=[8]", "decoder.hidden=[8]", "training.epochs=2", "sampler.latent=3"),
    "prior={name: gmm, components: 3}",
]
pytestmark = pytest.mark.usefixtures("bare")


def fitted(digits, out, *options):
    return run(digits.with_name("autoencoder.yaml"), [*OPTIONS, *options], out=out)


def samples(path):
    model = weights.load(path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model.sample(5)


def test_the_prior_is_fitted_before_the_weights_are_written(digits, tmp_path):
    made = fitted(digits, tmp_path / "run")
    assert made.directory.stages.done(2) == list(STAGES)
    assert float(made.model.prior.is_fitted) == 1
    before = checkpoint.read(checkpoint.before(made.directory.checkpoint)).tensors
    after = checkpoint.read(made.directory.checkpoint).tensors
    assert (float(before["model.prior.is_fitted"]), float(after["model.prior.is_fitted"])) == (0, 1)
    assert all(torch.equal(before[name], after[name]) for name in before if "prior" not in name)
    assert samples(tmp_path / "run").shape == (5, 1, 8, 8)


def test_what_stops_between_training_and_fit_is_fitted_alike_by_a_resume(digits, tmp_path, monkeypatch):
    whole = fitted(digits, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.finishing.fit_prior", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fitted(digits, tmp_path / "cut")
    cut = tmp_path / "cut"
    assert not (cut / "model.safetensors").exists()
    made = resume(cut)
    assert made.directory.stages.done(2) == list(STAGES)
    assert torch.equal(samples(cut), samples(tmp_path / "whole"))
    assert all(torch.equal(value, whole.model.state_dict()[name]) for name, value in made.model.state_dict().items())


def test_a_fit_that_fails_is_a_warning_and_the_weights_are_there(digits, tmp_path):
    with pytest.warns(GenkitWarning, match=r"could not be fitted: prior 'gmm': .* lower prior.components"):
        made = fitted(digits, tmp_path / "run", "prior.components=1000")
    assert made.directory.model.is_file()
    assert FITTED not in made.directory.stages.done(2)
    assert TRAINED in made.directory.stages.done(2)


def test_a_longer_training_fits_anew(digits, tmp_path):
    fitted(digits, tmp_path / "run")
    first = samples(tmp_path / "run")
    longer = resume(tmp_path / "run", epochs=3)
    straight = fitted(digits, tmp_path / "straight", "training.epochs=3")
    assert not torch.equal(samples(tmp_path / "run"), first)
    for name, value in longer.model.state_dict().items():
        assert torch.equal(value, straight.model.state_dict()[name]), name
