"""The same models in other frameworks and in plain loops, each a short script at its best settings.

Every script runs in its own environment (`python -m benchmarks.peers` makes them) and speaks the protocol of
`protocol.py`, so that a benchmark can let them take turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ENVIRONMENTS = Path(__file__).parents[2] / ".peers"


class Peer(NamedTuple):
    """One way to train the same model."""

    title: str
    environment: str
    script: str
    variant: str

    def command(self, model: str, batch: int, data: Path) -> list[str]:
        """The command that starts it, for the model `dense` or `conv`."""
        python = ENVIRONMENTS / self.environment / "bin" / "python"
        script = Path(__file__).parent / f"{self.script}.py"
        options = ["--variant", self.variant, "--model", model, "--batch", str(batch), "--data", str(data)]
        return [str(python), str(script), *options]


PEERS = {
    "flax scan": Peer("flax + optax, `lax.scan` over 100 steps", "jax", "flax_train", "scan"),
    "flax step": Peer("flax + optax, one jitted call a step", "jax", "flax_train", "step"),
    "keras jax": Peer("Keras 3 on JAX, `fit`", "jax", "keras_model", "jax"),
    "keras tensorflow": Peer("Keras 3 on TensorFlow, `fit`, jit", "tensorflow", "keras_model", "tensorflow"),
    "keras torch": Peer("Keras 3 on PyTorch, `fit`", "torch", "keras_model", "torch"),
    "torch compiled": Peer("PyTorch loop, gradients in one compiled graph", "torch", "torch_loop", "compiled"),
    "torch eager": Peer("PyTorch loop, eager, data in memory", "torch", "torch_loop", "eager"),
    "torch loader": Peer("PyTorch loop, eager, DataLoader", "torch", "torch_loop", "loader"),
    "pythae": Peer("pythae 0.1.2, its trainer", "torch", "pythae_trainer", "default"),
}

HAND = {
    "hand compiled": Peer("the same by hand, gradients in one compiled graph", "torch", "torch_examples", "compiled"),
    "hand eager": Peer("the same by hand, eager", "torch", "torch_examples", "eager"),
}
"""Examples other than those of PEERS, under their own names."""
