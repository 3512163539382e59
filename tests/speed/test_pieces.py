import subprocess
import sys

import pytest
import torch
from torch import nn

from genkit.speed import pieces
from genkit.speed.pieces import NotTraceableError, compiled_in_pieces, traced_whole

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on tracing

GROUP = """
    import gc, os, torch, torch.distributed as dist
    from genkit.speed.pieces import import_compiler

    {before}
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    dist.all_reduce(torch.ones(3))
    import torch._dynamo
    dist.destroy_process_group()
    gc.collect()
    names = [open(f"/proc/self/task/{{task}}/comm").read() for task in os.listdir("/proc/self/task")]
    print(sum("gloo" in name for name in names))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have names on Linux")
def test_a_compiler_that_is_imported_ahead_keeps_no_thread_of_a_group():
    code = "\n".join(line.strip() for line in GROUP.format(before="import_compiler()").splitlines())
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.strip() == "0"


def squares(weight, x):
    return torch.autograd.grad((weight * x).square().sum(), weight)[0]


def test_a_function_that_takes_gradients_is_traced_as_a_whole_and_one_that_looks_at_values_is_not():
    weight, x = nn.Parameter(torch.tensor([1.0, 2.0])), torch.tensor([3.0, 4.0])
    with traced_whole(squares, "eager") as traced:
        assert torch.equal(traced(weight, x), squares(weight, x))
    with (
        pytest.raises(NotTraceableError, match="data-dependent"),
        traced_whole(lambda x: x if x.sum() > 0 else -x, "eager") as traced,
    ):
        traced(x)
    assert torch._dynamo.config.trace_autograd_ops is False


@pytest.mark.slow
def test_where_torch_cannot_trace_gradients_the_pieces_are_smaller(monkeypatch, said):
    class Config:
        pass

    import torch._dynamo

    monkeypatch.setattr(torch._dynamo, "config", Config())
    weight, x = nn.Parameter(torch.tensor([1.0, 2.0])), torch.tensor([3.0, 4.0])
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    assert torch.equal(compiled_in_pieces(squares, {})(weight, x), squares(weight, x))
    assert said() == ["trace_autograd_ops: compiled steps that are no single graph leave their gradients out of it"]
    assert pieces.MISSING
