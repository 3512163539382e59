"""Commands about plugins and what they bring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import BROKEN, Json, app, fail

plugins = typer.Typer(invoke_without_command=True, help="List the installed plugins, or show one of their parts.")
app.add_typer(plugins, name="plugins")


@plugins.callback()
def _list(context: typer.Context, as_json: Json = False) -> None:
    """List the installed plugins: whose they are, what they bring, what failed to load and what is left out."""
    if context.invoked_subcommand is not None:
        return
    from genkit.cli import tables
    from genkit.registry.kinds import name_of
    from genkit.registry.registry import installed

    left_out = installed().left_out()
    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "components": [f"{component.kind}/{name_of(component)}" for component in plugin.components],
            "events": plugin.events,
            "problems": plugin.problems,
            "notes": [*plugin.notes, *(f"left out by {source}" for left, source in left_out if left is plugin)],
        }
        for plugin in installed().plugins
    ]
    if as_json:
        tables.print_json(rows)
    else:
        tables.print_plugins(rows)


@plugins.command()
def show(
    part: Annotated[str, typer.Argument(metavar="KIND/NAME", help="Such as encoder/mlp.")], as_json: Json = False
) -> None:
    """Show what a part is, whose it is, and its options with their defaults."""
    import inspect

    from genkit.cli import tables
    from genkit.registry import schema
    from genkit.registry.registry import installed

    kind, name = schema.parts(part)
    component = installed().find(kind, name)
    options = schema.options(kind, name)
    if as_json:
        tables.print_json(options)
    else:
        tables.print_part(
            f"{kind}/{name}", installed().owner(component).owner, inspect.getdoc(component) or "", options
        )


@plugins.command()
def reference(
    out: Annotated[Path | None, typer.Option("--out", help="The file; by default it is printed.")] = None,
) -> None:
    """Print the reference of hooks, kinds and options, with everything installed, as Markdown."""
    from genkit.files import atomic
    from genkit.registry.reference import reference as made

    if out is None:
        print(made(), end="")
    else:
        atomic.write_text(out, made())
        print(out)


@app.command()
def check_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A distribution, a plugin, or one part, such as encoder/mlp.")
    ],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Options of the part; of one of several: KIND/NAME.KEY=VALUE"),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            help="Of one datum, such as 3,32,32, in place of those that are tried; several, one after another."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a plugin's parts keep what their interfaces promise; exit code 1 if one does not."""
    from genkit.cli import tables
    from genkit.testing.targets import examine, shape_of

    reports = examine(name, options or (), [shape_of(text) for text in shape] if shape else None)
    if as_json:
        tables.print_json([report.to_json() for report in reports])
    else:
        tables.print_contract(reports)
    if any(report.broken for report in reports):
        raise SystemExit(BROKEN)
    if problems := [report.problem for report in reports if report.problem]:
        fail("\n".join(problems))


@app.command()
def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the distribution: genkit-wavelet.")],
    kind: Annotated[str, typer.Option(help="encoder, decoder, sampler, likelihood, loss, data or logger.")] = "encoder",
    out: Annotated[Path | None, typer.Option("--out", help="The folder; by default NAME.")] = None,
    license: Annotated[str, typer.Option(help="MIT, BSD-3-Clause or Apache-2.0.")] = "MIT",
    author: Annotated[str | None, typer.Option(help="You: 'Name' or 'Name <address>'.")] = None,
) -> None:
    """Write a plugin of your own: a distribution with a part that works, its tests, and what it takes to publish it."""
    import shlex

    from genkit.scaffold import new_plugin as write

    folder = write(name, kind, out, license, author)
    print(folder)
    print("next:")
    for command in (
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[dev]'",
        "pytest",
        f"genkit check-plugin {name}",
        "genkit run example.yaml",
    ):
        print(f"  {command}")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="The file; by default it is printed.")] = None,
) -> None:
    """Print the JSON Schema of a config with everything installed, for editors."""
    import json

    from genkit.files import atomic
    from genkit.registry.schema import schema as made

    text = json.dumps(made(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
    else:
        atomic.write_text(out, text)
        print(out)
