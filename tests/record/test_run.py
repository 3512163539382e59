"""A run, and what hangs on it, as shown at a prompt and in a notebook."""

from dataclasses import replace

import pytest

from genkit.record.diagnosis import Note
from genkit.record.run import Run
from tests.markup import ATTACK, Tags


@pytest.fixture(scope="module")
def vae(trained):
    return trained["vae-digits"]


def test_reprs_are_short(vae):
    for part in (vae, vae.model, vae.data, vae.data.test, vae.config, vae.directory, vae.evaluation, vae.history[0]):
        assert len(repr(part)) < 500, repr(part)
        assert "\n" not in repr(part)
    assert repr(vae).startswith("Run('vae-digits', 3 of 3 epochs, elbo=-")
    assert str(vae.directory.path) in repr(vae)
    assert repr(vae.data) == "Dataset(shape=(1, 8, 8), train=1258, validation=180, test=359, classes=10)"
    assert repr(vae.data.test) == "Split(x=(359, 1, 8, 8), labels=(359,))"
    assert repr(vae.model).startswith("Model(MLPEncoder, GaussianSampler, MLPDecoder, BernoulliLikelihood, ")
    assert "shape=(1, 8, 8), latent=(2,), " in repr(vae.model)
    assert "Linear(in_features=64" in repr(vae.model.encoder)


def test_a_config_shows_what_is_not_its_default(vae):
    assert repr(vae.config.encoder) == "MLPEncoder.Config(hidden=(16,))"
    assert repr(vae.config.training) == "TrainingConfig(epochs=3, batch_size=64)"


def test_a_run_without_figures_shows_its_loss(vae, trained):
    started = replace(vae, history=[], evaluation=None)
    assert repr(started) == f"Run('vae-digits', 0 of 3 epochs, path={str(vae.directory.path)!r})"
    assert ", loss=" in repr(trained["gan"])
    assert "<table" not in started._repr_html_()


def test_a_notebook_shows_the_figures_and_the_notes(vae):
    page = Tags(vae._repr_html_())
    assert {"evidence lower bound (ELBO)", "nats per datum", "↑ higher"} <= {*page.texts}
    assert f"{vae.evaluation.elbo:,.2f}" in page.texts
    assert [note.text for note in vae.notes()] == page.texts[-len(vae.notes()) :]


def test_nothing_of_a_run_is_read_as_markup(vae, monkeypatch):
    monkeypatch.setattr(Run, "notes", lambda self: [Note("rule", ATTACK)])
    directory = type(vae.directory)(vae.directory.path / ATTACK)
    page = Tags(replace(vae, directory=directory, evaluation=replace(vae.evaluation, split=ATTACK))._repr_html_())
    assert "img" not in page.tags
    assert ATTACK in page.texts
