"""genkit schema."""

from __future__ import annotations

from genkit.cli.app import PLUGINS, OutOrPrint, app


@app.command(rich_help_panel=PLUGINS)
def schema(out: OutOrPrint = None) -> None:
    """Print the JSON Schema of a config, for everything installed: editors complete and check configs by it."""
    import json

    from genkit.files import atomic
    from genkit.registry.schema import schema as made

    text = json.dumps(made(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
    else:
        atomic.write_text(out, text)
        print(out)
