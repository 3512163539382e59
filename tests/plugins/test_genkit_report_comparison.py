"""The report of several runs as text."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from genkit.errors import GenkitWarning
from genkit.runs.comparison import Compared
from genkit_report import comparison

pytestmark = pytest.mark.slow

PAGE = Path("page.html")


def of(compared: Compared, *names: str) -> Compared:
    """Some of the models."""
    pairs = zip(compared.comparison.entries, compared.models, strict=True)
    entries, models = zip(*[pair for pair in pairs if pair[0].name in names], strict=True)
    return replace(compared, comparison=replace(compared.comparison, entries=entries), models=models)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row of the page's tables by the row's head."""
    cells = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text, re.DOTALL)
    plain = [(re.sub(r"<.*?>", "", head), re.findall(r"<td.*?>(.*?)</td>", rest)) for head, rest in cells]
    return {" ".join(unescape(head).split()): [re.sub(r"<.*?>", "", cell) for cell in each] for head, each in plain}


def test_options_that_differ_come_before_figures(compared):
    text = comparison.text(compared, PAGE)
    assert text.index('id="differences"') < text.index('id="figures"') < text.index('id="curves"')
    names = [entry.name for entry in compared.comparison.entries]
    kinds = dict(zip(names, rows(text)["sampler"], strict=True))
    assert kinds == {"vae-digits": "gaussian", "gan": "gaussian", "autoencoder": "point"}


def test_figures_stand_side_by_side_and_the_best_is_marked(compared):
    entries = compared.comparison.entries
    cells = rows(comparison.text(compared, PAGE))
    quality = [None if entry.samples is None else entry.samples.frechet for entry in entries]
    best = min(each for each in quality if each is not None)
    shown = ["–" if each is None else f"★ best: {each:,.2f}" if each == best else f"{each:,.2f}" for each in quality]
    assert cells["Fréchet distance ↓"] == [*shown, f"{compared.comparison.floor.frechet:,.2f}"]
    assert cells["parameters"][0] == f"{entries[0].parameters:,}"


def test_densities_of_different_likelihoods_rank_no_models(compared):
    text = comparison.text(compared, PAGE)
    assert "The likelihoods differ (bernoulli, gaussian)" in text
    assert not any("★" in cell for cell in rows(text)["reconstruction, E[−log p(x|z)] ↓ nats per datum"])
    alone = comparison.text(of(compared, "vae-digits", "gan"), PAGE)
    assert "The likelihoods differ" not in alone


def test_each_model_has_its_verdict_and_its_pictures(compared):
    text = comparison.text(compared, PAGE)
    assert len(re.findall(r'class="verdict (alive|dead|unknown)"', text)) == 3
    assert len(re.findall(r"<img [^>]*alt=\"(Samples|Reconstructions|Latents) of ", text)) == 2 + 2 + 2
    assert "no encoder: nothing to rebuild" in text
    assert len(text) < 2_000_000


def test_a_picture_that_fails_leaves_the_others(compared, monkeypatch):
    def fail(_):
        raise ValueError("no ink")

    monkeypatch.setattr(comparison, "sampled", fail)
    with pytest.warns(GenkitWarning, match="Samples of vae-digits could not be drawn: .*no ink"):
        text = comparison.text(of(compared, "vae-digits"), PAGE)
    assert "Reconstructions of vae-digits" in text
    assert "Samples of" not in text


def test_one_model_alone_has_no_differences_and_no_best(compared):
    text = comparison.text(of(compared, "gan"), PAGE)
    assert 'id="differences"' not in text
    assert "best:" not in text
    assert "1 model of digits" in text
