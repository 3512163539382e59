"""The wheel has the examples in the package that finds them; an editable installation reads them where they are."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Examples(BuildHookInterface[Any]):
    """Adds the folder of the examples to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose the files of a build, whose version is `standard` or `editable`."""
        if version == "standard":
            build_data["force_include"]["examples"] = "genkit/examples"
