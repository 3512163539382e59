"""genkit interpolate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion
from genkit.cli.app import USE, AcceptChanges, OutOrPicture, RunPath, SplitName, app, fail, lines_to_type, say
from genkit.cli.data import opened

if TYPE_CHECKING:
    from torch import Tensor

    from genkit.interfaces import Split
    from genkit.model.model import Model

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="A B|data.KEY=VALUE",
        help="The data at both ends, such as 0 7: by their classes, or by their numbers in the split where it has no "
        "such class; and options of the data that replace the run's.",
        autocompletion=completion.data_assignments,
    ),
]


@app.command(
    rich_help_panel=USE,
    epilog=lines_to_type("genkit interpolate last 0 7", "genkit interpolate last --from 3 --to 8 --out path.npy"),
)
def interpolate(
    run: RunPath,
    data: Words = None,
    out: OutOrPicture = None,
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
    from genkit.data.identity import places_of
    from genkit.pictures.saving import FORMATS

    if out is not None:
        outputs.check_out(out, FORMATS)
    ends = [word for word in data or () if "=" not in word]
    if len(ends) not in (0, 2):
        fail(f"{' '.join(ends)}: a path has two ends; name both, such as `genkit interpolate {run} 0 7`")
    model, dataset, split, _ = opened(run, [word for word in data or () if "=" in word], split, accept_changes)
    if ends:
        first, last = places_of(ends, dataset, split)
        say(f"from datum {first} to datum {last} of the {split} split, for {' and '.join(ends)}", error=True)
    path = _path(model, dataset.split(split), split, (first, last), steps)
    out = outputs.new_file("interpolation", model) if out is None else out
    if out.suffix in FORMATS:
        names = [_name(dataset.split(split), place, dataset.classes) for place in (first, last)]
        outputs.write_row(out, path, model.limits, f"from {names[0]} to {names[1]} of the {split} split", names)
    elif not outputs.write_table(out, model, path):
        outputs.write(out, {"x": path.numpy()})
    say(out)


def _path(model: Model, chosen: Split, split: str, ends: tuple[int, int], steps: int) -> Tensor:
    """The decoded path (steps, *shape) between two data of a split, by their numbers in it."""
    from genkit.data.dataset import as_float
    from genkit.interfaces.component import MASK
    from genkit.model.side import own_side

    x = chosen.x
    if max(ends) >= len(x):
        fail(f"--from and --to: the {split} split has the data 0 to {len(x) - 1}, not {max(ends)}")
    side = {name: values[ends[0]] for name, values in own_side(model.inputs, chosen.named()).items()}
    if model.schema.is_padded:
        side[MASK] = chosen.side[MASK][[*ends]]
    start, end = (as_float(x[place : place + 1])[0] for place in ends)
    return model.interpolate(start, end, steps, **side)


def _name(split: Split, place: int, classes: tuple[str, ...] | None) -> str:
    """A datum by its number and its class, where it has one."""
    if split.labels is None or split.labels.ndim > 1:
        return str(place)
    label = int(split.labels[place])
    return f"{place} ({classes[label] if classes else label})"
