import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from genkit.errors import RunError
from genkit.record.directory import RunDirectory
from genkit.registry.plugin import THIS_PROCESS
from genkit.registry.provenance import PluginRecord, code_hash
from genkit.sharing.card import front_matter, write
from genkit.sharing.facts import gather
from genkit.sharing.push import write_card
from genkit.text import printable


@pytest.fixture(scope="module")
def facts(finished):
    return gather(finished.directory.path)


def matter_of(card):
    return YAML(typ="safe").load(card.split("---\n")[1])


def section(card, title):
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)[1]


def test_the_front_matter_is_what_the_hub_reads(facts, finished):
    matter = matter_of(write(facts, finished.directory.path, license="apache-2.0"))
    assert matter["library_name"] == "genkit"
    assert matter["license"] == "apache-2.0"
    assert matter["pipeline_tag"] == "unconditional-image-generation"
    assert {"genkit", "encoder-mlp", "sampler-gaussian", "loss-kl"} <= set(matter["tags"])
    ((index,),) = [entry["results"] for entry in matter["model-index"]]
    assert index["dataset"] == {"type": "digits", "name": "digits", "split": "test"}
    metrics = {metric["type"]: metric for metric in index["metrics"]}
    assert metrics["elbo"]["value"] == round(finished.evaluation.elbo, 4)
    assert metrics["kl"]["name"] == "KL(q(z|x) ‖ p(z)), nats per datum"
    assert "nats" not in metrics["bits_per_dim"]["name"]
    assert "license" not in front_matter(facts)


def test_the_hubs_own_library_reads_the_front_matter(facts, finished):
    hub = pytest.importorskip("huggingface_hub")
    text = write(facts, finished.directory.path, license="mit")
    read = hub.ModelCard(text)
    assert read.data.library_name == "genkit"
    assert read.data.model_name == "vae-digits"
    figures = {result.metric_type: result.metric_value for result in read.data.eval_results}
    assert figures["elbo"] == round(finished.evaluation.elbo, 4)
    assert {result.dataset_split for result in read.data.eval_results} == {"test"}
    assert hub.ModelCard(str(read)).data.to_dict() == read.data.to_dict()


def test_a_model_without_figures_or_a_task_claims_none(trained):
    gan = front_matter(gather(trained["gan"].directory.path))
    assert "model-index" not in gan
    assert gan["pipeline_tag"] == "unconditional-image-generation"
    point = front_matter(gather(trained["autoencoder"].directory.path))
    assert point["pipeline_tag"] == "image-feature-extraction"
    assert [metric["type"] for metric in point["model-index"][0]["results"][0]["metrics"]] == [
        "reconstruction",
        "active_units",
        "unexplained",
        "dispersion",
        "code.l0",
        "code.dead",
    ]


def test_the_card_says_what_the_model_is_and_how_good(facts, finished):
    card = write(facts, finished.directory.path)
    assert "# vae-digits\n" in card
    assert "encodes images of shape 1 × 8 × 8 into 2 latent dimensions and decodes them again" in card
    assert "99,908 parameters and was trained on `digits`" in card
    figures = section(card, "Figures")
    assert "On the test split, 359 data, with 1 draw of z for each; ↑ higher is better, ↓ lower is better." in figures
    value = f"{finished.evaluation.elbo:,.2f} nats per datum"
    assert f"| evidence lower bound (ELBO) ↑ | {value} | −reconstruction − KL, whatever the weights. |" in figures
    training = section(card, "Training")
    assert "| epochs | 3 |" in training
    assert f"| objective, training data | {finished.history[-1].train.loss:,.2f} nats per datum |" in training
    seconds = sum(record.seconds for record in finished.history)
    assert f"| seconds | {seconds:,.1f} |" in training
    assert f"`{code_hash('genkit-torch')}`" in section(card, "Plugins")
    assert "| classes | 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 |" in section(card, "Data")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, None),
        ({"keep": "best"}, "of the best epoch on the validation data"),
        ({"ema": 0.99}, "of the last epoch, averaged with decay 0.99"),
        ({"keep": "best", "ema": 0.99}, "of the best epoch on the validation data, averaged with decay 0.99"),
    ],
)
def test_the_card_says_which_weights_they_are(facts, finished, options, said):
    training = {**facts.config.training.model_dump(), **options}
    config = facts.config.model_copy(update={"training": type(facts.config.training).model_validate(training)})
    text = write(dataclasses.replace(facts, config=config), finished.directory.path)
    assert ("| weights |" in text) == (said is not None)
    assert said is None or f"| weights | {said} |" in text


def test_the_card_says_what_the_diagnosis_says(facts, finished):
    text = section(write(facts, finished.directory.path), "Notes")
    assert r"- the loss still falls after epoch 3\: a longer training may give a better model" in text
    dead = dataclasses.replace(facts, evaluation={**facts.evaluation, "active_units": 0, "unexplained": 1.0})
    assert "- no latent dimension is active" in section(write(dead, finished.directory.path), "Notes")
    silent = dataclasses.replace(facts, history=(), evaluation={**facts.evaluation, "unexplained": 0.5})
    assert "## Notes" not in write(silent, finished.directory.path)


def test_the_config_in_the_card_is_the_runs(facts, finished):
    text = section(write(facts, finished.directory.path), "Config")
    assert re.fullmatch(r"```yaml\n(.*?)```\n", text, re.DOTALL)[1] == finished.directory.config.read_text()


def test_every_row_of_a_table_has_as_many_cells_as_its_head(facts, finished):
    width = None
    for line in write(facts, finished.directory.path).splitlines():
        cells = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert width is None or cells in (None, width), line
        width = cells


def test_the_python_in_the_card_works(facts, finished, monkeypatch):
    code = re.search(r"```python\n(.*?)```", write(facts, finished.directory.path), re.DOTALL)[1]
    monkeypatch.chdir(finished.directory.path)
    names = {}
    exec(code, names)
    assert names["z"].shape == (64, 2)
    assert names["x"].shape == (64, 1, 8, 8)


def test_the_python_in_the_card_of_a_model_without_a_prior_works(trained, monkeypatch):
    run = trained["autoencoder"]
    code = re.search(r"```python\n(.*?)```", write(gather(run.directory.path), run.directory.path), re.DOTALL)[1]
    monkeypatch.chdir(run.directory.path)
    names = {}
    exec(code, names)
    assert len(names["z"]) == 64
    assert names["x"].shape == (64, *run.data.shape)


def test_the_pictures_that_say_most_come_first_under_titles(facts, finished):
    titles = re.findall(r"^\*\*(.*)\*\*$", write(facts, finished.directory.path), re.MULTILINE)
    assert titles[:2] == ["Samples", "Reconstructions"]
    assert all(re.fullmatch(r"[A-Z][\w ]*", title) for title in titles)


def test_names_that_other_readers_take_for_truth_values_are_quoted(facts):
    text = write(dataclasses.replace(facts, config=facts.config.model_copy(update={"name": "on"})), Path())
    assert "name: 'on'\n" in text


def test_names_of_classes_stay_in_their_cell(facts):
    data = facts.data.model_copy(update={"classes": ("a\nb", "<script>", "c|d")})
    card = write(dataclasses.replace(facts, data=data), Path())
    assert rendered(card).text.count(r"a\nb, <script>, c|d") == 1


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text += data


def rendered(card):
    """A card as a reader of Markdown shows it that lets HTML through."""
    return Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(card.split("---\n", 2)[2]))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example www.evil.example a@evil.example",
    "a|b|c `code` | `",
    "`|` `<b>` ``x``",
    "\n\n```\n<script>alert(1)</script>\n```\n",
    "\n\n# heading\n\n- item\n\n---\n",
    "**bold** _em_ ~~gone~~ $x$ $$y$$",
    "&lt;b&gt; &#60;b&#62; \\\\<b>",
    "</td></table><iframe>",
    "[a]: https://evil.example",
    "\x1b[31m\u202e\udce9\u2028",
    "--><b>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_elsewhere_is_shown_literally_in_a_card(facts, text):
    name = facts.plugins[0].model_copy(
        update={"distribution": text, "version": text, "components": (text,), "sha256": text}
    )
    changed = dataclasses.replace(
        facts,
        data=facts.data.model_copy(update={"classes": (text, "b"), "source": text}),
        plugins=(name, name.model_copy(update={"distribution": THIS_PROCESS})),
        evaluation={**facts.evaluation, "split": text},
        environment={"versions": {text: text}},
        pictures=(Path("pictures") / f"{text.replace('/', '-')}.png",),
    )
    plain = dataclasses.replace(
        changed,
        data=facts.data.model_copy(update={"classes": ("a", "b"), "source": "a"}),
        plugins=tuple(r.model_copy(update={"version": "a", "components": ("a/a",)}) for r in changed.plugins),
        evaluation={**facts.evaluation, "split": "a"},
        environment={"versions": {"a": "a"}},
        pictures=(Path("pictures/a.png"),),
    )
    plain = dataclasses.replace(
        plain, plugins=(plain.plugins[0].model_copy(update={"distribution": "a", "sha256": "a"}), plain.plugins[1])
    )
    page, usual = rendered(write(changed, Path())), rendered(write(plain, Path()))
    assert [tag for tag in page.tags if tag != ("code",)] == [tag for tag in usual.tags if tag != ("code",)]
    assert page.text.count(printable(text)) >= 6
    write(changed, Path()).encode("utf-8")


def test_a_fence_in_the_config_ends_no_block(facts):
    optimizer = facts.config.model_copy(update={"name": "a\n```\n<script>\n````"})
    tags = rendered(write(dataclasses.replace(facts, config=optimizer), Path())).tags
    assert ("script",) not in tags


def test_links_to_pictures_lead_from_where_the_card_lies(facts, finished, tmp_path):
    for folder in (finished.directory.path, tmp_path / "some where", tmp_path):
        links = re.findall(r"!\[[\w ]+\]\((.*?)\)", write(facts, folder))
        assert len(links) == len(list(finished.directory.pictures.glob("*.png"))) > 3
        folder.mkdir(exist_ok=True)
        assert all((folder / link.replace("%20", " ")).is_file() for link in links)


def test_what_pip_has_to_install_is_one_line_with_the_extra_where_it_is_needed(facts, finished):
    record = PluginRecord(distribution="genkit-fourier", version="1.2.0", components=("encoder/fourier",))
    mine = PluginRecord(distribution="this process", version="", components=("loss/mine",))
    more = dataclasses.replace(facts, plugins=(*facts.plugins, record, mine))
    version = facts.plugins[0].version
    plain = section(write(more, finished.directory.path), "Use")
    assert f"```console\npip install 'genkit-torch=={version}' 'genkit-fourier==1.2.0'\n```" in plain
    assert "It needs loss 'mine', which no distribution brings: register the same class first" in plain
    shared = section(write(more, finished.directory.path, repository="hf://ada/vae"), "Use")
    assert f"pip install 'genkit-torch[hub]=={version}' 'genkit-fourier==1.2.0'\n" in shared
    assert 'genkit.load("hf://ada/vae")' in shared


def test_a_card_of_weights_alone_says_less_and_invents_nothing(finished, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(finished.directory.model.read_bytes())
    out = write_card(tmp_path / "model.safetensors", None)
    assert out == tmp_path / "README.md"
    card = out.read_text()
    assert set(re.findall(r"^## (\w+)", card, re.MULTILINE)) == {"Use", "Parts", "Data", "Plugins", "Config"}
    assert "model-index" not in matter_of(card)


def test_nothing_is_overwritten(finished, tmp_path):
    out = tmp_path / "card.md"
    out.write_text("mine")
    with pytest.raises(
        RunError, match=r"card\.md is there already and was edited, or is somebody's work; choose another --out"
    ):
        write_card(finished.directory.path, out)
    assert out.read_text() == "mine"


def test_a_card_is_written_anew_until_somebody_edits_it(finished, tmp_path):
    out = write_card(finished.directory.path, tmp_path / "card.md")
    write_card(finished.directory.path, out, license="mit")
    text = out.read_text()
    assert "license: mit" in text
    out.write_text(text.replace("# vae-digits", "# My digits"))
    with pytest.raises(RunError, match="somebody's work"):
        write_card(finished.directory.path, out)
    out.write_bytes(b"\xff")
    with pytest.raises(RunError, match="somebody's work"):
        write_card(finished.directory.path, out)


@pytest.mark.parametrize("license", ["Apache 2.0", "MIT", "a\nb"])
def test_a_license_that_the_hub_cannot_know_is_refused(finished, tmp_path, license):
    with pytest.raises(RunError, match=r"is no name of a license on the Hub; write it as apache-2\.0"):
        write_card(finished.directory.path, tmp_path / "card.md", license=license)
    assert not (tmp_path / "card.md").exists()


DAMAGED = ["{", "[1]", "[" * 100_000, "1" * 5_000, "null", "{}", '{"split": 3, "count": 1, "draws": 1}', "\udcff"]
DAMAGED += ['{"split": "a", "count": "1", "draws": 1}', '{"split": "a", "count": 1, "draws": 1, "elbo": "x"}']
DAMAGED += [
    '{"split": "a", "count": 1, "draws": 1, "elbo": NaN}',
    '{"split": "a", "count": 1, "draws": 1, "elbo": [1]}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_of_the_run_is_named(finished, tmp_path, content):
    run = RunDirectory(tmp_path)
    for path in (finished.directory.config, finished.directory.model):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    run.evaluation.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=r"evaluation\.json: is damaged") as caught:
        gather(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"versions": 3}', '{"versions": {"a": 1}}', "[" * 100_000])
def test_a_damaged_environment_is_named(finished, tmp_path, content):
    for path in (finished.directory.config, finished.directory.model):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(RunError, match=r"environment\.json: is damaged"):
        gather(tmp_path)
