"""The embedding projector's files: the latents of some data, with their labels and thumbnails.

N data, D latent dimensions, S pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from genkit.data.dataset import as_float
from genkit.files import atomic
from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.pictures.mosaic import is_image, mosaic
from genkit.pictures.series import is_series, shown
from genkit.record.run import Run
from genkit.text import printable

FOLDER = "projector"
THUMBNAILS = 1000
"""The largest number of data in the projector, each with a thumbnail."""
THUMBNAIL = 64
"""The largest height and width of a thumbnail in pixels: TensorBoard shows no sprite of more than 8,192 by 8,192."""
BATCH = 50
"""The number of images that are made small at once."""
NUMBERS = 1_000_000
"""The most numbers in the projector's text file."""
DIMENSIONS = 3
"""The fewest dimensions that the projector shows: of fewer it draws nothing."""


def write_projector(run: Run, logs: Path) -> None:
    """Write the latents of the first data of a run; of fewer data where the latents have many dimensions.

    Args:
        run: the run, after its training.
        logs: the folder of its event file, where the projector looks for its own.
    """
    held_out = run.data.test or run.data.validation or run.data.train
    count = max(1, min(THUMBNAILS, NUMBERS // math.prod(run.model.sampler.latent_shape)))
    some = held_out.first(count)
    z = run.model.encode(some).flatten(1).cpu()
    z = nn.functional.pad(z, (0, max(0, DIMENSIONS - z.shape[1])))
    folder = logs / FOLDER
    lines = ["\t".join(map(str, row)) for row in z.tolist()]
    atomic.write_text(folder / "tensors.tsv", "\n".join(lines) + "\n")
    settings = {"tensor_name": "latents", "tensor_path": f"{FOLDER}/tensors.tsv"}
    if held_out.labels is not None:
        names = _names(held_out.labels[:count].tolist(), run.data.classes)
        atomic.write_text(folder / "metadata.tsv", "\n".join(names) + "\n")
        settings["metadata_path"] = f"{FOLDER}/metadata.tsv"
    images = thumbnails(_pictured(run.model, some))
    if images is not None:
        write_sprite(images, folder / "sprite.png")
    atomic.write_text(logs / "projector_config.pbtxt", _config(settings, images))


def _names(labels: Sequence[int], classes: Sequence[str] | None) -> list[str]:
    """The names of labels, a line each: an empty line would be no row of the projector's."""
    return [printable(classes[label] if classes else label) or "(no name)" for label in labels]


def _config(settings: dict[str, str], images: Tensor | None) -> str:
    """The projector's settings as a protocol buffer in text form."""
    lines = [f"  {key}: {json.dumps(value)}" for key, value in settings.items()]
    if images is not None:
        size = images.shape[-1]
        lines += ["  sprite {", f'    image_path: "{FOLDER}/sprite.png"', *[f"    single_image_dim: {size}"] * 2, "  }"]
    return "\n".join(["embeddings {", *lines, "}", ""])


def write_sprite(images: Tensor, path: Path) -> None:
    """Write images (N, 3, S, S) with values from 0 to 1 as one picture, in the least square of rows of images."""
    count, size = len(images), images.shape[-1]
    side = math.ceil(count**0.5)
    cells = torch.zeros(side * side, 3, size, size)
    cells[:count] = images
    picture = cells.view(side, side, 3, size, size).permute(0, 3, 1, 4, 2).reshape(side * size, side * size, 3)
    with atomic.replacing(path) as temporary:
        Image.fromarray(picture.mul(255).round().to(torch.uint8).numpy()).save(temporary, format="PNG")


def thumbnails(x: Tensor) -> Tensor | None:
    """Square images (N, 3, S, S) with values from 0 to 1; None for data (N, *shape) that are neither images nor series.

    Series are drawn as curves. Larger images are made smaller, as one picture holds all of them; a grey margin makes
    them square.
    """
    x = _curves(x) if is_series(tuple(x.shape[1:])) else x
    if not is_image(tuple(x.shape[1:])):
        return None
    height, width = x.shape[-2:]
    longer = max(height, width)
    size = min(longer, THUMBNAIL)
    small = []
    for batch in x.split(BATCH):
        images = as_float(batch).nan_to_num()
        if size < longer:
            form = [max(1, round(side * size / longer)) for side in (height, width)]
            images = nn.functional.interpolate(images, form, mode="area")
        small.append(images)
    images = torch.cat(small)
    low, high = images.min(), images.max()
    images = (images - low) / (high - low).clamp_min(1e-12)
    across, down = size - images.shape[3], size - images.shape[2]
    edges = (across // 2, across - across // 2, down // 2, down - down // 2)
    return nn.functional.pad(images, edges, value=0.5).expand(-1, 3, -1, -1)


def _pictured(model: Model, split: Split) -> Tensor:
    """The data of a split; of series with NaN at the steps that are not there."""
    return shown(model, split) if is_series(model.shape) else split.x[:].cpu()


def _curves(x: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) of series x (N, T, F), with a line per channel."""
    columns = math.ceil(len(x) ** 0.5)
    rows = math.ceil(len(x) / columns)
    picture = torch.from_numpy(mosaic(x, columns, (0.0, 1.0)))
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    cells = picture.view(rows, height, columns, width, 3).permute(0, 2, 4, 1, 3)
    return cells.reshape(rows * columns, 3, height, width)[: len(x)]
