"""Counts, sparse in their files: the molecules of each gene in each cell.

N cells, G genes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Column, DataSource, RawData, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.interfaces.data import FILE, NAMES, RELATIVE, RESERVED
from genkit.settings.base import nearest
from genkit.text import printable
from genkit_data.genes import in_cells, most_variable
from genkit_data.kinds import in_order
from genkit_data.matrices import NAMED, SUFFIXES, CountMatrix, read_matrix
from genkit_data.sheets import read_sheet
from genkit_data.sparse import in_rows

MOST = 10_000
"""The largest number of genes."""
OWN = (*RESERVED, "library", "batch")
"""The names of side data that no covariate can have."""
Names = Annotated[str, Field(min_length=1)]


class Counts(DataSource):
    """Counts (G,) of each cell: HDF5 of 10x Genomics, AnnData, Matrix Market, or a sparse matrix of scipy.

    Cells have the ids of the file, their barcodes, and each gene is a column. Side data: `library`, the total of each
    cell over the genes that the model sees, and where the options name columns, `batch` and the covariates. A trained
    model reads other files by the names of its genes, in any order.

    Args:
        config: the file, its genes and what is known of its cells; the source has no test split of its own.
        columns: the genes of a trained model; (): chosen in the file.
        side: the side data of that model, which have the names of its classes.
    """

    asks = ("columns", "side")

    class Config(DataSource.Config):
        """Options of counts."""

        name: Literal["counts"] = "counts"
        path: Annotated[
            str,
            FILE,
            Field(
                description="the file: .h5 of 10x Genomics, .h5ad, .mtx or .mtx.gz with genes and barcodes beside it, "
                f"or their folder, or .npz of scipy; {RELATIVE}"
            ),
        ]
        layer: Annotated[
            str | None, NAMES, Field(description="the layer of an AnnData file that holds counts, or raw; null: X")
        ] = None
        genome: Annotated[
            str | None, NAMES, Field(description="the genome of an HDF5 file that has several; null: it has one")
        ] = None
        annotations: Annotated[
            str | None,
            FILE,
            Field(description="a table of the cells, with their barcodes in its first column; null: none"),
        ] = None
        label: Annotated[
            str | None, NAMES, Field(description="the column of the labels, which the model does not see; null: none")
        ] = None
        batch: Annotated[
            str | None, NAMES, Field(description="the column of the batches, the side data `batch`; null: none")
        ] = None
        covariates: Annotated[
            tuple[str, ...],
            NAMES,
            Field(description="further columns as side data of their names: numbers, or else classes"),
        ] = ()
        genes: Annotated[
            tuple[str, ...] | None, NAMES, Field(description="the genes to read; null: those that the others leave")
        ] = None
        min_cells: Annotated[
            int, Field(ge=1, description="the least number of cells in which a gene that is read has a count")
        ] = 1
        top: Annotated[
            int | None,
            Field(ge=1, le=MOST, description="how many of the most variable genes are read; null: all"),
        ] = None

    config: Config

    def __init__(
        self, config: Config, columns: tuple[Column, ...] = (), side: Mapping[str, Side] | None = None
    ) -> None:
        super().__init__(config)
        self.trained, self.side = columns, side or {}

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A file of counts, by its suffix; a sparse matrix of scipy is one of arrays as well."""
        is_matrix = path.name.endswith(SUFFIXES) and path.suffix != ".npz"
        return {"path": str(path)} if is_matrix and path.is_file() else None

    def load(self) -> RawData:
        """Read the files; raises DataError with the file, what it holds, and the remedy."""
        config = self.config
        matrix = self._annotated(read_matrix(Path(config.path).expanduser(), config.layer, config.genome))
        genes = matrix.genes or tuple(map(str, range(matrix.x.shape[1])))
        places, notes = self._trained(matrix, genes) if self.trained else self._chosen(matrix, genes)
        x = matrix.x[:, places]
        totals = np.asarray(x.sum(1), np.float64).ravel()
        kept = np.flatnonzero(totals > 0) if (x.data >= 0).all() else np.arange(len(totals))
        if not len(kept):
            raise DataError(f"{matrix.where}: no cell has a count in the {len(places):,} genes that are read")
        sides = self._sides(matrix, kept)
        labels = self._classes(matrix, "label", config.label, kept, "labels") if config.label in matrix.facts else None
        side = {name: values for name, (values, _) in sides.items()}
        side["library"] = torch.from_numpy(totals[kept].astype(np.float32))
        return RawData(
            Split(in_rows(x[kept]), None if labels is None else labels[0], side),
            classes=self._names_of("labels") if labels is None else labels[1].names,
            notes=(_extent(totals[kept], len(places)), *matrix.notes, *notes, *_emptied(matrix, totals, kept)),
            doubts=_no_counts(matrix, x),
            side={name: what for name, (_, what) in sides.items()},
            columns=self.trained or laid_out(Column(name=genes[place], kind="count") for place in places),
            ids={} if matrix.cells is None else {"train": tuple(matrix.cells[row] for row in kept)},
        )

    def _names_of(self, name: str) -> tuple[str, ...] | None:
        return self.side[name].names if name in self.side else None

    def _annotated(self, matrix: CountMatrix) -> CountMatrix:
        """The matrix with the columns of the table of its cells; raises DataError where it lacks a cell or a column."""
        config = self.config
        if config.annotations is not None:
            matrix = matrix._replace(facts={**matrix.facts, **self._table(matrix, config.annotations)})
        named = {"label": config.label, "batch": config.batch}
        asked = [(option, name) for option, name in named.items() if name is not None]
        asked += [("covariates", name) for name in config.covariates]
        for option, name in asked:
            absent = name not in matrix.facts
            if absent and not (option == "label" and self.trained):
                has = nearest(name, matrix.facts) if matrix.facts else "it has none; data.annotations names a table"
                raise DataError(f"data.{option}: {matrix.where} has no column '{printable(name)}' of its cells; {has}")
            if option == "covariates" and (not name.isidentifier() or name in OWN):
                raise DataError(
                    f"data.covariates: '{printable(name)}' is no name for side data: letters, digits and _, and none "
                    f"of {', '.join(OWN)}; rename the column"
                )
        return matrix

    def _table(self, matrix: CountMatrix, path: str) -> dict[str, list[str]]:
        """The columns of a table of cells, in the order of the matrix; cells that it has besides are passed over."""
        if matrix.cells is None:
            raise DataError(f"data.annotations: {matrix.where} has no barcodes by which a table could be joined")
        sheet = read_sheet(Path(path).expanduser(), None, "utf-8", option="data.annotations")
        barcodes, *others = sheet.cells
        rows = {barcode: row for row, barcode in enumerate(sheet.cells[barcodes])}
        if len(rows) != len(sheet.lines):
            twice = next(b for row, b in enumerate(sheet.cells[barcodes]) if rows[b] != row)
            raise DataError(f"{sheet.where}: the barcode '{printable(twice, 40)}' is there twice")
        lacking = [cell for cell in matrix.cells if cell not in rows]
        if lacking:
            first = printable(lacking[0], 40)
            raise DataError(
                f"{sheet.where}: lacks {len(lacking):,} of {len(matrix.cells):,} cells, the first '{first}'; its first "
                f"column, '{printable(barcodes)}', holds the barcodes"
            )
        return {name: [sheet.cells[name][rows[cell]] for cell in matrix.cells] for name in others}

    def _chosen(self, matrix: CountMatrix, genes: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """The places of the genes to read, and notes on what is left out; raises DataError where there are none."""
        config = self.config
        order = {name: place for place, name in enumerate(genes)}
        for name in config.genes or ():
            if name not in order:
                raise DataError(f"data.genes: {matrix.where} has no gene '{printable(name)}'; {nearest(name, order)}")
        wanted = list(range(len(genes))) if config.genes is None else sorted({order[name] for name in config.genes})
        present = in_cells(matrix.x)
        places = [place for place in wanted if present[place] >= config.min_cells]
        if not places:
            raise DataError(f"{matrix.where}: no gene has a count in {config.min_cells:,} cells; lower data.min_cells")
        gone = len(wanted) - len(places)
        notes = [f"left out: {gone:,} of {len(wanted):,} genes with a count in fewer than {config.min_cells:,} cells"]
        if config.top is not None and config.top < len(places):
            notes.append(f"the {config.top:,} most variable of {len(places):,} genes, by Pearson residuals")
            places = most_variable(matrix.x, places, config.top)
        if len(places) > MOST:
            raise DataError(
                f"{matrix.where}: {len(places):,} genes are read, and up to {MOST:,} can be: data.top=2000 takes the "
                "most variable, data.min_cells those of more cells"
            )
        return places, tuple(notes[0 if gone else 1 :])

    def _trained(self, matrix: CountMatrix, genes: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """The places of the genes of a trained model; raises DataError where the file lacks some."""
        order = {name: place for place, name in enumerate(genes)}
        lacking = [column.name for column in self.trained if column.name not in order]
        if lacking:
            raise DataError(
                f"{matrix.where}: lacks {len(lacking):,} of the {len(self.trained):,} genes that the model was trained "
                f"on: {printable(', '.join(lacking[:NAMED]))}"
            )
        return [order[column.name] for column in self.trained], ("genes as in the training data",)

    def _sides(self, matrix: CountMatrix, kept: Any) -> dict[str, tuple[Tensor, Side]]:
        """The batch and the covariates of the cells that are kept, with what they hold."""
        config, sides = self.config, {}
        if config.batch is not None:
            sides["batch"] = self._classes(matrix, "batch", config.batch, kept, "batch")
        for name in config.covariates:
            texts = [matrix.facts[name][row] for row in kept]
            numbers = self._numbers(texts) if name not in self.side or self.side[name].classes is None else None
            if numbers is None:
                sides[name] = self._classes(matrix, "covariates", name, kept, name)
            else:
                sides[name] = (numbers, Side())
        return sides

    def _numbers(self, texts: Sequence[str]) -> Tensor | None:
        """Texts as numbers (N,); None: some are none, or not finite."""
        try:
            values = torch.tensor([float(text) for text in texts], dtype=torch.float32)
        except ValueError:
            return None
        return values if bool(values.isfinite().all()) else None

    def _classes(self, matrix: CountMatrix, option: str, column: Any, kept: Any, name: str) -> tuple[Tensor, Side]:
        """A column of the cells that are kept as classes (N,); raises DataError where one is missing, or unknown."""
        texts, trained = [matrix.facts[column][row] for row in kept], self._names_of(name)
        names = trained or in_order(set(texts))
        places = {text: place for place, text in enumerate(names)}
        for row, text in zip(kept, texts, strict=True):
            if text == "" or text not in places:
                cell = f"cell {row + 1:,}" if matrix.cells is None else f"cell '{printable(matrix.cells[row], 40)}'"
                fault = "is missing" if text == "" else f"'{printable(text, 40)}' is none of the model's"
                listed = "" if trained is None else f": {printable(', '.join(trained[:NAMED]))}"
                raise DataError(f"data.{option}: {matrix.where}: {cell}: its {printable(column)} {fault}{listed}")
        return torch.tensor([places[text] for text in texts]), Side((), len(names), names)


def _extent(totals: Any, genes: int) -> str:
    """A note on the size of the data and the depths of the cells (N,)."""
    least, middle, greatest = totals.min(), np.median(totals), totals.max()
    return f"{genes:,} genes in {len(totals):,} cells of {least:,.6g} to {greatest:,.6g} counts, median {middle:,.6g}"


def _emptied(matrix: CountMatrix, totals: Any, kept: Any) -> tuple[str, ...]:
    """A note on the cells that are left out, as they have no count."""
    gone = sorted(set(range(len(totals))) - set(kept.tolist()))
    if not gone:
        return ()
    first = f"number {gone[0] + 1:,}" if matrix.cells is None else f"'{printable(matrix.cells[gone[0]], 40)}'"
    return (f"left out: {len(gone):,} of {len(totals):,} cells without a count in these genes, the first {first}",)


def _no_counts(matrix: CountMatrix, x: Any) -> tuple[str, ...]:
    """A doubt about values that are no counts, with the matrices of the file that may be."""
    odd = x.data[(x.data < 0) | (x.data != np.round(x.data))]
    if not len(odd):
        return ()
    other = f"; data.layer=NAME reads another matrix of the file: {', '.join(matrix.layers)}" if matrix.layers else ""
    return (f"the values are no counts, such as {odd[0]:.6g}: normalized, or their logarithms{other}",)
