"""Runs by their names: in runs/, the latest one, and the runs of a config."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from genkit import examples
from genkit.errors import RunError
from genkit.examples import config_path
from genkit.text import printable

ROOT = Path("runs")
"""The folder of runs, in the working directory."""
CONFIG_FILE = "config.yaml"
"""The file of a run's resolved config; a folder with it is a run's."""
LAST = "last"
"""The word for the run that was started last."""
CONFIGS = (".yaml", ".yml")
"""The suffixes of configs."""


def run_path(run: str | Path) -> Path:
    """The directory or the model file of a run.

    Args:
        run: a path; the name of a run in runs/; `last`, the one that was started last; or hf://USER/REPO, which is
            given back as it is.

    Raises:
        RunError: there is no such run, with the nearest name; or it is a config, with its latest run.
    """
    path, text = Path(run), str(run)
    if path.suffix in CONFIGS and path.is_file():
        raise RunError(f"{text}: {_of_config(path)}")
    if path.exists() or path.is_symlink() or path.as_posix().startswith("hf:/"):
        return path
    if path.name == text:
        if text == LAST:
            return _last()
        if (ROOT / text / CONFIG_FILE).is_file():
            return ROOT / text
    near = [] if path.suffix else difflib.get_close_matches(path.name, names(_folder(path)), n=1)
    if near:
        raise RunError(f"{text}: there is no such run; did you mean '{_typed(path, near[0])}'?")
    if path.name == text and (config := config_path(path)) != path:
        raise RunError(f"{text}: {_of_config(config, text)}")
    if path.name != text or path.suffix:
        return path  # whatever reads it says what is wrong
    near = difflib.get_close_matches(text, examples.names(), n=1)
    hint = f"; did you mean the example '{near[0]}'?" if near else _those_there()
    raise RunError(f"{text}: there is no such run in {ROOT}/{hint}")


def names(folder: Path = ROOT) -> list[str]:
    """The names of the runs in a folder, the latest first."""
    return [path.name for path in _latest_first(folder.glob(f"*/{CONFIG_FILE}"))]


def runs_of(name: str) -> list[Path]:
    """The directories in runs/ whose config has a name, the latest first."""
    return [path for path in _latest_first(ROOT.glob(f"*/{CONFIG_FILE}")) if _name_in(path / CONFIG_FILE) == name]


def _latest_first(configs: Iterable[Path]) -> list[Path]:
    """The folders of configs, by when these were written."""
    written = [(path.stat().st_mtime_ns, path.parent) for path in configs if path.is_file()]
    return [path for _, path in sorted(written, reverse=True)]


def _last() -> Path:
    if latest := names():
        return ROOT / latest[0]
    raise RunError(f"{LAST}: there is no run in {ROOT}/{_those_there()}")


def _folder(path: Path) -> Path:
    """The folder in which a run of this path would be."""
    return path.parent if path.parent != Path() else ROOT


def _typed(path: Path, name: str) -> str:
    """The name of a run as the user would type it, in the form of `path`."""
    return name if path.parent == Path() else str(path.with_name(name))


def _those_there() -> str:
    few = ", ".join(map(printable, names()[:5]))
    return f"; the latest are {few}" if few else "; `genkit run CONFIG` makes one, such as `genkit run vae-digits`"


def _of_config(config: Path, typed: str | None = None) -> str:
    """The answer to a config in place of a run: its latest run, or how to make one."""
    if (config.parent / "local.json").is_file() and config.name == CONFIG_FILE:
        return f"is the config of a run; the run is {config.parent}"
    latest = runs_of(_name_in(config) or config.stem)
    what = "is a config, and no run"
    if latest:
        return f"{what}; its latest run is {latest[0]}"
    return f"{what}; it has none in {ROOT}/: `genkit run {typed or config}` makes one"


def _name_in(config: Path) -> str:
    """The name that a config says; empty: none. The file is not parsed, as there may be hundreds."""
    try:
        match = re.search(r"^name:[ \t]*['\"]?([A-Za-z0-9][\w.-]*)", config.read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        return ""
    return match[1] if match else ""
