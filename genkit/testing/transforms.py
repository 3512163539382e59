"""Checks of transforms: they come back, say their log|det J|, keep what they fitted, and change nothing they are given.

N data, B data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from genkit.errors import in_a_line, place
from genkit.interfaces import Augmentation, Component, Shape, Transform
from genkit.parallel.draws import Rows, taking
from genkit.testing.check import promise
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, generators, require, seeded

COUNT = 24
MOST = 64
"""The largest number of values of a datum whose Jacobian is computed."""
TOLERANCE = 1e-3


@promise(Transform, after=("signatures",))
def shapes(subject: Subject) -> None:
    """Data (B, *shape) become (B, *shape), finite and of float32, for one datum and for constant columns too."""
    for part, x in _cases(subject):
        constant = torch.full_like(x, float(x.flatten()[0]))
        for data in (x, x[:1], constant):
            fresh = data if data is not constant else None
            fitted = part if fresh is not None else _fitted(subject, constant)
            y = _outcome("forward", fitted, data)
            shape = tuple(y.shape)
            require(shape == tuple(data.shape), f"data of shape {tuple(data.shape)} become {shape}: keep their shape")
            require(y.dtype == torch.float32, f"data of float32 become {y.dtype}")
            what = "constant data" if fresh is None else "data"
            require(y.isfinite().all(), f"it makes of {what} what is not finite")


@promise(Transform, after=("shapes",))
def inverse(subject: Subject) -> None:
    """`inverse` gives the data back, and `forward` of that the same again."""
    if not subject.component.invertible:
        raise NotApplicable("it says that it cannot be inverted")
    for part, x in _cases(subject):
        y = part(x)
        again = _outcome("inverse", part, y)
        require(
            close(again, x, TOLERANCE),
            f"inverse(forward(x)) is off by up to {_off(again, x):.2g}: mend it, or say invertible = False",
        )


@promise(Transform, after=("shapes",))
def log_det(subject: Subject) -> None:
    """`log_det` is the logarithm of the absolute determinant of the Jacobian, by automatic differentiation: (B,)."""
    if not subject.component.has_log_det:
        raise NotApplicable("it says that it has none")
    applies = False
    for part, x in _cases(subject):
        given_values = _outcome("log_det", part, x)
        require(
            given_values.shape == (len(x),), f"log_det gives {tuple(given_values.shape)}, and must give ({len(x)},)"
        )
        if math.prod(x.shape[1:]) > MOST:
            continue
        applies = True
        wide = part.double()
        for datum, value in zip(x[:3].double(), given_values[:3], strict=False):
            expected = _log_det_of(wide, datum)
            require(
                math.isclose(float(value), expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE),
                f"log_det is {float(value):.6g} where the Jacobian of forward gives {expected:.6g}, for a datum of "
                f"shape {tuple(datum.shape)}: it is the sum over all values of a datum, of forward and not of inverse",
            )
    if not applies:
        raise NotApplicable(f"no shape has at most {MOST} values")


@promise(Transform, after=("shapes",))
def state(subject: Subject) -> None:
    """What it fitted is in buffers: a new one that takes them does the same, bit for bit; nothing in it is learned."""
    for part, x in _cases(subject):
        learned = [name for name, _ in part.named_parameters()]
        require(not learned, f"{', '.join(learned)} are parameters, which training would change: register_buffer")
        fresh = _built(subject, tuple(x.shape[1:]))
        try:
            fresh.load_state_dict({name: value.clone() for name, value in part.state_dict().items()})
        except RuntimeError as error:
            raise ContractError(
                f"what it fitted cannot be stored: {in_a_line(error)}; give buffers their shape in __init__"
            ) from error
        same = torch.equal(fresh(x), part(x))
        require(same, "a new one with the same buffers does other things: keep all that is fitted in buffers")


@promise(Transform, after=("shapes",))
def blocks(subject: Subject) -> None:
    """Data in blocks become what they become as a whole, bit for bit; and blocks of any size fit it alike."""
    for part, x in _cases(subject):
        whole = part(x)
        apart = torch.cat([part(block) for block in x.split(5)])
        require(
            torch.equal(whole, apart),
            "data in blocks become something else: each datum has to be by itself",
        )
        other = _fitted(subject, x, 5)
        require(
            close(other(x), whole, TOLERANCE), "fitted by smaller blocks it does other things: go through all of them"
        )


@promise(Transform, after=("shapes",))
def input_is_kept(subject: Subject) -> None:
    """Nothing changes its input in place, and nothing is drawn at random."""
    states = generators()
    for part, x in _cases(subject):
        y = part(x)
        for name, values in (("forward", x), ("inverse", y), ("log_det", x)):
            if _applies(subject, name):
                copy = values.clone()
                _outcome(name, part, copy)
                require(torch.equal(copy, values), f"{name} changes its input in place: make a new tensor")
        copy = x.clone()
        _fitted(subject, copy)
        require(torch.equal(copy, x), "fit changes the data in place: make a new tensor")
    require(states == generators(), "it draws at random, or seeds a generator: a transform is the same at each call")


@promise(Augmentation, after=("shapes",))
def augmentation(subject: Subject) -> None:
    """In training mode each datum becomes another one of its shape, finite and in the range of the data."""
    for part, x in _cases(subject):
        part.train()
        y, again = _outcome("augment", part, x), _outcome("augment", part, x)
        require(y.shape == x.shape, f"data of shape {tuple(x.shape)} become {tuple(y.shape)}: keep their shape")
        low, high = x.aminmax()
        inside = (
            bool(y.isfinite().all()) and float(y.min()) >= float(low) - 1e-4 and float(y.max()) <= float(high) + 1e-4
        )
        require(inside, f"data from {low:.3g} to {high:.3g} become values from {y.min():.3g} to {y.max():.3g}")
        require(not torch.equal(y, again), "it gives the same twice: draw random numbers from genkit.uniform or normal")


@promise(Augmentation, after=("augmentation",))
def shared_augmentation(subject: Subject) -> None:
    """Processes that share a batch and a seed give the rows that one process gives for the whole batch."""
    for part, x in _cases(subject):
        part.train()
        with seeded():
            whole = part.augment(x)
        for rows in (Rows(0, 7, len(x)), Rows(7, len(x), len(x))):
            with seeded(), taking(rows):
                own = part.augment(x[rows.start : rows.stop])
            require(
                close(own, whole[rows.start : rows.stop]),
                "where processes share a batch, data become others than where one process has all of it: take random "
                "numbers from genkit.uniform and genkit.normal, with the data as batch dimension",
            )


def _applies(subject: Subject, name: str) -> bool:
    flags = {"inverse": subject.component.invertible, "log_det": subject.component.has_log_det}
    return bool(flags.get(name, True))


def _outcome(name: str, part: Any, values: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            result = getattr(part, name)(values)
    except Exception as error:
        raise ContractError(f"{name} fails on {tuple(values.shape)}: {in_a_line(error)}{place(error)}") from error
    require(isinstance(result, Tensor), f"{name} gives {type(result).__name__}: it must give a tensor")
    assert isinstance(result, Tensor)
    return result


def _cases(subject: Subject) -> Iterator[tuple[Any, Tensor]]:
    """The transform fitted to data of each shape that it takes, with these data."""
    for case in subject.cases():
        x = data_for(subject.component, case.shape)
        yield _fitted(subject, x), x


def _built(subject: Subject, shape: Shape) -> nn.Module:
    part: nn.Module = subject.component(subject.config, shape)
    return part.eval()


def _fitted(subject: Subject, x: Tensor, size: int = COUNT) -> Any:
    part: Any = _built(subject, tuple(x.shape[1:]))
    try:
        part.fit(x.split(size))
    except Exception as error:
        raise ContractError(f"fit fails on data {tuple(x.shape)}: {in_a_line(error)}{place(error)}") from error
    return part


def data_for(component: type[Component], shape: Shape) -> Tensor:
    """Random data (24, *shape) in the domain of a transform, of other spread in each column."""
    low, high = getattr(component, "domain", (-math.inf, math.inf))
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(COUNT, *shape, generator=generator) * 0.98 + 0.01
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * uniform
    normal = torch.randn(COUNT, *shape, generator=generator) * (1 + torch.rand(shape, generator=generator)) + 0.5
    if math.isfinite(low):
        return low + normal.exp()
    return high - normal.exp() if math.isfinite(high) else normal


def _log_det_of(part: Callable[[Tensor], Tensor], datum: Tensor) -> float:
    """log|det| of the Jacobian of a transform at a datum (*shape), in float64."""
    size = datum.numel()
    jacobian = torch.autograd.functional.jacobian(lambda x: part(x[None])[0], datum)
    return float(torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet)


def _off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max()) if one.shape == other.shape else math.inf
