"""genkit sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli.app import USE, OutOrPicture, RunPath, Seed, app, fail, lines_to_type, say

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from genkit.model.model import Model


@app.command(
    rich_help_panel=USE, epilog=lines_to_type("genkit sample last", "genkit sample last -n 1000 --out samples.npy")
)
def sample(
    run: RunPath,
    out: OutOrPicture = None,
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
    """Generate data from the prior: arrays (.npy, .npz, .safetensors, .csv, .parquet) or a picture (.png, .svg, .pdf).

    Rows of a table are written with its columns in .csv and .parquet.
    """
    import torch

    from genkit.cli import outputs
    from genkit.sharing import weights

    if out is not None:
        _check_out(out, grid)
    model = weights.load(run)
    out = outputs.new_file("samples", model) if out is None else out
    values = side_data(model, side or (), n)
    torch.manual_seed(seed)
    outputs.write_samples(out, model, n, noise, values)
    say(out)


def _check_out(out: Path, grid: bool) -> None:
    """Refuse a file that the command does not write."""
    from genkit.cli import outputs
    from genkit.pictures.saving import FORMATS

    outputs.check_out(out, FORMATS)
    if grid and out.suffix not in FORMATS:
        fail(f"--out {out}: --grid makes a picture; call it {out.with_suffix('.png').name}")


def side_data(model: Model, texts: Sequence[str], n: int) -> dict[str, Tensor]:
    """The side data of n data, by NAME=VALUE."""
    from genkit.errors import DataError
    from genkit.model.side import completed

    try:
        return completed(model, model.decoder_inputs, assignments(texts), n, turns=True)
    except DataError as error:
        fail(f"--given: {error}")


def assignments(texts: Sequence[str]) -> dict[str, str | list[str]]:
    """Several NAME=VALUE by their names, of which each may be there once."""
    pairs = [assignment(text) for text in texts]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            fail(f"--given {name}: is there twice; for a value per datum write {name}=7,3,...")
    return dict(pairs)


def assignment(text: str) -> tuple[str, str | list[str]]:
    """A NAME=VALUE as its name and its value, or values between commas."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        fail(f"--given {text}: must be NAME=VALUE, such as labels=7")
    return name, value.split(",") if "," in value else value
