"""What a network loses where its activations are replaced by their reconstructions.

N sequences, B of them in a batch, T positions, d values of an activation, V classes that a network tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genkit import DataError, Description, Metric, MetricData, TrainedModel
from genkit.interfaces.data import FILE


class LossRecovered(Metric):
    """The share of a network's loss that is left where activations are replaced by their reconstructions.

    (L₀ − L_rebuilt) / (L₀ − L), with the cross-entropy L of the network's outputs for the activations as they are, and
    L₀ for activations of 0: 1 is a dictionary that loses nothing, 0 one that is no better than zeros (Bricken et al.
    2023, Towards Monosemanticity; Rajamanoharan et al. 2024, arXiv:2404.16014, section 4.1). The network is what comes
    after the activations, as an ONNX file from activations (B, T, d) to logits (B, T, V): it is data, and no code of it
    runs.

    Args:
        config: the files of the network, of activations and of the classes to predict.
    """

    figures: Mapping[str, Description] = {
        "recovered": Description(
            "loss recovered",
            "",
            "higher",
            "(L₀ − L_rebuilt) / (L₀ − L), with L₀ for activations of 0 (Bricken et al. 2023).",
            ".3f",
        ),
        "loss": Description(
            "the network's loss", "nats per position", None, "Cross-entropy L, activations as they are."
        ),
        "rebuilt": Description(
            "the loss with reconstructions", "nats per position", "lower", "L_rebuilt, with reconstructions in place."
        ),
        "ablated": Description("the loss with zeros", "nats per position", None, "L₀, with 0 in place of activations."),
    }

    class Config(Metric.Config):
        """Options of the loss recovered."""

        name: Literal["loss_recovered"] = "loss_recovered"
        network: Annotated[
            str,
            FILE,
            Field(description="the .onnx file of the network behind the activations: (B, T, d) -> logits (B, T, V)"),
        ]
        activations: Annotated[str, FILE, Field(description="the .npy file of held-out activations (N, T, d)")]
        targets: Annotated[
            str,
            FILE,
            Field(description="the .npy file of what the network is to predict, whole numbers (N, T) below V"),
        ]
        batch: Annotated[int, Field(ge=1, description="how many sequences the network reads at once")] = 64

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The losses; raises DataError where files are missing, or do not fit each other or the model."""
        x, targets = self._sequences(model)
        network = _network(self.config.network)
        losses = {"loss": 0.0, "rebuilt": 0.0, "ablated": 0.0}
        for start in range(0, len(x), self.config.batch):
            own = torch.from_numpy(np.array(x[start : start + self.config.batch], np.float32))
            rebuilt = model.reconstruct(own.view(-1, *model.shape)).view(own.shape).cpu()
            wanted = torch.from_numpy(targets[start : start + len(own)].astype(np.int64))
            for name, each in (("loss", own), ("rebuilt", rebuilt), ("ablated", torch.zeros_like(own))):
                losses[name] += _cross_entropy(network(each), wanted, self.config.network)
        losses = {name: value / targets.size for name, value in losses.items()}
        gain = losses["ablated"] - losses["loss"]
        if gain <= 0:
            raise DataError(
                f"{self.config.network}: its loss with activations, {losses['loss']:.3f}, is not below that with "
                f"zeros, {losses['ablated']:.3f}; check that network, activations and targets belong together"
            )
        return {"recovered": (losses["ablated"] - losses["rebuilt"]) / gain, **losses}

    def _sequences(self, model: TrainedModel) -> tuple[Any, Any]:
        """Activations (N, T, d) and targets (N, T)."""
        x, targets = (_array(path) for path in (self.config.activations, self.config.targets))
        size = int(np.prod(model.shape))
        if x.ndim != 3 or x.shape[2] != size or not len(x):
            raise DataError(
                f"{self.config.activations}: the model reads activations of {size} values, in sequences "
                f"(N, T, {size}); the file has {x.shape}"
            )
        if targets.shape != x.shape[:2] or targets.dtype.kind not in "iu":
            raise DataError(
                f"{self.config.targets}: there must be one whole number for each position, {x.shape[:2]}; the file has "
                f"{targets.shape} of {targets.dtype}"
            )
        return x, targets


def _array(path: str) -> Any:
    """An array in a .npy file, read where it is needed; raises DataError naming the file."""
    try:
        return np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a .npy file: {error}") from error


def _network(path: str) -> Any:
    """A function from activations (B, T, d) to the outputs of a network in an ONNX file; raises DataError."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise DataError("metric 'loss_recovered' needs onnxruntime; pip install 'genkit-torch[onnx]'") from None
    if not (file := Path(path).expanduser()).is_file():
        raise DataError(f"{path}: there is no such file; export the network behind the activations to ONNX")
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
    except Exception as error:
        raise DataError(f"{path}: is no ONNX network with one input: {error}") from error

    def outputs(x: Tensor) -> Tensor:
        try:
            return torch.from_numpy(session.run(None, {entry.name: x.numpy()})[0])
        except Exception as error:
            raise DataError(f"{path}: does not take activations {tuple(x.shape)}: {error}") from error

    return outputs


def _cross_entropy(logits: Tensor, targets: Tensor, path: str) -> float:
    """The sum over all positions, in nats: logits (B, T, V), targets (B, T); raises DataError where they do not fit."""
    if logits.shape[:-1] != targets.shape or not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[-1]:
        raise DataError(
            f"{path}: it gives {tuple(logits.shape)}, and must give logits {(*targets.shape, 'V')} with V above the "
            f"largest target, {int(targets.max())}"
        )
    return float(F.cross_entropy(logits.double().flatten(0, 1), targets.flatten(), reduction="sum"))
