"""A comparison as it is shown: the same figures on the terminal, in a notebook and as JSON."""

import json
from dataclasses import fields, replace

import pytest

from genkit.evaluation.sample_quality import SampleQuality
from genkit.runs.compared import Comparison, Entry
from tests.markup import ATTACK, Tags


@pytest.fixture(scope="module")
def comparison(trained):
    numbers = {field.name: 10 if field.name == "count" else None for field in fields(SampleQuality)}
    quality = SampleQuality(**{**numbers, "frechet": 1.5})
    entries = [Entry(name, name, 10, 3, 1.0, 2.0, run.evaluation, quality) for name, run in trained.items()]
    return Comparison(tuple(entries), quality, "features")


def test_a_notebook_shows_a_row_per_figure_and_a_column_per_model(comparison):
    page = Tags(comparison._repr_html_())
    assert page.tags.count("tr") == 1 + len(comparison.rows())
    names = [entry.name for entry in comparison.entries]
    assert page.texts[1:8] == ["figure", "unit", "better", *names, "floor"]
    assert {"evidence lower bound (ELBO)", "↑ higher", "–", "1.50"} <= {*page.texts}
    assert "floor: training data in place of samples, about the best that a model can reach" in page.texts
    assert repr(comparison) == "Comparison('vae-digits', 'gan', 'autoencoder'; 10 samples of each)"


def test_densities_in_other_units_are_left_out_with_a_note(comparison):
    first = comparison.entries[0]
    other = replace(first, evaluation=replace(first.evaluation, own_units="rank"))
    changed = replace(comparison, entries=(other,))
    assert "evaluation.elbo" in comparison.columns()[0].texts
    assert "evaluation.elbo" not in changed.columns()[0].texts
    assert changed.notes()[-1].startswith("vae-digits: its densities are in the units of rank")


def test_options_that_differ_stand_before_the_figures(comparison):
    first, second, _ = comparison.entries
    wide = replace(first, options={"sampler.latent": 2, "encoder.hidden": [8] * 40})
    varied = (wide, replace(second, options={"sampler.latent": 8}))
    changed = replace(comparison, entries=varied)
    assert [about.name for about in changed.rows().values()][:3] == ["sampler.latent", "encoder.hidden", "parameters"]
    texts = [column.texts.get("options.sampler.latent") for column in changed.columns()]
    assert texts == ["2", "8", None]
    assert len(changed.columns()[0].texts["options.encoder.hidden"]) == 24
    assert changed.to_json()["entries"][1]["options"] == {"sampler.latent": 8}


def test_nothing_is_read_as_markup(comparison):
    entries = tuple(replace(entry, name=ATTACK) for entry in comparison.entries)
    page = Tags(replace(comparison, entries=entries, features=ATTACK)._repr_html_())
    assert "img" not in page.tags
    assert page.texts.count(ATTACK) == 3


def test_the_json_has_values_alone(comparison):
    values = json.loads(json.dumps(comparison.to_json()))
    assert all("described" not in entry["evaluation"] for entry in values["entries"])
