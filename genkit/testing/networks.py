"""Checks of encoders and decoders: shapes, and input of any strides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from genkit.errors import in_a_line, place
from genkit.interfaces import Decoder, Encoder, Shape
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
                output = _run(case, case.inputs(count)[0], training)
                _check_output(output, (count, *out_shape), f"for {count} data of shape {case.arguments[0]} it gives")
                require(
                    case.part.training == training,
                    "its forward changes its mode (train() or eval()), which is the run's: dropout and normalization "
                    "stay off, or on, for good",
                )
        for value in (0.0, 1.0):
            output = _run(case, torch.full_like(case.inputs(2)[0], value), False)
            finite = output.isfinite().all()
            require(finite, f"for data that are all {value:g} it gives values that are not finite: {CONSTANT}")
            _check_slopes(case.part, output, f"for data that are all {value:g}")
        if isinstance(case.part, Decoder):
            far = _run(case, FAR * case.inputs(5)[0], False)
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
        x = case.inputs(3)[0]
        turned = tuple(reversed(range(x.ndim)))
        scattered = x.permute(turned).contiguous().permute(turned)
        require(
            close(_run(case, scattered, False), _run(case, x, False)),
            "input that does not lie in one piece in memory gives other values: use flatten or reshape, not view",
        )


def _run(case: Any, x: Tensor, training: bool) -> Tensor:
    part = case.part.train(training)
    try:
        output: Tensor = part(x)
    except Exception as error:
        lies = "" if x.is_contiguous() else ", which do not lie in one piece (use flatten or reshape, not view)"
        mode = "training" if training else "eval"
        raise ContractError(
            f"in {mode} mode it fails for {len(x)} data of shape {case.arguments[0]}{lies}: {in_a_line(error)}"
            f"{place(error)}"
        ) from error
    return output
