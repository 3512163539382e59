"""The command `genkit sketch RUN --out FILE`: the distance of each test datum's code from 0."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import genkit
import typer


def sketch_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory, or a model.safetensors.")],
    out: Annotated[Path, typer.Option("--out", help="The .csv file to write.")] = Path("sketch.csv"),
) -> None:
    """Write the Euclidean distance of each test datum's code from 0."""
    with genkit.output_file(out) as temporary:
        model, data = genkit.reopen(run)
        distances = model.encode(data.test or data.train).flatten(1).norm(dim=1)
        rows = [f"{row},{distance:.6g}" for row, distance in enumerate(distances.tolist())]
        temporary.write_text("\n".join(["row,distance", *rows, ""]), encoding="utf-8")
    typer.echo(out)
