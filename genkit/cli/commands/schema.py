"""genkit schema."""

from __future__ import annotations

import sys

from genkit.cli.app import PLUGINS, OutOrPrint, app, say


@app.command(rich_help_panel=PLUGINS)
def schema(out: OutOrPrint = None) -> None:
    """Print the JSON Schema of configs, with all installed plugins; editors complete and check configs with it."""
    import json

    from genkit.files import atomic
    from genkit.registry.schema import schema as config_schema

    text = json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        atomic.write_text(out, text)
        say(out)
