"""genkit sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from genkit.cli.app import USE, Out, RunPath, Seed, app, fail, say


@app.command(rich_help_panel=USE)
def sample(
    run: RunPath,
    out: Out,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many data to generate.")] = 64,
    seed: Seed = 0,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from p(x|z) instead of taking its mean.")] = False,
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
    """Generate data from the prior: an array (.npy, .npz, .safetensors, .csv, .parquet) or a picture (.png)."""
    import torch

    from genkit.cli import outputs
    from genkit.errors import DataError
    from genkit.model.side import completed
    from genkit.sharing import weights

    outputs.check_out(out, [".png"])
    if grid and out.suffix != ".png":
        fail(f"--out {out}: --grid makes a picture; call it {out.with_suffix('.png').name}")
    model = weights.load(run)
    try:
        values = completed(model, assignments(side or ()), n, turns=True)
    except DataError as error:
        fail(f"--given: {error}")
    torch.manual_seed(seed)
    if out.suffix == ".npy":
        outputs.write_stream(out, (n, *model.shape), (part.numpy() for part in model.sampled(n, noise, **values)))
    else:
        outputs.write_data(out, model.sample(n, noise, **values).numpy(), model.limits, columns=max(1, round(n**0.5)))
    say(out)


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
