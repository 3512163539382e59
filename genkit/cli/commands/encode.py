"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, say


@app.command(rich_help_panel=USE)
def encode(
    run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test", accept_changes: AcceptChanges = False
) -> None:
    """Write the latents of data, and their labels; each latent is the posterior mean, never a draw."""
    from genkit.cli import outputs
    from genkit.runs.opening import reopen

    outputs.check_suffix(out)
    model, dataset = reopen(run, data or (), accept_changes)
    chosen = dataset.split(split)
    arrays = {"z": model.encode(chosen.x).numpy()}
    if chosen.labels is not None:
        arrays["labels"] = chosen.labels.numpy()
    outputs.write(out, arrays)
    say(out)
