import pytest
import torch

from genkit.testing.estimates import DRAWS, fitted, is_gaussian, off, tail


def test_a_mean_is_off_where_chance_does_not_explain_it():
    draws = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(0))
    assert not off(draws, torch.zeros(3))
    assert off(draws, torch.tensor([0.0, 0.0, 0.1]))
    assert not off(draws, torch.tensor([0.0, 0.0, 0.1]), error=0.05)


def test_gaussians_are_told_from_others():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(DRAWS, 2, generator=generator) * 3 + 1
    assert is_gaussian(normal)
    assert not is_gaussian(torch.rand(DRAWS, 2, generator=generator))
    assert not is_gaussian(normal.pow(3))
    assert not is_gaussian(torch.ones(DRAWS, 2))
    assert torch.allclose(fitted(normal).mean, torch.ones(2), atol=0.1)
    assert torch.allclose(fitted(normal[:, :1]).variance, torch.tensor([9.0]), rtol=0.05)


@pytest.mark.parametrize("shape", [0.1, 0.5, 0.9])
def test_the_tail_of_weights_is_that_of_a_pareto_distribution(shape):
    uniform = torch.rand(DRAWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert tail(-shape * uniform.log()) == pytest.approx(shape, rel=0.15)


def test_even_weights_have_no_tail():
    assert tail(torch.zeros(DRAWS)) == 0
