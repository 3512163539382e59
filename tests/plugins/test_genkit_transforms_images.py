"""Augmentations: in training alone, each datum by itself, the same whatever was interrupted."""

import pytest
import torch

from genkit.data.transforming import Chain
from genkit.errors import ComponentError
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import resume, run
from genkit_transforms import Crop, Flip, Noise, Shift

QUICK = ["training.epochs=2", "encoder.hidden=[8]", "decoder.hidden=[8]"]
AUGMENTED = "data.transform=[flip, {name: shift, pixels: 1}, crop, noise]"
X = torch.rand(400, 2, 6, 5, generator=torch.Generator().manual_seed(0))


def augmented(config, x=X):
    chain = Chain.of([config], tuple(x.shape[1:]))
    chain.fit(x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return chain.train().applied(x)


def test_a_flip_mirrors_a_share_of_the_images_as_a_whole():
    y = augmented(Flip.Config(probability=0.25))
    mirrored = (y == X.flip(3)).flatten(1).all(1)
    assert torch.equal(y[~mirrored], X[~mirrored])
    assert float(mirrored.double().mean()) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 400) ** 0.5)
    assert torch.equal(augmented(Flip.Config(axis="vertical", probability=1)), X.flip(2))


def test_a_shift_moves_by_whole_pixels_evenly_along_both_axes():
    spot = torch.zeros(900, 1, 7, 7)
    spot[:, 0, 3, 3] = 1
    y = augmented(Shift.Config(pixels=1), spot)
    assert torch.equal(y.sum((1, 2, 3)), torch.ones(900))
    counts = y[:, 0].sum(0)[2:5, 2:5]
    assert float(counts.sum()) == 900
    assert float(counts.min()) > 100 - 4 * 100**0.5
    edge = torch.zeros(50, 1, 3, 3)
    edge[:, :, :, 0] = 1
    rows = {tuple(row) for row in augmented(Shift.Config(pixels=1), edge)[:, 0, 0].tolist()}
    assert rows == {(1, 0, 0), (1, 1, 0), (0, 0, 0)}


def test_a_crop_of_the_whole_is_the_image_and_a_part_is_enlarged():
    torch.testing.assert_close(augmented(Crop.Config(least=1)), X, atol=1e-5, rtol=1e-5)
    ramp = torch.linspace(0, 1, 9).expand(300, 1, 9, 9)
    y = augmented(Crop.Config(least=0.5), ramp)
    widths = (y.amax(3) - y.amin(3))[:, 0, 0]
    assert float(widths.min()) > 0.4
    assert float(widths.max()) < 1.0
    assert float(y.std((1, 2, 3)).std()) > 0


def test_noise_has_its_scale_and_stays_in_the_range_of_the_data():
    middle = torch.full((100, 10, 10), 0.5)
    middle[0, 0, 0], middle[0, 0, 1] = 0.0, 1.0
    y = augmented(Noise.Config(scale=0.1), middle)
    assert float((y - middle)[1:].std()) == pytest.approx(0.1, rel=0.03)
    y = augmented(Noise.Config(scale=5), middle)
    assert (float(y.min()), float(y.max())) == (0.0, 1.0)


def test_images_alone_are_flipped():
    with pytest.raises(ComponentError, match=r"transform 'flip' refuses shape \(4,\): it takes images \(C, H, W\)"):
        Chain.of([Flip.Config()], (4,))


def test_they_act_on_training_batches_alone(digits):
    data, model = prepare(as_config(digits, [AUGMENTED]))
    x = data.train.x[:8]
    with torch.random.fork_rng():
        model.train()
        one, two = (next(data.batches(data.train, 8)).x for _ in range(2))
        assert not torch.equal(one, two)
        model.eval()
        assert torch.equal(next(data.batches(data.train, 8)).x, x)
        model.train()
        plain = prepare(as_config(digits))[1]
        plain.load_state_dict(model.state_dict(), strict=False)
        assert torch.equal(model.encode(x), plain.encode(x))
    assert model.data.transforms == ()
    assert data.transforms.lasting == ()


@pytest.mark.usefixtures("bare")
def test_a_run_learns_from_them_and_goes_on_bit_for_bit_from_within_an_epoch(digits, tmp_path):
    whole = run(digits, [*QUICK, AUGMENTED], out=tmp_path / "whole")
    run(digits, [*QUICK, AUGMENTED], out=tmp_path / "parts", until=(1, 7))
    again = resume(tmp_path / "parts").model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.model.state_dict().items())
    plain = run(digits, QUICK, out=tmp_path / "plain")
    assert plain.history[-1].train.loss != whole.history[-1].train.loss
    assert "log_det" not in whole.evaluation.to_json()
