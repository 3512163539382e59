"""Nothing hangs on a private name of torch: without it the work goes on, and a warning says so once."""

import textwrap
from pathlib import Path

import pytest
import torch

from genkit.speed.seam import do_without

# Each is deleted in a process of its own before genkit is imported; what a warning then says, where it is needed.
NAMES = {
    "torch._fused_adam_": "Adam and AdamW update one parameter after the other",
    "torch._fused_adamw_": "Adam and AdamW update one parameter after the other",
    "torch._C._are_functorch_transforms_active": "MKL computes all products of dense layers",
    "torch.autograd.forward_ad._current_level": "MKL computes all products of dense layers",
    "torch.utils._python_dispatch.TorchDispatchMode": "batches of 1024",
    "torch.compiler._compile_session_context": None,
}

EXAMPLE = Path(__file__).parents[2] / "examples" / "vae-digits.yaml"
RUN = """
    import sys, warnings
    import torch, torch.utils._python_dispatch

    owner, _, name = {name!r}.rpartition(".")
    delattr(eval(owner), name)
    import genkit.interfaces

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from genkit.speed import layout

        layout.gains = lambda: True  # as on a processor where oneDNN is faster
        from genkit.runs.opening import as_config, prepare
        from genkit.training.trainer import Trainer

        config = as_config({example!r}, ["training.optimizer={optimizer}", "encoder.hidden=[8]"])
        data, model = prepare(config)
        trainer = Trainer(model.train(), config.training)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        for _ in range(3):
            figures = trainer.step(data.train.x[:100], torch.ones(len(model.losses)))
        model.eval().encode(data.train.x[:100])
    assert all(figure.isfinite() for figure in figures.values())
    assert not any(torch.equal(*pair) for pair in zip(before, model.parameters()))
    print(*[each.message for each in caught], sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_eager_training_needs_no_private_name(name, process, environment):
    optimizer = "adamw" if "adamw" in name else "adam"
    code = textwrap.dedent(RUN).format(name=name, optimizer=optimizer, example=str(EXAMPLE))
    result = process("python", "-c", code, env=environment)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line]
    assert len(lines) == (NAMES[name] is not None), lines
    assert all(f"torch {torch.__version__} lacks" in line and NAMES[name] in line for line in lines)


def test_a_missing_name_is_told_of_once(said):
    for _ in range(2):
        do_without(AttributeError("module 'torch' has no attribute '_quick'"), "it is done slowly")
    assert said() == ["_quick: it is done slowly"]
