"""genkit encode."""

from __future__ import annotations

from genkit.cli.app import USE, DataOverrides, Out, RunPath, SplitName, app


@app.command(rich_help_panel=USE)
def encode(run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test") -> None:
    """Write the latents of data, and their labels; each latent is the posterior mean, so always the same."""
    from genkit.cli import outputs
    from genkit.runs.opening import reopen

    outputs.check_suffix(out)
    model, dataset = reopen(run, data or ())
    part = dataset.split(split)
    arrays = {"z": model.encode(part.x).numpy()}
    if part.labels is not None:
        arrays["labels"] = part.labels.numpy()
    outputs.write(out, arrays)
    print(out)
