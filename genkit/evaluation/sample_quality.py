"""The quality of samples: figures that compare the features of generated and of real data, (N, F) each.

The formulas are those of torchmetrics, prdc and scikit-learn. Each figure alone can mislead; read them beside those of
real data against other real data, which are the best that one can expect at this N.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit.errors import DataError
from genkit.interfaces import Description

NEIGHBOURS = 5
BLOCKS = 10
LEAST = 10 * BLOCKS
"""The least number of data: ten per block of the kernel distance."""
COVERED = 0.1
"""The least ratio of a covered class's share of the samples to its share of the data."""


@dataclass(frozen=True)
class SampleQuality:
    """Figures of N generated data against N real ones."""

    count: int
    """The number N of data in each set."""
    frechet: Annotated[
        float,
        Description(
            "Fréchet distance",
            better="lower",
            sentence="Between Gaussians with the sets' means and covariances (Heusel et al. 2017, arXiv:1706.08500).",
            form=",.2f",
        ),
    ]
    kid: Annotated[
        float,
        Description(
            "kernel distance (KID)",
            better="lower",
            sentence="Unbiased squared MMD, kernel (x·y/F + 1)³ (Bińkowski et al. 2018, arXiv:1801.01401).",
            form=".3f",
        ),
    ]
    kid_error: Annotated[
        float,
        Description("its standard error", sentence="From ten disjoint blocks of N/10 data.", form=".3f"),
    ]
    precision: Annotated[
        float,
        Description(
            "precision",
            better="higher",
            sentence="The share of generated data within the real ones' manifold (Kynkäänniemi et al. 2019, "
            "arXiv:1904.06991).",
            form=".3f",
        ),
    ]
    recall: Annotated[
        float,
        Description(
            "recall",
            better="higher",
            sentence="The share of real data within the generated ones' manifold.",
            form=".3f",
        ),
    ]
    density: Annotated[
        float,
        Description(
            "density",
            better="higher",
            sentence="The number of real neighbourhoods around a generated datum, over k; may exceed 1 (Naeem et al. "
            "2020, arXiv:2002.09797).",
            form=".3f",
        ),
    ]
    coverage: Annotated[
        float,
        Description(
            "coverage",
            better="higher",
            sentence="The share of real data whose neighbourhood holds a generated datum.",
            form=".3f",
        ),
    ]
    two_sample: Annotated[
        float,
        Description(
            "1-NN accuracy, best at 0.5",
            sentence="Accuracy of the nearest neighbour, leaving one out, in telling the two sets apart: 0.5 where it "
            "cannot, 1 where they differ, 0 where one repeats the other (Xu et al. 2018, arXiv:1806.07755).",
            form=".3f",
        ),
    ]
    classes: Annotated[
        float | None,
        Description(
            "classes covered",
            better="higher",
            sentence="The share of the data's classes that are at least a tenth as frequent in the samples.",
            form=".0%",
        ),
    ]
    """None where there are no classes."""
    class_shares: list[float] | None
    """The share of the samples that look like each class; None where there are no classes."""
    class_agreement: Annotated[
        float | None,
        Description(
            "class agreement",
            better="higher",
            sentence="The share of a conditional model's samples that look like the class that they were asked for, in "
            "the class where it is least.",
            form=".3f",
        ),
    ] = None
    """None where no class was asked for."""
    class_agreements: list[float | None] | None = None
    """The share of each class; None for a class of which no sample was asked for."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def sample_quality(
    real: Tensor,
    generated: Tensor,
    looks: tuple[Tensor, Tensor] | None = None,
    classes: int = 0,
    asked: Tensor | None = None,
) -> SampleQuality:
    """Compare features (N, F) of real and generated data.

    Args:
        real: the features of real data (N, F).
        generated: the features of generated data (N, F).
        looks: the class that each real and each generated datum looks like, (N,) each.
        classes: the number of classes.
        asked: the class that each generated datum was asked for, (N,); None where the model takes no classes.

    Raises:
        DataError: the two have different shapes, fewer than 100 data or a value that is not finite.
    """
    if real.shape != generated.shape or real.ndim != 2:
        raise DataError(f"two sets of one shape (N, F) are compared, not {tuple(real.shape)}, {tuple(generated.shape)}")
    if len(real) < LEAST:
        raise DataError(f"{len(real)} data are too few to judge samples by; it takes {LEAST}")
    for name, features in (("real", real), ("generated", generated)):
        if not features.isfinite().all():
            raise DataError(f"the {name} data have features that are not finite")
    real, generated = real.detach().cpu().double(), generated.detach().cpu().double()
    kid, kid_error = _kernel_distance(real, generated)
    return SampleQuality(
        count=len(real),
        frechet=_frechet_distance(real, generated),
        kid=kid,
        kid_error=kid_error,
        **_manifolds(real, generated),
        two_sample=_two_sample_accuracy(real, generated),
        **_class_figures(looks, classes, asked),
    )


def _frechet_distance(real: Tensor, generated: Tensor) -> float:
    with warnings.catch_warnings():  # what it imports besides warns of widgets for notebooks, which nothing here uses
        warnings.simplefilter("ignore")
        from torchmetrics.image.fid import FrechetInceptionDistance

    identity = nn.Identity()  # in place of torchmetrics' own network, because these are features already
    identity.num_features = real.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=identity)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return max(float(metric.compute()), 0.0)


def _kernel_distance(real: Tensor, generated: Tensor) -> tuple[float, float]:
    """The mean of the kernel distance over blocks, and its standard error."""
    from torchmetrics.image.kid import poly_mmd

    size, order = len(real) // BLOCKS, torch.Generator().manual_seed(0)
    shuffled = (features[torch.randperm(len(features), generator=order)] for features in (real, generated))
    blocks = zip(*(features[: size * BLOCKS].split(size) for features in shuffled), strict=True)
    values = torch.stack([poly_mmd(one, other) for one, other in blocks])
    return float(values.mean()), float(values.std() / BLOCKS**0.5)


def _manifolds(real: Tensor, generated: Tensor) -> dict[str, Any]:
    from prdc import compute_prdc

    # prdc prints, and its threads change the process's warning filters: here they change only a copy
    with contextlib.redirect_stdout(None), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = compute_prdc(real.float().numpy(), generated.float().numpy(), nearest_k=NEIGHBOURS)
    return {name: float(value) for name, value in figures.items()}


def _two_sample_accuracy(real: Tensor, generated: Tensor) -> float:
    from sklearn.neighbors import NearestNeighbors

    both = torch.cat([real, generated]).float().numpy()
    is_real = np.arange(len(both)) < len(real)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(both).kneighbors(return_distance=False)[:, 0]
    return float((is_real[nearest] == is_real).mean())


def _class_figures(looks: tuple[Tensor, Tensor] | None, classes: int, asked: Tensor | None) -> dict[str, Any]:
    if looks is None:
        return {"classes": None, "class_shares": None}
    real, generated = (torch.bincount(look, minlength=classes).double() / len(look) for look in looks)
    figures: dict[str, Any] = {"classes": _covered(real, generated), "class_shares": generated.tolist()}
    if asked is not None:
        shares = _agreements(looks[1], asked, classes)
        figures["class_agreement"] = min(share for share in shares if share is not None)
        figures["class_agreements"] = shares
    return figures


def _covered(real: Tensor, generated: Tensor) -> float:
    """The share of the classes in the real data that are covered."""
    present = real > 0
    return float((generated[present] >= COVERED * real[present] - 1e-12).double().mean())


def _agreements(looks: Tensor, asked: Tensor, classes: int) -> list[float | None]:
    """The share of each class's samples that look like it."""
    of_class = [looks[asked == index] == index for index in range(classes)]
    return [float(same.double().mean()) if len(same) else None for same in of_class]
