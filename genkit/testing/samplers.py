"""Checks of samplers: the shapes of a Latent, a mean without chance, draws that pass gradients on, and a prior."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from genkit.errors import ComponentError, in_a_line, place
from genkit.interfaces import DensitySampler, Latent, Sampler, Shape
from genkit.testing.cases import SamplerCase
from genkit.testing.check import promise
from genkit.testing.estimates import DRAWS, SIGMAS
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, stir

MANY = 100
BUILDS = 5
DATA = 50
FOLLOWS = 0.5
"""The least correlation of means with draws: a mean that ignores the draws has one near 0, whatever the weights."""
PAIRS = "for z (K, B, 1, *latent_shape) and the posteriors of B data, whose leading dimensions broadcast,"
WHOLE_NOISE = "of the whole shape (K, B, ...) at once, genkit.normal(draws, *mean.shape, batch=1, like=mean)"


@promise(Sampler, after=("signatures",))
def shapes(subject: Subject) -> None:
    """z (K, B, *latent_shape), mean (B, *latent_shape), kl (B, G) or (K, B, G), log_ratio and log_q (K, B).

    All of this holds for 0 draws too.
    """
    for case in subject.cases():
        size: Any = getattr(case.part, "latent_shape", None)
        plain = isinstance(size, tuple) and all(isinstance(each, int) for each in size)
        require(plain, f"its latent_shape is {size!r}: set it in __init__ to a tuple of whole numbers")
        for draws in (0, 1, 3):
            for count in (1, 5):
                case.part.train(count > 1)  # batch normalization cannot train on one datum
                try:
                    latent = case.posterior(count, draws)
                except Exception as error:
                    raise ContractError(
                        f"for {count} data and {draws} draws it fails: {in_a_line(error)}{place(error)}"
                    ) from error
                _check_latent(latent, draws, count, size)


def _check_latent(latent: Any, draws: int, count: int, size: Shape) -> None:
    require(isinstance(latent, Latent), f"it gives {type(latent).__name__}: it must give a genkit.Latent")
    asked = f"for {count} data and {draws} draws"
    shapes = {"z": (draws, count, *size), "mean": (count, *size)}
    shapes |= dict.fromkeys(("log_ratio", "log_q"), (draws, count))
    for name, shape in shapes.items():
        value = getattr(latent, name)
        if value is not None or name in ("z", "mean"):
            actual = tuple(value.shape)
            require(actual == shape, f"{asked} {name} is {actual}, and must be {shape}")
    for name, value in latent._asdict().items():
        if isinstance(value, torch.Tensor):
            require(value.isfinite().all(), f"{asked} {name} is not finite")
            require(value.dtype == torch.float32, f"{name} is {value.dtype} for float32: keep the type of the features")
    if latent.kl is not None:
        actual, most = tuple(latent.kl.shape), math.prod(size)
        right = actual[:-1] in ((count,), (draws, count)) and 1 <= actual[-1] <= most
        require(
            right,
            f"{asked} kl is {actual}, and must be ({count}, G), a column for each of G groups of dimensions, at most "
            f"{most}, or, per draw, ({draws}, {count}, G)",
        )
    for name, value in latent.extra.items():
        require(
            isinstance(value, torch.Tensor) and len(value) == count, f"{asked} extra['{name}'] must be ({count}, ...)"
        )


@promise(Sampler, after=("shapes", "eval determinism"))
def mean_for_any_draws(subject: Subject) -> None:
    """The mean and the KL are the same for any number of draws, and the mean lies within `bounds`."""
    for case in subject.cases():
        case.part.eval()
        none, some = case.posterior(5, 0, spread=3), case.posterior(5, 4, spread=3)
        same = close(none.mean, some.mean) and _same_kl(none.kl, some.kl)
        require(
            same,
            "its mean or KL depends on the draws: `mean` stands for the datum, whatever was drawn, and a KL that is "
            "only estimated from draws is None, with log_ratio in its place",
        )
        low, high = case.part.bounds
        inside = bool((some.mean >= low).all() and (some.mean <= high).all())
        require(inside, f"its mean leaves the bounds that it states, {low:g} to {high:g}: state those that it keeps")


def _same_kl(none: Tensor | None, some: Tensor | None) -> bool:
    """Whether the KL for no draws is that for some: an exact one is the same, and one per draw has a row for each."""
    if none is None or some is None:
        return none is None
    return close(none, some) if none.ndim == 2 else some.ndim == 3


@promise(DensitySampler, after=("shapes", "eval determinism"))
@torch.no_grad()
def density_at_any_point(subject: Subject) -> None:
    """log_q gives `Latent.log_q` at the draws, and the density of each draw under each posterior of a batch."""
    for case in subject.cases():
        stir(case.part)
        case.part.eval()
        latent = case.posterior(5, 3, spread=3)
        own = case.part.log_q(latent.z, latent.mean, latent.extra)
        _check_groups(own, latent, math.prod(case.part.latent_shape))
        try:
            pairs = case.part.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra)
        except RuntimeError as error:
            raise ContractError(f"log_q fails {PAIRS}: {in_a_line(error)}{place(error)}") from error
        each = [
            case.part.log_q(latent.z, latent.mean[i], {name: value[i] for name, value in latent.extra.items()})
            for i in range(5)
        ]
        same = pairs.shape == (3, 5, *own.shape[1:]) and close(pairs, torch.stack(each, 2))
        require(same, f"log_q differs {PAIRS} from that of one posterior at a time, (K, B, G), stacked along B")


def _check_groups(own: Tensor, latent: Latent, most: int) -> None:
    """The shape of log_q at the draws of 5 data, and its sum."""
    exact = latent.kl is not None and latent.kl.ndim == 2
    groups = f"{latent.kl.shape[1]}, as kl" if latent.kl is not None and exact else f"1 to {most}"
    right = own.ndim == 3 and own.shape[:2] == (3, 5) and 1 <= own.shape[2] <= most
    require(
        right and (latent.kl is None or not exact or own.shape[2] == latent.kl.shape[1]),
        f"log_q is {tuple(own.shape)} for 3 draws of 5 data, and must be (3, 5, G), a column for each of G groups of "
        f"dimensions: {groups}",
    )
    require(
        latent.log_q is not None and close(own.sum(2), latent.log_q),
        "log_q at the draws, summed over the groups, is not `Latent.log_q`, which a sampler that has log_q gives in "
        "eval mode: both are log q(z|x) in nats",
    )


@promise(Sampler, after=("shapes",))
def reparameterization(subject: Subject) -> None:
    """Gradients go through the draws back to the features."""
    for case in subject.cases():
        features = case.inputs(8)[0]
        stir(case.part)
        z = case.part(features.requires_grad_(), 2).z
        total = (z * torch.randn_like(z)).sum()  # not the length of z, which may be fixed
        (gradient,) = torch.autograd.grad(total, features, allow_unused=True) if z.requires_grad else (None,)
        require(
            gradient is not None and bool(gradient.any()),
            "no gradient goes through z to the features, so that the encoder cannot learn from the reconstruction: "
            "write a draw as a function of parameters and noise, or use rsample() in place of sample()",
        )


@promise(Sampler, after=("shapes",))
def independent_draws(subject: Subject) -> None:
    """Draws are independent of each other and from datum to datum."""
    case = subject.cases()[0]
    features = case.inputs(1)[0].expand(2, *case.shape)
    with torch.no_grad():
        z, again = (case.part.eval()(features, DRAWS).z.flatten(2) for _ in range(2))
    if not bool((z.std(0) > 1e-6).all()):
        require(close(z, again), f"all K draws of a call are the same: draw noise {WHOLE_NOISE}")
        latent = case.part.train()(features, 2)
        require(
            latent.kl is None or close(latent.z[0], latent.z[1]),
            "it draws only in training mode, so that the figures of held-out data are of another q(z|x) than the one "
            "that is trained: draw in eval mode too",
        )
        raise NotApplicable("nothing is drawn at random")
    require(not close(z, again), "two calls draw the same noise: draw it anew at every call")
    pairs = {"two data of one batch": (z[:, 0], z[:, 1]), "two draws that follow each other": (z[:-1, 0], z[1:, 0])}
    for what, (one, other) in pairs.items():
        require(
            _correlation(one, other) < SIGMAS / math.sqrt(DRAWS),
            f"the draws for {what} have a correlation of {_correlation(one, other):.2f}: draw noise {WHOLE_NOISE}",
        )


def _correlation(one: Tensor, other: Tensor) -> float:
    standard = [(value - value.mean(0)) / value.std(0) for value in (one, other)]
    return float((standard[0] * standard[1]).mean(0).abs().max())


@promise(Sampler, after=("shapes", "eval determinism", "independent draws"))
@torch.no_grad()
def mean_of_the_draws(subject: Subject) -> None:
    """The mean follows the draws: the means of data differ in the same way as the centres of their draws."""
    pairs = []
    for seed in range(BUILDS):
        for case in subject.cases(seed):
            stir(case.part)
            latent = case.part.eval()(case.inputs(DATA, seed)[0], MANY)
            pairs.append([value - value.mean(0) for value in (latent.mean.flatten(1), latent.z.mean(0).flatten(1))])
    product = sum(float((mean * centre).sum()) for mean, centre in pairs)
    sizes = [sum(float(pair[which].square().sum()) for pair in pairs) for which in range(2)]
    correlation = product / max(math.sqrt(sizes[0] * sizes[1]), 1e-30)
    require(
        correlation > FOLLOWS,
        f"`mean` has a correlation of {correlation:.2f} with where the draws of a datum lie: it is the posterior mean, "
        "or the point that stands for it, in the space of z (not the log-variance, nor a step on the way)",
    )


@promise(Sampler, after=("shapes",))
def prior_alone(subject: Subject) -> None:
    """The prior can be drawn from without an encoder (features None); a sampler without one raises ComponentError."""
    case: SamplerCase = subject.cases()[0]
    if not case.part.has_prior:
        for what, broken in (("features None", _without_encoder), ("prior()", _prior_drawn)):
            try:
                broken(subject, case)
            except ComponentError:
                continue
            raise ContractError(f"has_prior is False, and {what} passes: raise ComponentError there, saying why")
        raise NotApplicable("has_prior is False")
    once, again = (case.part.prior(MANY) for _ in range(2))
    require(
        not torch.equal(once, again), "prior() gives the same draws at every call: leave its random numbers to torch"
    )
    for part in (case.part, subject.built(None)):
        for count in (1, 7):
            drawn = part.prior(count)
            shape = (count, *part.latent_shape)
            require(tuple(drawn.shape) == shape, f"prior({count}) is {tuple(drawn.shape)}, and must be {shape}")
            require(
                drawn.isfinite().all() and drawn.dtype == torch.float32, "the prior gives no finite float32 numbers"
            )


def _without_encoder(subject: Subject, case: SamplerCase) -> None:
    subject.built(None)


def _prior_drawn(subject: Subject, case: SamplerCase) -> None:
    case.part.prior(2)
