"""Variables of MATLAB files of format 5, which MATLAB writes up to version 7: numbers, text, cells of text, sparse.

The format is that of "MAT-File Format" (The MathWorks, 1999 and later): a header, then elements of a type, a size, and
as many bytes, each a variable, which may be compressed. A size is never believed beyond the bytes that are there.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genkit_data.sizes import check_array

Array = np.ndarray[Any, Any]

HEADER, VERSION = 128, 0x0100
ORDERS = {b"IM": "<", b"MI": ">"}
"""The orders of bytes by the mark at the end of the header."""
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""The types of elements that hold numbers."""
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""The types of elements that hold text."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""The classes of arrays of numbers."""
CELL, CHAR, SPARSE = 1, 4, 5
OTHERS = {2: "struct", 3: "object", 16: "function", 17: "opaque"}
LOGICAL, COMPLEX = 0x0200, 0x0800
"""Flags of an array beside its class."""
HEAD = 2**14
"""The most bytes that the class, the shape and the name of a variable take."""
AXES = 32


class Matrix(NamedTuple):
    """What an array says of itself, before its values."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    start: int
    """The place of its values."""


def variables(path: Path, where: str) -> dict[str, Callable[[], Array]]:
    """The variables of a file by name, each read when it is asked for.

    Args:
        path: the file.
        where: the option and the file, for messages.

    Raises:
        ValueError: the file is damaged, cut short, or of another format.
    """
    readers: dict[str, Callable[[], Array]] = {}
    with path.open("rb") as stream:
        header = stream.read(HEADER)
        order = ORDERS.get(header[126:128], "")
        if not order or struct.unpack(f"{order}H", header[124:126]) != (VERSION,):
            raise ValueError("is no file of MATLAB's format 5 or 7.3; save it with -v7 or -v7.3")
        for kind, start, size in _elements(stream, order):
            body = stream.read(min(size, HEAD))
            if kind == COMPRESSED:
                body = _inside(zlib.decompressobj().decompress(body, HEAD), order)[0]
            elif kind != MATRIX:
                continue
            matrix = _matrix(memoryview(body), order)
            if matrix.name:
                readers[matrix.name] = partial(_variable, path, start, size, kind == COMPRESSED, order, where)
    return readers


def _elements(stream: Any, order: str) -> Iterator[tuple[int, int, int]]:
    """The type, the place and the size of each element of a file; the stream stands at that place."""
    end = stream.seek(0, 2)
    start = HEADER
    while start + 8 <= end:
        stream.seek(start)
        kind, size = struct.unpack(f"{order}II", stream.read(8))
        if start + 8 + size > end:
            raise ValueError(f"promises {size:,} bytes, and holds {end - start - 8:,}")
        yield kind, start + 8, size
        start += 8 + size + (-size % 8 if kind != COMPRESSED else 0)


def _inside(content: bytes, order: str) -> tuple[bytes, int]:
    """The content of the one element of what is decompressed, as far as it is there, and its size."""
    if len(content) < 8:
        raise ValueError("ends within an element")
    return content[8:], int(struct.unpack(f"{order}II", content[:8])[1])


def _variable(path: Path, start: int, size: int, compressed: bool, order: str, where: str) -> Array:
    check_array((size,), np.dtype("u1"), where)
    with path.open("rb") as stream:
        stream.seek(start)
        body = stream.read(size)
    if compressed:
        head, promised = _inside(zlib.decompressobj().decompress(body, HEAD), order)
        matrix = _matrix(memoryview(head), order)
        check_array(matrix.shape, np.dtype(CLASSES.get(matrix.kind, "f8")), f"{where}, {matrix.name}")
        check_array((promised,), np.dtype("u1"), f"{where}, {matrix.name}")
        body = zlib.decompressobj().decompress(body, promised + 8)[8:]
    return _values(memoryview(body), order, where)


def _element(data: memoryview, start: int, order: str) -> tuple[int, memoryview, int]:
    """The type of an element within an array, its bytes, and the place behind it."""
    if start + 8 > len(data):
        raise ValueError("ends within an array")
    kind, size = struct.unpack_from(f"{order}II", data, start)
    begin, end = start + 8, start + 8 + size + -size % 8
    if kind >> 16:  # a small one, of up to 4 bytes beside its type
        kind, size, begin, end = kind & 0xFFFF, kind >> 16, start + 4, start + 8
    if begin + size > min(end, len(data)):
        raise ValueError("ends within an array")
    return kind, data[begin : begin + size], end


def _numbers(data: memoryview, start: int, order: str) -> tuple[Array, int]:
    kind, body, end = _element(data, start, order)
    if kind not in NUMBERS or len(body) % np.dtype(NUMBERS[kind]).itemsize:
        raise ValueError(f"has no numbers where they should be, but type {kind}")
    return np.frombuffer(body, order + NUMBERS[kind]), end


def _matrix(data: memoryview, order: str) -> Matrix:
    about, start = _numbers(data, 0, order)
    shape, start = _numbers(data, start, order)
    name, start = _numbers(data, start, order)
    if len(about) < 1 or not 2 <= len(shape) <= AXES or shape.min() < 0:
        raise ValueError("has no array where one should be")
    text = name.tobytes().decode("utf-8", "backslashreplace")
    return Matrix(int(about[0]) & 0xFF, int(about[0]), tuple(map(int, shape)), text, start)


def _values(data: memoryview, order: str, where: str) -> Array:
    """The values of an array, with its own axes."""
    matrix = _matrix(data, order)
    count = math.prod(matrix.shape)
    if matrix.kind in CLASSES and not matrix.flags & COMPLEX:
        return _array(_numbers(data, matrix.start, order)[0], matrix)
    if matrix.kind == SPARSE and not matrix.flags & COMPLEX:
        check_array(matrix.shape, np.dtype("f8"), f"{where}, {matrix.name}")
        return _sparse(data, matrix, order)
    if matrix.kind == CHAR:
        return _text(data, matrix, order)
    if matrix.kind == CELL and count <= len(data):
        texts, start = [], matrix.start
        for _ in range(count):
            _, body, start = _element(data, start, order)
            texts.append(_cell(body, order, matrix.name))
        return np.array(texts, np.str_)
    kind = "complex array" if matrix.flags & COMPLEX else OTHERS.get(matrix.kind, f"class {matrix.kind}")
    raise ValueError(f"'{matrix.name}' is a {kind} of MATLAB, not numbers or text")


def _array(values: Array, matrix: Matrix) -> Array:
    if len(values) != math.prod(matrix.shape):
        raise ValueError(f"promises an array of shape {matrix.shape}, and holds {len(values):,} values")
    kind = np.bool_ if matrix.flags & LOGICAL else np.dtype(CLASSES[matrix.kind])
    return np.ascontiguousarray(values.reshape(matrix.shape, order="F")).astype(kind)


def _sparse(data: memoryview, matrix: Matrix, order: str) -> Array:
    rows, start = _numbers(data, matrix.start, order)
    ends, start = _numbers(data, start, order)
    values, _ = _numbers(data, start, order)
    height, width = matrix.shape
    lengths: Array = np.diff(ends.astype(np.int64))
    if (
        len(lengths) != width
        or lengths.min(initial=0) < 0
        or not ends[0] == 0 <= ends[-1] <= min(len(rows), len(values))
    ):
        raise ValueError("has a sparse matrix whose columns do not fit its values")
    rows = rows[: ends[-1]]
    if len(rows) and not 0 <= rows.min() <= rows.max() < height:
        raise ValueError("has a sparse matrix with values outside of it")
    dense = np.zeros(matrix.shape)
    dense[rows, np.repeat(np.arange(width), lengths)] = values[: len(rows)]
    return dense


def _text(data: memoryview, matrix: Matrix, order: str) -> Array:
    """The lines of an array of characters, without spaces at their ends."""
    kind, body, _ = _element(data, matrix.start, order)
    if kind not in ENCODINGS or len(matrix.shape) != 2:
        raise ValueError(f"'{matrix.name}' has no text where it should be, but type {kind}")
    endian = {"<": "-le", ">": "-be"}[order] if ENCODINGS[kind] in ("utf-16", "utf-32") else ""
    characters = bytes(body).decode(ENCODINGS[kind] + endian)
    height, width = matrix.shape
    if len(characters) != height * width:
        raise ValueError(f"promises text of shape {matrix.shape}, and holds {len(characters):,} characters")
    return np.array([characters[row::height].rstrip() for row in range(height)], np.str_)


def _cell(body: memoryview, order: str, name: str) -> str:
    """The text of a cell; one that was never filled has none."""
    if not len(body):
        return ""
    matrix = _matrix(body, order)
    if matrix.kind != CHAR:
        raise ValueError(f"'{name}' is a cell of MATLAB, not numbers or text")
    return "".join(_text(body, matrix, order))
