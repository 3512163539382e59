"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, say


@app.command(rich_help_panel=USE)
def encode(
    run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test", accept_changes: AcceptChanges = False
) -> None:
    """Write the latents of data in the order of their source, with labels, classes, rows and ids.

    Each latent is the posterior mean.
    """
    from genkit.cli import outputs
    from genkit.data.identity import file_order, identity
    from genkit.runs.opening import reopen

    outputs.check_out(out)
    model, dataset = reopen(run, data or (), accept_changes)
    z = model.encode(dataset.split(split))[file_order(dataset, split)]
    outputs.write(out, {"z": z.numpy(), **identity(dataset, split)})
    say(out)
