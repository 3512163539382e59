"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, say


@app.command(rich_help_panel=USE)
def encode(
    run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test", accept_changes: AcceptChanges = False
) -> None:
    """Write the latents of data in the order of their source, with labels and rows; each is the posterior mean."""
    from genkit.cli import outputs
    from genkit.runs.opening import reopen

    outputs.check_out(out)
    model, dataset = reopen(run, data or (), accept_changes)
    chosen, rows = dataset.split(split), dataset.rows_of(split)
    arrays = {"z": model.encode(chosen).numpy()}
    if chosen.labels is not None:
        arrays["labels"] = chosen.labels.numpy()
    if rows is not None:
        order = rows.argsort().numpy()
        arrays = {name: array[order] for name, array in arrays.items()} | {"row": rows.numpy()[order]}
    outputs.write(out, arrays)
    say(out)
