"""genkit sample."""

from __future__ import annotations

from typing import Annotated

import typer

from genkit.cli.app import USE, Out, RunPath, Seed, app, fail, say


@app.command(rich_help_panel=USE)
def sample(
    run: RunPath,
    out: Out,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many data to generate.")] = 64,
    seed: Seed = 0,
    noise: Annotated[
        bool | None,
        typer.Option(
            "--noise/--mean",
            help="Draw from p(x|z), or take its mean; by default rows of a table are drawn.",
            show_default=False,
        ),
    ] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            "--given", metavar="NAME=VALUE", help="What a conditional model reads beside the latents, such as labels=7."
        ),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Refuse any other output than a picture of the data side by side (.png).")
    ] = False,
) -> None:
    """Generate data from the prior: an array (.npy, .npz, .safetensors, .csv, .parquet) or a picture (.png).

    Rows of a table are written with its columns in .csv and .parquet.
    """
    import torch

    from genkit.cli import outputs
    from genkit.sharing import weights

    outputs.check_out(out, [".png"])
    if grid and out.suffix != ".png":
        fail(f"--out {out}: --grid makes a picture; call it {out.with_suffix('.png').name}")
    model = weights.load(run)
    torch.manual_seed(seed)
    drawn = bool(model.schema.columns) if noise is None else noise
    outputs.write_samples(out, model, n, drawn, dict(assignment(each) for each in side or ()))
    say(out)


def assignment(text: str) -> tuple[str, str | list[str]]:
    """A NAME=VALUE as its name and its value, or values between commas."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        fail(f"--given {text}: must be NAME=VALUE, such as labels=7")
    return name, value.split(",") if "," in value else value
