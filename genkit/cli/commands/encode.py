"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, lines_to_type, say
from genkit.cli.data import opened


@app.command(
    rich_help_panel=USE,
    epilog=lines_to_type("genkit encode last --out codes.csv", "genkit encode last data.path=new.csv --out codes.npz"),
)
def encode(
    run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = None, accept_changes: AcceptChanges = False
) -> None:
    """Write the latents of data in the order of their source, with labels, classes, rows and ids.

    Each latent is the posterior mean.
    """
    from genkit.cli import outputs
    from genkit.data.identity import file_order, identity

    outputs.check_out(out)
    model, dataset, split, _ = opened(run, data, split, accept_changes)
    z = model.encode(dataset.split(split))[file_order(dataset, split)]
    outputs.write(out, {"z": z.numpy(), **identity(dataset, split)})
    say(out)
