"""Evaluations as they are shown: short, and with the descriptions that belong to the options of their metrics."""

import json

import genkit
from genkit.evaluation.evaluations import Evaluation
from genkit.interfaces import Description


def test_a_repr_is_one_short_line_of_the_figures_that_there_are():
    assert repr(Evaluation("test", 3, 1, 2)) == "Evaluation(split='test', count=3)"
    shown = repr(Evaluation("test", 359, 1, 2, elbo=-29.126, kl_per_latent=[0.1] * 500, metrics={"nll": {"bound": 2}}))
    assert shown == "Evaluation(split='test', count=359, elbo=-29.13, metrics.nll.bound=2)"


def test_figures_of_metrics_are_described_by_their_own_options(trained):
    evaluation = genkit.evaluate(trained["vae-digits"], metrics=["nll.draws=3"])
    names = [figure.about.name for figure in evaluation.figures()]
    assert "bound on −log p(x), 3 draws" in names
    assert "bound on −log p(x), 3 draws" in evaluation._repr_html_()
    assert json.loads(json.dumps(evaluation.to_json())).keys() == evaluation.to_json().keys()
    assert "described" not in evaluation.to_json()


def test_figures_without_a_description_go_by_their_keys():
    own = Evaluation(
        "all", 3, 1, 2, metrics={"mine": {"x": 1.0, "y": 2.0}}, described={"metrics.mine.x": Description("X")}
    )
    assert [figure.about.name for figure in own.figures()] == ["X"]
    assert all(text in own._repr_html_() for text in ("X", "metrics.mine.y"))
