"""The wheel has the examples in the package that finds them; an editable installation reads them where they are."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Examples(BuildHookInterface[Any]):
    """Adds the files of the folder of the examples to a wheel, without those of folders in it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose the files of a build, whose version is `standard` or `editable`."""
        if version == "standard":
            files = (path for path in Path(self.root, "examples").iterdir() if path.is_file())
            build_data["force_include"] |= {str(path): f"genkit/examples/{path.name}" for path in files}
