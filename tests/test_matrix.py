"""Each posterior goes with each prior: it trains, resumes, evaluates, generates, compiles and exports, or is refused.

`make matrix` tries all pairs, and compiles and exports each; else the pairs are those that have each posterior and each
prior at least once, a few steps each.
"""

import functools
import math
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genkit.errors import ComponentError
from genkit.files.markdown import table
from genkit.interfaces import FittedPrior
from genkit.model.building import build
from genkit.registry.registry import installed
from genkit.registry.selection import FIRST_PARTY
from genkit.runs.opening import as_config
from genkit.runs.running import resume, run
from genkit.sharing.export import export
from genkit_flows import FittedFlowPrior, FlowPrior, FlowSampler

WHOLE = os.environ.get("MATRIX")
"""The file for the table of all pairs; None: some pairs are tried, and there is no table."""
SHAPE = (1, 8, 8)
VARIANTS = {
    "point": [{"latent": 8}],
    "topk": [{"latent": 8, "k": 2}],
    "batch_topk": [{"latent": 8, "k": 2}],
    "jumprelu": [{"latent": 8}],
    "gated": [{"latent": 8}],
    "gaussian": [{}, {"covariance": "full"}],
    "flow": [{}, {"form": "planar"}],
}
"""Options of posteriors that are kinds of their own: a list for each name."""
NEED_ZUKO = {FlowSampler, FlowPrior, FittedFlowPrior} if find_spec("zuko") is None else set()
QUICK = {
    "autoregressive": {"epochs": 1},
    "fitted_flow": {"steps": 20, "hidden": [8]},
    "flow_matching": {"steps": 20, "hidden": [8], "solver_steps": 2},
}
"""Options of priors whose fit takes long."""


def _components(kind):
    return [
        component.Config.model_fields["name"].default
        for plugin in installed().plugins
        if plugin.distribution == FIRST_PARTY
        for component in plugin.components
        if component.kind == kind and component not in NEED_ZUKO
    ]


SAMPLERS = [(name, options) for name in _components("sampler") for options in VARIANTS.get(name, [{}])]
PRIORS = [None, *_components("prior")]
EPOCHS = 2


@functools.cache
def _terms(name):
    """The terms that train a sampler: the KL where it has one."""
    options, terms = VARIANTS.get(name, [{}])[0], ["reconstruction", "kl"]
    return terms if _refusal((name, options), None, terms) is None else terms[:1]


def _config(sampler, prior, terms=None, **training):
    name, options = sampler
    return {
        "name": "pair",
        "seed": 3,
        "data": {"name": "digits", "validation": 0.1},
        "encoder": {"name": "mlp", "hidden": [32]},
        "sampler": {"name": name, **options},
        "prior": None if prior is None else {"name": prior, **QUICK.get(prior, {})},
        "decoder": {"name": "mlp", "hidden": [32]},
        "likelihood": "bernoulli",
        "loss": terms or _terms(name),
        "training": {"epochs": EPOCHS, "batch_size": 512, "compile": False, **training},
    }


def _refusal(sampler, prior, terms=None):
    """The message by which a pair is refused; None: the pair fits."""
    with torch.random.fork_rng():
        try:
            build(as_config(_config(sampler, prior, terms)), SHAPE)
        except ComponentError as error:
            return str(error)
    return None


def _id(value):
    if value is None:
        return "own"
    return value if isinstance(value, str) else "-".join([value[0], *map(str, value[1].values())])


ALL = [(sampler, prior) for sampler in SAMPLERS for prior in PRIORS]


def _some():
    """Pairs that have each posterior with a prior of its own, and each prior with the first posterior that it fits."""
    pairs = [(sampler, None) for sampler in SAMPLERS]
    for prior in PRIORS[1:]:
        fits = (sampler for sampler in SAMPLERS if _refusal(sampler, prior) is None)
        pairs += [(sampler, prior) for sampler in fits][:1]
    return pairs


@pytest.fixture(scope="module")
def results():
    rows = {}
    yield rows
    if WHOLE and rows:
        names = sorted(map(_id, SAMPLERS))
        cells = [[name, *(rows.get((name, _id(prior)), "") for prior in PRIORS)] for name in names]
        head = (
            "`make matrix`: each posterior with each prior: trained on digits, resumed to the bit, compiled, exported"
        )
        lines = [f"{head}; test ELBO after {EPOCHS} epochs, nats per datum", "", ""]
        Path(WHOLE).write_text("\n".join(lines) + table(["posterior", *map(_id, PRIORS)], cells) + "\n")


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
@pytest.mark.filterwarnings("ignore::genkit.errors.GenkitWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, where steps are compiled and models exported
@pytest.mark.parametrize(("sampler", "prior"), ALL if WHOLE else _some(), ids=_id)
def test_a_posterior_and_a_prior_make_a_model(sampler, prior, tmp_path, results):
    refusal = _refusal(sampler, prior)
    if refusal is not None:
        assert sampler[0] in refusal
        results[_id(sampler), _id(prior)] = "refused"
        return
    trained = run(_config(sampler, prior), out=tmp_path / "whole")
    run(_config(sampler, prior, epochs=1), out=tmp_path / "begun")
    resume(tmp_path / "begun", epochs=EPOCHS)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "begun"))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    figures, model = trained.evaluation, trained.model
    assert (figures.elbo is None) == ("kl" not in _terms(sampler[0]))
    assert figures.elbo is None or math.isfinite(figures.elbo)
    if model.prior is not None or model.sampler.has_prior:
        assert model.sample(5).shape == (5, *SHAPE)
    if isinstance(model.prior, FittedPrior):
        assert model.prior.is_fitted
    if WHOLE:
        compiled = run(_config(sampler, prior, compile=True), out=tmp_path / "compiled")
        assert compiled.history[-1].train.loss == pytest.approx(trained.history[-1].train.loss, rel=1e-3)
        assert export(model, tmp_path / "model.onnx").difference < 1e-4
    results[_id(sampler), _id(prior)] = "no KL" if figures.elbo is None else f"{figures.elbo:.1f}"


@pytest.mark.parametrize("sampler", SAMPLERS, ids=_id)
def test_other_pairs_are_refused_by_their_names(sampler):
    for prior in PRIORS[1:]:
        refusal = _refusal(sampler, prior)
        assert refusal is None or (f"'{prior}'" in refusal and f"'{sampler[0]}'" in refusal), refusal
