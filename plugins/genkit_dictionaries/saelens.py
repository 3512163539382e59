"""The command `genkit saelens RUN --out FOLDER`: a dictionary in the layout that SAELens reads.

D units, d values of a datum.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor

import genkit
from genkit import ComponentError, Model
from genkit_dictionaries.decoder import DictionaryDecoder
from genkit_dictionaries.encoder import CentredEncoder
from genkit_dictionaries.samplers import BatchTopKSampler, SparseSampler, TopKSampler
from genkit_dictionaries.thresholds import GatedSampler, JumpReLUSampler

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
TOLERANCE = 1e-4


def saelens_command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run by its directory, its name in runs/, or `last`; or a model.safetensors.",
            callback=genkit.run_path,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
) -> None:
    """Write a dictionary as cfg.json and sae_weights.safetensors, which SAELens reads (SAE.load_from_disk)."""
    model = genkit.load(run)
    config, weights = layout(model)
    out.mkdir(parents=True, exist_ok=True)
    with genkit.output_file(out / WEIGHTS_FILE) as temporary:
        save_file(weights, temporary)
    with genkit.output_file(out / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    typer.echo(out)


@torch.no_grad()
def layout(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors of a dictionary as SAELens has them, for data in their own units.

    Transforms that scale and shift each value are part of the weights: W_enc (d, D), W_dec (D, d), b_enc (D,) and
    b_dec (d,), `threshold` (D,) for JumpReLU. A code of `batch_topk` is one with the same threshold for each unit. A
    gated one has `b_gate`, `r_mag` and `b_mag` in place of `b_enc`.

    Raises:
        ComponentError: the model is no dictionary, or its data are transformed in another way.
    """
    sampler, decoder = model.sampler, model.decoder
    if not isinstance(sampler, SparseSampler) or not isinstance(decoder, DictionaryDecoder):
        raise ComponentError(
            "SAELens reads dictionaries: the decoder is 'dictionary', and the sampler topk, batch_topk, jumprelu or "
            "gated"
        )
    centred = isinstance(model.encoder, CentredEncoder)
    layers = model.encoder is not None and any(True for _ in model.encoder.parameters())
    if not centred and (layers or sampler.code.in_features != len(decoder.bias)):
        raise ComponentError("SAELens reads dictionaries without further layers: choose encoder: centred")
    scale, shift = _affine(model)
    bias = (decoder.bias - shift) / scale
    weights = {"W_enc": (sampler.code.weight * scale).T, "W_dec": decoder.directions() / scale, "b_dec": bias}
    offset = sampler.code.bias if centred else sampler.code.bias + sampler.code.weight @ shift
    config, own = _of_kind(sampler, offset)
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in {**weights, **own}.items()}
    whole = {"d_in": len(bias), "d_sae": len(offset), "dtype": "float32", "device": "cpu"}
    whole |= {"apply_b_dec_to_input": centred, "normalize_activations": "none", "reshape_activations": "none"}
    return {**config, **whole, "metadata": {}}, weights


def _of_kind(sampler: SparseSampler, offset: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What SAELens has for a kind of code: options, and tensors beside the weights."""
    if isinstance(sampler, TopKSampler):
        return {"architecture": "topk", "k": sampler.k}, {"b_enc": offset}
    if isinstance(sampler, JumpReLUSampler):
        return {"architecture": "jumprelu"}, {"b_enc": offset, "threshold": sampler.log_threshold.exp()}
    if isinstance(sampler, BatchTopKSampler):
        return {"architecture": "jumprelu"}, {"b_enc": offset, "threshold": sampler.threshold.expand(len(offset))}
    if isinstance(sampler, GatedSampler):
        magnitude = sampler.magnitude_bias + sampler.log_scale.exp() * (offset - sampler.code.bias)
        return {"architecture": "gated"}, {"b_gate": offset, "r_mag": sampler.log_scale, "b_mag": magnitude}
    raise ComponentError(f"SAELens has no kind of code for sampler '{sampler.title}'")


def _affine(model: Model) -> tuple[Tensor, Tensor]:
    """Scale and shift (d,) of the data's transforms, a value by itself; raises ComponentError where they do others."""
    if len(model.encoder_transforms):
        raise ComponentError("SAELens has no transforms of the encoder's data: leave encoder_transform out")
    zeros = torch.zeros(1, *model.shape, device=model.device)
    shift = model.transforms(zeros)
    scale = model.transforms(zeros + 1) - shift
    probe = torch.linspace(-2, 3, zeros.numel(), device=model.device).view_as(zeros)
    if not torch.allclose(model.transforms(probe), scale * probe + shift, rtol=TOLERANCE, atol=TOLERANCE):
        raise ComponentError(
            "SAELens reads weights alone, and the data's transforms do more than scale and shift each value; train on "
            "data.transform: rms, standardize, range or none"
        )
    return scale.flatten(), shift.flatten()
