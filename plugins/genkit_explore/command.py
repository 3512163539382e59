"""The command `genkit explore RUN`: a latent space in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli.app import AcceptChanges, DataOverrides, RunPath, SplitName
from genkit.errors import RunError

if TYPE_CHECKING:
    from genkit_explore.explorer import Explorer

POINTS = 2000
"""The usual number of data in the picture."""


def explore_command(
    run: RunPath,
    data: DataOverrides = None,
    split: SplitName = None,
    points: Annotated[int, typer.Option(min=1, max=20_000, help="The largest number of data in the picture.")] = POINTS,
    static: Annotated[
        Path | None,
        typer.Option("--static", help="Write one .html file that works offline, in place of a server.", metavar="FILE"),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; by default nothing but this machine can open the page.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port to listen on; by default one that is free.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    accept_changes: AcceptChanges = False,
) -> None:
    """Show a model's latent space in the browser: drag a point, and the decoded datum follows."""
    if static is not None:
        from genkit import output_file
        from genkit_explore.static import POINTS as MOST
        from genkit_explore.static import static_page

        if static.suffix != ".html":
            raise RunError(f"--static {static}: the file is a page; call it {static.with_suffix('.html').name}")
        with output_file(static) as temporary:
            explorer = opened(run, data, split, min(points, MOST), accept_changes)
            temporary.write_text(static_page(explorer), encoding="utf-8")
        typer.echo(static)
        return
    try:
        from genkit_explore.server import address, listening, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise RunError(f"genkit explore needs {error.name}; pip install 'genkit-torch[explore]'") from None
    with listening(host, port) as listener:
        explorer = opened(run, data, split, points, accept_changes)
        typer.echo(f"{address(listener)}  (Ctrl-C ends it)")
        serve(explorer, listener, host, browser)


def opened(run: Path, data: list[str] | None, split: str | None, points: int, accept_changes: bool) -> Explorer:
    """The explorer of a run with the data of a split."""
    import torch

    from genkit.cli.data import opened as reopened
    from genkit_explore.explorer import Explorer

    torch.set_num_threads(1)  # one point at a time gains nothing from more
    model, dataset, name, _ = reopened(run, data, split, accept_changes)
    assert model.config is not None
    what = "all splits" if name == "all" else f"the {name} split"
    return Explorer(model, dataset.split(name), points, model.config.name, what, str(run))
