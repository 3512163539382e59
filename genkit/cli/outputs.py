"""Output files: arrays in the format of the file's suffix, and pictures."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from genkit.cli.app import say
from genkit.data.tables import as_text, type_of
from genkit.errors import RunError
from genkit.files import atomic
from genkit.pictures.saving import FORMATS, save
from genkit.record.outputs import output_file, refuse_file_of_run

if TYPE_CHECKING:
    from torch import Tensor

    from genkit.interfaces import Column
    from genkit.model.model import Model

Array = np.ndarray[Any, Any]

ROWS = 2**14
"""The number of rows of a file of text that are written at once."""


def write(path: Path, arrays: dict[str, Array]) -> None:
    """Write named arrays of the same length N, whole or not at all; an existing file is replaced.

    .npy holds the first array alone; in .csv and .parquet an array of shape (N, D) becomes columns name_0, name_1, ...

    Raises:
        RunError: the suffix is not one of the formats, or the file cannot be written.
    """
    if path.suffix not in _WRITERS:
        raise RunError(f"--out {path}: the suffix says the format; choose one of {', '.join(_WRITERS)}")
    with atomic.replacing(path) as temporary:
        _WRITERS[path.suffix](temporary, arrays)


def write_table(path: Path, model: Model, x: Tensor, names: dict[str, Array] | None = None) -> bool:
    """Write data x (N, D) of a table as its rows, where path is one of a table: .csv or .parquet; whole or not at all.

    Series x (N, T, F) with named channels, or of different lengths, are a row per step.

    Args:
        path: the file.
        model: the model whose data they are.
        x: the data.
        names: columns that come before those of the table, such as the numbers of the rows.

    Returns:
        Whether it is written: another suffix, or a model that was not trained on such data, is left to the caller.
    """
    columns = model.schema.columns
    if path.suffix in (".csv", ".parquet") and (model.schema.channels or model.schema.is_padded):
        write(path, _steps(x.cpu().numpy(), model.schema.channel_names, names or {}))
        return True
    if not columns or path.suffix not in (".csv", ".parquet"):
        return False
    values = model.table(x)
    before = {name: array.tolist() for name, array in (names or {}).items() if name not in values}
    with atomic.replacing(path) as temporary:
        if path.suffix == ".csv":
            _write_csv(temporary, before | as_text(values, columns))
        else:
            _write_parquet(temporary, before | {each.name: _typed(values[each.name], each) for each in columns})
    return True


def _steps(x: Array, channels: Iterable[str], names: dict[str, Array]) -> dict[str, Array]:
    """The steps of series x (N, T, F) that are there, with the number of the series and of the step, as columns."""
    series, step = np.nonzero(~np.isnan(x).any(2))
    columns = {"series": series, "step": step, **{name: values[series] for name, values in names.items()}}
    return columns | dict(zip(channels, x[series, step].T, strict=True))


def _typed(values: list[Any], column: Column) -> Any:
    """The values of a column as pyarrow has them, of its type even where all are missing."""
    pyarrow = _pyarrow()
    types = {float: pyarrow.float64(), int: pyarrow.int64(), bool: pyarrow.bool_(), date: pyarrow.date32()}
    counted = column.kind == "count" and all(isinstance(value, int) for value in values)
    return pyarrow.array(values, types.get(int if counted else type_of(column), pyarrow.string()))


def write_stream(path: Path, shape: tuple[int, ...], parts: Iterable[Array]) -> None:
    """Write batches of float32 values, one after the other, as a .npy file of that shape, whole or not at all.

    Memory does not grow with the number of batches.

    Raises:
        RunError: the file cannot be written.
    """
    with atomic.replacing(path) as temporary, temporary.open("wb") as stream:
        layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, cast("dict[str, Any]", layout))
        for part in parts:  # by plain writes: on a full disk a memory map would end the process by SIGBUS
            stream.write(np.ascontiguousarray(part, "<f4").data)


def write_data(path: Path, x: Array, limits: tuple[float, float], columns: int) -> None:
    """Write data (N, *shape) as `write` does, or as a picture with values between the limits dark to bright."""
    if path.suffix not in FORMATS:
        write(path, {"x": x})
        return
    import torch

    from genkit.pictures.mosaic import mosaic

    write_picture(path, mosaic(torch.from_numpy(x), columns, limits))


def write_row(path: Path, x: Tensor, limits: tuple[float, float], title: str, ends: Sequence[str]) -> None:
    """Write data (N, *shape) side by side as a picture, whose first and last datum are named."""
    from genkit.pictures.mosaic import framed, mosaic

    save(framed(mosaic(x, len(x), limits), title, rows=ends[:1], ends=ends[1:]), path)


def write_samples(path: Path, model: Model, n: int, noise: bool | None, side: dict[str, Any]) -> None:
    """Write n generated data: rows as `write_table` does, .npy without holding all of them, else as `write_data`.

    Args:
        path: the file.
        model: the model that generates them.
        n: their number.
        noise: whether they are drawn from p(x|z), or its means; None: rows of a table are drawn.
        side: the side data that the model takes.
    """
    noise = bool(model.schema.columns) if noise is None else noise
    if path.suffix == ".npy":
        write_stream(path, (n, *model.shape), (part.numpy() for part in model.sampled(n, noise, **side)))
        return
    from genkit.pictures import series
    from genkit.pictures.mosaic import rendered

    x = model.sample(n, noise, **side)
    if path.suffix in FORMATS and model.schema.columns:
        write_marginals(path, model, {"samples": x})
    elif path.suffix in FORMATS and series.is_series(model.shape):
        write_picture(path, rendered(series.panels({"samples": x.cpu()}, model.schema.channel_names)))
    elif not write_table(path, model, x, _classes(model, side, n)):
        write_data(path, x.numpy(), model.limits, columns=max(1, round(n**0.5)))


def _classes(model: Model, side: dict[str, Any], n: int) -> dict[str, Array]:
    """The classes, by their names, that a model was given for n data, as columns."""
    columns = {}
    for name in model.decoder_inputs:
        what = model.schema.side[name]
        if what.classes is not None and what.shape == ():
            names = what.names or tuple(map(str, range(what.classes)))
            columns[name] = np.array(names)[side[name].expand(n).cpu().numpy()]
    return columns


def write_marginals(path: Path, model: Model, tables: dict[str, Tensor]) -> None:
    """Write a picture of the columns of data (N, D) of a table, by what they are."""
    from genkit.pictures.marginals import marginals

    save(marginals(model.schema.columns, tables), path)


def write_picture(path: Path, pixels: Array) -> None:
    """Write colours (H, W, 3) as a picture in the format of its suffix, whole or not at all; a .png has them alone."""
    from PIL import Image

    if path.suffix != ".png":
        from genkit.pictures.mosaic import framed

        save(framed(pixels, ""), path)
        return
    with atomic.replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def write_or_print(text: str, path: Path | None) -> None:
    """Write a text to a file, whose path is printed, or to stdout where there is none; RunError: it is one of a run."""
    if path is None:
        sys.stdout.write(text)
        return
    with output_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(path)


def new_file(stem: str, model: Model) -> Path:
    """A file in the working directory that is not there yet: a picture, or a table for the rows of one."""
    suffix = ".csv" if model.schema.columns else ".png"
    names = (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in itertools.count(1))
    return next(path for path in map(Path, names) if not path.exists() and not path.is_symlink())


def check_out(path: Path, suffixes: Iterable[str] = ()) -> None:
    """Refuse a file that `write` would refuse, or that belongs to a run, before any work is done.

    Args:
        path: the file to write.
        suffixes: suffixes that are allowed beside those of `write`.

    Raises:
        RunError: the suffix says no format, or the file is one of a run's own.
    """
    refuse_file_of_run(path, "--out")
    allowed = [*_WRITERS, *suffixes]
    if path.suffix not in allowed:
        raise RunError(f"--out {path}: the suffix says the format; choose one of {', '.join(allowed)}")
    if path.suffix == ".parquet":
        _pyarrow()


def _npy(path: Path, arrays: dict[str, Array]) -> None:
    np.save(path, next(iter(arrays.values())), allow_pickle=False)


def _npz(path: Path, arrays: dict[str, Array]) -> None:
    np.savez(path, **cast("dict[str, Any]", arrays))


def _safetensors(path: Path, arrays: dict[str, Array]) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        numbers = {name: array for name, array in arrays.items() if array.dtype.kind != "U"}  # it holds no text
        save_file({name: np.ascontiguousarray(array) for name, array in numbers.items()}, path)
    except SafetensorError as error:  # a full disk, for one
        raise OSError(str(error)) from error


def _csv(path: Path, arrays: dict[str, Array]) -> None:
    _write_csv(path, _columns(arrays))


def _write_csv(path: Path, columns: Mapping[str, list[Any] | Array]) -> None:
    """Write columns of the same length, some rows at a time: Python's own numbers take several times the memory."""
    count = max(map(len, columns.values()), default=0)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for start in range(0, count, ROWS):
            rows = (column[start : start + ROWS] for column in columns.values())
            parts = (part.tolist() if isinstance(part, np.ndarray) else part for part in rows)
            writer.writerows(zip(*parts, strict=True))


def _parquet(path: Path, arrays: dict[str, Array]) -> None:
    _write_parquet(path, _columns(arrays))


def _write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    pyarrow = _pyarrow()
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RunError(".parquet needs pyarrow; pip install 'genkit-torch[parquet]'") from None
    return pyarrow


_WRITERS: dict[str, Callable[[Path, dict[str, Array]], None]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _csv,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
}


def _columns(arrays: dict[str, Array]) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
            continue
        flat = array.reshape(len(array), math.prod(array.shape[1:]))
        columns |= {f"{name}_{index}": flat[:, index] for index in range(flat.shape[1])}
    return columns
