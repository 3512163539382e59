"""Sequences from a formula: waves of three forms, to try recurrent networks on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from genkit.interfaces import DataSource, RawData, Split

FORMS = ("sine", "square", "sawtooth")

Array = np.ndarray[Any, np.dtype[np.float64]]


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise PydanticCustomError("range", f"the least, {ends[0]:g}, must not lie above the greatest, {ends[1]:g}")
    return ends


Positive = Annotated[float, Field(gt=0)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]


class Waves(DataSource):
    """Waves of three forms, with their forms as labels: (N, T, F), N sequences of T steps with F channels.

    x[n, t, c] = a_n · w(f_n · t / T + p_n + c · shift) + noise · e[n, t, c], where w(u) is one of

    - sine, n mod 3 = 0: sin(2π u),
    - square, n mod 3 = 1: 1 where u − ⌊u⌋ < 1/2, else −1,
    - sawtooth, n mod 3 = 2: 2 (u − ⌊u⌋) − 1;

    f is uniform in the range `cycles`, p in [0, 1), a in the range `amplitude`, and e is standard normal. These are the
    draws of numpy.random.default_rng(seed) in this order: f, p and a (N each, each as low + (high − low) · random()),
    then e (N, T, F). All is computed in float64 and rounded to float32.

    Args:
        config: the number of waves, their sizes and ranges, and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of waves."""

        name: Literal["waves"] = "waves"
        count: Annotated[int, Field(ge=1, description="the number of sequences, N")] = 2000
        length: Annotated[int, Field(ge=1, description="the number of steps of a sequence, T")] = 64
        channels: Annotated[
            int, Field(ge=1, description="the number of values of a step, F: the same wave, shifted")
        ] = 1
        shift: Annotated[float, Field(description="how far each channel is ahead of the one before, in cycles")] = 0.25
        cycles: Annotated[Range, Field(description="the least and the greatest frequency, in cycles per sequence")] = (
            1.0,
            3.0,
        )
        amplitude: Annotated[Range, Field(description="the least and the greatest amplitude")] = (0.5, 1.0)
        noise: Annotated[float, Field(ge=0, description="the standard deviation of the noise on each value")] = 0.05
        seed: Annotated[int, Field(ge=0, description="the seed of waves and noise, independent of the run's seed")] = 0

    config: Config

    def load(self) -> RawData:
        """Compute the waves; the same config gives the same data."""
        config, form = self.config, np.arange(self.config.count) % len(FORMS)
        rng = np.random.default_rng(config.seed)
        f, p, a = (
            low + (high - low) * rng.random((config.count, 1, 1))
            for low, high in (config.cycles, (0.0, 1.0), config.amplitude)
        )
        steps = np.arange(config.length)[:, np.newaxis] / config.length  # (T, 1)
        phase = f * steps + p + np.arange(config.channels) * config.shift
        x = a * _wave(phase, form[:, np.newaxis, np.newaxis]) + config.noise * rng.standard_normal(phase.shape)
        return RawData(Split(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(form)), classes=FORMS)


def _wave(phase: Array, form: np.ndarray[Any, Any]) -> Array:
    """The waves at phases (N, T, F) in cycles, of forms (N, 1, 1): indices into FORMS."""
    fraction = phase - np.floor(phase)
    waves: Array = np.choose(form, (np.sin(2 * np.pi * phase), np.where(fraction < 0.5, 1.0, -1.0), 2 * fraction - 1))
    return waves
