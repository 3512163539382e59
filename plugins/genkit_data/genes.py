"""Which genes a model sees: some by name, those of enough cells, and the most variable of these.

N cells, G genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

THETA = 100.0
"""The inverse dispersion of the null model of `residual_variances`, that of its paper."""
BLOCK = 2**22
"""About the number of values that are made dense at once."""


def in_cells(x: Any) -> Any:
    """The number of cells with a count of each gene: a sparse matrix (N, G) -> (G,)."""
    return np.bincount(x.indices[x.data != 0], minlength=x.shape[1])


def residual_variances(x: Any) -> Any:
    """The variance of the Pearson residuals of each gene: a sparse matrix (N, G) of counts -> (G,).

    With μ_cg = n_c n_g / n, from the total n_c of a cell, n_g of a gene and n of all, the residual of a count is
    (x_cg − μ_cg) / √(μ_cg + μ_cg² / θ), θ = 100, clipped to ±√N. A gene that varies as the depth of the cells lets it
    has a variance near 1 (Lause, Berens & Kobak 2021, Genome Biology 22:258, doi 10.1186/s13059-021-02451-7).
    """
    cells, genes = x.shape
    entries = x.tocsc()
    of_cells = np.asarray(x.sum(1), np.float64).ravel()
    of_genes = np.asarray(x.sum(0), np.float64).ravel() / max(of_cells.sum(), 1e-12)
    totals, many = np.unique(of_cells, return_counts=True)  # zeros of cells of one total are alike
    variances = np.zeros(genes)
    step = max(1, BLOCK // max(len(totals), entries.nnz // genes))
    for start in range(0, genes, step):
        part = entries[:, start : start + step]
        shares = of_genes[start : start + step]
        columns = np.repeat(np.arange(len(shares)), np.diff(part.indptr))
        zeros = _residuals(0, totals[:, None] * shares, cells)
        means = of_cells[part.indices] * shares[columns]
        own, instead = _residuals(part.data, means, cells), _residuals(0, means, cells)
        first, second = (
            (many @ zeros**power + np.bincount(columns, own**power - instead**power, minlength=len(shares))) / cells
            for power in (1, 2)
        )
        variances[start : start + step] = second - np.square(first)
    return variances


def _residuals(x: Any, mean: Any, cells: int) -> Any:
    """The Pearson residuals of counts with these means, clipped by the number of cells."""
    spread = np.sqrt(np.maximum(mean + np.square(mean) / THETA, 1e-12))
    return np.clip((x - mean) / spread, -np.sqrt(cells), np.sqrt(cells))


def most_variable(x: Any, places: Sequence[int], count: int) -> list[int]:
    """The `count` genes with the largest `residual_variances` among some, in the order of the matrix (N, G)."""
    variances = residual_variances(x[:, list(places)])
    order = np.argsort(-variances, kind="stable")[:count]
    return sorted(places[place] for place in order.tolist())
