"""Checks of likelihoods: the density sums to 1, and samples and mean are those of the density.

B data, K draws, N samples.
"""

from __future__ import annotations

import torch

from genkit.interfaces import Likelihood, Shape
from genkit.testing.cases import LikelihoodCase
from genkit.testing.check import promise
from genkit.testing.estimates import DRAWS, SIGMAS, off
from genkit.testing.grids import Grid, grid_of
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, seeded

PAIRS: tuple[Shape, ...] = ((2,), (2, 1, 1), (1, 1, 2), (2, 1), (1, 2))
"""Shapes of data of two values: few enough to sum a density over all of them."""
EXTREME = 20.0
FEW = 2_000
VALUES = 500_000
"""About how many values are drawn for a mean; data with many values get fewer draws."""


@promise(Likelihood, after=("signatures",))
def shapes(subject: Subject) -> None:
    """log_prob (K, B), mean and sample (..., *shape), for any numbers of data and draws."""
    for case in subject.cases():
        params_shape = getattr(case.part, "params_shape", None)
        plain = isinstance(params_shape, tuple) and all(isinstance(size, int) for size in params_shape)
        require(plain, f"its params_shape is {params_shape!r}: set it in __init__ to a tuple of whole numbers")
        for leading in ((1, 1), (3, 5), (5,)):
            params = torch.randn(*leading, *case.part.params_shape)
            outputs = {"mean": case.part.mean(params), "sample": case.part.sample(params)}
            for name, value in outputs.items():
                shape = (*leading, *case.shape)
                what = f"for params {tuple(params.shape)} {name} is {tuple(value.shape)}, and must be {shape}"
                require(tuple(value.shape) == shape, what)
                require(value.dtype == torch.float32, f"{name} is {value.dtype} for float32")
            if len(leading) == 2:
                log_prob = case.part.log_prob(outputs["sample"][0], params)
                what = f"log_prob is {tuple(log_prob.shape)}, and must be (K, B) = {leading}: one sum per datum"
                require(tuple(log_prob.shape) == leading, what)


@promise(Likelihood, after=("shapes",))
@torch.no_grad()
def support(subject: Subject) -> None:
    """Samples and means lie in the support, and samples have a finite density, for large params too."""
    for case in subject.cases():
        low, high = case.part.support
        for scale in (1.0, 5.0):
            params = torch.randn(3, 5, *case.part.params_shape) * scale
            drawn = case.part.sample(params)
            for name, values in (("sample", drawn), ("mean", case.part.mean(params))):
                least, greatest = float(values.min()), float(values.max())
                require(
                    low <= least and greatest <= high,
                    f"{name} gives values from {least:.3g} to {greatest:.3g}, outside its support {low:g} to {high:g}: "
                    "draw from p(x|z) itself, or state the support that it has",
                )
            whole = not case.part.whole_numbers or bool((drawn == drawn.round()).all())
            require(whole, "sample gives fractions, and it says `whole_numbers`: draw whole numbers, or leave that out")
            require(case.part.log_prob(drawn[0], params)[0].isfinite().all(), "log_prob of a sample is not finite")
        sample, params = case.part.sample(params)[0], torch.full((1, 5, *case.part.params_shape), EXTREME)
        for sign in (1, -1):
            require(
                case.part.log_prob(sample, sign * params).isfinite().all(),
                f"log_prob is not finite for params of {sign * EXTREME:g}, as networks give them: compute it from the "
                "params themselves (logsigmoid, softplus, logsumexp), not as the logarithm of a probability",
            )


@promise(Likelihood, after=("shapes", "eval determinism"))
def draws_by_themselves(subject: Subject) -> None:
    """log_prob of a draw does not depend on the other draws."""
    for case in subject.cases():
        params, x = torch.randn(3, 5, *case.part.params_shape), case.inputs(5)[1]
        each = torch.cat([case.part.log_prob(x, one.unsqueeze(0)) for one in params])
        require(close(case.part.log_prob(x, params), each), "log_prob of a draw changes with the other draws")


@promise(Likelihood, after=("shapes",))
@torch.no_grad()
def new_samples(subject: Subject) -> None:
    """Samples are drawn anew at every call."""
    case = subject.cases()[0]
    params = torch.randn(20, 5, *case.part.params_shape)
    once, again = case.part.sample(params), case.part.sample(params)
    fixed = torch.equal(once, again) and not close(once, case.part.mean(params))
    require(
        not fixed, "`sample` gives the same at every call: leave its random numbers to torch, without a seed of its own"
    )


@promise(Likelihood, after=("shapes", "support"))
def mean(subject: Subject) -> None:
    """The mean is that of the samples."""
    for case in subject.cases():
        params = torch.randn(1, *case.part.params_shape)
        draws = min(DRAWS, max(FEW, VALUES // params.numel()))
        with torch.no_grad():
            drawn, stated = case.part.sample(params.expand(draws, *params.shape)), case.part.mean(params)
        require(
            not off(drawn, stated),
            f"`mean` is not the mean of what `sample` draws: {stated.flatten()[0]:.3f} against "
            f"{drawn.mean(0).flatten()[0]:.3f} over {draws:,} samples for the first value; "
            "it is neither the mode nor a draw",
        )


@promise(Likelihood, after=("shapes", "support", "batch independence"))
def density(subject: Subject) -> None:
    """The density of a datum of two values sums or integrates to one."""
    for grid in _grids(subject):
        total = float(grid.density.sum())
        require(
            abs(total - 1) < 0.03,
            f"exp(log_prob) of all that two values can be {'sums' if grid.discrete else 'integrates'} to {total:.3f}, "
            "and has to be 1: sum log_prob over the datum (no mean), keep its normalizing constant, mind its sign, and "
            "state as support what has a density",
        )


@promise(Likelihood, after=("shapes", "support", "density"))
def samples(subject: Subject) -> None:
    """Samples follow the density: the mean of log_prob over them is that under the density."""
    for grid in _grids(subject):
        kept = grid.density > 0
        wanted = (grid.density[kept] * grid.log_prob[kept]).sum()
        error = float(grid.of_samples.std()) / len(grid.of_samples) ** 0.5
        average = float(grid.of_samples.mean())
        require(
            abs(average - float(wanted)) < SIGMAS * error + 0.02 * (1 + abs(float(wanted))),
            f"the mean of log_prob is {average:.3f} nats over samples, and {wanted:.3f} under the density: `sample` "
            "draws from another distribution than log_prob is of (another scale, or the mean in place of a draw)",
        )


def _grids(subject: Subject) -> list[Grid]:
    """The grids of data of two values, for params near 0 and further off."""
    sizes = {len(shape) for shape in subject.shapes or PAIRS}
    for shape in (pair for pair in PAIRS if len(pair) in sizes):
        try:
            case: LikelihoodCase = Subject(subject.component, subject.config, (shape,), subject.partners).cases()[0]
        except ContractError:
            continue
        with torch.no_grad():
            if not _varies(case):  # a one-hot code of one category is constant
                continue
            return [grid_of(case, scale) for scale in (0.3, 1.5)]
    raise NotApplicable("it takes no data of two values, over which to sum its density")


def _varies(case: LikelihoodCase) -> bool:
    """Whether each value of a datum varies."""
    with seeded(1):
        params = torch.randn(1, 1, *case.part.params_shape)
        drawn = case.part.sample(params.expand(1, FEW, *case.part.params_shape), **case.alike(FEW))
    return bool((drawn.flatten(0, 1).flatten(1).std(0) > 0).all())
