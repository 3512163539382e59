"""Large products of dense layers by oneDNN: the same numbers, sooner.

On a CPU, torch leaves matrix products to MKL, which on processors that are not Intel's holds back their widest
instructions; there oneDNN, which comes with torch too, is faster. `python -m benchmarks.throughput` measures both.
This module needs private names of torch; where one is missing its import fails.
"""

from __future__ import annotations

import functools
from typing import Any, final

import torch
from torch import Tensor, nn
from torch._C import _are_functorch_transforms_active
from torch.autograd import forward_ad

from genkit.speed.seam import MISSING, do_without

SMALL = 2**22
"""Products of fewer multiplications are sooner done by what torch calls itself."""
SMALL_EAGER = 2**26
"""The same where nothing is compiled: each product, and each of its gradients, then takes a detour through Python."""

DETOUR = "compiled steps call oneDNN by way of Python, which takes longer"
_linear_pointwise = torch.ops.mkldnn._linear_pointwise.default
assert isinstance(forward_ad._current_level, int)  # -1 where there is no forward-mode differentiation


def leave_products(model: nn.Module) -> None:
    """Put a `Linear` in the place of each plain `torch.nn.Linear` below a model; one in several places stays one."""
    replacements: dict[nn.Module, Linear] = {}
    for name, layer in list(model.named_modules(remove_duplicate=False)):
        if type(layer) is nn.Linear and name:
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, replacements.setdefault(layer, Linear(layer)))


@final
class Linear(nn.Linear):
    """`torch.nn.Linear`, whose large products on a CPU are left to oneDNN.

    Args:
        layer: the layer in whose place it stands. All that the layer holds is held in common: parameters, hooks, and
            whatever is registered with either of them later.
    """

    def __init__(self, layer: nn.Linear) -> None:
        vars(self).update(vars(layer))
        _product_operator()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        if not self._fits(x):
            return super().forward(x)
        flat = x.reshape(-1, self.in_features)
        product: Tensor = torch.ops.genkit.product(flat, self.weight, self.bias)
        return product.view(*x.shape[:-1], self.out_features)

    def _fits(self, x: Tensor) -> bool:
        if torch.compiler.is_exporting():  # of any number of rows
            return False
        small = SMALL if torch.compiler.is_compiling() else SMALL_EAGER
        if x.numel() * self.out_features < small or x.device.type != "cpu":
            return False
        if _are_functorch_transforms_active():
            return False
        plain = x.dtype == self.weight.dtype == torch.float32
        return plain and forward_ad._current_level < 0 and not torch.is_autocast_enabled("cpu")


@functools.cache
def _product_operator() -> Any:
    """The operator `genkit::product`, made when the first layer needs it; it lives as long as the process."""
    library = torch.library.Library("genkit", "DEF")
    library.define("product(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
    library.impl("product", _product, "CPU")
    library.impl("product", _shape, "Meta")
    torch.library.register_autograd("genkit::product", _gradients, setup_context=_saved, lib=library)
    return library


def teach_compiler(model: nn.Module) -> None:
    """Let compiled code of a model call oneDNN itself where it would call `genkit::product` by way of Python."""
    if any(isinstance(layer, Linear) for layer in model.modules()):
        try:
            _register_lowering()
        except MISSING as error:
            do_without(error, DETOUR)


@functools.cache
def _register_lowering() -> None:
    """Register what stands for `genkit::product` in compiled code.

    Weights are passed as they lie: oneDNN reads a transposed one as it is, and a copy would cost half the product.
    """
    from torch._inductor import ir
    from torch._inductor.lowering import fallback_handler, register_lowering
    from torch._inductor.mkldnn_ir import LinearUnary

    def product(x: Any, weight: Any, bias: Any) -> Any:
        x, weight = LinearUnary.require_contiguous(LinearUnary.realize_input(x)), LinearUnary.realize_input(weight)
        size = [x.get_size()[0], weight.get_size()[0]]
        inputs: list[Any] = [x, weight, *([] if bias is None else [LinearUnary.realize_input(bias)])]
        rest: list[Any] = [*([None] if bias is None else []), "none", [-1], ""]
        call = LinearUnary(ir.FixedLayout(x.get_device(), x.get_dtype(), size), inputs, rest)
        output = ir.MultiOutput(call.get_layout(), call, [])
        call.layout, call.outputs = ir.MultiOutputLayout(device=output.get_layout().device), [output]
        return ir.TensorBox.create(output)

    detour = fallback_handler(torch.ops.genkit.product.default)

    def lowered(x: Any, weight: Any, bias: Any) -> Any:
        try:
            return product(x, weight, bias)
        except Exception as error:  # the compiler's classes change from version to version, in whatever way
            do_without(error, DETOUR)
            return detour(x, weight, bias)

    register_lowering(torch.ops.genkit.product.default, type_promotion_kind=None)(lowered)


# x Wᵀ + b for x (N, I), W (O, I), b (O,) or None -> (N, O); its gradients are such products again.
def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = _linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _shape(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


def _saved(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (x, weight), wanted = ctx.saved_tensors, ctx.needs_input_grad
    return (
        torch.ops.genkit.product(gradient, weight.t(), None) if wanted[0] else None,
        _slope(gradient, x) if wanted[1] else None,
        gradient.sum(0) if wanted[2] else None,
    )


# gradientᵀ x for gradient (N, O), x (N, I) -> (O, I). oneDNN would copy the transposed gradient, the larger it is the
# more to its loss; MKL is slow only where the result is wider than high.
def _slope(gradient: Tensor, x: Tensor) -> Tensor:
    if gradient.shape[1] < x.shape[1]:
        product: Tensor = torch.ops.genkit.product(gradient.t(), x.t(), None)
        return product
    return torch.mm(gradient.t(), x)
