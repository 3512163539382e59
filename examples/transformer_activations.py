"""Train a two-layer transformer on the source code of Python's standard library, and write its activations to shards.

    python examples/transformer_activations.py FOLDER [--network]

The transformer reads characters and predicts the next one. FOLDER/part-*.npy are the outputs (N, 64) of its first layer
for text that it was not trained on, one for each character; these are in FOLDER/characters.txt, line ends as spaces.
The examples sae-activations.yaml, sae-topk.yaml and others learn dictionaries of them. Two cores take about a minute.
With --network (it needs the extra `onnx`) FOLDER/rest.onnx is what comes after the first layer, FOLDER/sequences.npy
(N, 64, 64) are the activations of the last shard, and FOLDER/targets.npy (N, 64) the characters to predict: the metric
`loss_recovered` reads them.
"""

from __future__ import annotations

import argparse
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

    def first(self, text: Tensor) -> Tensor:
        """The outputs (B, T, 64) of the first layer."""
        return _through(self.layers[0], self.symbols(text) + self.places.weight[: text.shape[1]])

    def rest(self, x: Tensor) -> Tensor:
        """The logits, from outputs (B, T, 64) of the first layer."""
        logits: Tensor = self.head(_through(self.layers[1], x))
        return logits

    def forward(self, text: Tensor) -> Tensor:
        """The logits."""
        return self.rest(self.first(text))


def _through(layer: nn.Module, x: Tensor) -> Tensor:
    """The outputs (B, T, 64) of a layer, in which a place sees those before it."""
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    outputs: Tensor = layer(x, src_mask=mask, is_causal=True)
    return outputs


class Rest(nn.Module):
    """What comes after the first layer: its outputs (B, T, 64) -> logits (B, T, 128)."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.model.rest(x)


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


def write(
    folder: Path, steps: int = 1000, shards: int = 8, modules: tuple[str, ...] = MODULES, network: bool = False
) -> None:
    """Train on the first half of the text, and write the activations of the other half."""
    folder.mkdir(parents=True, exist_ok=True)
    text = text_of(modules)
    half = len(text) // 2
    model = train(text[:half], steps)
    stretches = text[half : len(text) - (len(text) - half) % LENGTH].view(-1, LENGTH)
    for number, part in enumerate(stretches.tensor_split(shards)):
        with torch.no_grad():
            activations = torch.cat([model.first(some) for some in part.split(BATCH)])
        np.save(folder / f"part-{number}.npy", activations.flatten(0, 1).numpy())
    if network:
        np.save(folder / "sequences.npy", activations[:-1].numpy())  # the last one has nothing after it
        np.save(folder / "targets.npy", torch.cat([part[:-1, 1:], part[1:, :1]], 1).numpy())
        export(model, folder / "rest.onnx")
    characters = "".join(map(chr, stretches.flatten().tolist()))
    (folder / "characters.txt").write_text(characters.replace("\n", " "), encoding="ascii")


def export(model: Transformer, file: Path) -> None:
    """Write what comes after the first layer as an ONNX file, for any number of sequences."""
    example, batch = torch.zeros(3, LENGTH, WIDTH), {0: torch.export.Dim("B")}
    torch.onnx.export(
        Rest(model), (example,), file, dynamo=True, dynamic_shapes=(batch,), external_data=False, verbose=False
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", nargs="?", default="activations", type=Path)
    arguments.add_argument("--network", action="store_true")
    options = arguments.parse_args()
    write(options.folder, network=options.network)
