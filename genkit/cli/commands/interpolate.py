"""genkit interpolate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli.app import USE, AcceptChanges, DataOverrides, Out, RunPath, SplitName, app, fail, say
from genkit.cli.data import opened

if TYPE_CHECKING:
    from genkit.interfaces import Split


@app.command(rich_help_panel=USE)
def interpolate(
    run: RunPath,
    out: Out,
    data: DataOverrides = None,
    split: SplitName = None,
    first: Annotated[
        int, typer.Option("--from", min=0, help="The number of the datum in the split to start from.")
    ] = 0,
    last: Annotated[int, typer.Option("--to", min=0, help="The number of the datum to end at.")] = 1,
    steps: Annotated[int, typer.Option(min=2, help="How many points, both ends included.")] = 11,
    accept_changes: AcceptChanges = False,
) -> None:
    """Write a decoded path between two data in latent space: an array, or a picture (.png, .svg, .pdf)."""
    from genkit.cli import outputs
    from genkit.data.dataset import as_float
    from genkit.interfaces.component import MASK
    from genkit.model.side import own_side

    outputs.check_out(out, outputs.FORMATS)
    model, dataset, split, _ = opened(run, data, split, accept_changes)
    chosen = dataset.split(split)
    x = chosen.x
    if max(first, last) >= len(x):
        fail(f"--from and --to: the {split} split has the data 0 to {len(x) - 1}, not {max(first, last)}")
    side = {name: values[first] for name, values in own_side(model.inputs, chosen.named()).items()}
    if model.schema.is_padded:
        side[MASK] = chosen.side[MASK][[first, last]]
    start, end = (as_float(x[place : place + 1])[0] for place in (first, last))
    path = model.interpolate(start, end, steps, **side)
    if out.suffix in outputs.FORMATS:
        ends = [_name(chosen, place, dataset.classes) for place in (first, last)]
        outputs.write_row(out, path, model.limits, f"from {ends[0]} to {ends[1]} of the {split} split", ends)
    elif not outputs.write_table(out, model, path):
        outputs.write(out, {"x": path.numpy()})
    say(out)


def _name(split: Split, place: int, classes: tuple[str, ...] | None) -> str:
    """A datum by its number and its class, where it has one."""
    if split.labels is None or split.labels.ndim > 1:
        return str(place)
    label = int(split.labels[place])
    return f"{place} ({classes[label] if classes else label})"
