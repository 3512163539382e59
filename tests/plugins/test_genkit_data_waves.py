"""The waves: each against its closed form, and the data as a whole against what their docstring promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from genkit.data import loading
from genkit.data.dataset import SPLITS
from genkit.errors import ConfigError, DataError
from genkit.runs.opening import as_config
from genkit_data import Waves

Array = np.ndarray[Any, Any]


def waves(**options: Any) -> tuple[Array, Array]:
    """x (N, T, F) in float64, and the labels (N,)."""
    train = Waves(Waves.Config.model_validate(options)).load().train
    return train.x.double().numpy(), train.labels.numpy()


def of_form(form: int, **options: Any) -> Array:
    """The first channel (N, T) of the noiseless waves of one form."""
    x, labels = waves(noise=0.0, **options)
    return x[labels == form, :, 0]


# One wave at a time


@pytest.mark.parametrize(("cycles", "amplitude"), [((1.0, 3.0), (0.5, 1.0)), ((2.2, 2.8), (3.0, 4.0))])
def test_a_sine_obeys_the_recurrence_of_one_frequency(
    cycles: tuple[float, float], amplitude: tuple[float, float]
) -> None:
    """x[t+1] + x[t-1] = 2 cos(2π f / T) x[t]; then amplitude and phase by least squares on cosine and sine."""
    steps, x = np.arange(64), of_form(0, count=300, cycles=cycles, amplitude=amplitude)
    middle, around = x[:, 1:-1], x[:, 2:] + x[:, :-2]
    f = 64 / (2 * np.pi) * np.arccos((middle * around).sum(1) / (2 * np.square(middle).sum(1)))
    a, phase = np.empty(100), np.empty(100)
    for index, frequency in enumerate(f):
        angle = 2 * np.pi * frequency * steps / 64
        basis = np.stack([np.sin(angle), np.cos(angle)], 1)
        found, *_ = np.linalg.lstsq(basis, x[index])
        np.testing.assert_allclose(basis @ found, x[index], atol=1e-4)
        a[index], phase[index] = math.hypot(*found), math.atan2(found[1], found[0]) / (2 * math.pi) % 1
    for found, (low, high) in ((f, cycles), (a, amplitude), (phase, (0, 1))):
        share = (found - low) / (high - low)
        assert -1e-3 < share.min() < 0.1  # the ranges are kept, and filled
        assert 0.9 < share.max() < 1 + 1e-3
        assert share.mean() == pytest.approx(0.5, abs=0.1)


def test_a_square_has_two_opposite_values_for_half_a_cycle_each() -> None:
    x = of_form(1, count=90, length=1000)
    a = np.abs(x[:, :1])
    assert ((a >= 0.5) & (a <= 1)).all()
    assert (np.abs(x) == a).all()
    for wave in x:
        jumps = np.nonzero(np.diff(wave))[0]
        halves = np.diff(jumps)  # in steps, between 1000 / 6 and 1000 / 2
        assert (np.ptp(halves) if len(halves) else 0) <= 1
        assert all(1000 / 6 - 1 <= half <= 1000 / 2 + 1 for half in halves)


def test_a_sawtooth_rises_in_straight_lines_and_falls_by_twice_its_amplitude() -> None:
    x = of_form(2, count=90, length=1000)
    for wave in x:
        rises = np.diff(wave)
        falls = rises < 0
        slope = np.median(rises)
        np.testing.assert_allclose(rises[~falls], slope, atol=1e-6)
        a = (slope - rises[falls]) / 2  # one straight step is part of each fall
        np.testing.assert_allclose(a, a[0], atol=1e-6)
        assert 0.5 <= a[0] <= 1
        assert 1 <= 1000 * slope / (2 * a[0]) <= 3  # cycles
        assert np.abs(wave).max() <= a[0] + 1e-6


def test_two_waves_are_those_of_the_formula_in_the_docstring() -> None:
    """The draws in the order that the docstring gives, and the formula in plain Python."""
    options = {"count": 5, "length": 7, "channels": 2, "shift": 0.1, "seed": 3}
    x, _ = waves(**options)
    rng = np.random.default_rng(3)
    f, p, a = 1 + 2 * rng.random(5), rng.random(5), 0.5 + 0.5 * rng.random(5)
    e = rng.standard_normal((5, 7, 2))
    forms = (lambda u: math.sin(2 * math.pi * u), lambda u: 1 if u % 1 < 0.5 else -1, lambda u: 2 * (u % 1) - 1)
    for n, t, c in np.ndindex(x.shape):
        wave = a[n] * forms[n % 3](f[n] * t / 7 + p[n] + c * 0.1)
        assert x[n, t, c] == pytest.approx(wave + 0.05 * e[n, t, c], abs=1e-6)


# Channels and noise


def test_each_channel_is_ahead_of_the_one_before() -> None:
    """At one cycle in 100 steps, a shift of 0.25 cycles is 25 steps."""
    x, _ = waves(count=30, length=100, channels=3, noise=0.0, cycles=(1.0, 1.0))
    assert x.shape == (30, 100, 3)
    for channel in (1, 2):
        same = np.isclose(x[:, :, channel], np.roll(x[:, :, 0], -25 * channel, 1), atol=1e-5)
        assert same.mean() > 0.98  # jumps may fall a step beside, by rounding
        assert not np.allclose(x[:, :, channel], x[:, :, 0], atol=0.1)
    x, _ = waves(count=30, channels=2, noise=0.0, shift=0.0)
    np.testing.assert_array_equal(x[:, :, 0], x[:, :, 1])


def test_the_noise_is_white_and_as_strong_as_asked_for() -> None:
    clean, _ = waves(count=300, channels=2, noise=0.0)
    noise = waves(count=300, channels=2, noise=0.2)[0] - clean
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(0.2, rel=0.02)
    left, right = noise[:, :-1].ravel(), noise[:, 1:].ravel()
    assert np.corrcoef(left, right)[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(noise[:, :, 0].ravel(), noise[:, :, 1].ravel())[0, 1] == pytest.approx(0, abs=0.03)


# The data as a whole


@pytest.mark.parametrize("count", [1, 2, 3, 100, 2000])
def test_the_forms_are_balanced_and_named(count: int) -> None:
    raw = Waves(Waves.Config(count=count)).load()
    assert raw.train.x.shape == (count, 64, 1)
    assert (raw.train.x.dtype, raw.train.labels.dtype) == (torch.float32, torch.int64)
    counts = raw.train.labels.bincount(minlength=3)
    assert counts.max() - counts.min() <= 1
    assert raw.classes == ("sine", "square", "sawtooth")


def test_the_seed_alone_decides() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, _ = waves(count=20, seed=4)
    np.testing.assert_array_equal(before[0].numpy(), torch.get_rng_state().numpy())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    with torch.random.fork_rng():
        torch.manual_seed(99)
        np.testing.assert_array_equal(first, waves(count=20, seed=4)[0])
    assert (first != waves(count=20, seed=5)[0]).all()


def test_the_splits_are_disjoint_and_together_all() -> None:
    loaded = loading.load(Waves.Config(count=100, length=8))
    parts = [loaded.split(name).x for name in SPLITS]
    assert [len(part) for part in parts] == [70, 10, 20]
    rows = {tuple(row) for part in parts for row in part.flatten(1).tolist()}
    assert rows == {tuple(row) for row in waves(count=100, length=8)[0].reshape(100, 8).tolist()}
    assert len(rows) == 100


def test_single_values_make_data_too() -> None:
    assert waves(count=3, length=1, cycles=(2.0, 2.0))[0].shape == (3, 1, 1)


# Options


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("count", 0, "must be greater than or equal to 1, not 0"),
        ("length", 0, "must be greater than or equal to 1, not 0"),
        ("length", 6.5, "must be a valid integer, not 6.5"),
        ("channels", 0, "must be greater than or equal to 1, not 0"),
        ("shift", "quarter", "must be a valid number, not 'quarter'"),
        ("cycles", [3, 1], "the least, 3, must not lie above the greatest, 1"),
        ("amplitude", [1, 0.5], "the least, 1, must not lie above the greatest, 0.5"),
        ("noise", -0.1, "must be greater than or equal to 0, not -0.1"),
        ("noise", math.inf, "must be a finite number, not inf"),
        ("seed", -1, "must be greater than or equal to 0, not -1"),
    ],
)
def test_a_bad_option_is_answered_in_one_line(option: str, value: Any, message: str) -> None:
    rest = {"sampler": "gaussian", "decoder": "rnn", "likelihood": "gaussian", "loss": "reconstruction"}
    with pytest.raises(ConfigError) as caught:
        as_config({"data": {"name": "waves", option: value}, **rest})
    assert str(caught.value) == f"config: data.{option}: {message}"


@pytest.mark.parametrize("wrong", [{"cycles": [0, 1]}, {"amplitude": [-1, 1]}, {"cycles": 2.0}, {"lenght": 3}])
def test_options_of_the_wrong_kind_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Waves.Config.model_validate(wrong)
    assert caught.value.error_count() == 1


def test_waves_are_no_probabilities() -> None:
    with pytest.raises(DataError, match="binarize: dynamic takes values from 0 to 1, and the data go from -"):
        loading.load(Waves.Config(count=50, binarize="dynamic"))
