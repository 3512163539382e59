"""The page of pictures of a comparison: one column per model, with samples, reconstructions and latents in rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.pictures.latent_space import NAME, draw_latents
from genkit.pictures.mosaic import Pixels
from genkit.pictures.plots import reconstructions, samples
from genkit.pictures.saving import save
from genkit.runs.comparison import Compared, Entry
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 4.2
"""The width of a column in inches."""
ROWS = "rows of a table, which are no images"
NO_WAY = "no way back from a transform"
NO_LATENTS = "no encoder: no latents of data"


def draw(compared: Compared, path: Path) -> Path:
    """Write the page as a .png, .svg or .pdf, whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    models, data = compared.models, compared.data
    held_out = data.split("test")
    rows = 3 if any(model.encoder is not None for model in models) else 1
    figure = Figure(figsize=(WIDTH * len(models), WIDTH * 1.12 * rows), dpi=120, layout="compressed")
    figure.get_layout_engine().set(w_pad=0.15)  # type: ignore[union-attr,call-arg]
    grid = figure.subplots(rows, len(models), squeeze=False)
    last = max((column for column, model in enumerate(models) if model.encoder is not None), default=0)
    for column, (entry, model) in enumerate(zip(compared.comparison.entries, models, strict=True)):
        _show(grid[0][column], sampled(model), _heading(entry))
        if rows == 1:
            continue
        pairs = rebuilt(model, held_out)
        _show(grid[1][column], pairs, "" if isinstance(pairs, str) else "originals and, below each, reconstructions")
        _latents(grid[2][column], model, compared, legend=column == last)
    return save(figure, path, cut=True)


def sampled(model: Model) -> Pixels | str:
    """The picture of a model's samples, or why there is none."""
    if model.schema.columns:
        return ROWS
    if not model.decodes:
        return NO_WAY
    return samples(model) if model.has_prior else "no prior: nothing to sample from"


def rebuilt(model: Model, held_out: Split) -> Pixels | str:
    """The picture of the first data of a split with their reconstructions below each, or why there is none."""
    if model.schema.columns:
        return ROWS
    if not model.decodes:
        return NO_WAY
    if model.encoder is None:
        return "no encoder: nothing to rebuild"
    return reconstructions(model, held_out, count=32, columns=8)


def _heading(entry: Entry) -> str:
    elbo = "" if entry.evaluation.elbo is None else f"ELBO {entry.evaluation.elbo:.1f}"
    quality = (
        "" if entry.samples is None else f"Fréchet {entry.samples.frechet:.1f}, coverage {entry.samples.coverage:.2f}"
    )
    below = "" if entry.samples is None else "samples"
    return "\n".join(filter(None, (printable(entry.name, NAME), ", ".join(filter(None, (elbo, quality))), below)))


def _show(axes: Axes, pixels: Pixels | str, title: str) -> None:
    """Show a picture, or a text in its place, under a title."""
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
    if isinstance(pixels, str):
        axes.set_box_aspect(1)
        axes.text(0.5, 0.5, pixels, ha="center", va="center", color="0.4")
    else:
        axes.imshow(pixels, interpolation="nearest" if pixels.shape[1] < 400 else "antialiased")


def _latents(axes: Axes, model: Model, compared: Compared, legend: bool) -> None:
    if model.encoder is None:
        _show(axes, NO_LATENTS, "")
        return
    suffix = draw_latents(axes, model, compared.data.split("test"), compared.data.classes, legend=legend)
    axes.set_title(f"posterior means{suffix}", fontsize=10)
