"""Counts from a file to a model, and back to a file."""

import csv
import re

import numpy as np
import pytest
import torch
from scipy import sparse

from genkit.data.assumptions import doubts
from genkit.errors import ComponentError, DataError
from genkit.interfaces import Reader
from genkit.runs.opening import as_config, prepare, reopen
from genkit.runs.preflight import check
from genkit.runs.running import resume, run
from genkit.sharing.card import write
from genkit.sharing.export import export
from genkit.sharing.facts import gather

CELLS, GENES = 520, 12


def counts(depth=60.0):
    """Cells of two kinds, of different depths."""
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(GENES) / 2, 2)[np.arange(CELLS) % 2]
    return generator.poisson(shares * generator.gamma(4, depth / 4, (CELLS, 1))) + np.eye(CELLS, GENES, dtype=int)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("counts") / "x.npz"
    sparse.save_npz(path, sparse.csr_matrix(counts()))
    return path


def config_of(path, epochs=8, likelihood="negative_binomial", **more):
    return as_config(
        {
            "name": "counts",
            "data": {"name": "counts", "path": str(path)},
            "encoder_transform": ["log1p", "standardize"],
            "encoder": {"name": "mlp", "hidden": [32]},
            "sampler": {"name": "gaussian", "latent": 3},
            "decoder": {"name": "mlp", "hidden": [32]},
            "likelihood": likelihood,
            "loss": ["reconstruction", "kl"],
            "training": {"epochs": epochs, "batch_size": 40, "compile": False},
            **more,
        }
    )


@pytest.fixture(scope="module")
def trained(file, tmp_path_factory):
    return run(config_of(file), out=tmp_path_factory.mktemp("run") / "run")


@pytest.mark.slow
def test_counts_that_stay_sparse_train_the_same_model(trained, file, tmp_path, monkeypatch):
    monkeypatch.setattr("genkit_data.sparse.DENSE", 0)
    sparse_run = run(config_of(file), out=tmp_path / "run")
    assert isinstance(sparse_run.data.train.x, Reader)
    for name, values in sparse_run.model.state_dict().items():
        assert torch.equal(values, trained.model.state_dict()[name]), name


def test_counts_are_no_unscaled_numbers(file):
    data, model = prepare(config_of(file))
    assert doubts(data, model.data.range) == []
    assert check(config_of(file)).errors == []


def test_the_encoder_alone_sees_what_its_transforms_make(file):
    data, model = prepare(config_of(file))
    x = data.train.x[:]
    with torch.no_grad():
        seen = model.encoder_transforms(x)
        forward = model(x[:4], 1, {"library": data.train.side["library"][:4]})
    logs = torch.log1p(x).double()
    torch.testing.assert_close(seen.double(), (logs - logs.mean(0)) / logs.std(0, correction=0), rtol=1e-4, atol=1e-4)
    assert torch.equal(forward.x, x[:4])
    by_hand = model.sampler(model.encoder(seen[:4]), 1).mean
    torch.testing.assert_close(forward.latent.mean, by_hand)


@pytest.mark.slow
def test_what_the_transforms_of_the_encoder_fitted_is_stored_and_resumed(trained, file, tmp_path):
    model, data = reopen(trained.directory.path)
    fitted = trained.model.encoder_transforms.state_dict()
    assert fitted
    for name, values in model.encoder_transforms.state_dict().items():
        assert torch.equal(values, fitted[name])
    assert torch.equal(model.encode(data.split("test")), trained.model.encode(data.split("test")))
    half = run(config_of(file), ["training.epochs=4"], out=tmp_path / "half")
    again = resume(half.directory.path, epochs=8)
    for name, values in again.model.state_dict().items():
        assert torch.equal(values, trained.model.state_dict()[name]), name


@pytest.mark.parametrize("likelihood", ["negative_binomial", pytest.param("poisson", marks=pytest.mark.slow)])
def test_samples_at_the_depth_of_each_cell_have_its_library(trained, likelihood, file, tmp_path):
    if likelihood != "negative_binomial":
        trained = run(config_of(file, likelihood=likelihood, epochs=3), out=tmp_path / "run")
    library = trained.data.train.side["library"]
    torch.manual_seed(0)
    sampled = trained.model.sample(len(library), noise=True, library=library)
    assert torch.equal(sampled, sampled.round())
    assert float(sampled.sum(1).mean()) == pytest.approx(float(library.mean()), rel=0.05)
    deep = library > library.median()
    for rows in (deep, ~deep):
        assert float(sampled[rows].sum(1).mean()) == pytest.approx(float(library[rows].mean()), rel=0.05)


def test_sampled_and_rebuilt_cells_are_tables_with_the_names_of_the_genes(trained, cli, tmp_path):
    out = tmp_path / "rows.csv"
    assert cli("sample", trained.directory.path, "-n", 50, "--given", "library=500", "--out", out).code == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [*rows[0]] == [str(gene) for gene in range(GENES)]
    totals = [sum(int(value) for value in row.values()) for row in rows]
    assert np.mean(totals) == pytest.approx(500, rel=0.1)
    assert cli("reconstruct", trained.directory.path, "--out", tmp_path / "means.csv").code == 0
    with (tmp_path / "means.csv").open(newline="") as stream:
        means = list(csv.DictReader(stream))
    totals = [sum(float(row[str(gene)]) for gene in range(GENES)) for row in means]
    libraries = trained.data.test.side["library"][trained.data.rows_of("test").argsort()]
    np.testing.assert_allclose(totals, libraries, rtol=1e-4)
    assert any("." in row["0"] for row in means)
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    assert cli("sample", trained.directory.path, "--given", "library=50", "--out", tmp_path / "rows.parquet").code == 0
    assert {str(each) for each in parquet.read_schema(tmp_path / "rows.parquet").types} == {"int64"}


def test_reconstructions_can_be_drawn_at_the_depth_of_each_cell(trained, cli, tmp_path):
    out = tmp_path / "drawn.npz"
    assert cli("reconstruct", trained.directory.path, "--split", "train", "--noise", "--out", out).code == 0
    with np.load(out) as arrays:
        drawn, x = arrays["reconstruction"], arrays["x"]
    assert (drawn == drawn.round()).all()
    assert not (drawn == x).all()
    assert drawn.sum(1).mean() == pytest.approx(x.sum(1).mean(), rel=0.05)
    assert np.corrcoef(drawn.sum(1), x.sum(1))[0, 1] > 0.8


def test_sampling_without_a_depth_is_refused_by_its_name(trained, cli, tmp_path):
    result = cli("sample", trained.directory.path, "--out", tmp_path / "rows.csv")
    assert result.code != 0
    assert "library" in result.err


def test_values_that_are_no_counts_are_refused_before_training(file, tmp_path):
    sparse.save_npz(tmp_path / "logs.npz", sparse.csr_matrix(np.log1p(counts())))
    message = r"'negative_binomial' takes whole numbers from 0, such as counts, and the data have .*data\.layer"
    with pytest.raises(DataError, match=message):
        prepare(config_of(tmp_path / "logs.npz"))
    assert any("takes whole numbers" in error for error in check(config_of(tmp_path / "logs.npz")).errors)
    sparse.save_npz(tmp_path / "minus.npz", sparse.csr_matrix(counts() - 1))
    with pytest.raises(DataError, match=r"the data have -1: read the raw counts"):
        prepare(config_of(tmp_path / "minus.npz"))
    with pytest.raises(DataError, match=r"once they went through log1p: leave data\.transform out; encoder_transform"):
        prepare(as_config(config_of(file).resolved(), ["data.transform=log1p"]))


def test_trained_models_refuse_what_is_no_count(trained):
    with pytest.raises(DataError, match=r"takes whole numbers from 0, such as counts, and the data have 0\.5"):
        trained.model.encode(torch.full((2, trained.model.shape[0]), 0.5))


def test_encoder_transforms_without_an_encoder_are_refused(file):
    values = config_of(file).resolved()
    values |= {"encoder": None, "loss": [{"name": "adversarial", "critic": "mlp"}]}
    with pytest.raises(ComponentError, match="encoder_transform is of no use: the config has no encoder"):
        prepare(as_config(values))


def test_an_encoder_transform_that_does_not_suit_the_data_is_named_with_its_key(tmp_path, file):
    values = config_of(file).resolved() | {"encoder_transform": "flip"}
    with pytest.raises(ComponentError, match=r"transform 'flip' .*leave it out of encoder_transform"):
        prepare(as_config(values))


@pytest.mark.slow
def test_models_of_counts_are_exported_with_their_transforms(trained, tmp_path):
    done = export(trained.model, tmp_path / "model.pt2", format="torch-export")
    assert done.inputs == ("x", "library")


@pytest.mark.slow
def test_models_of_counts_are_compared_by_samples_of_the_same_depths(trained, file, tmp_path, cli, users_cache):
    other = run(
        config_of(file, likelihood="poisson", epochs=2, data={"name": "counts", "path": str(file)}),
        out=tmp_path / "run",
    )
    result = cli("compare", trained.directory.path, other.directory.path, "-n", 100, "--out", tmp_path / "page.png")
    assert result.code == 0, result.err
    assert "Fréchet" in result.out


def test_the_python_in_the_card_of_counts_works(trained, monkeypatch):
    folder = trained.directory.path
    code = re.search(r"```python\n(.*?)```", write(gather(folder), folder), re.DOTALL)[1]
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    assert (names["z"].shape, names["x"].shape) == ((64, 3), (64, GENES))


def test_noise_before_the_encoder_alone_makes_a_denoising_autoencoder(tmp_path):
    values = config_of("x.npz").resolved()
    values |= {
        "data": {"name": "digits"},
        "encoder_transform": {"name": "noise", "scale": 0.5},
        "likelihood": "bernoulli",
    }
    data, model = prepare(as_config(values))
    x = data.train.x[:8]
    model.train()
    assert not torch.equal(model(x).latent.mean, model(x).latent.mean)
    assert torch.equal(model(x).x, x)
    model.eval()
    assert torch.equal(model.encode(x), model.encode(x))


def test_covariates_may_be_called_as_the_arguments_of_a_model_are(tmp_path):
    h5py = pytest.importorskip("h5py")
    matrix = sparse.csr_matrix(counts()[:60])
    with h5py.File(tmp_path / "x.h5", "w") as stream:
        group = stream.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"], group["barcodes"] = matrix.shape[::-1], np.array([f"c{row}" for row in range(60)], "S")
        group["features/id"] = group["features/name"] = np.array([f"g{place}" for place in range(GENES)], "S")
    rows = [f"c{row},{row / 60},{row % 7},{'ab'[row % 2]}" for row in range(60)]
    (tmp_path / "cells.csv").write_text("\n".join(["cell,x,n,z", *rows, ""]))
    source = {"name": "counts", "path": str(tmp_path / "x.h5"), "annotations": str(tmp_path / "cells.csv")}
    source["covariates"] = ["x", "n", "z"]
    data, model = prepare(config_of("", data=source, condition=["x", "n", "z"]))
    sampled = model.sample(3, noise=True, library=50, x=0.5, n=3, z="b")
    assert sampled.shape == (3, GENES)
    split = data.split("test")
    assert model.reconstruct(split).shape == split.x.shape
    assert model.interpolate(split.x[0], split.x[1], library=50, x=0.5, n=3, z="a").shape == (11, GENES)
