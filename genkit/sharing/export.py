"""Export of a trained model to a format that other programs run: ONNX, or PyTorch's exported program.

N data; every batch size is allowed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from genkit.errors import GenkitError
from genkit.files import atomic
from genkit.model.model import Model

Part = Literal["encoder", "decoder", "all"]
Format = Literal["onnx", "torch-export"]

SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
TOLERANCE = 1e-5
SIZES = (1, 2, 7)
"""The batch sizes at which an exported file is compared with the model."""


@dataclass(frozen=True)
class Export:
    """An exported file, and how far its outputs are from the model's."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float
    """The largest absolute difference, over random inputs of several batch sizes."""


def export(model: Model, path: Path, part: Part = "all", format: Format = "onnx") -> Export:
    """Write a part of a model and compare the file with the model.

    The encoder takes x (N, *shape) and gives z, the posterior mean; the decoder takes z (N, *latent_shape) and gives
    the mean of p(x|z); `all` takes x and gives both.

    Raises:
        GenkitError: there is no such part or format, a package is missing, the part cannot be exported, or the file
            differs from the model by more than 1e-5; `path` is then not changed.
    """
    if part not in get_args(Part) or format not in get_args(Format):
        choices = f"parts {', '.join(get_args(Part))}; formats {', '.join(get_args(Format))}"
        raise GenkitError(f"cannot export part '{part}' as '{format}'; there are {choices}")
    if path.suffix != SUFFIXES[format]:
        raise GenkitError(f"{path}: a file of format {format} ends in {SUFFIXES[format]}")
    module, example, names = _module(model, part)
    module.eval()
    with atomic.replacing(path) as temporary:
        try:
            with _quiet():
                run = _WRITERS[format](module, example, names, temporary)
        except ImportError as error:
            raise GenkitError(f"exporting as onnx needs {error.name}; pip install 'genkit-torch[onnx]'") from None
        except Exception as error:
            message = f"the {part} cannot be exported as {format}: {type(error).__name__}: {_first_line(error)}"
            raise GenkitError(message) from error
        difference = max(_difference(module, run, _inputs(model, part, size)) for size in SIZES)
        if not difference < TOLERANCE:
            raise GenkitError(
                f"the exported {part} differs from the model by {difference:.2g}, more than {TOLERANCE:g}"
            )
    return Export(path, names[0], names[1], difference)


class _Encoder(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        if model.encoder is None:
            raise GenkitError("the model has no encoder; export its decoder")
        self.transforms = model.transforms
        self.encoder = model.encoder
        self.sampler = model.sampler

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.sampler(self.encoder(self.transforms(x)), 0).mean
        return mean


class _Decoder(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.likelihood = model.likelihood
        self.transforms = model.transforms

    def forward(self, z: Tensor) -> Tensor:
        return self.transforms.inverse(self.likelihood.mean(self.decoder(z)))


class _Whole(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encode = _Encoder(model)
        self.decode = _Decoder(model)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encode(x)
        return z, self.decode(z)


Names = tuple[tuple[str, ...], tuple[str, ...]]
Run = Callable[[Tensor], list[Tensor]]


def _module(model: Model, part: Part) -> tuple[nn.Module, Tensor, Names]:
    """The part as a module, an input to trace it with, and the names of inputs and outputs."""
    example = _inputs(model, part, 2)
    if part == "encoder":
        return _Encoder(model), example, (("x",), ("z",))
    if part == "decoder":
        return _Decoder(model), example, (("z",), ("x",))
    return _Whole(model), example, (("x",), ("z", "reconstruction"))


def _inputs(model: Model, part: Part, size: int) -> Tensor:
    """Random inputs (size, ...) of a part: points near 0 for the decoder, else values in the range of the data."""
    generator = torch.Generator().manual_seed(size)
    if part == "decoder":
        return torch.randn(size, *model.sampler.latent_shape, generator=generator)
    low, high = model.limits
    return low + (high - low) * torch.rand(size, *model.shape, generator=generator)


def _exported(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch", max=2**31 - 1)},))


def _write_torch(module: nn.Module, example: Tensor, names: Names, path: Path) -> Run:
    torch.export.save(_exported(module, example), path)
    program = torch.export.load(path).module()
    return lambda x: _listed(program(x))


def _write_onnx(module: nn.Module, example: Tensor, names: Names, path: Path) -> Run:
    import onnxruntime
    import onnxscript  # noqa: F401 - torch.onnx needs it; an error here names it where it is missing

    program = torch.onnx.export(
        _exported(module, example), dynamo=True, input_names=list(names[0]), output_names=list(names[1]), verbose=False
    )
    assert program is not None
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: [torch.from_numpy(value) for value in session.run(None, {names[0][0]: x.numpy()})]


_WRITERS: dict[str, Callable[[nn.Module, Tensor, Names, Path], Run]] = {
    "onnx": _write_onnx,
    "torch-export": _write_torch,
}


def _difference(module: nn.Module, run: Run, example: Tensor) -> float:
    with torch.no_grad():
        pairs = zip(_listed(module(example)), run(example), strict=True)
        return max(float((own - other).abs().max()) if own.shape == other.shape else math.inf for own, other in pairs)


def _listed(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress report and its warnings about itself inside the block."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
