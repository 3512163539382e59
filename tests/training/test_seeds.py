import random

import numpy as np
import pytest
import torch

from genkit.training.seeds import own_random_state, seed_everything, seed_torch


def drawn():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


@pytest.mark.parametrize("accelerator", [False, True])
def test_torch_is_seeded_as_by_its_own_function(accelerator, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    with own_random_state():
        torch.manual_seed(2**62 + 5)
        expected = torch.rand(3)
        seed_torch(2**62 + 5)
        assert torch.equal(torch.rand(3), expected)


def test_with_an_accelerator_its_generator_is_seeded_too(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    seed_torch(7)
    assert seeds == [7]


def test_an_epoch_has_random_numbers_of_its_own_and_the_state_before_comes_back():
    before = torch.get_rng_state()
    with own_random_state():
        values = []
        for epoch in (1, 2, 1):
            seed_everything(0, epoch)
            values.append(drawn())
    assert values[0] == values[2] != values[1]
    assert torch.equal(torch.get_rng_state(), before)
