"""Commands about plugins."""

from __future__ import annotations

from genkit.cli.app import Json, app


@app.command()
def plugins(as_json: Json = False) -> None:
    """List the installed plugins: whose they are, what they bring, and what failed to load."""
    from genkit import tables
    from genkit.registry import name_of, registry

    left_out = registry().left_out()
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
        for plugin in registry().plugins
    ]
    if as_json:
        tables.print_json(rows)
    else:
        tables.print_plugins(rows)
