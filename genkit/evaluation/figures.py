"""The figures of a trained model, in nats per datum.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.data.steps import beside as standing_beside
from genkit.errors import DataError, TrainingError
from genkit.evaluation.evaluations import CodeStatistics
from genkit.evaluation.evaluations import Evaluation as Evaluation
from genkit.evaluation.metrics import measure, named
from genkit.interfaces import Forward, Metric
from genkit.interfaces.component import MASK
from genkit.model.batches import MOST
from genkit.model.conditions import Beside
from genkit.model.model import Model
from genkit.model.network import evaluating

ACTIVE = 0.01
"""The least variance over the data of an active posterior mean (Burda et al. 2016, arXiv:1509.00519)."""
QUIET = 1e-3
"""The largest magnitude of a code's unit that is not active for a datum."""


def evaluate(
    model: Model,
    data: Dataset,
    split: str = "test",
    draws: int = 1,
    seed: int = 0,
    metrics: Iterable[Metric.Config] = (),
) -> Evaluation:
    """Estimate the ELBO and its parts on a split, and measure metrics; the same seed gives the same figures.

    Raises:
        DataError: the split is empty, or its data do not fit the model.
        TrainingError: the figures are not finite.
        MetricError: a metric cannot be computed.
    """
    evaluation = _core_figures(model, data, split, draws, seed)
    each = named(metrics).items()
    return replace(evaluation, metrics={name: measure(model, data, one, split, seed, name) for name, one in each})


def _core_figures(model: Model, data: Dataset, split: str, draws: int, seed: int) -> Evaluation:
    """The figures that belong to every model: they come from one pass over the data, and need no choice of metrics."""
    held_out = data.split(split)
    model.fitting(held_out.x)
    if draws < 1:
        raise DataError(f"the ELBO needs at least one draw per datum, not {draws}")
    if model.encoder is None:
        return Evaluation(split, len(held_out.x), draws, math.prod(model.sampler.latent_shape))
    sums = _Sums()
    with torch.random.fork_rng(), evaluating(model):
        torch.manual_seed(seed)
        for batch in data.untransformed().batches(held_out, max(1, MOST // draws), names=model.inputs):
            x = as_float(batch.x.to(model.device))
            side = {name: values.to(model.device) for name, values in batch.side.items()}
            sums.add(model, x, model(model.transforms(x), draws, side), side)
    return replace(sums.evaluation(split, draws), own_units=model.transforms.without_log_det)


class _Sums:
    """Sums over the data of a split, from which the figures are computed."""

    def __init__(self) -> None:
        self.reconstruction = 0.0
        self.kl: Tensor | None = None
        self.means: list[Tensor] = []
        self.x, self.squares, self.errors, self.noise, self.misfit = torch.zeros(()), 0.0, 0.0, 0.0, 0.0
        self.there: Tensor | None = None
        """How many data have each value of series with a mask, (T, 1); None: all have all."""
        self.log_det: float | None = None
        self.values, self.is_density = 0, True

    def add(self, model: Model, own: Tensor, forward: Forward, side: Mapping[str, Tensor]) -> None:
        """Add the pass of a batch with its side data; `own` is the batch (B, *shape) in the data's own units."""
        assert forward.latent is not None and forward.log_prob is not None  # noqa: PT018
        dtype = model.sum_dtype
        x, mean = forward.x.to(dtype), forward.latent.mean
        beside = model.beside(side)
        params, keywords = model.params(mean, beside, x=forward.x), beside.of(model.likelihood)
        mask = side[MASK] if model.schema.is_padded else None
        means = model.likelihood.mean(params, **keywords).to(dtype)
        reconstructions = model.decoded(mean, side).to(dtype) if model.in_steps else means
        self.reconstruction -= float(forward.log_prob.to(dtype).mean(0).sum())
        if model.transforms.lasting:
            self.log_det = (self.log_det or 0.0) + float(model.transforms.log_det(own, mask).to(dtype).sum())
        if (divergence := forward.latent.divergence) is not None:
            row = divergence.to(dtype).sum(0).cpu()
            self.kl = row if self.kl is None else self.kl + row
        self.means.append(mean.flatten(1).cpu())
        self.is_density = model.likelihood.is_density
        self.values = math.prod(model.shape)
        if mask is not None:
            self._add_there(standing_beside(mask, x).sum(0).cpu())
            x, means, reconstructions = (model.there(each, beside) for each in (x, means, reconstructions))
            own = model.there(own, beside)
        if model.schema.columns:  # squares of columns in different units, some of them missing, add up to nothing
            return
        self.misfit += float((x - means).square().sum())
        self.noise += _noise(model, params, beside, means)
        if model.transforms.inverts:
            own_means = model.there(model.transforms.inverse(reconstructions.to(own.dtype)), beside)
            self._add_errors(own.to(dtype), own_means.to(dtype))

    def _add_there(self, there: Tensor) -> None:
        """Add how many data of a batch have each step, (T, 1)."""
        self.there = there if self.there is None else self.there + there

    def _variance(self, count: int) -> float:
        """The squares around the mean of each value, in the data's own units, summed over N = `count` data."""
        if self.there is None:
            return self.squares - float(self.x.square().sum()) / count
        return self.squares - float((self.x.square() / self.there.clamp_min(1)).sum())

    def _add_errors(self, x: Tensor, reconstructions: Tensor) -> None:
        """Add the squared errors of a batch (B, *shape), in the data's own units."""
        self.x = self.x + x.sum(0).cpu()
        self.squares += float(x.square().sum())
        self.errors += float((x - reconstructions).square().sum())

    def evaluation(self, split: str, draws: int) -> Evaluation:
        """The means over the data."""
        means = torch.cat(self.means)
        count = len(means)
        variance = self._variance(count)
        values = self.values if self.there is None else self.values * float(self.there.mean()) / count
        log_det = None if self.log_det is None else self.log_det / count
        reconstruction = self.reconstruction / count - (log_det or 0.0)
        kl = None if self.kl is None else float(self.kl.sum()) / count
        elbo = None if kl is None or not self.is_density else -reconstruction - kl
        _check_finite({"reconstruction": reconstruction, "KL": kl, "errors": self.errors}, split)
        return Evaluation(
            split=split,
            count=count,
            draws=draws,
            latents=means.shape[1],
            elbo=elbo,
            reconstruction=reconstruction,
            kl=kl,
            bits_per_dim=None if elbo is None else -elbo / (math.log(2) * values),
            kl_per_latent=None if self.kl is None else (self.kl / count).tolist(),
            active_units=int((means.var(0, correction=0) > ACTIVE).sum()),
            unexplained=self.errors / variance if variance > 0 else None,
            dispersion=self.misfit / self.noise if self.noise > 0 else None,
            code=_code_statistics(means) if self.kl is None else None,
            log_det=log_det,
        )


def _noise(model: Model, params: Tensor, beside: Beside, means: Tensor) -> float:
    """The squares, summed, of what a draw from p(x|z) adds to its mean; the draws of the figures stay what they are."""
    if not means.isfinite().all():
        return 0.0
    with torch.random.fork_rng():
        drawn = model.there(model.likelihood.sample(params, **beside.of(model.likelihood)).to(means.dtype), beside)
        return float((drawn - means).square().sum())


def _check_finite(figures: dict[str, float | None], split: str) -> None:
    bad = [f"{name} {value}" for name, value in figures.items() if value is not None and not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"the figures of the {split} split are not finite: {', '.join(bad)}; the weights have run away: train "
            "again with a lower training.optimizer.lr, or with training.clip_norm (1.0 is a usual value)"
        )


def _code_statistics(codes: Tensor) -> CodeStatistics:
    """The sparsity of codes (N, D)."""
    active = codes.abs() > QUIET
    return CodeStatistics(
        mean_activation=codes.double().mean(0).tolist(),
        l0=float(active.double().sum(1).mean()),
        dead=float((~active.any(0)).double().mean()),
    )
