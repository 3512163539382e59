"""Checks of a part with its partners: the model that they make together trains, is saved, compiles and is exported.

B data, K draws.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.errors import ComponentError, GenkitError, in_a_line, place
from genkit.interfaces import FittedPrior, LearnedLoss, Prior
from genkit.model.model import Model
from genkit.speed.pieces import NotTraceableError, traced_whole
from genkit.testing import modules
from genkit.testing.check import promise
from genkit.testing.estimates import DRAWS, off, tail
from genkit.testing.passes import sides_of
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, seeded

COUNT = 6
STEPS = 3
RATE = 1e-3
HEAVY = 0.35
"""The heaviest tail of importance weights whose mean is used."""


def is_paired(subject: Subject) -> bool:
    """Whether a part is checked with partners."""
    return isinstance(subject, Subject) and bool(subject.partners)


def models(subject: Subject, seed: int = 0) -> list[Model]:
    """The models of the part with its partners, one for each case."""
    whole = []
    for case in subject.cases():
        try:
            whole.append(subject.whole(case.arguments, case.latent, seed))
        except ComponentError as error:
            raise ContractError(f"with its partners it makes no model of data {case.shape}: {error}") from error
    return whole


def terms_of(model: Model, x: Tensor, side: Mapping[str, Tensor]) -> Tensor:
    """The terms of a pass of data x, each as one number; where gradients are taken, the losses of critics too."""
    passed = model(x, None, side)
    terms = []
    losses: Iterable[Any] = model.losses.values()
    for loss in losses:
        keywords = {name: side[name] for name in loss.reads}
        terms.append(loss(passed, **keywords).mean())
        if isinstance(loss, LearnedLoss) and torch.is_grad_enabled():
            terms.append(loss.critic_loss(passed.detached(), **keywords).mean())
    return torch.stack(terms)


def data_of(model: Model, count: int = COUNT) -> Tensor:
    """Data (count, *shape) for a model, with values from 0 to 1; the same every time."""
    return torch.rand(count, *model.shape, generator=torch.Generator().manual_seed(count))


@promise(*modules.MODULES, after=("shapes",), applies=is_paired)
def together(subject: Subject) -> None:
    """With its partners it makes a model, which is built and attached, and trains: all figures stay finite."""
    for model in models(subject):
        x = data_of(model)
        side = sides_of(model, x)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        for step in range(STEPS):
            optimizer.zero_grad()
            try:
                with seeded(step):
                    terms = terms_of(model.train(), x, side)
                terms.sum().backward()
            except GenkitError:
                raise
            except Exception as error:
                raise ContractError(
                    f"with its partners a training step fails: {in_a_line(error)}{place(error)}"
                ) from error
            require(terms.isfinite().all(), f"with its partners it gives terms that are not finite: {terms.tolist()}")
            slopes = [p.grad for p in model.parameters() if p.grad is not None]
            require(
                all(bool(each.isfinite().all()) for each in slopes), "with its partners its gradients are not finite"
            )
            optimizer.step()
        moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
        if issubclass(subject.component, FittedPrior):
            continue  # it learns after training
        own = _own(subject, model)
        idle = [name for name, p in model.named_parameters() if p.requires_grad and name.startswith(own)]
        require(
            not idle or any(name.startswith(own) for name in moved),
            f"with its partners training moves none of its parameters ({', '.join(idle)}): no term depends on them; "
            "name one that does among its partners",
        )


def _own(subject: Subject, model: Model) -> str:
    """The beginning of the names of the part's parameters in the model."""
    kind = str(subject.component.kind)
    return f"losses.{next(iter(model.losses))}." if kind == "loss" else f"{kind}."


@promise(*modules.MODULES, after=("together", "eval determinism"), applies=is_paired)
def together_saved_and_alone(subject: Subject) -> None:
    """With its partners, the same weights encode a datum in the same way, whatever the rest of the batch is."""
    for model, other in zip(models(subject), models(subject, seed=1), strict=True):
        other.load_state_dict(model.state_dict())
        x = data_of(model)
        side = sides_of(model, x)
        with torch.no_grad():
            whole, again = (each.eval().posterior(x, 0, side).mean for each in (model, other))
            first = {name: value[:1] for name, value in side.items()}
            alone = model.posterior(x[:1], 0, first).mean
        require(close(whole, again), "with its partners another model with its weights encodes data differently")
        require(close(whole[:1], alone), "with its partners the code of a datum changes with the rest of its batch")


@promise(*modules.MODULES, after=("together", "compiled"), applies=is_paired)
def together_compiled(subject: Subject) -> None:
    """With its partners it compiles to one graph, terms included, which gives the same as eager."""
    model = models(subject)[0].train(issubclass(subject.component, FittedPrior))  # whether it is fitted is a value
    x = data_of(model)
    side = sides_of(model, x)
    whole = traced_whole(lambda x, *values: terms_of(model, x, dict(zip(side, values, strict=True))), modules.BACKEND)
    try:
        with whole as traced, seeded(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own while it traces
            outputs = traced(x, *side.values())
    except NotTraceableError as error:
        raise ContractError(modules.no_graph(error, "it and its partners")) from error
    with seeded(), torch.no_grad():
        require(
            close(outputs, terms_of(model, x, side)), "compiled with its partners, it gives other values than eager"
        )


@promise(Prior, after=("together",), applies=is_paired)
@torch.no_grad()
def density_beside_the_sampler(subject: Subject) -> None:
    """The mean of p(z)/q(z|x) over draws of the partner's q(z|x) is 1: the prior is a density on the same set."""
    usable = False
    for model in models(subject):
        if model.sampler.support == "codes":
            raise NotApplicable("the posterior of its partner is a point mass")
        x: Any = data_of(model, 2)
        latent = model.eval().posterior(x, DRAWS, sides_of(model, x))
        prior = model.prior
        if latent.log_q is None or prior is None:
            raise NotApplicable("its partners give no log q(z|x)")
        log_weights = prior.log_prob(latent.z) - latent.log_q
        for each in log_weights.T:
            if tail(each) < HEAVY:
                usable = True
                mean = float(each.exp().mean())
                require(
                    not off(each.exp(), torch.ones(())),
                    f"the mean of p(z)/q(z|x) over {DRAWS:,} draws of its partner is {mean:.3f} where a density has 1: "
                    "a constant is missing, or it is a density on another set",
                )
    if not usable:
        raise NotApplicable("the draws of its partner lie too far from it to be weighted")
