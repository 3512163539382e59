"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, DataOverrides, Out, RunPath, SplitName, app, say


@app.command(rich_help_panel=USE)
def encode(run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test") -> None:
    """Write the latents of data, and their labels; each latent is the posterior mean, never a draw."""
    from genkit.cli import outputs
    from genkit.runs.opening import reopen

    outputs.check_suffix(out)
    model, dataset = reopen(run, data or ())
    chosen = dataset.split(split)
    arrays = {"z": model.encode(chosen.x).numpy()}
    if chosen.labels is not None:
        arrays["labels"] = chosen.labels.numpy()
    outputs.write(out, arrays)
    say(out)
