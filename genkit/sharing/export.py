"""Export of a trained model to a format that other programs run: ONNX, or PyTorch's exported program.

N data; every batch size is allowed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from genkit.data.steps import mask_of
from genkit.errors import GenkitError
from genkit.interfaces import Side
from genkit.interfaces.columns import are_counts
from genkit.interfaces.component import MASK
from genkit.model.conditions import placeholders
from genkit.model.model import Model
from genkit.model.side import classes_in_turn
from genkit.record.outputs import output_file
from genkit.sharing.export_facts import BATCH, facts_of

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
    """The largest difference over random inputs of several batch sizes, by the largest value where that is above 1."""


def export(model: Model, path: Path, part: Part = "all", format: Format = "onnx") -> Export:
    """Write a part of a model and compare the file with the model.

    The encoder takes x (N, *shape) and gives z, the posterior mean; the decoder takes z (N, *latent_shape) and gives
    the mean of p(x|z); `all` takes x and gives both. The first axis of each is `batch`, of any size; the file carries
    the config, the classes and the scaling of the data (`sharing/export_facts.py`).

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
    with output_file(path) as temporary:
        try:
            with quiet():
                run = _WRITERS[format](module, example, names, temporary, facts_of(model))
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


class _Some(nn.Module):
    """Some parts of a model: the file gets their weights alone, not those of critics."""

    def __init__(self, model: Model, *parts: nn.Module | None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for part in (*parts, model.conditions) if part is not None)
        self.whole = (model,)  # not a module of this one


class _Encoder(_Some):
    def __init__(self, model: Model) -> None:
        if model.encoder is None:
            raise GenkitError("the model has no encoder; export its decoder")
        super().__init__(model, model.encoder, model.sampler, model.transforms, model.encoder_transforms)

    def forward(self, x: Tensor, *side: Tensor) -> Tensor:
        values = _by_name(self.whole[0].encoder_inputs, side)
        return self.whole[0].posterior(self.whole[0].transforms(x), 0, values).mean


class _Decoder(_Some):
    def __init__(self, model: Model) -> None:
        super().__init__(model, model.decoder, model.likelihood, model.transforms)

    def forward(self, z: Tensor, *side: Tensor) -> Tensor:
        values = _by_name(self.whole[0].decoder_inputs, side)
        return self.whole[0].transforms.inverse(self.whole[0].decoded(z, values))


class _Whole(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encode = _Encoder(model)
        self.decode = _Decoder(model)
        self.names = model.inputs
        self.own = model.encoder_inputs, model.decoder_inputs

    def forward(self, x: Tensor, *side: Tensor) -> tuple[Tensor, Tensor]:
        values = _by_name(self.names, side)
        of_encoder, of_decoder = ([values[name] for name in names] for names in self.own)
        z = self.encode(x, *of_encoder)
        return z, self.decode(z, *of_decoder)


def _by_name(names: Sequence[str], values: Sequence[Tensor]) -> dict[str, Tensor]:
    return dict(zip(names, values, strict=True))


def _side_of(model: Model, part: Part) -> tuple[str, ...]:
    """The side data that a part takes."""
    if part == "encoder":
        return model.encoder_inputs
    if part == "decoder":
        return model.decoder_inputs
    return model.inputs


Inputs = tuple[Tensor, ...]
Names = tuple[tuple[str, ...], tuple[str, ...]]
Run = Callable[..., list[Tensor]]
Facts = dict[str, str]


def _module(model: Model, part: Part) -> tuple[nn.Module, Inputs, Names]:
    """The part as a module, inputs to trace it with, and the names of inputs and outputs."""
    example, side = _inputs(model, part, 2), _side_of(model, part)
    if part == "encoder":
        return _Encoder(model), example, (("x", *side), ("z",))
    if part == "decoder":
        return _Decoder(model), example, (("z", *side), ("x",))
    return _Whole(model), example, (("x", *side), ("z", "reconstruction"))


def _inputs(model: Model, part: Part, size: int) -> Inputs:
    """Random inputs (size, ...) of a part: points near 0 for the decoder, else values in the range of the data.

    Classes that the model is given take turns, and so do the lengths of series; other side data are 1.
    """
    generator = torch.Generator().manual_seed(size)
    side = placeholders(model.schema, _side_of(model, part), size)
    of_side = [values + _places(model.schema.side[name], values) for name, values in side.items()]
    if model.schema.is_padded:
        of_side[[*side].index(MASK)] = mask_of(torch.arange(size) % model.shape[0] + 1, model.shape[0])
    if part == "decoder":
        return torch.randn(size, *model.sampler.latent_shape, generator=generator), *of_side
    counts = are_counts(model.schema.columns)
    if model.schema.columns and not counts:
        return _table(model, size, generator), *of_side
    low, high = model.limits
    x = low + (high - low) * torch.rand(size, *model.shape, generator=generator)
    return x.round() if counts else x, *of_side


def _table(model: Model, size: int, generator: torch.Generator) -> Tensor:
    """Random rows (size, D) of a table: numbers near 0 in the model's units, one category each, some marks."""
    x = torch.randn(size, *model.shape, generator=generator)
    for column in model.schema.columns:
        if not column.is_number:
            places = torch.randint(max(1, column.width + (column.kind == "boolean")), (size,), generator=generator)
            of_value = functional.one_hot(places, column.width) if column.kind == "categorical" else places[:, None]
            x[:, column.start : column.start + column.width] = of_value[:, : column.width].to(x.dtype)
        if column.mark is not None:
            x[:, column.mark] = (x[:, column.mark] > 1).to(x.dtype)
    with torch.no_grad():
        return model.transforms.inverse(x) if model.transforms.inverts else x


def _places(side: Side, values: Tensor) -> Tensor:
    """The class of each datum in turn; 1 for numbers."""
    return torch.ones_like(values) if side.classes is None else classes_in_turn(side, len(values))


def exported(module: nn.Module, example: Inputs) -> torch.export.ExportedProgram:
    """The program of a module that takes x and perhaps side data, for any batch size; `example` traces it."""
    batch = torch.export.Dim(BATCH, max=2**31 - 1)
    first, *side = ({0: batch} for _ in example)
    return torch.export.export(module, example, dynamic_shapes=(first, tuple(side)) if side else (first,))


def _write_torch(module: nn.Module, example: Inputs, names: Names, path: Path, facts: Facts) -> Run:
    content = io.BytesIO()  # torch's own writer ends the process where the disk is full
    torch.export.save(exported(module, example), content, extra_files=facts)
    path.write_bytes(content.getbuffer())
    program = torch.export.load(path).module()
    return lambda *inputs: _listed(program(*inputs))


def _write_onnx(module: nn.Module, example: Inputs, names: Names, path: Path, facts: Facts) -> Run:
    import onnxruntime
    import onnxscript  # noqa: F401 - torch.onnx needs it; an error here names it where it is missing

    program = torch.onnx.export(
        exported(module, example), dynamo=True, input_names=list(names[0]), output_names=list(names[1]), verbose=False
    )
    assert program is not None
    first = program.model.graph.inputs[0].shape
    assert first is not None
    program.rename_axes({str(first[0]): BATCH})
    program.model.metadata_props.update(facts)
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> list[Tensor]:
        named = {name: each.numpy() for name, each in zip(names[0], inputs, strict=True)}
        return [torch.from_numpy(value) for value in session.run(None, named)]

    return run


_WRITERS: dict[str, Callable[[nn.Module, Inputs, Names, Path, Facts], Run]] = {
    "onnx": _write_onnx,
    "torch-export": _write_torch,
}


def _difference(module: nn.Module, run: Run, example: Inputs) -> float:
    with torch.no_grad():
        pairs = zip(_listed(module(*example)), run(*example), strict=True)
        return max(_farthest(own, other) for own, other in pairs)


def _farthest(own: Tensor, other: Tensor) -> float:
    """The largest difference, by the largest value where that is above 1: data may be in any units."""
    if own.shape != other.shape:
        return math.inf
    return float((own - other).abs().max()) / max(1.0, float(own.abs().max()))


def _listed(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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
