"""The figures of a trained model, in nats per datum.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.data.steps import beside as standing_beside
from genkit.errors import DataError, TrainingError
from genkit.evaluation.descriptions import Figure, figures
from genkit.evaluation.metrics import figures as figures_of_metrics
from genkit.evaluation.metrics import measure, named
from genkit.interfaces import NATS, Description, Forward, Metric
from genkit.interfaces.component import MASK
from genkit.model.batches import MOST
from genkit.model.conditions import Beside
from genkit.model.model import Model
from genkit.model.network import evaluating

ACTIVE = 0.01
"""The least variance over the data of an active posterior mean (Burda et al. 2016, arXiv:1509.00519)."""
QUIET = 1e-3
"""The largest magnitude of a code's unit that is not active for a datum."""


@dataclass(frozen=True)
class CodeStatistics:
    """The sparsity of the codes over a split, for a model without a KL."""

    mean_activation: list[float]
    """The mean of each unit over the data; a sparsity penalty draws it to its rho."""
    l0: Annotated[
        float,
        Description(
            "active units", "per datum", sentence="Units of the code with a magnitude above 0.001.", form=",.2f"
        ),
    ]
    dead: Annotated[
        float,
        Description(
            "dead units", better="lower", sentence="The share of units that are active for no datum.", form=".1%"
        ),
    ]


@dataclass(frozen=True)
class Evaluation:
    """Means over a split, in nats per datum; None where the model has no encoder, or its sampler no KL."""

    split: str
    count: int
    """The number of data."""
    draws: int
    """The draws from q(z|x) per datum."""
    latents: int
    """The number of latent dimensions."""
    elbo: Annotated[
        float | None,
        Description(
            "evidence lower bound (ELBO)", NATS, "higher", "−reconstruction − KL, whatever the weights.", ",.2f", True
        ),
    ] = None
    reconstruction: Annotated[
        float | None,
        Description(
            "reconstruction, E[−log p(x|z)]", NATS, "lower", "The mean over draws of z from q(z|x).", ",.2f", True
        ),
    ] = None
    kl: Annotated[
        float | None,
        Description("KL(q(z|x) ‖ p(z))", NATS, None, "The divergence of the posterior from the prior.", ",.2f"),
    ] = None
    bits_per_dim: Annotated[
        float | None,
        Description("bits per dimension", "", "lower", "−ELBO / (ln 2 · values in a datum).", of_density=True),
    ] = None
    kl_per_latent: list[float] | None = None
    """The KL of each latent dimension; near 0 where the dimension is not used."""
    active_units: Annotated[
        int | None,
        Description(
            "active latent dimensions",
            sentence="Dimensions whose posterior mean has a variance above 0.01 over the data (Burda et al. 2016, "
            "arXiv:1509.00519).",
            form=",d",
        ),
    ] = None
    unexplained: Annotated[
        float | None,
        Description(
            "fraction of variance unexplained",
            better="lower",
            sentence="Σ‖x − x̂‖² / Σ‖x − x̄‖², with x̂ decoded from the posterior mean.",
        ),
    ] = None
    dispersion: Annotated[
        float | None,
        Description(
            "dispersion",
            sentence="Σ‖x − x̂‖² / Σ‖x̃ − x̂‖², with x̃ drawn from p(x|z) at the posterior mean: far above or below 1, the "
            "likelihood is too narrow or too wide for the data (McCullagh & Nelder 1989, section 4.5).",
        ),
    ] = None
    code: CodeStatistics | None = None
    """The sparsity of the codes; None where there is a KL."""
    log_det: Annotated[
        float | None,
        Description(
            "log|det J| of the transforms",
            NATS,
            sentence="Its mean: how far the ELBO in the data's own units is above that in the model's units.",
            form=",.2f",
        ),
    ] = None
    own_units: str | None = None
    """The transform without a log|det J|: densities are in its units, and rank no models; None: in the data's units."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """The figures of each metric that was asked for, by its name and by their keys."""

    def figures(self, metrics: Iterable[Metric.Config] = ()) -> list[Figure]:
        """The figures that the model has; those of its metrics where the options of these metrics are passed."""
        all_figures = [*figures(asdict(self), Evaluation), *figures_of_metrics(self.metrics, metrics)]
        return all_figures if self.own_units is None else [_marked(each, self.own_units) for each in all_figures]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `metrics` and what is said of transforms are there where there are some."""
        optional = ("metrics", "log_det", "own_units")
        return {key: value for key, value in asdict(self).items() if key not in optional or value}


def _marked(figure: Figure, transform: str) -> Figure:
    """The figure; that of a density is marked as one in the units of a transform, where no direction is better."""
    if not figure.about.of_density:
        return figure
    name = f"{figure.about.name} in the units of {transform}"
    return figure._replace(about=figure.about._replace(name=name, better=None))


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
