"""Checks of encoders and decoders: shapes, and input of any strides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from genkit.errors import in_a_line, place
from genkit.interfaces import AutoregressiveDecoder, Decoder, Encoder, Shape
from genkit.testing.check import promise
from genkit.testing.subject import ContractError, Subject, close, require

COUNTS = (1, 2, 5)
FAR = 5.0
CONSTANT = "a datum without spread, as a black image, is divided by 0; add a small number to its spread"


@promise(Encoder, Decoder, after=("signatures",))
def shapes(subject: Subject) -> None:
    """(B, *shape) -> (B, *out_shape), finite and of the input's type, in eval and training mode, for one datum too."""
    for case in subject.cases():
        out_shape = case.out_shape
        plain = isinstance(out_shape, tuple) and all(isinstance(size, int) for size in out_shape)
        require(
            plain, f"its out_shape is {out_shape!r}: set it in __init__ to a tuple of whole numbers, without the batch"
        )
        for training in (False, True):
            for count in COUNTS[training:]:  # batch normalization cannot train on one datum
                output = _run(case, case.main(count), training)
                _check_output(output, (count, *out_shape), f"for {count} data of shape {case.arguments[0]} it gives")
                require(
                    case.part.training == training,
                    "its forward changes its mode (train() or eval()), which is the run's: dropout and normalization "
                    "stay off, or on, for good",
                )
        for value in (0.0, 1.0):
            output = _run(case, tuple(torch.full_like(each, value) for each in case.main(2)), False)
            finite = output.isfinite().all()
            require(finite, f"for data that are all {value:g} it gives values that are not finite: {CONSTANT}")
            _check_slopes(case.part, output, f"for data that are all {value:g}")
        if isinstance(case.part, Decoder):
            z, *data = case.main(5)
            far = _run(case, (FAR * z, *data), False)
            require(far.isfinite().all(), f"for z of {FAR:g} standard deviations it gives values that are not finite")


def _check_slopes(part: nn.Module, output: Tensor, what: str) -> None:
    """The gradients of a finite output are finite too."""
    parameters = [parameter for parameter in part.parameters() if parameter.requires_grad]
    if not output.requires_grad or not parameters:
        return
    slopes = torch.autograd.grad(output.sum(), parameters, allow_unused=True)
    require(
        all(bool(slope.isfinite().all()) for slope in slopes if slope is not None),
        f"{what} its gradients are not finite: the slope of a root at 0 is infinite; add a small number inside of it",
    )


def _check_output(output: Any, wanted: Shape, what: str) -> None:
    require(isinstance(output, Tensor), f"{what} {type(output).__name__}: it must give one tensor")
    shape = tuple(output.shape)
    hint = "; mind squeeze() and reshapes by the batch size" if wanted[0] == 1 else ""
    require(shape == wanted, f"{what} {shape}, and must give {wanted}, its out_shape after the batch{hint}")
    require(output.dtype == torch.float32, f"{what} {output.dtype} for float32: it must keep the type of its input")
    spread = ": one datum has no spread, so leave statistics over a batch to nn.BatchNorm" if wanted[0] == 1 else ""
    require(output.isfinite().all(), f"{what} values that are not finite{spread}")


@promise(Encoder, Decoder, after=("shapes", "eval determinism"))
def strides(subject: Subject) -> None:
    """Input that does not lie in one piece in memory gives the same; layers of convolutions pass such tensors on."""
    for case in subject.cases():
        inputs = case.main(3)
        require(
            close(_run(case, tuple(map(_scattered, inputs)), False), _run(case, inputs, False)),
            "input that does not lie in one piece in memory gives other values: use flatten or reshape, not view",
        )


def _scattered(x: Tensor) -> Tensor:
    """The same values, in another order in memory."""
    turned = tuple(reversed(range(x.ndim)))
    return x.permute(turned).contiguous().permute(turned)


@promise(AutoregressiveDecoder, after=("shapes", "eval determinism"))
@torch.no_grad()
def earlier_steps_alone(subject: Subject) -> None:
    """The parameters of a step follow z and the values of earlier steps, and no others."""
    for case in subject.cases():
        order, steps = case.part.order, case.part.steps
        plain = tuple(order.shape) == case.shape and not order.is_floating_point()
        require(
            plain and int(order.min()) >= 0 and int(order.max()) == steps - 1,
            f"its order {tuple(order.shape)} must give a step, from 0 to steps - 1 = {steps - 1}, to each value of a "
            f"datum of shape {case.shape}",
        )
        z, x = case.main(3)
        before, reads = _run(case, (z, x), False), False
        for step in {0, steps // 2, steps - 1}:
            after = _run(case, (z, torch.where(order >= step, x + 1, x)), False)
            require(
                close(after[:, order <= step], before[:, order <= step]),
                f"the parameters of step {step} change with values of x at that step or later, which it lacks when it "
                "generates: mask them, or shift x by a step",
            )
            reads = reads or not close(after, before)
        require(reads or steps == 1, "its output follows z alone, and no value of x: that is a plain genkit.Decoder")


def _run(case: Any, inputs: tuple[Tensor, ...], training: bool) -> Tensor:
    part, x = case.part.train(training), inputs[0]
    try:
        output: Tensor = part(*inputs)
    except Exception as error:
        lies = "" if x.is_contiguous() else ", which do not lie in one piece (use flatten or reshape, not view)"
        mode = "training" if training else "eval"
        raise ContractError(
            f"in {mode} mode it fails for {len(x)} data of shape {case.arguments[0]}{lies}: {in_a_line(error)}"
            f"{place(error)}"
        ) from error
    return output
