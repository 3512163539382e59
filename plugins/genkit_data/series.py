"""Series: one long series in windows, or many of different lengths.

N data, T steps, F channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Shape, Side, Split
from genkit.interfaces.data import FILE, NAMES, RELATIVE
from genkit.text import printable
from genkit_data import windows
from genkit_data.long_text import Roles, of_text
from genkit_data.padding import Padded, check_missing, masked_windows, padded
from genkit_data.recordings import Recordings, is_of_arrays, of_arrays
from genkit_data.sktime_text import SUFFIX, of_sktime_text

NAMED = 12
"""The number of names that a note lists."""


class Series(DataSource):
    """Series (T, F): windows of a long one, or many of different lengths, padded, with a mask (T,) beside them.

    A file is a table with a row per step (CSV, TSV, Parquet), numbers alone with a line per step, sktime's `.ts`, or
    arrays: .npy, .npz, .safetensors. A trained model reads series of the lengths, channels and classes that it knows.

    Args:
        config: the files, what their columns are, and how series become data of one shape.
        shape: the shape of the data of a trained model; None: it is yet to be trained.
        side: the side data of that model.
        channels: the names of its channels.
    """

    asks = ("shape", "side", "channels")

    class Config(DataSource.Config):
        """Options of series."""

        name: Literal["series"] = "series"
        path: Annotated[
            str, FILE, Field(description=f"the file: text, .ts, .parquet, .npy, .npz or .safetensors; {RELATIVE}")
        ]
        test_path: Annotated[
            str | None, FILE, Field(description=f"a file of the same form with the test split; null: none; {RELATIVE}")
        ] = None
        window: Annotated[
            int | None,
            Field(
                ge=1,
                description="the steps of the windows into which one long series is cut; the splits are its parts in "
                "order of time: the last windows are the test. null: each series is a datum",
            ),
        ] = None
        stride: Annotated[
            int | None, Field(ge=1, description="the steps from a window to the next; null: as many as a window has")
        ] = None
        length: Annotated[
            int | None,
            Field(ge=1, description="the steps to which series are padded; null: as many as the longest has"),
        ] = None
        missing: Annotated[
            Literal["refuse", "mask"],
            Field(description="what a missing value is: an error, or, with mask, a step that is not there"),
        ] = "refuse"
        columns: Annotated[
            tuple[str, ...] | None, NAMES, Field(description="the columns of the channels; null: all that are left")
        ] = None
        drop: Annotated[tuple[str, ...], NAMES, Field(description="columns that are left out")] = ()
        time: Annotated[
            str | None,
            NAMES,
            Field(
                description="the column of the time, numbers or dates that rise; null: rows are steps in their order"
            ),
        ] = None
        id: Annotated[
            str | None, NAMES, Field(description="the column that names the series of a row; null: there is one series")
        ] = None
        label: Annotated[
            str | None,
            NAMES,
            Field(
                description="the column of the labels, which the model does not see; a window has the rarest label of "
                "its steps"
            ),
        ] = None
        key: Annotated[str, NAMES, Field(description="the array's name in a .npz or .safetensors file")] = "x"

        @model_validator(mode="after")
        def _windows_or_series(self) -> Series.Config:
            if self.window is None and self.stride is not None:
                raise PydanticCustomError("stride", "stride is that of windows: say window too, or leave it out")
            if self.window is not None and self.length is not None:
                raise PydanticCustomError("length", "length pads series, and window cuts one: leave one of them out")
            return self

    config: Config

    def __init__(
        self,
        config: Config,
        shape: Shape | None = None,
        side: Mapping[str, Side] | None = None,
        channels: tuple[str, ...] = (),
    ) -> None:
        super().__init__(config)
        self.trained, self.side, self.channels = shape, side or {}, channels

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A file of sktime's; in others, nothing tells series from rows."""
        return {"path": str(path)} if path.suffix == SUFFIX and path.is_file() else None

    def load(self) -> RawData:
        """Read the files; raises DataError with the file, the place and the remedy."""
        first = self._read(self.config.path, "data.path")
        second = None if self.config.test_path is None else self._read(self.config.test_path, "data.test_path")
        self._check_alike(first, second)
        files = {"train": first} if second is None else {"train": first, "test": second}
        raw = self._in_windows(files) if self.config.window else self._whole(files)
        notes = [note for each in files.values() for note in each.notes]
        names = first.channels
        listed = f"channels: {', '.join(names[:NAMED])}{' ...' if len(names) > NAMED else ''}"
        return raw._replace(
            channels=names,
            notes=(*([printable(listed)] if names else []), *dict.fromkeys(notes), *raw.notes),
            doubts=tuple(dict.fromkeys(doubt for each in files.values() for doubt in each.doubts)),
        )

    def _read(self, text: str, option: str) -> Recordings:
        """The series of a file."""
        config, path = self.config, Path(text).expanduser()
        roles = Roles(config.columns, config.drop, config.time, config.id, config.label, self.channels)
        if is_of_arrays(path):
            recordings = of_arrays(path, config.key, option)
        elif path.suffix == SUFFIX:
            recordings = of_sktime_text(path, option)
        else:
            recordings = of_text(path, roles, option)
        return check_missing(recordings, config.missing == "mask")

    def _check_alike(self, first: Recordings, second: Recordings | None) -> None:
        """Refuse files, or a trained model and a file, with other channels; raises DataError."""
        for each in (first, second):
            if each is None:
                continue
            for wanted, whose in ((first.channels, first.where), (self.channels, "the training data")):
                if each.channels and wanted and each.channels != wanted:
                    ours, theirs = (", ".join(names[:NAMED]) for names in (each.channels, wanted))
                    raise DataError(
                        f"{each.where}: has the channels {printable(ours)}, and {whose} {printable(theirs)}; "
                        "data.columns names them in that order"
                    )
            counts = {each.series[0].shape[1], first.series[0].shape[1], *(self.trained or ())[1:]}
            if len(counts) > 1:
                raise DataError(
                    f"{each.where}: has {each.series[0].shape[1]} channels, not as many as the training data"
                )

    def _whole(self, files: Mapping[str, Recordings]) -> RawData:
        """Each series as a datum."""
        first = files["train"]
        if len(first.series) == 1 and self.trained is None:
            raise DataError(
                f"{first.where}: holds one series of {len(first.series[0]):,} steps; data.window=64 cuts it into "
                "windows, data.id names the column that tells several series apart, and N series of one channel are an "
                "array (N, T, 1)"
            )
        lengths = [len(values) for each in files.values() for values in each.series]
        steps = self.trained[0] if self.trained else self.config.length or max(lengths)
        series = {name: padded(each, steps) for name, each in files.items()}
        classes = self._classes([(each.labels, each.classes) for each in files.values()])
        splits = self._splits(series, {name: each.labels for name, each in files.items()}, classes, first.where)
        note = (
            f"{len(lengths):,} series of {min(lengths)} to {max(lengths)} steps, padded to {steps}: a mask says which"
        )
        return RawData(
            splits["train"],
            splits.get("test"),
            classes,
            notes=(f"{note} steps are there, and no other counts",) if "mask" in splits["train"].side else (),
            ids={name: tuple(each.ids) for name, each in files.items() if each.ids is not None},
        )

    def _in_windows(self, files: Mapping[str, Recordings]) -> RawData:
        """The windows of one long series, in splits by time."""
        config, window = self.config, self.config.window or 1
        if self.trained and window != self.trained[0]:
            raise DataError(f"data.window={window}: the model takes windows of {self.trained[0]} steps")
        stride, where = config.stride or window, files["train"].where
        cuts = windows.pieces(files, window, stride, config.validation, config.test)
        frequent = Counter(mark for each in files.values() for marks in each.marks or () for mark in marks)
        labels = {name: piece.labels(frequent) for name, piece in cuts.pieces.items()}
        classes = self._classes([(own, None) for own in labels.values()])
        series = {name: masked_windows(each.cut(), each.recordings.where) for name, each in cuts.pieces.items()}
        splits = self._splits(series, labels, classes, where)
        overlap = f"; {cuts.left_out:,} that overlap a later split are left out" if cuts.left_out else ""
        parts = "training first, then validation" + (", test last" if "test" not in files else "; the test has a file")
        return RawData(
            splits["train"],
            splits.get("test"),
            classes,
            splits.get("validation"),
            notes=(f"windows of {window} steps, {stride} apart, split by time: {parts}{overlap}",),
            ids={name: piece.ids() for name, piece in cuts.pieces.items()},
        )

    def _splits(
        self,
        series: Mapping[str, Padded],
        labels: Mapping[str, list[str] | None],
        classes: tuple[str, ...] | None,
        where: str,
    ) -> dict[str, Split]:
        """The splits by name, with a mask where some steps are not there; raises DataError where a model reads none."""
        are_whole = all(bool(each.mask.all()) for each in series.values())
        if self.trained is not None and not are_whole and "mask" not in self.side:
            raise DataError(
                f"{where}: some series have fewer than {self.trained[0]} steps, or miss some, and the model was "
                "trained on whole ones: leave them out, or train a model with them"
            )
        masked = not are_whole or self.config.length is not None if self.trained is None else "mask" in self.side
        return {
            name: Split(each.x, self._indices(labels[name], classes, where), {"mask": each.mask} if masked else {})
            for name, each in series.items()
        }

    def _classes(self, files: Sequence[tuple[list[str] | None, tuple[str, ...] | None]]) -> tuple[str, ...] | None:
        """The names of the classes: those of the trained model, those that a file lists, or those that are there."""
        if self.trained is not None:
            return self.side["labels"].names if "labels" in self.side else None
        labels = [own for own, _ in files]
        if all(own is None for own in labels):
            return None
        listed = next((names for _, names in files if names is not None), None)
        return tuple(listed or _in_order({label for own in labels for label in own or ()}))

    def _indices(self, labels: list[str] | None, classes: tuple[str, ...] | None, where: str) -> Tensor | None:
        """The labels as indices (N,) of the classes; raises DataError where there is no such class."""
        if labels is None or classes is None:
            return None
        places = {name: place for place, name in enumerate(classes)}
        for label in labels:
            if label not in places:
                raise DataError(
                    f"{where}: the class '{printable(label, 40)}' is none of the training data: "
                    f"{printable(', '.join(classes[:NAMED]))}"
                )
        return torch.tensor([places[label] for label in labels])


def _in_order(names: set[str]) -> list[str]:
    """Names of classes in their order, that of numbers where all of them are numbers."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)
