"""Activations of a network in files: what dictionaries are learned from.

N data, d dimensions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, NAMES, RELATIVE, Files, Step
from genkit.settings.base import several
from genkit_data import filed
from genkit_data.mapped import StaysInFiles
from genkit_data.opened import Opened
from genkit_data.shards import matching
from genkit_transforms.norms import RMSTransform


class Activations(DataSource):
    """Activations (N, d) in one or several files, one after the other; of (sequences, positions, d), each position.

    The model sees them scaled by one number, so that their mean squared norm over the training data is d (the transform
    `rms`), and gives them back in their own units. They may be larger than memory.

    Args:
        config: the files, and the splits.
    """

    class Config(DataSource.Config):
        """Options of activations."""

        name: Literal["activations"] = "activations"
        path: Annotated[
            Files,
            Field(
                description="the files (.npy, .safetensors, .npz, .h5): one, a list, or a pattern such as part-*.npy; "
                f"{RELATIVE}"
            ),
        ]
        test_path: Annotated[
            Files | None,
            FILE,
            Field(description="the files of the test data; null: they are a share of those of `path`"),
        ] = None
        key: Annotated[str, NAMES, Field(description="the array's name in a file that has several")] = "x"
        mapped: StaysInFiles = None
        transform: Annotated[
            tuple[Step, ...],
            BeforeValidator(several, json_schema_input_type=tuple[Step, ...] | Step),
            Field(
                description="what brings the data into units that suit the model, one after the other; the model takes "
                "and gives the data's own units; []: nothing"
            ),
        ] = (RMSTransform.Config(),)

    config: Config

    def load(self) -> RawData:
        """Read the files; raises DataError naming the file, and what it holds where a name is wrong."""
        config, opened = self.config, Opened()
        asked = {"train": (config.path, "data.path"), "test": (config.test_path, "data.test_path")}
        files = {
            role: filed.Files(matching(path, option), config.key, option, joined=True)
            for role, (path, option) in asked.items()
            if path is not None
        }
        mapped = filed.stay_in_files(files.values(), config.mapped)
        data = {role: filed.read(each, mapped, None, opened) for role, each in files.items()}
        for role, (x, _) in data.items():
            if not x.dtype.is_floating_point:
                raise DataError(f"{files[role].option}: activations are floating-point numbers, not {x.dtype}")
        splits = {role: Split(x, None) for role, (x, _) in data.items()}
        notes = dict.fromkeys(note for _, said in data.values() for note in said)
        return RawData(splits["train"], splits.get("test"), notes=(*notes, *opened.notes()))
