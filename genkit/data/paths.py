"""Paths of data: relative to the folder that a run was started in, wherever its run directory is opened from."""

from __future__ import annotations

from pathlib import Path

from genkit.files.patterns import is_pattern, matches
from genkit.interfaces import DataSource
from genkit.interfaces.data import FILE


def anchored(config: DataSource.Config, folder: Path | None) -> DataSource.Config:
    """The options of a source with the paths that lead to something in a folder made absolute.

    Paths that lead nowhere from there, such as those of a folder that has moved, stay relative to the working
    directory, and so does everything where the folder is None.
    """
    if folder is None:
        return config
    names = [name for name, field in type(config).model_fields.items() if FILE in field.metadata]
    paths = {name: getattr(config, name) for name in names}
    there = {name: _anchored(path, folder) for name, path in paths.items() if isinstance(path, str | tuple)}
    moved = {name: path for name, path in there.items() if path != paths[name]}
    return config.model_copy(update=moved) if moved else config


def _anchored(path: str | tuple[str, ...], folder: Path) -> str | tuple[str, ...]:
    if not isinstance(path, str):
        return tuple(str(_anchored(each, folder)) for each in path)
    moved = folder / path
    leads = moved.exists() or (is_pattern(path) and matches(moved))
    return str(moved) if leads and not _is_absolute(path) else path


def _is_absolute(path: str) -> bool:
    return path.startswith("~") or Path(path).is_absolute()
