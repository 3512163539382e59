"""genkit export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import USE, RunPath, app, lines_to_type, say


@app.command(
    rich_help_panel=USE,
    epilog=lines_to_type("genkit export last", "genkit export last --part decoder --format torch-export"),
)
def export(
    run: RunPath,
    part: Annotated[str, typer.Option(help="What to write: encoder, decoder or all.")] = "all",
    format: Annotated[str, typer.Option(help="The format: onnx or torch-export.")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default PART.onnx or PART.pt2 beside the weights, or here for hf://USER/REPO."
        ),
    ] = None,
) -> None:
    """Export a model for other programs, with any batch size, and compare the file with the model."""
    from genkit.sharing import hub, weights
    from genkit.sharing.export import SUFFIXES
    from genkit.sharing.export import export as write

    model = weights.load(run)
    folder = Path() if hub.is_address(run) else run if run.is_dir() else run.parent
    exported = write(model, out or folder / f"{part}{SUFFIXES.get(format, '')}", part, format)  # type: ignore[arg-type]
    names = f"{', '.join(exported.inputs)} -> {', '.join(exported.outputs)}"
    say(f"{names}: differs from the model by at most {exported.difference:.1e}", error=True)
    say(exported.path)
