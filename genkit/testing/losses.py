"""Checks of loss terms: nats per datum, the right sign, and gradients; for learned terms also the critic's loss."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from genkit.errors import ComponentError, in_a_line, place
from genkit.interfaces import Forward, LearnedLoss, Loss
from genkit.parallel.draws import Rows, taking
from genkit.testing.cases import LossCase
from genkit.testing.check import promise
from genkit.testing.passes import (
    drawn_twice,
    first,
    lacking,
    log_prob_of,
    twice,
    widened,
    with_equal_draws,
    without,
)
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, seeded

OTHER_WEIGHT = 7.125
"""A weight that no config has."""


@promise(Loss, after=("signatures",))
def shapes(subject: Subject) -> None:
    """The term is (B,), one value per datum, or (), a statistic of the batch; it is finite, for one datum too."""
    for case in subject.cases():
        for count in (1, 2, 5):
            _check_values("the term", case.part(case.passed(count)), count)


@promise(Loss, after=("shapes", "eval determinism"))
def over(subject: Subject) -> None:
    """A term that depends on the batch, as a statistic or by pairs of data, says so: `over` is 'batch'."""
    for case in subject.cases():
        values = [case.part(case.passed(5))]
        if isinstance(case.part, LearnedLoss):
            values.append(case.part.critic_loss(case.passed(5).detached()))
        require(
            all(each.ndim for each in values) or case.part.over == "batch",
            "the term is (), a statistic of the batch, and does not say so: set `over` to 'batch', so that a training "
            "that accumulates gradients over batches refuses it",
        )
        if case.part.over == "datum":
            _check_alone(case)


@torch.no_grad()
def _check_alone(case: LossCase) -> None:
    """The values of data do not change where others are left out of their batch."""
    passed = case.passed(5)
    with seeded():
        whole = case.part.eval()(passed)
    with seeded(), taking(Rows(0, 3, 5)):
        some = case.part(first(passed, 3))
    require(
        not whole.ndim or close(whole[:3], some),
        "the value of a datum depends on the other data of its batch, and the term does not say so: set `over` to "
        "'batch', so that a training that accumulates gradients over batches refuses it",
    )


def _check_values(what: str, values: object, count: int) -> None:
    require(isinstance(values, Tensor), f"{what} is {type(values).__name__}: it must be a tensor")
    assert isinstance(values, Tensor)
    shape = tuple(values.shape)
    require(
        shape in ((count,), ()),
        f"{what} is {shape} for {count} data, and must be ({count},), one value per datum, or ()",
    )
    require(values.isfinite().all(), f"{what} is not finite for {count} data")


@promise(Loss, after=("shapes", "input is kept"))
def gradients_reach_the_model(subject: Subject) -> None:
    """Minimising the term moves the model."""
    for case in subject.cases():
        total = case.part.train()(case.passed(6)).mean()
        if total.requires_grad:
            case.model.zero_grad()
            total.backward()
        moved = any(p.grad is not None and bool(p.grad.any()) for p in case.model.parameters())
        require(
            total.requires_grad and moved,
            "no gradient goes from the term back to the model, so that it trains nothing: detach, no_grad, or numbers "
            "made of tensors are in the way",
        )


@promise(Loss, after=("shapes", "eval determinism"))
def batch_size(subject: Subject) -> None:
    """The term is the same for a batch that holds each datum twice: nats per datum, for any size of batch."""
    for case, training in product(subject.cases(), (False, True)):
        passed = case.passed(6)
        with torch.no_grad():
            once, again = _value(case, passed, training), _value(case, twice(passed), training)
        require(
            close(once, again, 1e-3),
            f"the term is {once:.4f} for a batch and {again:.4f} for one that holds each datum twice: it is summed "
            "over the batch, which the core averages over; give one value per datum (B,), or a mean over them (a "
            "statistic whose expectation alone is free of the size is marked as an expected failure)",
        )


def _value(case: LossCase, passed: Forward, training: bool = False) -> Tensor:
    """The term of a pass, with the same random numbers at each call."""
    with seeded():
        return case.part.train(training)(passed).mean()  # type: ignore[no-any-return]


@promise(Loss, after=("shapes", "eval determinism"))
@torch.no_grad()
def weight(subject: Subject) -> None:
    """The term does not depend on its weight: the core multiplies by it, and reports the term without it."""
    heavy = subject.config.model_copy(update={"weight": OTHER_WEIGHT})
    for light in subject.cases():
        with seeded(0):
            other = subject.again(light, heavy)
        passed = light.passed(6)
        require(
            close(_value(light, passed), _value(other, passed)),
            "the term changes with its weight, by which the core multiplies it: leave config.weight alone",
        )


@promise(Loss, after=("shapes", "eval determinism"))
def any_draws(subject: Subject) -> None:
    """The term is the same if each draw is there twice: another term may ask for more draws than this one."""
    remedy = "the first dimension of z, log_prob and log_ratio is that of the draws: average over it"
    for case in subject.cases():
        passed = case.passed(6)
        with torch.no_grad():
            once = _value(case, passed)
            try:
                with seeded():
                    again = case.part(drawn_twice(passed))
                _check_values("the term", again, 6)
            except Exception as error:
                raise ContractError(
                    f"it fails where another term asks for more draws ({in_a_line(error)}{place(error)}); {remedy}"
                ) from error
        require(
            close(once, again.mean(), 1e-3),
            f"the term is {once:.4f}, and {again.mean():.4f} where each draw is there twice; {remedy}",
        )


@promise(Loss, after=("shapes",))
def needs(subject: Subject) -> None:
    """`needs` names all that the term reads of a pass, so that a model without it is refused when it is built."""
    for case in subject.cases():
        for need in lacking(case.part.needs):
            passed = without(case.passed(6), need)
            try:
                case.part.eval()(passed)
                if isinstance(case.part, LearnedLoss):
                    case.part.critic_loss(passed.detached())
            except Exception as error:
                raise ContractError(
                    f"it fails without what `needs` does not name ({in_a_line(error)}{place(error)}); "
                    f"add '{need}' to needs: a model that has none is then refused when it is built"
                ) from error


@promise(Loss, after=("shapes", "eval determinism", "batch size"))
def nats_per_datum(subject: Subject) -> None:
    """The term sums over the values of a datum and its code, and is no mean: it differs for twice as many values."""
    if issubclass(subject.component, LearnedLoss):
        raise NotApplicable("what a learned term makes of a wider datum is up to its weights")
    for case in subject.cases():
        if any(True for _ in case.part.parameters()):
            raise NotApplicable("what a term with parameters makes of a wider datum is up to them")
        passed = with_equal_draws(case.passed(6))
        if passed.latent is not None and passed.latent.extra:
            raise NotApplicable(
                "it is checked with a sampler that hands on tensors of its own, whose width is up to it"
            )
        for (axis, length), training in product(enumerate(case.shape), (False, True)):
            shape = (*case.shape[:axis], 2 * length, *case.shape[axis + 1 :])
            try:
                larger = subject.again(case, subject.config, shape)
            except ComponentError:
                continue
            with torch.no_grad():
                one = _value(case, passed, training)
                with seeded():
                    two = larger.part.train(training)(widened(passed, axis, larger.model.likelihood)).mean()
            require(
                abs(one - two) > 1e-3 * abs(one) or not one.any(),
                f"the term is {one:.4f} for a datum and still {two:.4f} for one of twice as many values: it is a mean "
                "over the values, and must be in nats per datum; sum over them (flatten(1).sum(1)); one that has no "
                "scale by design is marked as an expected failure",
            )


@promise(Loss, after=("shapes", "gradients reach the model"))
def sign(subject: Subject) -> None:
    """Minimising the term makes data likelier and the KL smaller, where it depends on them."""
    applies = False
    for case in subject.cases():
        passed, leaves = _with_leaves(case)
        total = case.part.eval()(passed).mean()
        if not total.requires_grad:
            continue
        slopes = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, retain_graph=True)
        for (name, leaf), slope in zip(leaves.items(), slopes, strict=True):
            if slope is None or not bool(slope.any()):
                continue
            applies = applies or name != "params"
            if name == "params":
                assert passed.log_prob is not None
                (uphill,) = torch.autograd.grad(passed.log_prob.sum(), leaf, retain_graph=True)
                applies = True
                wrong = bool((slope * uphill).sum() > 0)
            else:
                wrong = bool((slope < 0).any())
            what = "makes the data less likely" if name == "params" else f"makes {name} larger"
            require(
                not wrong,
                f"minimising the term {what}: its sign is wrong; it is what is minimised, -log p(x|z) or a KL",
            )
    if not applies:
        raise NotApplicable("the term depends neither on log p(x|z) nor on the KL")


def _with_leaves(case: LossCase) -> tuple[Forward, dict[str, Tensor]]:
    """A pass whose params, KL and log-ratio require gradients, and these three tensors by name."""
    passed = case.passed(6).detached()
    assert passed.latent is not None
    assert passed.params is not None
    named = {"kl": passed.latent.kl, "log_ratio": passed.latent.log_ratio, "params": passed.params}
    leaves = {name: leaf for name, leaf in named.items() if leaf is not None}
    for leaf in leaves.values():
        leaf.requires_grad_()
    return passed._replace(log_prob=log_prob_of(case.model, passed)), leaves


@promise(LearnedLoss, after=("shapes",))
def critic_loss(subject: Subject) -> None:
    """On a detached pass the critic's loss is (B,) or (), and its gradients reach each of the term's parameters."""
    for case in subject.cases():
        owned = dict(case.part.named_parameters())
        require(bool(owned), "it has no parameters to learn: derive it from Loss, not from LearnedLoss")
        for count in (1, 6):
            case.part.zero_grad()
            loss = case.part.train().critic_loss(case.passed(count).detached())
            _check_values("critic_loss", loss, count)
        if not loss.requires_grad:
            raise ContractError("no gradient goes from critic_loss to its parameters, so that they learn nothing")
        loss.mean().backward()
        gradients = {name: parameter.grad for name, parameter in owned.items() if parameter.grad is not None}
        require(any(bool(grad.any()) for grad in gradients.values()), "the gradients of critic_loss are all 0")
        # None alone is idle: the gradient of a bias that cancels between data and generated data is 0
        idle = [name for name in owned if name not in gradients]
        require(not idle, f"no gradient of critic_loss reaches {', '.join(idle)}: it has no part in it, or is cut off")
