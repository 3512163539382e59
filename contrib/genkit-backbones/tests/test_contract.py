"""The contract of every encoder."""

from __future__ import annotations

from typing import Any

import pytest
from genkit.testing import contract

from genkit_backbones import BackboneEncoder

RESNET = {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1], "layer_type": "basic"}
VIT = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "patch_size": 4}
CONTRACTS = [
    *contract(BackboneEncoder, BackboneEncoder.Config(model="resnet", options=RESNET), [(1, 8, 8), (3, 9, 7)]),
    *contract(BackboneEncoder, BackboneEncoder.Config(model="vit", options=VIT), [(1, 8, 8), (3, 8, 12)]),
]


@pytest.mark.parametrize("check", CONTRACTS)
def test_contract(check: Any) -> None:
    check()
