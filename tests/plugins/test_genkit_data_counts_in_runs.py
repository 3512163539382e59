"""Counts from a file to a model, and back to a file."""

import csv

import numpy as np
import pytest
import torch
from scipy import sparse

from genkit.data.assumptions import doubts
from genkit.errors import ComponentError, DataError
from genkit.runs.opening import as_config, prepare, reopen
from genkit.runs.preflight import check
from genkit.runs.running import resume, run
from genkit.sharing.export import export

CELLS, GENES = 400, 12


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


def config_of(path, epochs=20, likelihood="negative_binomial", **more):
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


def test_what_the_transforms_of_the_encoder_fitted_is_stored_and_resumed(trained, file, tmp_path):
    model, data = reopen(trained.directory.path)
    fitted = trained.model.encoder_transforms.state_dict()
    assert fitted
    for name, values in model.encoder_transforms.state_dict().items():
        assert torch.equal(values, fitted[name])
    assert torch.equal(model.encode(data.split("test")), trained.model.encode(data.split("test")))
    half = run(config_of(file, epochs=20), ["training.epochs=10"], out=tmp_path / "half")
    again = resume(half.directory.path, epochs=20)
    for name, values in again.model.state_dict().items():
        assert torch.equal(values, trained.model.state_dict()[name]), name


@pytest.mark.parametrize("likelihood", ["negative_binomial", "poisson"])
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


def test_models_of_counts_are_exported_with_their_transforms(trained, tmp_path):
    done = export(trained.model, tmp_path / "model.pt2", format="torch-export")
    assert done.inputs == ("x", "library")
