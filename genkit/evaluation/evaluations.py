"""Evaluations: the figures of a model on a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from genkit.evaluation.descriptions import Figure, figures
from genkit.evaluation.figure_tables import Column, abouts, table, texts_of
from genkit.evaluation.metrics import described as figures_of_metrics
from genkit.evaluation.metrics import descriptions, keyed
from genkit.interfaces import NATS, Description, Metric


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
    """The name of the split; `all`: of all splits, or of data from elsewhere."""
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
    described: Mapping[str, Description] = field(default_factory=dict, compare=False)
    """The descriptions of the figures of `metrics` by their keys in `figures`; {}: they are not recorded."""

    def figures(self, metrics: Iterable[Metric.Config] = ()) -> list[Figure]:
        """The figures that the model has; those of its metrics where they are described, here or by these options."""
        of_metrics = figures_of_metrics(self.metrics, descriptions(metrics) or self.described)
        all_figures = [*figures(asdict(self), Evaluation), *of_metrics]
        return all_figures if self.own_units is None else [_marked(each, self.own_units) for each in all_figures]

    def __repr__(self) -> str:
        """The figures that the model has, rounded; `to_json` has all of them, whole."""
        numbers = [f"{figure.key}={figure.value:.4g}" for figure in self._shown()]
        return f"Evaluation({', '.join([f'split={self.split!r}', f'count={self.count}', *numbers])})"

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks."""
        each = self._shown()
        return table(f"{self.split}: {self.count:,} data", [Column("value", texts_of(each))], abouts(each))

    def _shown(self) -> list[Figure]:
        """All figures; those of metrics without a description go by their keys."""
        numbers, each = keyed(self.metrics), self.figures()
        there = {figure.key for figure in each}
        return [*each, *(Figure(key, numbers[key], Description(key)) for key in numbers if key not in there)]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `metrics` and what is said of transforms are there where there are some."""
        optional = ("metrics", "log_det", "own_units")
        return {
            key: value for key, value in asdict(self).items() if key != "described" and (key not in optional or value)
        }


def _marked(figure: Figure, transform: str) -> Figure:
    """The figure; that of a density is marked as one in the units of a transform, where no direction is better."""
    if not figure.about.of_density:
        return figure
    name = f"{figure.about.name} in the units of {transform}"
    return figure._replace(about=figure.about._replace(name=name, better=None))
