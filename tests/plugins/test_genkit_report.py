"""Reports of runs, as text; what a browser makes of them is in test_genkit_report_browser."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from genkit.errors import GenkitWarning
from genkit.evaluation.figures import Evaluation
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord, Scores
from genkit.sharing import facts as gathering
from genkit_report import FILE, ReportWriter, curves, run_page

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" & 'so'"
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """The elements and the text of a page, whose tags have to be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def report(finished) -> str:
    """The report that the run ended with."""
    return (finished.directory.path / FILE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def facts(finished):
    return gathering.of_run(finished.directory, finished.model)


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy of the run without its event files."""
    return shutil.copytree(finished.directory.path, tmp_path / "copied", ignore=shutil.ignore_patterns("tensorboard"))


def rendered(facts, folder: Path) -> Page:
    return Page(run_page.text(facts, RunDirectory(folder), facts.verdict()))


def test_a_run_ends_with_a_report_that_says_all_of_it(report, finished):
    page = Page(report)
    assert finished.verdict().text.lower() in page.text.lower()
    for figure in finished.figures():
        assert figure.about.name in page.text
        assert figure.text.replace("-", "−") in page.text
        assert figure.about.sentence in page.text
    assert f"genkit reproduce {finished.directory.path.name}" in page.text
    assert "sampler gaussian 516 parameters" in page.text
    for value in finished.evaluation.kl_per_latent:
        assert f"{value:.3g}" in page.text
    assert len(report) < 2_000_000


def test_all_pictures_are_inside_and_have_words(report, finished):
    page = Page(report)
    images = page.all("img")
    assert len(images) == len(list(finished.directory.pictures.glob("*.png")))
    assert all(image["src"].startswith("data:image/png;base64,") and len(image["alt"]) > 20 for image in images)
    addresses = [value for _, each in page.elements for key, value in each.items() if key in ("src", "href")]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    targets = {each["id"] for _, each in page.elements if each.get("id")}
    assert {each["href"] for each in page.all("a")} <= {f"#{target}" for target in targets}


def test_curves_hold_the_history(report, finished):
    start = report.index('<script type="application/json">') + len('<script type="application/json">')
    drawn = json.loads(report[start : report.index("</script>", start)])
    assert drawn["x"] == [1, 2, 3]
    training, validation = drawn["lines"]
    assert training["y"] == pytest.approx([record.train.loss for record in finished.history], rel=1e-5)
    assert validation["y"] == pytest.approx([record.validation.loss for record in finished.history], rel=1e-5)


def test_the_command_writes_the_same_page_again(cli, copied, report, finished):
    (copied / FILE).unlink()
    answer = cli("report", copied)
    assert (answer.code, answer.out.strip()) == (0, str(copied / FILE))
    name = f"reproduce {finished.directory.path.name}"
    again = (copied / FILE).read_text(encoding="utf-8").replace("copied/", "run/").replace(" copied", " run")
    assert name in again
    assert again == report


def test_what_names_hold_is_text(facts, finished):
    plain = rendered(facts, finished.directory.path)
    data = facts.data.model_copy(update={"source": HOSTILE, "classes": (HOSTILE,)})
    config = facts.config.model_copy(update={"name": HOSTILE})
    hostile = rendered(replace(facts, config=config, data=data), finished.directory.path)
    assert HOSTILE in hostile.text
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert all(key not in ("onerror", "x") for _, attributes in hostile.elements for key in attributes)


def test_what_is_missing_is_left_out(facts, copied):
    bare = replace(facts, evaluation=None, history=(), environment=None, pictures=(), plugins=())
    (copied / "local.json").unlink()
    page = rendered(bare, copied)
    assert "No verdict: no figures of a test split" in page.text
    assert [link["href"] for link in page.all("a")] == ["#content", "#config", "#repeat", "#made"]


def test_many_latents_are_shown_by_the_largest(facts, finished):
    evaluation = {**facts.evaluation, "kl_per_latent": [0.01 * latent for latent in range(100)]}
    page = rendered(replace(facts, evaluation=evaluation), finished.directory.path)
    assert len(page.all("rect")) == run_page.BARS
    rest = sum(0.01 * latent for latent in range(100 - run_page.BARS))
    assert f"The other {100 - run_page.BARS}, together {rest:.3g}" in page.text


def test_a_picture_that_is_damaged_is_left_out_with_a_warning(cli, copied):
    (copied / "pictures" / "samples.png").write_bytes(b"")
    with pytest.warns(GenkitWarning, match=r"samples\.png: is no \.png, or damaged; draw it again; the report leaves"):
        page = rendered(gathering.gather(copied), copied)
    assert len(page.all("img")) == len(list((copied / "pictures").iterdir())) - 1


def test_a_report_that_fails_is_a_warning_with_the_way_to_try_again(finished, monkeypatch):
    def fail(*_):
        raise ValueError("it broke")

    monkeypatch.setattr(run_page, "text", fail)
    path = finished.directory.path
    with pytest.warns(GenkitWarning, match=rf"report.html could not be written: .*it broke.*; genkit report {path}"):
        ReportWriter(finished).run_ended()


@pytest.mark.filterwarnings("ignore:.*is not finished")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "evaluation.json").write_text("{"), "evaluation.json: is damaged"),
        (lambda run: (run / "metrics.jsonl").write_text("{"), "metrics.jsonl: is damaged"),
        (lambda run: (run / "changes.json").write_text("{"), "changes.json: is damaged"),
        (lambda run: (run / "config.yaml").unlink(), "is no run directory"),
        (lambda run: (run / "model.safetensors").unlink(), "go on with: genkit resume"),
    ],
    ids=["evaluation", "metrics", "changes", "no run", "not finished"],
)
def test_a_damaged_run_is_one_message_and_keeps_its_report(cli, copied, report, change, message):
    change(copied)
    answer = cli("report", copied)
    assert answer.code == 2
    assert message in answer.err
    assert (copied / FILE).read_text(encoding="utf-8") == report


@pytest.mark.parametrize("name", ["config.yaml", "page.png", "page"])
def test_a_page_is_a_html_and_takes_the_place_of_no_other_file(cli, copied, name):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    answer = cli("report", copied, "--out", copied / name)
    assert answer.code == 2
    assert f"{name}: the page is a .html; call it {Path(name).stem}.html" in answer.err
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_figures_are_drawn_in_the_formats_asked_for(cli, copied, tmp_path):
    answer = cli("report", copied, "--out", tmp_path / "page.html", "--figures", "svg, PDF,svg")
    assert answer.code == 0, answer.err
    starts = {path.name: path.read_bytes()[:5] for path in (tmp_path / "figures").iterdir()}
    pictures = [path.stem for path in (copied / "pictures").iterdir()]
    assert starts.keys() == {f"{name}.{form}" for name in pictures for form in ("svg", "pdf")}
    assert all(start == (b"%PDF-" if name.endswith("pdf") else b"<?xml") for name, start in starts.items())


def test_a_format_that_is_not_known_is_refused_before_anything_is_written(cli, copied, tmp_path):
    answer = cli("report", copied, "--out", tmp_path / "page.html", "--figures", "svg,gif")
    assert answer.code == 2
    assert "no format 'gif'; choose of png, svg, pdf" in answer.err
    assert not (tmp_path / "page.html").exists()


def scores(loss, reconstruction=None, kl=None, /, **terms):
    elbo = None if kl is None else -reconstruction - kl
    return Scores(loss, terms, {}, reconstruction, kl, elbo)


def records(*each, validation=None, weight=1.0, rates=None):
    return [
        EpochRecord(n + 1, n, 1.0, 9.0, rates[n] if rates else 1e-3, dict.fromkeys(one.terms, weight), one, validation)
        for n, one in enumerate(each)
    ]


def titles(charts):
    return [chart.title for chart in charts]


def test_no_curve_is_drawn_twice():
    plain = records(scores(25.0, 20.0, 5.0, reconstruction=20.0, kl=5.0), scores(24, 20, 4, reconstruction=20, kl=4))
    assert titles(curves.of_run(plain)) == ["objective", "reconstruction, E[−log p(x|z)] ↓", "KL(q(z|x) ‖ p(z))"]
    assert "here it is −ELBO" in curves.of_run(plain)[0].sentence
    weighted = records(scores(30.0, 20.0, 5.0, reconstruction=20.0, kl=5.0), weight=2.0)
    assert titles(curves.of_run(weighted))[:2] == ["objective", "evidence lower bound (ELBO) ↑"]
    assert titles(curves.of_run(records(scores(3.0, judged=3.0)))) == ["objective"]
    penalized = records(scores(23.0, 20.0, None, reconstruction=20.0, penalty=3.0))
    assert titles(curves.of_run(penalized))[-1] == "term penalty"


def test_what_changes_over_the_epochs_has_a_curve():
    changing = records(scores(1.0, a=1.0), scores(0.5, a=0.5), rates=[0.1, 0.01])
    assert titles(curves.of_run(changing))[-1] == "learning rate"
    assert curves.of_run(changing)[-1].lines[0].y == [0.1, 0.01]


def test_runs_of_different_lengths_share_an_axis():
    held = scores(7.0, 5.0, 2.0)
    long, short = (
        records(*[scores(9.0, 6.0, 3.0)] * 3, validation=held),
        records(scores(8.0, 6.0, 2.0), validation=held),
    )
    first, *_ = curves.of_several({"long": long, "short": short, "weights alone": ()})
    assert first.title == "evidence lower bound (ELBO) ↑"
    assert [(line.name, line.y) for line in first.lines] == [("long", [-7.0] * 3), ("short", [-7.0, None, None])]
    late = curves.of_several({"weights alone": (), "long": long, "short": short})[0]
    assert [line.style for line in late.lines] == [1, 2]
    mixed = curves.of_several({"long": long, "short": records(scores(8.0, 6.0, 2.0))})
    assert [line.y[0] for line in mixed[0].lines] == [-9.0, -8.0]
    assert mixed[0].sentence.endswith("Of training data.")
    assert curves.of_several({"weights alone": ()}) == []


def test_what_changed_is_shown_and_the_command_is_the_one_that_was_typed(facts, copied):
    changes = [{"path": "sampler.latent", "before": 2, "after": 8}]
    origin = {"config": "examples/x y.yaml", "overrides": ["sampler.latent=8"], "changes": changes}
    (copied / "local.json").write_text(json.dumps({"started_in": str(copied.parent), "origin": origin}))
    page = rendered(facts, copied)
    assert "What changed from x y.yaml: option there in this run sampler.latent 2 8" in page.text
    assert "genkit run 'examples/x y.yaml' sampler.latent=8" in page.text
    origin["config"] = str(copied / "x.yaml")
    (copied / "local.json").write_text(json.dumps({"started_in": str(copied.parent), "origin": origin}))
    page = rendered(facts, copied)
    assert "genkit run copied/config.yaml" in page.text
    assert str(copied.parent) not in page.text


def test_options_of_a_resumption_are_shown_with_their_place(facts, copied):
    change = {"epoch": 2, "step": 5, "overrides": ["training.optimizer.lr=0.01"]}
    (copied / "changes.json").write_text(json.dumps([change]))
    page = rendered(facts, copied)
    assert "after epoch 2 and 5 steps training.optimizer.lr=0.01" in page.text
    assert "training.optimizer.lr 0.001 0.01" in page.text


def test_a_path_that_is_elsewhere_is_not_told(copied):
    assert run_page.path_of(RunDirectory(copied)) == ("copied", False)
    (copied / "local.json").write_text(json.dumps({"started_in": str(copied.parent)}))
    assert run_page.path_of(RunDirectory(copied)) == ("copied", True)


def test_evaluations_without_latents_have_no_bars():
    assert run_page._bars({}) is None
    assert run_page._bars(Evaluation("test", 5, 1, 3).to_json()) is None
