"""genkit reconstruct."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli.app import (
    USE,
    AcceptChanges,
    DataOverrides,
    OutOrPicture,
    RunPath,
    Seed,
    SplitName,
    app,
    lines_to_type,
    say,
)
from genkit.cli.data import opened

if TYPE_CHECKING:
    from genkit.data.dataset import Dataset
    from genkit.model.model import Model


@app.command(
    rich_help_panel=USE,
    epilog=lines_to_type("genkit reconstruct last", "genkit reconstruct last -n 10 --out rebuilt.npz"),
)
def reconstruct(
    run: RunPath,
    data: DataOverrides = None,
    out: OutOrPicture = None,
    split: SplitName = None,
    n: Annotated[
        int | None, typer.Option("-n", "--n", min=1, help="How many of the first data of the split; by default all.")
    ] = None,
    noise: Annotated[
        bool, typer.Option("--noise/--mean", help="Draw from p(x|z), or take its mean.", show_default="mean")
    ] = False,
    seed: Seed = 0,
    accept_changes: AcceptChanges = False,
) -> None:
    """Write data and their reconstructions: arrays x and reconstruction, or a picture (.png, .svg, .pdf).

    They are in the order of their source, with rows, ids, labels and classes. Of a table, .csv and .parquet hold its
    columns, reconstructed.
    """
    import torch

    from genkit.cli import outputs
    from genkit.pictures import plots
    from genkit.pictures.saving import FORMATS

    if out is not None:
        outputs.check_out(out, FORMATS)
    model, dataset, split, _ = opened(run, data, split, accept_changes)
    out = outputs.new_file("reconstructions", model) if out is None else out
    torch.manual_seed(seed)
    if out.suffix in FORMATS:
        some = dataset.split(split).first(n)
        if model.schema.columns:
            outputs.write_marginals(out, model, {"data": some.x[:], "reconstructions": model.reconstruct(some, noise)})
        else:
            outputs.write_picture(out, plots.reconstructions(model, some, count=n or 24, noise=noise))
        say(out)
        return
    _write_arrays(out, model, dataset, split, n, noise)
    say(out)


def _write_arrays(out: Path, model: Model, dataset: Dataset, split: str, n: int | None, noise: bool) -> None:
    """Write the reconstructions of a split beside the data and what is known of each, or as rows of a table."""
    from genkit.cli import outputs
    from genkit.data.dataset import as_float
    from genkit.data.identity import file_order, identity
    from genkit.data.steps import blank
    from genkit.interfaces.component import MASK

    some = dataset.split(split).rows(file_order(dataset, split)[:n])
    names = {name: values[:n] for name, values in identity(dataset, split).items()}
    reconstruction = model.reconstruct(some, noise)
    if not outputs.write_table(out, model, reconstruction, names):
        x = as_float(some.x[:])
        x = blank(x, some.side[MASK]) if model.schema.is_padded else x
        arrays = {"reconstruction": reconstruction.numpy(), "x": x.numpy()}
        outputs.write(out, arrays | names)
