from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from genkit.speed import decompositions

EXTREME = torch.tensor([0.0, -0.0, 1e-8, -1e-8, 20.0, -20.0, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4, 1e38, -1e38])
GRID = torch.cat([torch.linspace(-30, 30, 20_001), EXTREME])
Function = Callable[[Tensor], Tensor]


def with_slope(function: Function) -> Function:
    def both(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        value = function(x)
        return torch.stack([value.detach(), torch.autograd.grad(value.sum(), x)[0]])

    return both


def traced(function: Function, x: Tensor) -> Any:
    return make_fx(function, decompositions.table(), "fake")(x)


def called(graph: Any) -> set[str]:
    targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    return {target.overloadpacket.__name__ for target in targets if isinstance(target, torch._ops.OpOverload)}


@pytest.mark.parametrize("function", [F.softplus, F.logsigmoid], ids=["softplus", "logsigmoid"])
def test_values_and_slopes_are_those_in_double_precision(function: Function) -> None:
    graph = traced(with_slope(function), GRID)
    assert not called(graph) & {"log", "log1p", "softplus", "log_sigmoid_forward", "softplus_backward"}
    exact = with_slope(lambda x: function(x.double()))(GRID)
    torch.testing.assert_close(graph(GRID), exact.float(), rtol=3e-7, atol=1e-38)


@pytest.mark.parametrize("function", [F.softplus, F.logsigmoid], ids=["softplus", "logsigmoid"])
def test_what_is_not_finite_stays_so(function: Function) -> None:
    x = torch.tensor([torch.inf, -torch.inf, torch.nan])
    torch.testing.assert_close(traced(function, x)(x), function(x), equal_nan=True)


def test_slopes_of_slopes_are_right() -> None:
    def curvature(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.softplus(x).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.sum(), x)[0]

    x = torch.linspace(-5, 5, 101)
    sigmoid = torch.sigmoid(x)
    torch.testing.assert_close(traced(curvature, x)(x), sigmoid * (1 - sigmoid))


@pytest.mark.parametrize(
    "function",
    [lambda x: F.softplus(x, beta=2), lambda x: F.softplus(x, threshold=5), lambda x: F.softplus(x.double())],
    ids=["beta", "threshold", "float64"],
)
def test_other_forms_are_left_to_torch(function: Function) -> None:
    graph = traced(with_slope(function), GRID)
    assert {"softplus", "softplus_backward"} <= called(graph)
    assert torch.equal(graph(GRID), with_slope(function)(GRID))


def test_other_precisions_of_log_sigmoid_are_left_to_torch() -> None:
    graph = traced(with_slope(lambda x: F.logsigmoid(x.double())), GRID)
    assert {"log_sigmoid_forward", "log_sigmoid_backward"} <= called(graph)
