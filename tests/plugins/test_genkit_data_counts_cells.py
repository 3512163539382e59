"""What the latents of real cells hold: batches mix, and neighbours are those of other molecules of the same cells."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestNeighbors

from genkit.pictures.counts import agreement
from genkit.runs.running import run
from genkit_data import Counts

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "vae-pbmc.yaml"
EPOCHS = 60
NEIGHBOURS = 50


@pytest.fixture(scope="module")
def cells():
    path = Path(os.environ.get("GENKIT_DATA", "")) / "counts" / "pbmc_chr21.h5"
    if not path.is_file():
        pytest.skip("needs counts/pbmc_chr21.h5 of scanpy's test data in the folder that GENKIT_DATA names")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`trained(path, **options)`: the example on a file, with other options, after some epochs."""

    def train(path, *options):
        out = tmp_path_factory.mktemp("cells") / "run"
        return run(EXAMPLE, [f"data.path={path}", f"training.epochs={EPOCHS}", *options], out=out)

    return train


def thinned(cells, folder, shares):
    """The file with half of its cells thinned binomially, each gene by its share, and a table of the halves."""
    path, generator = folder / "thinned.h5", np.random.default_rng(0)
    shutil.copy(cells, path)
    path.chmod(0o600)
    with h5py.File(path, "a") as file:
        matrix = file["matrix"]
        counts, starts, genes = (matrix[name][:] for name in ("data", "indptr", "indices"))
        half = generator.permutation(len(starts) - 1) < (len(starts) - 1) // 2
        of_gene = shares(generator, int(matrix["shape"][0]))
        lower = generator.binomial(counts, of_gene[genes])
        matrix["data"][:] = np.where(np.repeat(half, np.diff(starts)), lower, counts)
        barcodes = [name.decode() for name in matrix["barcodes"][:]]
    rows = [f"{name},{'thinned' if low else 'whole'}" for name, low in zip(barcodes, half, strict=True)]
    (folder / "cells.csv").write_text("\n".join(["barcode,half", *rows, ""]))
    return path


def mixing(trained):
    """How far the batches of the training cells mix: the share of neighbours of the same one, and a classifier's."""
    train = trained.data.train
    z, batch = trained.model.encode(train).numpy(), train.side["batch"].numpy()
    scaled = (z - z.mean(0)) / z.std(0)
    return agreement(z, batch)[0], cross_val_score(LogisticRegression(), scaled, batch, cv=5).mean()


def test_latents_of_cells_of_half_the_depth_mix_with_those_of_the_others(cells, trained, tmp_path, bare):
    path = thinned(cells, tmp_path, lambda _, genes: np.full(genes, 0.5))
    options = (f"data.annotations={tmp_path / 'cells.csv'}", "data.batch=half", "condition=batch")
    of_both = trained(path, *options)
    train = of_both.data.train
    neighbours, classified = mixing(of_both)
    logs = PCA(10, random_state=0).fit_transform(torch.log1p(train.x[:]).numpy())
    of_pca = agreement(logs, train.side["batch"].numpy())[0]
    assert neighbours < 0.58 < of_pca  # by chance 0.5
    assert classified < 0.58
    torch.manual_seed(0)
    depth = {
        name: float(of_both.model.sample(500, noise=True, library=library, batch=name).sum(1).mean())
        for name, library in (("thinned", 20), ("whole", 40))
    }
    assert depth == pytest.approx({"thinned": 20, "whole": 40}, rel=0.05)


def test_batches_that_differ_gene_by_gene_mix_with_the_condition_and_not_without(cells, trained, tmp_path, bare):
    path = thinned(cells, tmp_path, lambda generator, genes: generator.beta(2, 2, genes))
    options = (f"data.annotations={tmp_path / 'cells.csv'}", "data.batch=half")
    without, conditioned = mixing(trained(path, *options)), mixing(trained(path, *options, "condition=batch"))
    assert without[0] > 0.65
    assert without[1] > 0.7
    assert conditioned[0] < 0.6
    assert conditioned[1] < 0.6


def other_half(points, profiles):
    """The error with which the mean profile (N, G) of a cell's neighbours among points predicts its own, relative.

    1 is the error of the mean of all cells.
    """
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors(return_distance=False)
    errors = (profiles - profiles[nearest].mean(1)) ** 2
    return errors.sum() / ((profiles - profiles.mean(0)) ** 2).sum()


def test_neighbours_predict_other_molecules_of_the_cell_better_than_those_of_pca(cells, trained, tmp_path, bare):
    """Each molecule falls into one of two halves, whose noise is independent (Batson et al. 2019, doi 10.1101/786269).

    Neighbours are found in one half, and measured by the square roots of the shares in the other.
    """
    path, generator = tmp_path / "half.h5", np.random.default_rng(0)
    shutil.copy(cells, path)
    path.chmod(0o600)
    with h5py.File(path, "a") as file:
        counts = file["matrix/data"][:]
        file["matrix/data"][:] = generator.binomial(counts, 0.5)
    trained_on_half = trained(path)
    split, data = trained_on_half.data.split("all"), trained_on_half.data
    x = split.x[:].double().numpy()
    other = whole_of(cells, data.ids_of("all"), [column.name for column in data.columns]) - x
    profiles = np.sqrt(other / other.sum(1, keepdims=True).clip(1))
    logs = np.log1p(x / x.sum(1, keepdims=True) * np.median(x.sum(1)))
    of_model = other_half(trained_on_half.model.encode(split).numpy(), profiles)
    of_pca = other_half(PCA(10, random_state=0).fit_transform(logs), profiles)
    assert of_model < of_pca < 1 < other_half(generator.normal(size=(len(x), 10)), profiles)


def whole_of(cells, ids, genes):
    """The counts (N, G) of some cells and genes of a file."""
    raw = Counts(Counts.Config(path=str(cells))).load()
    rows = {name: row for row, name in enumerate(raw.ids["train"])}
    places = {column.name: column.start for column in raw.columns}
    return raw.train.x[:].double().numpy()[np.ix_([rows[name] for name in ids], [places[name] for name in genes])]
