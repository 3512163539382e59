"""Inspecting a model file, writing a card, and pushing a run to the Hub."""

from __future__ import annotations

import hashlib
import re
import shutil
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genkit.data.dataset import DataSignature
from genkit.errors import ComponentError, GenkitWarning, RunError
from genkit.files import atomic
from genkit.record.directory import MODEL_FILE, RunDirectory
from genkit.registry.provenance import Finding, compare, pip_line
from genkit.sharing import hub, weights
from genkit.sharing.card import write
from genkit.sharing.facts import gather

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Inspection:
    """A model file, and whether it can be loaded here."""

    path: Path
    sha256: str
    """The hash of the file."""
    name: str
    data: DataSignature
    plugins: tuple[Finding, ...]
    parameters: int | None
    """The number of parameters; None where the model cannot be loaded."""
    problem: str
    """Why the model cannot be loaded; empty where it can."""
    install: str
    """The pip command for the missing plugins; empty where none is missing."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {"path": str(self.path), "data": self.data.model_dump(mode="json")}
        return {**asdict(self), **plain, "plugins": [finding.to_json() for finding in self.plugins]}


def inspect(source: str | Path, out: Path | None = None) -> Inspection:
    """Inspect a model file and its plugins; missing plugins are no error.

    Args:
        source: a run directory, a model.safetensors, or hf://USER/REPO, which is fetched.
        out: a directory for a copy of the file, without a model yet.

    Raises:
        GenkitError: the source is no model of genkit, is damaged, cannot be fetched, or `out` has a model.
    """
    file = weights.locate(source)
    header = weights.read_header(file)
    if out is not None:
        file = _copied(file, out / MODEL_FILE)
    problem, parameters = "", None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GenkitWarning)  # the findings say the same
            parameters = sum(parameter.numel() for parameter in weights.load(file).parameters())
    except ComponentError as error:
        problem = str(error)
    findings = tuple(compare(header.plugins, header.config.get("plugins", "all")))
    states = ("missing", "another version") if problem else ("missing",)
    install = pip_line(finding.record for finding in findings if finding.state in states)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    name = str(header.config.get("name", ""))
    return Inspection(file, sha256, name, header.data, findings, parameters, problem, install)


def write_card(source: str | Path, out: Path | None, license: str | None = None, repository: str | None = None) -> Path:
    """Write the card of a run or of a model file; by default README.md beside the weights.

    An earlier card that nobody has edited is replaced.

    Raises:
        RunError: another file is in its place, or the model is on the Hub and `out` is None.
        GenkitError: the model cannot be loaded.
    """
    if out is None:
        if hub.is_address(source):
            where = hub.address(source)
            raise RunError(f"{where}: the model is not here, so say where its card goes: --out {CARD_FILE}")
        out = _folder(Path(source)) / CARD_FILE
    if out.exists() and not _untouched(out):
        raise RunError(
            f"{out} is there already and was edited, or is somebody's work; choose another --out, or remove it"
        )
    repository = str(hub.address(repository)) if repository is not None else None
    atomic.write_text(out, _signed(write(gather(source), out.parent, _checked_license(license), repository)))
    return out


def push(source: Path, target: str, license: str | None = None, private: bool = False) -> tuple[str, list[str]]:
    """Put a finished run, or a model file alone, on the Hub; returns the commit's address and its files.

    The card is the run's README.md where it has one, else a new one. Checkpoints and event files are not uploaded.

    Raises:
        RunError: the run has a card, so that `license` would change nothing.
        GenkitError: the model cannot be loaded, or the Hub refuses it.
    """
    where = hub.address(target)
    facts = gather(source)
    files = _files(source)
    if CARD_FILE not in files:
        files[CARD_FILE] = _signed(write(facts, _folder(source), _checked_license(license), str(where))).encode()
    elif license is not None:
        raise RunError(f"{source / CARD_FILE} is the card; write the license into it, or remove it and push again")
    return hub.upload(files, target, f"{facts.config.name}, by genkit", private), sorted(files)


SIGNATURE = re.compile(r"<!-- genkit card ([0-9a-f]{64}) -->\n\Z")


def _signed(text: str) -> str:
    """The card with a last line that reveals later edits."""
    return f"{text}\n<!-- genkit card {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def _untouched(card: Path) -> bool:
    """Whether a file is a card that nobody has edited."""
    try:
        text = card.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    match = SIGNATURE.search(text)
    return match is not None and _signed(text[: match.start()].removesuffix("\n")) == text


def _checked_license(license: str | None) -> str | None:
    """A license by the Hub's name; raises RunError where it is no such name."""
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise RunError(
            f"--license: '{license}' is no name of a license on the Hub; write it as apache-2.0, mit, cc-by-4.0, or "
            "other"
        )
    return license


def _files(source: Path) -> dict[str, Path | bytes]:
    """The shared files of a run, by their names in the repository."""
    files: dict[str, Path | bytes] = {MODEL_FILE: weights.locate(source)}
    if not source.is_dir():
        return files
    run = RunDirectory(source)
    paths = [run.config, run.evaluation, run.metrics, run.environment, source / CARD_FILE]
    paths += sorted(run.pictures.glob("*.png"))
    return files | {path.relative_to(source).as_posix(): path for path in paths if path.is_file()}


def _folder(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _copied(file: Path, target: Path) -> Path:
    if target.exists():
        raise RunError(f"{target} is there already; nothing is overwritten: choose another --out")
    with atomic.replacing(target) as temporary:
        shutil.copyfile(file, temporary)
    return target
