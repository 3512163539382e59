"""Every example lives: its latents carry what the data hold, and what its GANs generate is of every class."""

import csv
import math
import os
import runpy
from collections import Counter
from pathlib import Path

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from docs import gallery
from genkit.data.dataset import as_float
from genkit.pictures.plots import draw_all
from genkit.runs import running

EXAMPLES = Path(__file__).parents[1] / "examples"
CODES = {
    "autoencoder": 8,
    "autoencoder-adversarial": 30,
    "autoencoder-flow-matching": 15,
    "autoencoder-rae": 8,
    "fsq-digits": 50,
    "fsq-mnist": 1,
    "sparse-autoencoder": 40,
    "vae-beta": 15,
    "vae-capacity": 25,
    "vae-categorical": 30,
    "vae-conditional": 30,
    "vae-continuous-bernoulli": 15,
    "vae-deconv": 3,
    "vae-dense": 15,
    "vae-digits": 60,
    "vae-dip": 10,
    "vae-factor": 20,
    "vae-few": 80,
    "vae-flow-prior": 60,
    "vae-full-covariance": 40,
    "vae-gan": 25,
    "vae-iaf": 60,
    "vae-info": 60,
    "vae-iwae": 20,
    "vae-ladder": 40,
    "vae-laplace": 40,
    "vae-logistic": 12,
    "vae-mixture-prior": 60,
    "vae-mnist": 1,
    "vae-resnet": 4,
    "vae-rnn": 12,
    "vae-sphere": 40,
    "vae-spline": 60,
    "vae-tc": 15,
    "vae-tcn": 3,
    "vae-transformer": 8,
    "vae-vamp": 40,
    "vae-waves": 8,
    "vq-digits": 15,
    "vq-mnist": 1,
    "wae": 20,
}
"""The examples that have an encoder, with the number of epochs after which they live."""
IN_STEPS = {"vae-autoregressive": (6, -100.0, -88.0)}
"""Those whose decoder gives data step by step, with a number of epochs, the ELBO that they reach then, and in the end:
more than `vae-logistic`, whose likelihood is the same, does."""
GANS = {
    "gan": (30, 10),
    "gan-ali": (25, 6),
    "gan-conditional": (60, 6),
    "gan-conv": (8, 6),
    "gan-r3": (20, 8),
    "vae-gan": (25, 6),
}
"""Those with a critic, with a number of epochs, and of how many classes what they generate is after these."""
ACTIVE = {"vae-categorical": 0.25}
"""The least share of active units, where it is not a half: of the classes of a variable, some stay unused."""
CODED = {"fsq-digits", "fsq-mnist", "vq-digits", "vq-mnist"}
"""Those with a prior over codes, which is fitted after training."""
WIDE = {"gan-conv", "vae-deconv", "vae-mnist", "vae-tcn", "vae-waves"}
"""Those whose epochs are long: they take ten steps in place of two epochs."""
LONG = {"fsq-mnist", "vq-mnist"}
"""Those that are trained to their end or not at all."""
ALWAYS = {
    *("autoencoder", "vae-conditional", "vae-digits", "vq-digits"),
    *("sae-activations", "sae-topk"),
}
"""Those that are always trained until they live; the others take their first steps, unless all are trained whole."""
TABLES = {"vae-penguins": "penguins.csv", "vae-titanic": "titanic.csv"}
"""Those of tables, with their files."""
SERIES = {
    "vae-series": "135_UCR_Anomaly_InternalBleeding16_{}.csv",
    "vae-vowels": "JapaneseVowels_{}.ts",
}
"""Those of series, with their files."""
ANOMALIES = {"vae-cardio": ("6_cardio.npz", 0.94), "vae-thyroid": ("38_thyroid.npz", 0.98)}
"""Those that look for anomalies, with their files of ADBench and an AUROC that one seed reaches."""
FILES = {"vae-photos": ("data.root", "images", ["data.cache=false"], 10)}
"""Those of other files: the option that names these, their place in the folder that GENKIT_DATA names, further options,
and a number of epochs."""
MADE = {"sae-activations": 20, "sae-topk": 16.5, "sae-batch-topk": 18, "sae-jumprelu": 40, "sae-gated": 40}
"""Those of files that a script makes, with the number of active units that they have at most after their training."""
CELLS = {"vae-pbmc": "pbmc_chr21.h5"}
"""Those of counts, with their files."""
PROTOCOLS = {f"vae-mnist-{name}" for name in ("conv", "gaussian", "iwae", "sphere", "vamp")}
"""Those of published tables, which take hours: their parts are trained by the others."""
KEPT = os.environ.get("EXAMPLES")
"""The folder for a picture and the figures of each example; None: not all are trained to their end."""
WHOLE = KEPT is not None
"""Whether each example is trained to its end, as `make examples` does."""


def run(path, options, out):
    """Train an example, and keep what the gallery shows of it."""
    trained = running.run(path, options, out=out)
    if KEPT is not None:
        gallery.keep(trained, Path(KEPT), draw_all)
    return trained


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """`live(name, epochs)`: an example trained for some epochs, once."""
    runs = {}

    def train(name, epochs):
        if name not in runs:
            few = [f"training.epochs={epochs}", "training.steps=null", "training.compile=false"]
            if name not in ALWAYS:
                few.append("metrics=[]")
            if name in WIDE:
                few[:2] = ["training.epochs=null", "training.steps=10"]
            options = [] if WHOLE else few
            if name.endswith("-mnist"):
                options.append(f"data.root={os.environ['GENKIT_MNIST']}")
            if name in CODED and not WHOLE:
                options.append("prior.epochs=1")
            out = tmp_path_factory.mktemp("examples") / name
            runs[name] = run(EXAMPLES / f"{name}.yaml", options, out=out)
        return runs[name]

    return train


def test_each_example_is_among_them():
    others = TABLES.keys() | FILES.keys() | CELLS.keys() | SERIES.keys() | ANOMALIES.keys() | MADE.keys() | PROTOCOLS
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == CODES.keys() | GANS.keys() | IN_STEPS.keys() | others


def _alive(names):
    """The examples of which it is tried whether they live."""
    return sorted(name for name in names if WHOLE or name in ALWAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted((CODES.keys() | GANS.keys()) - ALWAYS - LONG))
def test_an_example_takes_its_first_steps(name, live, bare):
    if WHOLE:
        pytest.skip("it is trained to its end")
    if name.endswith("-mnist") and "GENKIT_MNIST" not in os.environ:
        pytest.skip("needs the files of MNIST")
    losses = [record.train.loss for record in live(name, 2).history]
    assert len(losses) == (1 if name in WIDE else 2)
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] or name in GANS.keys() | WIDE


@pytest.mark.slow
@pytest.mark.parametrize("name", _alive(CODES))
def test_the_latents_carry_what_the_data_hold(name, live, bare):
    if name.endswith("-mnist") and "GENKIT_MNIST" not in os.environ:
        pytest.skip("needs the files of MNIST")
    trained = live(name, CODES[name])
    figures = trained.evaluation
    least = math.ceil(figures.latents * ACTIVE.get(name, 0.5))
    assert figures.active_units >= least or figures.code is not None
    assert figures.unexplained < 0.9
    assert {note.rule for note in trained.notes()} & {"collapsed latents", "dead units"} == set()
    assert trained.verdict().alive


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_STEPS)
def test_steps_follow_those_before_and_the_latents(name, live, bare):
    epochs, soon, in_the_end = IN_STEPS[name]
    trained = live(name, epochs)
    figures = trained.evaluation
    assert trained.verdict().alive
    assert figures.elbo > (in_the_end if WHOLE else soon)
    assert figures.active_units >= math.ceil(figures.latents / 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", _alive(GANS))
def test_what_is_generated_is_of_every_class(name, live, bare):
    epochs, classes = GANS[name]
    trained = live(name, epochs)
    data = trained.data.train
    nearest = KNeighborsClassifier(1).fit(as_float(data.x).flatten(1).numpy(), data.labels.numpy())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sampled = trained.model.sample(500)
    counts = torch.bincount(torch.from_numpy(nearest.predict(sampled.flatten(1).numpy())), minlength=10)
    assert int((counts >= 5).sum()) >= (10 if WHOLE else classes), counts.tolist()
    assert trained.verdict().alive


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the (test|validation) split has")
@pytest.mark.parametrize("name", TABLES)
def test_sampled_rows_have_the_shares_of_the_table(name, bare, cli, tmp_path):
    path = Path(os.environ.get("GENKIT_DATA", "")) / "tables" / TABLES[name]
    if not path.is_file():
        pytest.skip(f"needs tables/{path.name} of the seaborn-data collection in the folder that GENKIT_DATA names")
    trained = run(EXAMPLES / f"{name}.yaml", [f"data.path={path}"], out=tmp_path / "run")
    assert trained.verdict().alive
    assert cli("sample", tmp_path / "run", "-n", 2000, "--out", tmp_path / "rows.csv").code == 0
    real, sampled = (_columns(each) for each in (path, tmp_path / "rows.csv"))
    assert [*sampled] == [name for name in real if name != trained.config.data.label]
    for column in trained.data.columns:
        ours, theirs = sampled[column.name], real[column.name]
        if column.is_number:
            ours, theirs = ([value == "" for value in values] for values in (ours, theirs))
        shares, wanted = Counter(ours), Counter(theirs)
        for value in {*shares, *wanted}:
            assert shares[value] / len(ours) == pytest.approx(wanted[value] / len(theirs), abs=0.05), column.name


@pytest.fixture
def series_run(tmp_path):
    """`series_run(name, epochs)`: an example of series, trained for some epochs."""

    def train(name, epochs):
        folder = Path(os.environ.get("GENKIT_DATA", "")) / "series"
        files = [folder / SERIES[name].format(part) for part in ("TRAIN", "TEST")]
        if not all(path.is_file() for path in files):
            pytest.skip(f"needs series/{files[0].name} and its test in the folder that GENKIT_DATA names")
        paths = [f"{option}={path}" for option, path in zip(("data.path", "data.test_path"), files, strict=True)]
        few = [] if WHOLE else [f"training.epochs={epochs}", "training.compile=false"]
        return run(EXAMPLES / f"{name}.yaml", [*paths, *few], out=tmp_path / "run")

    return train


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the (test|validation) split has")
def test_the_largest_error_of_a_long_series_lies_where_its_anomaly_does(series_run, bare):
    trained = series_run("vae-series", 30)
    assert trained.verdict().alive
    split, starts = trained.data.test, [int(text) for text in trained.data.ids["test"]]
    errors = (split.x - trained.model.reconstruct(split)).square().sum((1, 2))
    labelled = {start for start, label in zip(starts, split.labels.tolist(), strict=True) if label}
    assert (min(labelled), max(labelled)) == (4187 - 63, 4198)  # windows of 64 steps that hold one of 4187 to 4198
    assert starts[int(errors.argmax())] in labelled


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the (test|validation) split has")
def test_the_latents_of_vowels_tell_their_speakers(series_run, bare):
    trained = series_run("vae-vowels", 15)
    assert trained.verdict().alive
    assert trained.evaluation.metrics["probe"]["linear"] > 0.9
    assert trained.evaluation.unexplained < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("name", ANOMALIES)
def test_anomalies_are_told_apart(name, bare, tmp_path):
    file, least = ANOMALIES[name]
    path = Path(os.environ.get("GENKIT_DATA", "")) / "tables" / file
    if not path.is_file():
        pytest.skip(f"needs tables/{file} of ADBench in the folder that GENKIT_DATA names")
    trained = run(EXAMPLES / f"{name}.yaml", [f"data.path={path}"], out=tmp_path / "run")
    assert trained.verdict().alive
    labels = {each: split.labels for each, split in trained.data.splits().items()}
    assert not labels["train"].any()
    assert not labels["validation"].any()
    usual = sum(int((each == 0).sum()) for each in labels.values())
    assert int((labels["test"] == 0).sum()) == round(usual / 2)
    assert trained.evaluation.metrics["anomaly"]["auroc"] > least


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_what_lies_in_files_is_learned(name, bare, tmp_path):
    option, place, others, epochs = FILES[name]
    path = Path(os.environ.get("GENKIT_DATA", "")) / place
    if not os.environ.get("GENKIT_DATA") or not path.exists():
        pytest.skip(f"needs {place} in the folder that GENKIT_DATA names")
    options = [f"{option}={path}", *others, *([] if WHOLE else [f"training.epochs={epochs}"])]
    trained = run(EXAMPLES / f"{name}.yaml", options, out=tmp_path / "run")
    assert trained.verdict().alive
    assert trained.evaluation.unexplained < (0.03 if WHOLE else 0.1)
    assert trained.evaluation.active_units == trained.evaluation.latents
    assert trained.notes() == []


@pytest.fixture(scope="module")
def activations(tmp_path_factory):
    """A folder with the activations of a transformer."""
    script = runpy.run_path(str(EXAMPLES / "transformer_activations.py"))
    folder = tmp_path_factory.mktemp("activations")
    script["write"](folder, **({} if WHOLE else {"steps": 80, "modules": ("argparse", "difflib")}))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*nested_tensor")
@pytest.mark.parametrize("name", MADE)
def test_a_dictionary_of_activations_of_a_transformer_is_sparse_and_explains_them(name, bare, tmp_path, activations):
    options = [f"data.path={activations}/part-[0-6].npy", f"data.test_path={activations}/part-7.npy"]
    few = [] if WHOLE else [f"training.epochs={2 if name in ALWAYS else 1}", "training.batch_size=256"]
    trained = run(EXAMPLES / f"{name}.yaml", [*options, *few], out=tmp_path / "run")
    assert math.isfinite(trained.history[-1].train.loss)
    if name not in _alive(MADE):
        return
    assert trained.verdict().alive
    figures = trained.evaluation
    assert figures.unexplained < (0.12 if WHOLE else 0.25)
    assert figures.code.l0 < (MADE[name] if WHOLE else 100)
    assert figures.code.dead < 0.2
    characters = (activations / "characters.txt").read_text()
    assert len(characters) == sum(map(len, (trained.data.train.x, trained.data.validation.x, trained.data.test.x)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_sampled_cells_have_the_depths_and_the_genes_of_the_file(name, bare, cli, tmp_path):
    path = Path(os.environ.get("GENKIT_DATA", "")) / "counts" / CELLS[name]
    if not path.is_file():
        pytest.skip(f"needs counts/{path.name} of scanpy's test data in the folder that GENKIT_DATA names")
    trained = run(EXAMPLES / f"{name}.yaml", [f"data.path={path}"], out=tmp_path / "run")
    train = trained.data.train
    assert trained.verdict().alive
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sampled = trained.model.sample(len(train.x), noise=True, library=train.side["library"])
    assert float(sampled.sum(1).mean()) == pytest.approx(float(train.side["library"].mean()), rel=0.05)
    assert torch.corrcoef(torch.log1p(torch.stack([sampled.mean(0), train.x.mean(0)])))[0, 1] > 0.98
    assert (
        cli("sample", tmp_path / "run", "-n", 200, "--given", "library=300", "--out", tmp_path / "rows.csv").code == 0
    )
    rows = _columns(tmp_path / "rows.csv")
    assert [*rows] == [column.name for column in trained.data.columns]
    assert sum(int(each) for row in rows.values() for each in row) / 200 == pytest.approx(300, rel=0.05)


def _columns(path):
    """The columns of a CSV file."""
    with path.open(newline="") as stream:
        names, *rows = csv.reader(stream)
    return dict(zip(names, zip(*rows, strict=True), strict=True))
