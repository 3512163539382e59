"""genkit schema."""

from __future__ import annotations

from genkit.cli.app import PLUGINS, OutOrPrint, app


@app.command(rich_help_panel=PLUGINS)
def schema(out: OutOrPrint = None) -> None:
    """Print the JSON Schema of configs, with all installed plugins; editors complete and check configs with it."""
    import json

    from genkit.cli.outputs import write_or_print
    from genkit.registry.schema import schema as config_schema

    write_or_print(json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n", out)
