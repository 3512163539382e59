"""Train a two-layer transformer on the source code of Python's standard library, and write its activations to shards.

    python examples/transformer_activations.py FOLDER

The transformer reads characters and predicts the next one. FOLDER/part-*.npy are the outputs (N, 64) of its first layer
for text that it was not trained on, one for each character; these are in FOLDER/characters.txt, line ends as spaces.
The example sae-activations.yaml learns a dictionary of them. Two cores take about a minute.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODULES = ("argparse", "ast", "configparser", "dataclasses", "datetime", "difflib", "inspect", "pathlib", "tarfile")
WIDTH, HEADS, LENGTH, BATCH = 64, 4, 64, 32
SYMBOLS = 128
"""The characters of ASCII; others are left out."""


class Transformer(nn.Module):
    """Characters (B, T) -> logits of the next ones (B, T, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, SYMBOLS))

    def outputs(self, text: Tensor) -> list[Tensor]:
        """The outputs (B, T, 64) of each layer."""
        x = self.symbols(text) + self.places.weight[: text.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        outputs = []
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
            outputs.append(x)
        return outputs

    def forward(self, text: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.head(self.outputs(text)[-1])
        return logits


def text_of(modules: tuple[str, ...] = MODULES) -> Tensor:
    """The source of modules as codes (N,) of ASCII."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = "".join((library / f"{name}.py").read_text(encoding="utf-8") for name in modules)
    return torch.tensor(list(sources.encode("ascii", "ignore")))


def train(text: Tensor, steps: int) -> Transformer:
    """A transformer that has seen `steps` batches of random stretches of text."""
    torch.manual_seed(0)
    model = Transformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        starts = torch.randint(len(text) - LENGTH, (BATCH, 1))
        stretch = text[starts + torch.arange(LENGTH + 1)]
        loss = F.cross_entropy(model(stretch[:, :-1]).flatten(0, 1), stretch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0:
            print(f"step {step}: {float(loss.detach()):.2f} nats per character")
    return model.eval()


def write(folder: Path, steps: int = 1000, shards: int = 8, modules: tuple[str, ...] = MODULES) -> None:
    """Train on the first half of the text, and write the activations of the other half."""
    folder.mkdir(parents=True, exist_ok=True)
    text = text_of(modules)
    half = len(text) // 2
    model = train(text[:half], steps)
    stretches = text[half : len(text) - (len(text) - half) % LENGTH].view(-1, LENGTH)
    for number, part in enumerate(stretches.tensor_split(shards)):
        with torch.no_grad():
            activations = torch.cat([model.outputs(some)[0] for some in part.split(BATCH)])
        np.save(folder / f"part-{number}.npy", activations.flatten(0, 1).numpy())
    characters = "".join(map(chr, stretches.flatten().tolist()))
    (folder / "characters.txt").write_text(characters.replace("\n", " "), encoding="ascii")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "activations"))
