"""genkit reconstruct."""

from __future__ import annotations

from typing import Annotated

import typer

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, say


@app.command(rich_help_panel=USE)
def reconstruct(
    run: RunPath,
    out: Out,
    data: DataOverrides = None,
    split: SplitName = "test",
    n: Annotated[
        int | None, typer.Option("-n", "--n", min=1, help="How many of the first data of the split; by default all.")
    ] = None,
    accept_changes: AcceptChanges = False,
) -> None:
    """Write data and their reconstructions: arrays x and reconstruction, or a picture (.png)."""
    from genkit.cli import outputs
    from genkit.data.dataset import as_float
    from genkit.pictures import plots
    from genkit.runs.opening import reopen

    outputs.check_out(out, [".png"])
    model, dataset = reopen(run, data or (), accept_changes)
    some = dataset.split(split).first(n)
    if out.suffix == ".png":
        outputs.write_picture(out, plots.reconstructions(model, some, count=n or 24))
    else:
        outputs.write(out, {"reconstruction": model.reconstruct(some).numpy(), "x": as_float(some.x).numpy()})
    say(out)
