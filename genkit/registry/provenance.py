"""Provenance: the plugins of a model's parts with version and code, and whether the installed ones are the same."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from genkit.config import RunConfig
from genkit.errors import ComponentError, ConfigError, GenkitError, GenkitWarning
from genkit.interfaces import KINDS, Component
from genkit.registry.handover import absent
from genkit.registry.installation import requirement
from genkit.registry.kinds import NAME
from genkit.registry.parts import Parts
from genkit.registry.plugin import THIS_PROCESS, Plugin
from genkit.registry.registry import installed, registry
from genkit.registry.selection import CODE_NAME, canonical
from genkit.settings.base import Settings

State = Literal["the same", "another version", "other code", "another distribution", "missing", "unusable"]


DISTRIBUTION = rf"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|this process|\./{CODE_NAME})$"
"""The pattern of a distribution's name (https://packaging.python.org/en/latest/specifications/name-normalization), and
of what stands for it where the part is in one file."""
VERSION = r"^([A-Za-z0-9][A-Za-z0-9.!+_-]*)?$"
"""The pattern of versions: the characters of all that PEP 440 allows, none of which a shell or a page acts upon."""
LONGEST = 100
"""The largest number of characters of a distribution's name, and of a version."""
COMPONENT = rf"^({'|'.join(KINDS)})/((\./)?{NAME}/)?{NAME}$"


class PluginRecord(Settings):
    """A distribution whose components a model uses, or a class that was registered only in a process.

    It may come from anybody's file, and stands in messages and in commands to copy: hence the patterns.
    """

    distribution: str = Field(pattern=DISTRIBUTION, max_length=LONGEST)
    version: str = Field(pattern=VERSION, max_length=LONGEST)
    components: tuple[Annotated[str, Field(pattern=COMPONENT, max_length=200)], ...] = Field(max_length=1000)
    """The components that the model uses, as `kind/name`."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """The hash of the code, see `code_hash` and `source_hash`; None: not known."""

    @property
    def owner(self) -> str:
        """The distribution and its version, as messages name them; the classes where no distribution brings them."""
        if self.distribution == THIS_PROCESS:
            return named(self.components)
        return f"{self.distribution} {self.version}".strip()

    @property
    def file(self) -> str:
        """The name of the file that brings the components; empty where a distribution brings them."""
        return self.distribution.removeprefix("./") if self.distribution.startswith("./") else ""

    @property
    def installable(self) -> bool:
        """Whether pip can install what brings the components."""
        return self.distribution != THIS_PROCESS and not self.file


@dataclass(frozen=True)
class Finding:
    """The state here of a plugin that a model was made with."""

    record: PluginRecord
    state: State
    message: str = ""
    """The difference, for the user; empty where the plugin is the same."""
    lost: tuple[str, ...] = ()
    """The components that are not available here, as `kind/name`."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "record": self.record.model_dump(mode="json")}


def plugins_of(config: RunConfig) -> tuple[PluginRecord, ...]:
    """The plugins that bring the components of a config, components inside other components included."""
    origins: dict[tuple[str, str, str | None], list[str]] = {}
    view = installed(config.plugins)
    for kind, settings in _settings_of(config):
        plugin = view.owner(settings.component)
        origin = (plugin.distribution, plugin.version, _hash(plugin, settings.component))
        origins.setdefault(origin, []).append(f"{kind}/{settings.name}")
    return tuple(
        PluginRecord(distribution=d, version=_version(v), components=tuple(dict.fromkeys(components)), sha256=sha256)
        for (d, v, sha256), components in origins.items()
    )


def _version(version: str) -> str:
    """A version as records have it: empty where it has other characters than versions have."""
    return version if re.fullmatch(VERSION, version) and len(version) <= LONGEST else ""


def compare(records: Iterable[PluginRecord], wanted: Any = "all") -> list[Finding]:
    """The state here of each plugin of a model.

    Args:
        records: the records of the plugins that the model was made with.
        wanted: the option `plugins` of the model's config, as it was read; an invalid value means all.
    """
    try:
        view = installed(wanted)
    except (ConfigError, ComponentError, TypeError, AttributeError):
        view = installed()
    return [_finding(record, view) for record in records]


def pip_line(records: Iterable[PluginRecord]) -> str:
    """The pip command that installs these versions; empty where no distribution brings any of them."""
    pins = [f"'{requirement(r.distribution, r.version)}'" for r in records if r.installable]
    return f"pip install {' '.join(dict.fromkeys(pins))}" if pins else ""


def warn_of_changes(records: Iterable[PluginRecord], path: str | Path, wanted: Any = "all") -> None:
    """Warn (GenkitWarning) of every plugin that differs from the one that made the model or run at `path`."""
    for finding in compare(records, wanted):
        if finding.message:
            message = f"{path}: may give other figures: made with {finding.record.owner}, and {finding.message}"
            warnings.warn(message, GenkitWarning, stacklevel=3)


def explained(error: GenkitError, records: Iterable[PluginRecord], path: Path, wanted: Any = "all") -> GenkitError:
    """The error to raise where a model cannot be built from a file or a run: it names changed plugins as the cause.

    Args:
        error: the original error.
        records: the records of the plugins that the model was made with.
        path: the file or the run, for the message.
        wanted: the option `plugins`, as in `compare`.

    Returns:
        A ComponentError with the missing and the changed plugins, and the pip command; without any, the same error.
    """
    findings = compare(records, wanted)
    missing = [finding for finding in findings if finding.state == "missing" and not finding.record.file]
    lines = [f"{path}: {finding.message}" for finding in findings if finding.state == "unusable"]
    for finding in findings:
        if finding.state == "missing" and finding.record.file:
            lines.append(f"{path}: needs {named(finding.lost)} of {finding.record.distribution}; {finding.message}")
    if missing:
        needed = ", and ".join(
            f"{named(f.lost)} of {f.record.distribution} {f.record.version}".rstrip() for f in missing
        )
        remedies = [pip_line(finding.record for finding in missing)]
        if any(finding.record.distribution == THIS_PROCESS for finding in missing):
            remedies.append("what was registered in the process that trained it, register here too (genkit.register)")
        verb = "is" if len(missing) == 1 else "are"
        lines.append(f"{path}: needs {needed}, which {verb} not installed; {'; '.join(filter(None, remedies))}")
    if not lines:
        changed = [finding for finding in findings if finding.message]
        lines = [f"{path}: made with {finding.record.owner}, and {finding.message}" for finding in changed]
        lines = [*str(error).splitlines(), *lines] if lines else []
    return ComponentError(*lines) if lines else error


@functools.cache
def code_hash(distribution: str) -> str | None:
    """The sha256 of a distribution's own code; None where it has no Python file.

    It covers the `.py` files of the packages and modules that the distribution's entry points name, in the order of
    their paths: each file's path from the package on, and its content with Unix line ends. A wheel and an editable
    install of the same code have the same hash in any place; byte code, data files and compiled extensions do not
    count. It is computed once per process, because later edits do not change the imported code.
    """
    try:
        entries = metadata.distribution(distribution).entry_points
    except metadata.PackageNotFoundError:
        return None
    files: dict[str, Path] = {}
    for package in {_package(entry.module) for entry in entries}:
        files |= _sources(package)
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        whole.update(f"{name}\n{content}\n".encode())
    return whole.hexdigest() if files else None


def source_hash(component: type[Component]) -> str | None:
    """The sha256 of a class's source text; None where Python does not know it, as for a class made by a call."""
    try:
        return hashlib.sha256(inspect.getsource(component).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError):
        return None


def _hash(plugin: Plugin, component: type[Component]) -> str | None:
    return source_hash(component) if plugin.distribution == THIS_PROCESS else plugin_hash(plugin)


def plugin_hash(plugin: Plugin) -> str | None:
    """The sha256 of a plugin's code: that of its file, or of its distribution; None: not known."""
    return plugin.sha256 or code_hash(plugin.distribution)


def _package(module: str) -> str:
    """The package of a module: the first part of its name, or more parts where that is a namespace package."""
    parts = module.split(".")
    for end in range(1, len(parts)):
        name = ".".join(parts[:end])
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is not None:
            return name
    return module


def _sources(package: str) -> dict[str, Path]:
    """The Python files of a package or module, by their paths from it on; none of its code runs."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return {}
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return {}
    origin, name = Path(spec.origin), package.replace(".", "/")
    if spec.submodule_search_locations is None:
        return {f"{name}.py": origin} if origin.suffix == ".py" else {}
    return {f"{name}/{path.relative_to(origin.parent).as_posix()}": path for path in origin.parent.rglob("*.py")}


def _settings_of(config: RunConfig) -> Iterator[tuple[str, Component.Config]]:
    for kind, settings in config.components():
        yield kind, settings
        yield from _inside(settings)


def _inside(settings: Component.Config) -> Iterator[tuple[str, Component.Config]]:
    """The components among the options of another component, such as the encoder of a learned loss."""
    for value in vars(settings).values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Component.Config):
                yield part.component.kind, part
                yield from _inside(part)


def named(components: Iterable[str]) -> str:
    """The text of components in messages: encoder 'a', loss 'b'."""
    split = [component.partition("/") for component in components]
    return ", ".join(f"{kind} '{name}'" for kind, _, name in split)


def _finding(record: PluginRecord, view: Parts) -> Finding:
    here, causes = [], {}
    for part in record.components:
        kind, _, name = part.partition("/")
        try:
            here.append((part, view.find(kind, name)))
        except ComponentError as error:
            causes[part] = str(error)
    if causes:
        return _lost(record, causes)
    for part, component in here:
        plugin = view.owner(component)
        if canonical(plugin.distribution) != canonical(record.distribution):
            return Finding(record, "another distribution", f"{named([part])} is here that of {plugin.owner}")
        if _version(plugin.version) != record.version:
            message = f"{plugin.owner} is installed; for the same: {pip_line([record])}"
            return Finding(record, "another version", message)
        sha256 = _hash(plugin, component)
        if None not in (sha256, record.sha256) and sha256 != record.sha256:
            which = "the class that is registered here" if record.distribution == THIS_PROCESS else "what is installed"
            which = "the file" if record.file else which
            return Finding(record, "other code", f"{which} is other code (sha256 {sha256}, and was {record.sha256})")
    return Finding(record, "the same")


def _lost(record: PluginRecord, causes: dict[str, str]) -> Finding:
    """The finding for a record with components that are not available, each with the cause."""
    parts = tuple(causes)
    if record.file and f"{record.distribution}@{record.sha256}" not in {plugin.key for plugin in registry().plugins}:
        return Finding(record, "missing", f"the file {absent(record.file, record.sha256)}", parts)
    if record.distribution == THIS_PROCESS:
        message = f"{named(parts)} is not registered here; no distribution brings it: genkit.register"
        return Finding(record, "missing", message, parts)
    here = [plugin for plugin in registry().plugins if canonical(plugin.distribution) == canonical(record.distribution)]
    if not here:
        return Finding(record, "missing", f"it is not installed; {pip_line([record])}", parts)
    message = "; ".join(dict.fromkeys(causes.values()))
    if _version(here[0].version) != record.version:
        message += f"; {here[0].owner} is installed; for the same: {pip_line([record])}"
    return Finding(record, "unusable", message, parts)
