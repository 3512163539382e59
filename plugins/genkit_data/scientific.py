"""Arrays in files of HDF5 and of MATLAB, by name.

MATLAB writes its format 5 up to version 7, and HDF5 from 7.3 on, with the axes of an array in the other order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genkit.errors import DataError
from genkit_data import matlab
from genkit_data.sizes import check_array

Array = np.ndarray[Any, Any]
Readers = dict[str, Callable[[], Array]]

HDF5 = (".h5", ".hdf5")
MATLAB = ".mat"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512
"""The bytes before the signature of HDF5 in a file of MATLAB."""


def hdf5(path: Path, where: str, of_matlab: bool = False) -> Readers:
    """The data sets of an HDF5 file by their paths in it, such as `train/x`.

    Args:
        path: the file.
        where: the option and the file, for messages.
        of_matlab: whether MATLAB has written it.

    Raises:
        DataError: h5py is not installed.
        OSError: the file is damaged, cut short, or no HDF5.
    """
    h5py = _h5py(where)
    readers: Readers = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):
            readers[name] = partial(_dataset, path, name, where, of_matlab)

    with h5py.File(path, "r") as file:
        file.visititems(add)  # neither soft nor external links
    return readers


def _h5py(where: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise DataError(f"{where}: is HDF5, which needs h5py; pip install 'genkit-torch[arrays]'") from None
    return h5py


def _dataset(path: Path, name: str, where: str, of_matlab: bool) -> Array:
    h5py = _h5py(where)
    with h5py.File(path, "r") as file:
        item = file[name]
        if item.is_virtual or item.external:
            raise ValueError(f"'{name}' has its values in other files; copy them into one")
        check_array(item.shape, item.dtype, f"{where}, {name}")
        if h5py.check_string_dtype(item.dtype):
            return np.asarray(item.asstr()[()], np.str_)
        if of_matlab and item.dtype == h5py.ref_dtype:
            texts = [_characters(file[reference][()]) for reference in item[()].flatten()]
            return np.array(texts, np.str_)
        array: Array = item[()]
        kind = item.attrs.get("MATLAB_class", b"") if of_matlab else b""
    if kind == b"char":
        return np.array([_characters(row) for row in array.T], np.str_)
    if kind == b"logical":
        array = array.astype(np.bool_)
    return np.ascontiguousarray(array.T) if of_matlab else array


def _characters(codes: Array) -> str:
    return "".join(map(chr, codes.flatten())).rstrip()


def mat(path: Path, where: str) -> Readers:
    """The variables of a file of MATLAB; raises ValueError where it is damaged."""
    with path.open("rb") as stream:
        stream.seek(USER_BLOCK)
        is_hdf5 = stream.read(len(SIGNATURE)) == SIGNATURE
    return hdf5(path, where, of_matlab=True) if is_hdf5 else matlab.variables(path, where)
