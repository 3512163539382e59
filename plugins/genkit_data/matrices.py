"""Matrices of counts in files: cells × genes, sparse, with the names of both and what is known of each cell.

N cells, G genes.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genkit.errors import DataError
from genkit.text import printable
from genkit_data.sizes import check_file, check_memory

SUFFIXES = (".h5", ".h5ad", ".mtx", ".mtx.gz", ".npz")
NAMED = 10
"""The number of names that a message lists."""
DAMAGED = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
EXPRESSION = "Gene Expression"
"""The type of the features of a 10x file that are genes."""


class CountMatrix(NamedTuple):
    """A matrix of counts as a file has it."""

    where: str
    """The option and the file, for messages."""
    x: Any
    """(N, G): a matrix of scipy in compressed rows (CSR)."""
    cells: tuple[str, ...] | None
    """The names of the cells, their barcodes; None: the file has none."""
    genes: tuple[str, ...] | None
    """The names of the genes, each there once; None: the file has none."""
    facts: dict[str, list[str]] = {}  # noqa: RUF012
    """What is known of each cell, by the name of the column, as text; a missing value is empty."""
    notes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    """Other matrices of the file, by the names under which `data.layer` reads them."""


def read_matrix(path: Path, layer: str | None, genome: str | None) -> CountMatrix:
    """The matrix of a file.

    Args:
        path: the file, by its suffix: HDF5 of 10x Genomics (.h5), AnnData (.h5ad), Matrix Market (.mtx, .mtx.gz) with
            genes and barcodes beside it, or a sparse matrix of scipy (.npz); or the folder of a .mtx.
        layer: the layer of an AnnData file, or `raw`; None: X.
        genome: the group of an HDF5 file that has one per genome; None: there is one alone.

    Raises:
        DataError: the file is missing, damaged, or holds no such matrix; with what it holds, and the remedy.
    """
    path = _of_folder(path)
    where = f"data.path: {path}"
    suffix = next((each for each in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(each)), None)
    if suffix is None:
        raise DataError(f"{where}: is none of {', '.join(SUFFIXES)}")
    check_file(path, "data.path")
    if layer is not None and suffix != ".h5ad":
        raise DataError(f"data.layer: {path.name} has no layers; an AnnData file (.h5ad) has")
    if suffix == ".h5":
        return _unnamed_twice(_ten_x(path, where, genome))
    if suffix == ".h5ad":
        return _unnamed_twice(_anndata(path, where, layer))
    return _unnamed_twice(_npz(path, where) if suffix == ".npz" else _market(path, where))


def _of_folder(path: Path) -> Path:
    """The matrix of a folder as Cell Ranger writes it; other paths as they are."""
    inside = [path / name for name in ("matrix.mtx.gz", "matrix.mtx")]
    return next((each for each in inside if path.is_dir() and each.is_file()), path)


@contextmanager
def _reading(where: str, kind: str) -> Iterator[None]:
    """Errors of a file that is damaged, or of a package that is missing, as DataError."""
    try:
        yield
    except ImportError as error:
        raise DataError(f"{where}: {kind} needs {error.name}; pip install 'genkit-torch[counts]'") from None
    except DataError:
        raise
    except (*DAMAGED, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{where}: cannot be read as {kind}: {reason}") from None


def _compressed(x: Any, where: str) -> Any:
    """A matrix, sparse in any way or dense, in compressed rows, with each entry once; raises DataError."""
    from scipy import sparse

    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise DataError(f"{where}: holds {x.dtype} of shape {x.shape}; counts are numbers, cells × genes")
    matrix = sparse.csr_matrix(x)
    matrix.sum_duplicates()
    return matrix


def _joined(parts: dict[str, Any], shape: Sequence[int], where: str) -> Any:
    """The matrix (N, G) of a 10x group, whose columns are cells; raises DataError where its arrays do not fit."""
    from scipy import sparse

    genes, cells = (int(length) for length in shape)
    arrays = (parts["data"], parts["indices"], parts["indptr"])
    matrix = sparse.csr_matrix(arrays, shape=(cells, genes))
    matrix.check_format(full_check=True)
    return _compressed(matrix, where)


def _texts(values: Any) -> tuple[str, ...]:
    """An array of bytes or text as text."""
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def _ten_x(path: Path, where: str, genome: str | None) -> CountMatrix:
    """An HDF5 file of 10x Genomics: the group `matrix` since Cell Ranger 3, one per genome before."""
    with _reading(where, "HDF5"):
        import h5py

        with h5py.File(path, "r") as file:
            group = file[_group_of(file, where, genome)]
            for name in ("data", "indices", "indptr", "shape", "barcodes"):
                if name not in group:
                    raise DataError(f"{where}: {group.name} holds no '{name}'; it holds {_listed(group)}")
            check_memory(3 * sum(group[name].nbytes for name in ("data", "indices", "indptr")), where)
            x = _joined({n: group[n][:] for n in ("data", "indices", "indptr")}, group["shape"][:], where)
            newer = "features" in group
            features = group["features" if newer else "."]
            names = _texts(features["name" if newer else "gene_names"][:])
            ids = _texts(features["id" if newer else "genes"][:])
            kinds = _texts(features["feature_type"][:]) if "feature_type" in features else ()
            cells = _texts(group["barcodes"][:])
    _check_lengths(x, cells, names, where)
    x, names, notes = _genes_alone(x, _told_apart(names, ids), kinds)
    return CountMatrix(where, x, cells, names, notes=notes)


def _group_of(file: Any, where: str, genome: str | None) -> str:
    """The name of the group of a 10x file that holds the counts; raises DataError where there is none, or a choice."""
    if "obs" in file and "var" in file:
        raise DataError(f"{where}: is an AnnData file; call it {Path(file.filename).with_suffix('.h5ad').name}")
    groups = [name for name, item in file.items() if hasattr(item, "items") and "indptr" in item]
    if genome is not None and genome in groups:
        return genome
    if genome is not None:
        raise DataError(f"data.genome: {file.filename} has no matrix '{genome}'; it has {_listed(groups)}")
    if len(groups) == 1:
        return str(groups[0])
    if groups:
        raise DataError(f"{where}: holds {len(groups)} matrices: {_listed(groups)}; data.genome={groups[0]} reads one")
    raise DataError(
        f"{where}: holds no matrix of counts: it holds {_listed(file)}, and a 10x file has the group 'matrix', or one "
        f"per genome, with data, indices and indptr"
    )


Names = tuple[str, ...]


def _genes_alone(x: Any, names: Names, kinds: Names) -> tuple[Any, Names, Names]:
    """The features that are genes, where a file has others too, such as antibodies."""
    kept = [place for place, kind in enumerate(kinds) if kind == EXPRESSION]
    if not kept or len(kept) == len(kinds):
        return x, names, ()
    others = sorted(set(kinds) - {EXPRESSION})
    note = f"left out: {len(kinds) - len(kept):,} features that are no genes ({_listed(others)})"
    return x[:, kept], tuple(names[place] for place in kept), (note,)


def _anndata(path: Path, where: str, layer: str | None) -> CountMatrix:
    """An AnnData file: X or a layer, the columns of obs, and the index of var."""
    with _reading(where, "AnnData"):
        import h5py
        from anndata.io import read_elem

        with h5py.File(path, "r") as file:
            layers = (*sorted(file.get("layers", ())), *(("raw",) if "raw" in file else ()))
            key = "X" if layer is None else "raw/X" if layer == "raw" else f"layers/{layer}"
            if key not in file or "obs" not in file or "var" not in file:
                has = f"it has X and the layers {_listed(layers)}" if layers else f"it holds {_listed(file)}"
                option = "data.layer" if layer is not None else "data.path"
                raise DataError(f"{option}: {path} has no '{key}' of an AnnData file; {has}")
            item = file[key]
            arrays = [item] if hasattr(item, "nbytes") else [item[name] for name in ("data", "indices", "indptr")]
            check_memory(3 * sum(each.nbytes for each in arrays), where)
            x = _compressed(read_elem(item), where)
            obs, var = read_elem(file["obs"]), read_elem(file["raw/var" if layer == "raw" else "var"])
    facts = {str(name): ["" if v != v or v is None else str(v) for v in obs[name].tolist()] for name in obs.columns}
    cells, genes = _texts(obs.index), _texts(var.index)
    _check_lengths(x, cells, genes, where)
    return CountMatrix(where, x, cells, genes, facts, layers=layers)


def _npz(path: Path, where: str) -> CountMatrix:
    """A sparse matrix of scipy, cells × genes, without names."""
    with _reading(where, "a sparse matrix of scipy"):
        from scipy import sparse

        with path.open("rb") as stream:  # of a damaged file numpy closes none that it opened
            x = _compressed(sparse.load_npz(stream), where)
    return CountMatrix(where, x, None, None)


def _market(path: Path, where: str) -> CountMatrix:
    """A Matrix Market file, genes × cells as Cell Ranger writes it, with features or genes and barcodes beside it."""
    with _reading(where, "Matrix Market"):
        from scipy import io

        x = io.mmread(path)
    cells = _beside(path, ("barcodes",), lambda fields: fields[0])
    ids = _beside(path, ("features", "genes"), lambda fields: fields[0])
    names = _beside(path, ("features", "genes"), lambda fields: fields[1] if len(fields) > 1 else fields[0])
    kinds = _beside(path, ("features",), lambda fields: fields[2] if len(fields) > 2 else EXPRESSION) or ()
    genes = None if names is None or ids is None else _told_apart(names, ids)
    notes: Names = ("the matrix is taken as genes × cells, as Cell Ranger writes it",)
    if cells is not None and genes is not None and x.shape == (len(cells), len(genes)) != x.shape[::-1]:
        x, notes = x.T, ("the matrix is cells × genes, by the files beside it",)
    matrix = _compressed(x.T, where)
    _check_lengths(matrix, cells, genes, where)
    if genes is not None:
        matrix, genes, others = _genes_alone(matrix, genes, kinds)
        notes = (*notes, *others)
    return CountMatrix(where, matrix, cells, genes, notes=notes)


def _beside(path: Path, kinds: Sequence[str], field: Callable[[list[str]], str]) -> tuple[str, ...] | None:
    """A field of each line of the file beside a matrix that has one of these names; None: there is none."""
    start = path.name.removesuffix(".gz").removesuffix(".mtx").removesuffix("matrix")
    for kind in kinds:
        for suffix in (".tsv", ".tsv.gz"):
            file = path.with_name(f"{start}{kind}{suffix}")
            if not file.is_file():
                continue
            with _reading(f"data.path: {file}", "text"):
                content = gzip.decompress(file.read_bytes()) if suffix == ".tsv.gz" else file.read_bytes()
                return tuple(field(line.split("\t")) for line in content.decode("utf-8").splitlines())
    return None


def _told_apart(names: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Names of genes, with their ids where two genes have the same name."""
    counts = dict(zip(*np.unique(np.array(names, dtype=object), return_counts=True), strict=True)) if names else {}
    return tuple(f"{name} ({each})" if counts[name] > 1 else name for name, each in zip(names, ids, strict=True))


def _check_lengths(x: Any, cells: Sequence[str] | None, genes: Sequence[str] | None, where: str) -> None:
    """Refuse names that are not as many as the cells and genes are; raises DataError with both numbers."""
    both = (("cells", "barcodes", cells, x.shape[0]), ("genes", "names of genes", genes, x.shape[1]))
    for things, of_things, names, count in both:
        if names is not None and len(names) != count:
            there = f"the matrix has {count:,} {things}, and there are {len(names):,} {of_things}"
            raise DataError(f"{where}: {there}; each has one, in the same order")


def _unnamed_twice(matrix: CountMatrix) -> CountMatrix:
    """The matrix itself; raises DataError where two cells or two genes have the same name."""
    for what, names in (("barcode", matrix.cells), ("gene", matrix.genes)):
        seen: dict[str, int] = {}
        for place, name in enumerate(names or ()):
            if name in seen:
                raise DataError(
                    f"{matrix.where}: the {what} '{printable(name, 40)}' is there twice, number {seen[name] + 1:,} and "
                    f"{place + 1:,}; make the names unique, such as by the name of the sample"
                )
            seen[name] = place
    return matrix


def _listed(names: Any) -> str:
    some = [str(name) for name in names]
    more = f" and {len(some) - NAMED:,} more" if len(some) > NAMED else ""
    return printable(", ".join(some[:NAMED]) + more) or "nothing"
