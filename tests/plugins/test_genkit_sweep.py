"""Sweeps: their options, their check, their plan, and what is made of their results."""

import csv
import io
import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from genkit.cli.tables import console
from genkit.errors import ConfigError, RunError
from genkit.runs.opening import as_config
from genkit.runs.preflight import Report
from genkit_sweep import checking, tables
from genkit_sweep.axes import Axis, Range, axes_of, grid, short_names
from genkit_sweep.checking import check_all, samples
from genkit_sweep.directory import Plan, Result, SweepDirectory, begin, fingerprint, reopened
from genkit_sweep.figures import described, figures_of, ranking
from genkit_sweep.page import command, text
from genkit_sweep.results import Statistic, brief, summary

MARKUP = "<img src=x onerror=alert(1)>\"'&"
SMALL = ("training.epochs=1", "encoder.hidden=[8]", "decoder.hidden=[8]", "training.batch_size=512")


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("sampler.latent=2,8,32", ("2", "8", "32")),
        ("seed=0..4", ("0", "1", "2", "3", "4")),
        ("seed=0..2,7", ("0", "1", "2", "7")),
        ("x=-1..1", ("-1", "0", "1")),
        ("encoder.hidden=[16],[32,16]", ("[16]", "[32,16]")),
        ("loss=[reconstruction,{name: kl, weight: 2}]", ("[reconstruction,{name: kl, weight: 2}]",)),
        ("a='1,2',3", ("'1,2'", "3")),
        ("data.root=../mnist", ("../mnist",)),
        ("name=don't,x", ("don't", "x")),
        ("prior=", ("",)),
    ],
)
def test_values_of_an_option(word, values):
    assert Axis.of(word).values() == values


def test_a_range_of_real_numbers():
    assert Axis.of("lr=1e-4..1e-2").items == (Range(1e-4, 1e-2, False),)
    assert Axis.of("a=0.5..2").items == (Range(0.5, 2, False),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sampler.latent"], "'sampler.latent' is no option of a sweep; write KEY=VALUE"),
        (["a=2,,8"], "'a=2,,8': a value is empty"),
        (["a=2,"], "a value is empty; write one between two commas, or `null`"),
        (["a=[1,2"], "'a=\\[1,2': a bracket or a quote is left open"),
        (["a=4..0"], "a range runs from the lesser to the greater number, as in 0..4"),
        (["a=1,2", "a=3"], "a is there twice; give all of its values at once"),
        (["a=1,2,1"], "a: the value 1 is there twice"),
        (["a=0..3,2"], "a: the value 2 is there twice"),
        (["lr=1e-4..1e-2"], "0.0001..0.01 is a range of real numbers, and a grid takes values: .*--search N"),
        (["seed=0..100000"], "0..100000 has more than 10,000 values"),
        (["a=0..200", "b=0..200"], "these are 40,401 runs, and a sweep has at most 10,000"),
    ],
)
def test_options_that_are_none(words, message):
    with pytest.raises(ConfigError, match=message):
        grid(axes_of(words))


def test_a_grid_has_every_combination_once_the_last_option_first():
    runs = grid(axes_of(["a=1,2", "c=x", "seed=0..1"]))
    assert runs == [(f"a={a}", "c=x", f"seed={seed}") for a, seed in itertools.product("12", "01")]


def test_options_are_called_by_the_last_parts_that_tell_them_apart():
    keys = ["sampler.latent", "loss.kl.weight", "loss.r.weight", "seed", "encoder.name", "name"]
    assert list(short_names(keys).values()) == ["latent", "kl.weight", "r.weight", "seed", "encoder.name", "name"]


def test_every_fault_of_every_run_is_named_once_before_any_run(digits):
    runs = grid(axes_of(["sampler.latent=2,0", "sampler.latnt=3", "seed=0..1"]))
    with pytest.raises(ConfigError) as error:
        check_all(digits, runs)
    assert list(error.value.args) == [
        "'sampler.latnt=3': sampler: unknown key 'latnt'; did you mean 'latent'?",
        "'sampler.latent=0': sampler.latent: must be greater than or equal to 1, not 0",
        "nothing was trained",
    ]


def test_a_fault_of_the_model_is_named_with_the_options_that_have_it(digits, monkeypatch):
    checked = []

    def report(config, probe):
        checked.append((config.likelihood.name, config.seed, probe))
        return Report(errors=["the likelihood does not fit"] if config.likelihood.name == "poisson" else [])

    monkeypatch.setattr(checking, "report_on", report)
    with pytest.raises(ConfigError, match="does not fit") as error:
        check_all(digits, grid(axes_of(["likelihood=bernoulli,poisson", "seed=0..2"])))
    assert error.value.args[0] == "likelihood=poisson seed=0: the likelihood does not fit"
    assert checked == [("bernoulli", 0, False), ("poisson", 0, False)]  # a seed changes no shape


def test_a_fault_of_all_runs_is_that_of_the_config(tmp_path):
    with pytest.raises(ConfigError) as error:
        check_all(tmp_path / "missing.yaml", grid(axes_of(["seed=0..1"])))
    assert error.value.args == (f"{tmp_path}/missing.yaml: there is no such file", "nothing was trained")


def test_a_search_is_checked_at_each_value_and_at_both_ends():
    assert samples(axes_of(["a=x,y", "n=2..9", "lr=0.1..0.5"])) == [
        ("a=x", "n=2", "lr=0.1"),
        ("a=x", "n=2", "lr=0.5"),
        ("a=x", "n=9", "lr=0.1"),
        ("a=y", "n=2", "lr=0.1"),
    ]


@pytest.fixture
def plan(digits):
    options = ("sampler.latent=2,8", "seed=0..2")
    return Plan(str(digits), fingerprint(digits), str(Path.cwd()), options, threads=1, has_validation=True)


def test_a_sweep_goes_on_with_its_own_plan_and_its_own_threads(plan, tmp_path):
    directory, _ = begin(plan, tmp_path / "sweep")
    assert begin(replace(plan, threads=4), directory.path)[1] == plan
    assert reopened(directory.path)[1] == plan


def test_another_sweep_does_not_go_into_the_same_directory(plan, tmp_path):
    begin(plan, tmp_path / "sweep")
    with pytest.raises(RunError, match="was begun there with other values of: options; choose another --out"):
        begin(replace(plan, options=("seed=0..3",)), tmp_path / "sweep")
    with pytest.raises(RunError, match="other values of: search"):
        begin(replace(plan, search=3), tmp_path / "sweep")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(RunError, match="holds other files, and no sweep"):
        begin(plan, tmp_path / "mine")
    with pytest.raises(RunError, match=r"is no sweep's directory: it has no sweep.json"):
        reopened(tmp_path / "mine")


def test_a_config_that_changed_ends_its_sweep(plan, digits, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(digits.read_text())
    begin(replace(plan, config=str(config), sha256=fingerprint(config)), tmp_path / "sweep")
    config.write_text(digits.read_text() + "\n")
    with pytest.raises(RunError, match=r"mine\.yaml: has changed since the sweep .* was begun"):
        reopened(tmp_path / "sweep")


@pytest.mark.parametrize("damaged", ["", "{}", '{"config": 3}', "[1]"])
def test_damaged_files_are_named(plan, tmp_path, damaged):
    directory, _ = begin(plan, tmp_path / "sweep")
    directory.plan.write_text(damaged)
    with pytest.raises(RunError, match=r"sweep.json: is damaged, or of another version .*; begin another sweep"):
        directory.read_plan()
    directory.record(RESULTS[0])
    directory.result_file(1).write_text(damaged)
    with pytest.raises(RunError, match=r"0001.json: is damaged, .*; remove it, and its run is taken up again"):
        directory.results()


@pytest.mark.parametrize(
    ("by", "key", "better"),
    [
        (None, "elbo", "higher"),
        ("loss", "loss", "lower"),
        ("kl:lower", "kl", "lower"),
        ("reconstruction", "reconstruction", "lower"),
        ("nll.bound", "metrics.nll.bound", "lower"),
        ("probe.linear", "metrics.probe.linear", "higher"),
    ],
)
def test_the_figure_that_ranks(digits, by, key, better):
    order = ranking(by, as_config(digits))
    assert (order.key, order.better) == (key, better)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("kl", "neither direction is better in itself; write kl:lower or kl:higher"),
        ("elbow", "there is no such figure of an evaluation; did you mean 'elbo'?"),
        ("elbo:up", "the direction is lower or higher, not 'up'"),
        ("probe", "there is no such figure"),
    ],
)
def test_a_figure_that_ranks_nothing(digits, by, message):
    with pytest.raises(ConfigError, match=message):
        ranking(by, as_config(digits))


def result(number, latent, seed, elbo, **changes):
    figures = {f"{split}.{key}": value for split in ("validation", "test") for key, value in elbo.items()}
    options = {"sampler.latent": latent, "seed": seed}
    return replace(Result(number, options, "done", figures, {}, 3, 1.5), **changes)


RESULTS = [
    result(1, "2", "0", {"elbo": -30.0, "kl": 4.0, "reconstruction": 26.0}),
    result(2, "2", "1", {"elbo": -34.0, "kl": 5.0, "reconstruction": 29.0}),
    result(3, MARKUP, "0", {"elbo": -20.0, "kl": 8.0, "reconstruction": 12.0}),
    result(4, MARKUP, "1", {}, state="failed", error=f"the loss is nan {MARKUP}"),
    result(5, "7", "0", {}, state="retried"),
]


@pytest.fixture
def ended_sweep(digits):
    config = as_config(digits)
    order = ranking(None, config, RESULTS)
    return summary("sweep", RESULTS, order, described(config))


def test_runs_are_grouped_over_seeds_best_first(ended_sweep):
    assert [group.options for group in ended_sweep.groups] == [{"sampler.latent": MARKUP}, {"sampler.latent": "2"}]
    elbo = next(each for each in ended_sweep.figures if each.key == "elbo")
    statistic = Statistic.of(elbo.values(ended_sweep.groups[1].results))
    assert statistic == (-32.0, pytest.approx(statistics.stdev([-30, -34])))
    assert Statistic.of(elbo.values(ended_sweep.groups[0].results)).std is None
    assert [result.number for result in ended_sweep.failed] == [4]


def test_the_loss_ranks_where_no_run_has_an_elbo(digits):
    config = as_config(digits)
    plain = [result(n, str(n), "0", {"reconstruction": 3.0, "loss": 3.0 + n}) for n in range(3)]
    order = ranking(None, config, plain)
    assert (order.key, order.doubt) == ("loss", "")
    assert [group.results[0].number for group in summary("x", plain[::-1], order, {}).groups] == [0, 1, 2]


def test_what_cannot_be_compared_is_not_ranked(digits):
    config = as_config(digits)
    plain = [result(n, str(n), "0", {"reconstruction": 3.0, "loss": 3.0}) for n in range(2)]
    mixed = summary("x", [*RESULTS, *plain], ranking(None, config, [*RESULTS, *plain]), {})
    assert not mixed.ranks
    assert "not ranked: some runs have no ELBO; choose a figure with --by" in tables.legend(mixed)
    others = [replace(each, options={"loss.kl.weight": str(each.number)}) for each in plain]
    order = ranking(None, config, others)
    assert order.doubt == "the runs have no ELBO, and their losses differ; choose a figure with --by"
    assert order.value(others[0]) is None


def test_options_of_the_data_are_compared_with_care(digits):
    results = [replace(each, options={"data.size": each.options["sampler.latent"]}) for each in RESULTS[:3]]
    ended = summary("x", results, ranking(None, as_config(digits)), {})
    assert tables.legend(ended)[-1].startswith("size: figures of other data")


def test_the_loss_is_without_terms_that_have_a_critic(trained):
    directory = trained["vae-digits"].directory
    figures, units = figures_of(directory, {"elbo": -3, "own_units": "log1p", "kl_per_latent": [1.0]})
    last = directory.history()[-1]
    assert figures["validation.loss"] == pytest.approx(last.validation.loss)
    assert (figures["validation.elbo"], units) == (-3, {"validation": "log1p"})
    assert figures["test.elbo"] == trained["vae-digits"].evaluation.elbo
    figures, _ = figures_of(trained["gan"].directory, {})
    assert "validation.loss" not in figures


def test_one_run_alone_has_its_table_and_its_page(digits, plan, tmp_path):
    config = as_config(digits)
    results = [replace(RESULTS[0], options={})]
    ended = summary("x", results, ranking(None, config, results), described(config))
    assert "| 1 | -30.00 | -30.00 | 26.00 | 4.00 |" in tables.as_markdown(ended)
    assert "& $-30.00$" in tables.as_latex(ended)
    assert "all runs: validation ELBO −30.00" in text(SweepDirectory(tmp_path), plan, ended)


def test_densities_in_units_of_their_own_rank_nothing(digits):
    config = as_config(digits)
    results = [replace(each, units={"validation": "log1p"}) for each in RESULTS[:2]]
    assert ranking("elbo", config).value(results[0]) is None
    assert not summary("x", results, ranking("elbo", config), {}).ranks


def test_test_figures_choose_nothing(digits):
    config = as_config(digits)
    results = [replace(each, figures={"test.elbo": each.figures["test.elbo"]}) for each in RESULTS[:3]]
    ended = summary("x", results, ranking(None, config, results), {})
    assert not ended.ranks
    assert [group.results[0].number for group in ended.groups] == [1, 3]  # in the order of the grid


def test_tables_hold_what_the_runs_have(ended_sweep):
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(ended_sweep))))
    assert [row["sampler.latent"] for row in rows] == [MARKUP, "2"]
    assert float(rows[1]["validation.elbo.mean"]) == -32
    assert float(rows[1]["test.kl.std"]) == pytest.approx(0.5**0.5)
    assert rows[0]["test.kl.std"] == ""
    runs = list(csv.DictReader(io.StringIO(tables.runs_as_csv(ended_sweep))))
    assert [(run["run"], run["state"]) for run in runs] == [(f"000{n}", "done") for n in (1, 2, 3)] + [
        ("0004", "failed")
    ]
    assert MARKUP in runs[-1]["error"]


def test_markdown_and_latex_show_names_as_text(ended_sweep):
    markdown = tables.as_markdown(ended_sweep)
    assert "| `2` | 2 | -32.00 ± 2.83 | -32.00 ± 2.83 |" in markdown
    assert "<img" not in markdown.replace(f"`{MARKUP}`", "")
    latex = tables.as_latex(ended_sweep)
    assert r"2 & $2$ & $-32.00 \pm 2.83$" in latex
    assert r"\textless{}img src=x onerror=alert(1)\textgreater{}" in latex
    assert tables.tex("a_b%$\\{}") == r"a\_b\%\$\textbackslash{}\{\}"


@pytest.mark.parametrize("width", [60, 79, 130])
def test_the_table_fits_the_terminal(ended_sweep, width):
    printed = io.StringIO()
    tables.show(ended_sweep, console(file=printed, width=width))
    lines = printed.getvalue().splitlines()
    assert max(len(line) for line in lines if not line.startswith("failed: ")) <= width
    assert "validation" in lines[0]
    assert lines[-1].startswith("failed: 0004 (")


def test_the_page_shows_names_as_text_and_all_of_the_runs(ended_sweep, plan, tmp_path):
    page = text(SweepDirectory(tmp_path), plan, ended_sweep)
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "−32.00 ± 2.83" in page
    assert page.count("<polyline") == len(ended_sweep.groups)
    assert page.count("<circle") == 3 + 1 + 2  # runs, the mean of two of them, the legend


def test_the_page_of_a_sweep_without_results(plan, digits, tmp_path):
    config = as_config(digits)
    page = text(SweepDirectory(tmp_path), plan, summary("x", [], ranking(None, config), {}))
    assert "No run is done yet" in page


def test_the_command_on_the_page_is_the_same_sweep(plan, tmp_path):
    plan = replace(plan, folder=str(Path(plan.config).parent), search=4, log=("lr",), options=("lr=1e-4..1e-2",))
    words = command(plan, SweepDirectory(tmp_path / "s"))
    assert words == "genkit sweep vae-digits lr=1e-4..1e-2 --search 4 --search-seed 0 --log lr --out s-again"


def test_values_are_short():
    assert brief({"training.optimizer.lr": "0.00039810717", "n": "12345678"}) == "lr=0.0003981 n=12345678"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sampler.latent=2,8", "--log", "sampler.latent"], "--log is for ranges of a search"),
        (["seed=0..2", "sampler.latent=2,8", "--search", "2"], "seed: a search would choose the luckiest seed"),
        (["sampler.latent=2", "--search", "2"], "--search: no option varies"),
        (["sampler.latent=0..8", "--search", "2", "--log", "sampler.latent"], "begins above 0, and not at 0"),
        (["training.optimizer.lr=0.1..0.5"], "is a range of real numbers"),
    ],
)
def test_what_the_command_refuses_leaves_nothing(cli, digits, tmp_path, words, message):
    answer = cli("sweep", digits, *words, "--out", tmp_path / "sweep")
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "sweep").exists()


def test_without_validation_data_there_is_nothing_to_rank_by(cli, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "report_on", lambda *_, **__: Report(counts={"train": 9, "test": 9}))
    answer = cli("sweep", digits, "seed=0..1", "--by", "elbo", "--out", tmp_path / "sweep")
    assert answer.err == (
        "error: the data have no validation split, and figures of test data choose nothing: hold some out, for "
        "example data.validation=0.1\n"
    )


@pytest.mark.parametrize("words", [["seed=1"], ["--by", "loss"], ["--out", "elsewhere"]])
def test_a_directory_has_its_own_options(cli, plan, tmp_path, words):
    begin(plan, tmp_path / "sweep")
    answer = cli("sweep", tmp_path / "sweep", *words)
    assert answer.code == 2
    assert "is a sweep's directory, which has its options; give none but --jobs and --retry" in answer.err
    assert "is no sweep's directory" in cli("sweep", tmp_path, *words).err


def test_results_are_read_again_where_they_change(tmp_path):
    directory = SweepDirectory(tmp_path)
    directory.record(RESULTS[0])
    assert directory.results() == RESULTS[:1]
    assert json.loads(directory.result_file(1).read_text())["options"] == {"sampler.latent": "2", "seed": "0"}
