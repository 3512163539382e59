"""Counts in their files, small ones that are written here."""

import gzip

import numpy as np
import pytest
import torch
from scipy import io, sparse

from genkit.data.loading import load as load_data
from genkit.errors import DataError
from genkit_data import Counts
from genkit_data.genes import residual_variances
from genkit_data.sparse import SparseRows, in_rows

h5py = pytest.importorskip("h5py")

CELLS, GENES = 12, 6
COUNTS = np.random.default_rng(0).poisson([4.0, 3.0, 2.0, 1.0, 0.6, 0.0], (CELLS, GENES)) + np.eye(
    CELLS, GENES, dtype=int
)
COUNTS[:, 5] = 0
BARCODES = [f"AAAC{number:02}-1" for number in range(CELLS)]
SYMBOLS = ["CD3D", "CD8A", "MS4A1", "NKG7", "LYZ", "GHOST"]
IDS = [f"ENSG{number:03}" for number in range(GENES)]


def read(path, **options):
    return Counts(Counts.Config(path=str(path), **options)).load()


def texts(values):
    return np.array(values, dtype="S")


def ten_x(path, group="matrix", counts=COUNTS, barcodes=BARCODES, kinds=None):
    """A file of 10x Genomics: since Cell Ranger 3, or with a group of another name, before."""
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "a") as file:
        made = file.create_group(group)
        for name, values in (("data", matrix.data), ("indices", matrix.indices), ("indptr", matrix.indptr)):
            made[name] = values
        made["shape"], made["barcodes"] = matrix.shape[::-1], texts(barcodes)
        if group != "matrix":
            made["genes"], made["gene_names"] = texts(IDS), texts(SYMBOLS)
            return path
        made["features/id"], made["features/name"] = texts(IDS), texts(SYMBOLS)
        made["features/feature_type"] = texts(kinds or ["Gene Expression"] * GENES)
    return path


def market(folder, counts=COUNTS, barcodes=BARCODES, packed=False, features="features"):
    """A folder as Cell Ranger writes it."""
    io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(counts.T))
    lines = {
        f"{features}.tsv": [f"{a}\t{b}\tGene Expression" for a, b in zip(IDS, SYMBOLS, strict=True)],
        "barcodes.tsv": barcodes,
    }
    for name, each in lines.items():
        (folder / name).write_text("".join(f"{line}\n" for line in each))
    if packed:
        for name in ("matrix.mtx", *lines):
            (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
            (folder / name).unlink()
    return folder / ("matrix.mtx.gz" if packed else "matrix.mtx")


def anndata(path, x=COUNTS, obs=None, **layers):
    pytest.importorskip("anndata")
    import pandas as pd
    from anndata import AnnData

    made = AnnData(sparse.csr_matrix(x.astype(np.float32)), pd.DataFrame(obs or {}, index=BARCODES))
    made.var_names = SYMBOLS
    for name, values in layers.items():
        made.layers[name] = sparse.csc_matrix(values)
    made.write_h5ad(path)
    return path


def check_all(raw, names=SYMBOLS[:5], ids=BARCODES):
    """The counts of all cells in all genes that have some."""
    np.testing.assert_array_equal(raw.train.x[:], COUNTS[:, :5])
    assert raw.train.x.dtype == torch.float32
    assert [column.name for column in raw.columns] == names
    assert {column.kind for column in raw.columns} == {"count"}
    assert raw.ids.get("train") == (None if ids is None else tuple(ids))
    np.testing.assert_array_equal(raw.train.side["library"], COUNTS.sum(1))


def test_hdf5_of_10x_genomics_is_read_as_it_was_before_and_since_cell_ranger_3(tmp_path):
    raw = read(ten_x(tmp_path / "new.h5"))
    check_all(raw)
    totals = COUNTS.sum(1)
    assert raw.notes[0] == (
        f"5 genes in 12 cells of {totals.min()} to {totals.max()} counts, median {np.median(totals):.6g}"
    )
    check_all(read(ten_x(tmp_path / "old.h5", "GRCh38")))
    ten_x(tmp_path / "old.h5", "mm10")
    check_all(read(tmp_path / "old.h5", genome="mm10"))
    with pytest.raises(DataError, match=r"holds 2 matrices: GRCh38, mm10; data.genome=GRCh38 reads one"):
        read(tmp_path / "old.h5")


def test_features_that_are_no_genes_are_left_out(tmp_path):
    raw = read(ten_x(tmp_path / "x.h5", kinds=["Gene Expression"] * 4 + ["Antibody Capture"] * 2))
    assert [column.name for column in raw.columns] == SYMBOLS[:4]
    assert any("2 features that are no genes (Antibody Capture)" in note for note in raw.notes)


@pytest.mark.parametrize(("packed", "features"), [(False, "features"), (True, "features"), (False, "genes")])
def test_matrix_market_is_read_with_the_names_beside_it(tmp_path, packed, features):
    path = market(tmp_path, packed=packed, features=features)
    check_all(read(path))
    check_all(read(tmp_path))


def test_a_matrix_of_scipy_is_cells_by_genes_without_names(tmp_path):
    sparse.save_npz(tmp_path / "x.npz", sparse.csc_matrix(COUNTS))
    check_all(read(tmp_path / "x.npz"), ["0", "1", "2", "3", "4"], None)


def test_anndata_has_layers_labels_batches_and_covariates(tmp_path):
    obs = {
        "kind": ["T", "B"] * 6,
        "donor": ["10"] * 6 + ["9"] * 6,
        "age": np.linspace(20, 60, CELLS),
        "sex": ["f", "m", "m"] * 4,
    }
    path = anndata(tmp_path / "x.h5ad", np.log1p(COUNTS), obs, counts=COUNTS)
    raw = read(path, layer="counts", label="kind", batch="donor", covariates=["age", "sex"])
    check_all(raw)
    assert (raw.classes, raw.train.labels.tolist()) == (("B", "T"), [1, 0] * 6)
    assert raw.side["batch"].names == ("9", "10")
    assert raw.train.side["batch"].tolist() == [1] * 6 + [0] * 6
    np.testing.assert_allclose(raw.train.side["age"], obs["age"], rtol=1e-6)
    assert (raw.side["age"].classes, raw.side["sex"].names) == (None, ("f", "m"))
    (doubt,) = read(path).doubts
    assert "the values are no counts, such as" in doubt
    assert doubt.endswith("data.layer=NAME reads another matrix of the file: counts")


def test_a_table_of_the_cells_is_joined_by_their_barcodes(tmp_path):
    path, rows = ten_x(tmp_path / "x.h5"), [f"{name},{'ab'[n % 2]}" for n, name in enumerate(BARCODES)]
    (tmp_path / "cells.csv").write_text("\n".join(["barcode,run", *reversed(rows), "other,a", ""]))
    raw = read(path, annotations=str(tmp_path / "cells.csv"), batch="run")
    assert raw.train.side["batch"].tolist() == [0, 1] * 6
    (tmp_path / "cells.csv").write_text("\n".join(["barcode,run", *rows[1:], ""]))
    with pytest.raises(DataError, match=r"lacks 1 of 12 cells, the first 'AAAC00-1'"):
        read(path, annotations=str(tmp_path / "cells.csv"), batch="run")


def test_genes_are_chosen_by_name_by_cells_and_by_variance(tmp_path):
    path = ten_x(tmp_path / "x.h5")
    assert [c.name for c in read(path, genes=["LYZ", "CD3D"]).columns] == ["CD3D", "LYZ"]
    present = (COUNTS > 0).sum(0)
    kept = [name for name, count in zip(SYMBOLS, present, strict=True) if count >= 8]
    assert [c.name for c in read(path, min_cells=8).columns] == kept
    variances = residual_variances(sparse.csr_matrix(COUNTS[:, :5]))
    best = np.argsort(-variances)[:2]
    raw = read(path, top=2)
    assert [c.name for c in raw.columns] == [SYMBOLS[place] for place in sorted(best)]
    np.testing.assert_array_equal(raw.train.side["library"], COUNTS[:, sorted(best)].sum(1))


def test_the_variance_of_residuals_is_that_of_its_formula():
    x = np.random.default_rng(1).poisson(3.0, (40, 7)).astype(float)
    x[0, 0] = 500
    mean = x.sum(1, keepdims=True) * x.sum(0) / x.sum()
    residuals = np.clip((x - mean) / np.sqrt(mean + mean**2 / 100), -np.sqrt(40), np.sqrt(40))
    np.testing.assert_allclose(residual_variances(sparse.csr_matrix(x)), residuals.var(0), rtol=1e-9)


def test_cells_without_a_count_are_left_out_with_a_note(tmp_path):
    counts = COUNTS.copy()
    counts[[2, 7]] = 0
    raw = read(ten_x(tmp_path / "x.h5", counts=counts))
    assert len(raw.train.x) == CELLS - 2 == len(raw.ids["train"])
    assert BARCODES[2] not in raw.ids["train"]
    assert any("left out: 2 of 12 cells without a count in these genes, the first 'AAAC02-1'" in n for n in raw.notes)
    with pytest.raises(DataError, match="no gene has a count"):
        read(ten_x(tmp_path / "none.h5", counts=0 * COUNTS))


def test_sparse_rows_are_those_of_the_matrix_in_any_order():
    matrix = sparse.random(50, 30, 0.1, format="csr", random_state=0)
    reader, dense = SparseRows(matrix), torch.from_numpy(matrix.toarray()).float()
    rows = torch.tensor([7, 0, 49, 7])
    assert torch.equal(reader.read(rows), dense[rows])
    assert torch.equal(reader[10:20], dense[10:20])
    assert (reader[3:3].shape, reader.shape, len(reader)) == ((0, 30), (50, 30), 50)
    assert reader.held == 8 * matrix.nnz + 4 * 51
    assert isinstance(in_rows(matrix), torch.Tensor)


def test_genes_of_one_name_are_told_apart_by_their_ids(tmp_path):
    path = ten_x(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file["matrix/features/name"][1] = b"CD3D"
    assert [c.name for c in read(path).columns][:2] == ["CD3D (ENSG000)", "CD3D (ENSG001)"]


def test_a_truncated_file_is_named_as_such(tmp_path):
    path = ten_x(tmp_path / "x.h5")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"data.path: .*x\.h5: cannot be read as HDF5: .*truncated"):
        read(path)


def test_a_file_without_a_matrix_says_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["weights"], file["bias"] = np.ones(3), np.ones(2)
    with pytest.raises(DataError, match=r"holds no matrix of counts: it holds bias, weights, and a 10x file has"):
        read(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["matrix/indptr"] = np.zeros(3)
    with pytest.raises(DataError, match=r"/matrix holds no 'data'; it holds indptr"):
        read(tmp_path / "y.h5")


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("indices", GENES + 3, "cannot be read as HDF5: .*indices"),
        ("indptr", 10_000, "cannot be read as HDF5: .*ind"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, part, value, message):
    path = ten_x(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file["matrix"][part][-1] = value
    with pytest.raises(DataError, match=message):
        read(path)


def test_names_of_another_number_are_refused(tmp_path):
    path = market(tmp_path, barcodes=BARCODES[:-1])
    with pytest.raises(DataError, match="the matrix has 12 cells, and there are 11 barcodes"):
        read(path)
    with pytest.raises(DataError, match="the matrix has 12 cells, and there are 13 barcodes"):
        read(ten_x(tmp_path / "x.h5", barcodes=[*BARCODES, "more"]))


def test_barcodes_that_are_there_twice_are_refused(tmp_path):
    path = ten_x(tmp_path / "x.h5", barcodes=[*BARCODES[:-1], BARCODES[3]])
    with pytest.raises(DataError, match="the barcode 'AAAC03-1' is there twice, number 4 and 12"):
        read(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "counts"}, "data.layer: x.h5 has no layers"),
        ({"genome": "mm10"}, "data.genome: .* has no matrix 'mm10'; it has matrix"),
        ({"genes": ["CD3E"]}, "data.genes: .* has no gene 'CD3E'; did you mean 'CD3D'"),
        ({"batch": "donor"}, "data.batch: .* has no column 'donor' of its cells; it has none; data.annotations"),
        ({"min_cells": 13}, "no gene has a count in 13 cells; lower data.min_cells"),
        ({"genes": ["GHOST"]}, "no gene has a count in 1 cells"),
    ],
)
def test_options_that_name_what_is_not_there_are_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read(ten_x(tmp_path / "x.h5"), **options)


def test_other_bad_options_of_anndata_are_refused(tmp_path):
    obs = {"batch": ["a"] * CELLS, "my age": [1.0] * CELLS, "gap": ["x", *[None] * (CELLS - 1)]}
    path = anndata(tmp_path / "x.h5ad", COUNTS, obs)
    for options, message in (
        ({"layer": "counts"}, "data.layer: .* has no 'layers/counts' of an AnnData file; it holds"),
        ({"covariates": ["batch"]}, "data.covariates: 'batch' is no name for side data"),
        ({"covariates": ["my age"]}, "data.covariates: 'my age' is no name for side data"),
        ({"batch": "gap"}, "data.batch: .* cell 'AAAC01-1': its gap is missing"),
        ({"label": "cell_type"}, "data.label: .* has no column 'cell_type' of its cells; known: batch, gap, my age"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, **options)


def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch):
    path = ten_x(tmp_path / "x.h5")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DataError, match=r"HDF5 needs h5py; pip install 'genkit-torch\[counts\]'"):
        read(path)


def test_a_trained_model_reads_the_genes_by_name_in_its_own_order(tmp_path):
    config = Counts.Config(path=str(ten_x(tmp_path / "x.h5")), genes=("CD3D", "MS4A1", "LYZ"))
    first = load_data(config)
    order = [4, 2, 1, 0, 3, 5]
    with h5py.File(ten_x(tmp_path / "y.h5", counts=COUNTS[:, order]), "a") as file:
        file["matrix/features/name"][:] = texts([SYMBOLS[place] for place in order])
    other = load_data(Counts.Config(path=str(tmp_path / "y.h5")), schema=first.schema)
    assert torch.equal(first.train.x[:], other.train.x[:])
    assert torch.equal(first.train.side["library"], other.train.side["library"])
    with h5py.File(tmp_path / "y.h5", "a") as file:
        file["matrix/features/name"][0] = b"OTHER"
    with pytest.raises(DataError, match="lacks 1 of the 3 genes that the model was trained on: LYZ"):
        load_data(Counts.Config(path=str(tmp_path / "y.h5")), schema=first.schema)


def test_a_trained_model_knows_its_batches_and_labels(tmp_path):
    obs = {"kind": ["T", "B"] * 6, "donor": ["a"] * 6 + ["b"] * 6, "age": [30.0] * CELLS}
    options = {"batch": "donor", "label": "kind", "covariates": ("age",)}
    first = load_data(Counts.Config(path=str(anndata(tmp_path / "x.h5ad", obs=obs)), **options))
    path = anndata(tmp_path / "y.h5ad", obs={"donor": ["b"] * CELLS, "age": [30.0] * CELLS})
    other = load_data(Counts.Config(path=str(path), **options), schema=first.schema)
    assert other.train.side["batch"].unique().tolist() == [1]
    assert (other.train.labels, other.classes) == (None, ("B", "T"))
    path = anndata(tmp_path / "z.h5ad", obs={"donor": ["c"] * CELLS, "age": [30.0] * CELLS})
    with pytest.raises(DataError, match="cell 'AAAC00-1': its donor 'c' is none of the model's: a, b"):
        load_data(Counts.Config(path=str(path), **options), schema=first.schema)


def test_a_matrix_of_cells_by_genes_is_told_by_the_files_beside_it(tmp_path):
    market(tmp_path)
    io.mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(COUNTS))
    raw = read(tmp_path / "matrix.mtx")
    check_all(raw)
    assert any("cells × genes, by the files beside it" in note for note in raw.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.mtx", b"no matrix\n", "cannot be read as Matrix Market"),
        ("x.npz", b"PK\x03\x04 broken", "cannot be read as a sparse matrix of scipy"),
        ("x.h5ad", b"broken", "cannot be read as AnnData"),
        ("x.txt", b"1 2 3", r"is none of \.h5, \.h5ad, \.mtx, \.mtx\.gz, \.npz"),
    ],
)
def test_files_that_are_damaged_or_of_another_kind_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_a_file_that_is_not_there_and_an_anndata_by_another_name_are_told(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path / "x.h5")
    path = anndata(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match=r"is an AnnData file; call it y\.h5ad"):
        read(path.rename(tmp_path / "y.h5"))
