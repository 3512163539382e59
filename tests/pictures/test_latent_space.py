from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from genkit.interfaces import Split
from genkit.model.building import build
from genkit.model.model import Model
from genkit.pictures import latent_space, plots, walks
from genkit.runs.opening import as_config
from genkit.speed.footprint import watching


def model_of(latent: int, sampler: str = "gaussian") -> Model:
    config: dict[str, Any] = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": [4]},
        "sampler": {"name": sampler, "latent": latent},
        "decoder": {"name": "mlp", "hidden": [4]},
        "likelihood": "gaussian",
        "loss": ["reconstruction"],
    }
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build(as_config(config), (6,))


@pytest.mark.parametrize("latent", [3, 64])
def test_quantiles_of_few_dimensions_come_from_100_000_draws(latent: int) -> None:
    model, probabilities = model_of(latent), torch.tensor([0.01, 0.5])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        draws = model.sampler.prior(100_000)
    shown = latent_space.latent_quantiles(model, torch.zeros(1, 6), probabilities)
    assert torch.equal(shown, torch.quantile(draws, probabilities, dim=0))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["gaussian", "point"])
def test_pictures_of_many_dimensions_take_little_memory(sampler: str) -> None:
    model, x = model_of(4096, sampler), torch.rand(30_000, 6)
    assert latent_space.few(model) == 1562
    with watching("it is not measured") as footprint:
        walks.traversals(model, x)
        plots.latents(model, Split(x, None), None)
        plots.activations(model, x)
    assert footprint is not None
    assert footprint.peak < 2**28  # 30,000 latents alone take 492 MB, and 100,000 draws 1.6 GB


@pytest.mark.parametrize("shape", [(30, 80), (90, 80), (80, 80)])
def test_principal_components_of_many_dimensions_are_those_of_few(shape: tuple[int, int]) -> None:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.1, 3, shape[1])
    points, shares = latent_space._principal(z)
    pca = PCA(2, svd_solver="full")
    expected = pca.fit_transform(z.double().numpy())
    signs = np.sign((expected * points.numpy()).sum(0))
    np.testing.assert_allclose(points.numpy() * signs, expected, atol=1e-4)
    np.testing.assert_allclose(shares, pca.explained_variance_ratio_, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 2), (1, 80), (5, 80), (1, 1000)])
def test_a_single_datum_and_equal_codes_have_components_without_variance(shape: tuple[int, int]) -> None:
    points, shares = latent_space._principal(torch.full(shape, 0.5))
    assert points.shape == (shape[0], 2)
    assert points.abs().max() < 1e-6
    assert shares == pytest.approx([0.0, 0.0], abs=1e-6)
