"""A look at each step for what is not finite."""

import math

import pytest
import torch

from genkit.runs.opening import as_config, prepare
from genkit.training.finite import Inspector, NotFiniteError, bad_parameters, not_finite
from genkit.training.optimization import fitted_parameters


@pytest.fixture
def model(digits):
    return prepare(as_config(digits, ["encoder.hidden=[8]", "decoder.hidden=[8]"]))[1]


def gradients_of(model):
    return {owner: [torch.ones_like(each) for each in own] for owner, own in fitted_parameters(model).items()}


def test_finite_steps_pass_and_their_norm_is_kept(model):
    inspector = Inspector(model, fitted_parameters(model))
    inspector(gradients_of(model), {"loss": torch.tensor(1.0)})
    numbers = sum(parameter.numel() for parameter in model.parameters())
    assert inspector.norm == pytest.approx(math.sqrt(numbers))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_gradient_is_named_with_its_parameter(model, value):
    inspector = Inspector(model, fitted_parameters(model))
    inspector(gradients_of(model), {})
    bad = gradients_of(model)
    name = list(dict(model.named_parameters()))[2]
    bad["model"][2].flatten()[0] = value
    with pytest.raises(NotFiniteError) as caught:
        inspector(bad, {"loss": torch.tensor(math.nan)})
    assert caught.value.figures.keys() == {"loss", f"the gradient of {name}"}
    assert caught.value.norm == inspector.norm
    Inspector(model, fitted_parameters(model), gradients=False)(bad, {})  # those of float16 may be so


def test_a_norm_beyond_float32_is_not_finite(model):
    large = {owner: [each * 3e38 for each in own] for owner, own in gradients_of(model).items()}
    with pytest.raises(NotFiniteError):
        Inspector(model, fitted_parameters(model))(large, {})


def test_bad_parameters_are_named(model):
    assert bad_parameters(model) == {}
    name, parameter = list(model.named_parameters())[3]
    with torch.no_grad():
        parameter.flatten()[0] = math.inf
    assert bad_parameters(model).keys() == {name}


def test_only_what_is_not_finite_is_kept():
    assert not_finite({"a": 1.0, "b": math.inf, "c": -math.inf}) == {"b": math.inf, "c": -math.inf}
