"""Where a distribution was installed from, which is where others can install it from before an index has it."""

from __future__ import annotations

import configparser
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

ORIGIN = 'remote "origin"'
"""The section of a clone's settings that says where it is from."""
PUBLIC = re.compile(r"https://[\w.:-]+/[\w./~+-]+")
"""An address that anybody can read, without a user's name or a password, or what a shell would take for its own."""
COMMIT = re.compile(r"[0-9a-f]{4,64}")


def requirement(distribution: str, version: str) -> str:
    """What pip installs as a version of a distribution, such as `genkit-torch==0.1.0`.

    Of a version that was installed here from a public repository, or from a clone of one, it is the commit there:
    `genkit-torch @ git+https://…@COMMIT` (PEP 508, PEP 610).

    Args:
        distribution: the name.
        version: of the distribution; empty: any.
    """
    origin = _origin(distribution, version)
    if origin is not None:
        return f"{distribution} @ git+{origin}"
    return f"{distribution}=={version}" if version else distribution


def _origin(distribution: str, version: str) -> str | None:
    """The address and the commit of the repository that an installed version is from; None: it is from elsewhere."""
    try:
        installed = metadata.distribution(distribution)
        record: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
        address, commit = str(record["url"]), record.get("vcs_info", {}).get("commit_id")
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if installed.version != version:
        return None
    if "dir_info" in record:
        address, commit = _of_clone(url2pathname(urlsplit(address).path))
    return f"{address}@{commit}" if PUBLIC.fullmatch(address) and COMMIT.fullmatch(str(commit)) else None


def _of_clone(folder: str) -> tuple[str, str]:
    """The address that a clone is from, and its commit, by its files; empty texts: the folder is no clone."""
    git = Path(folder) / ".git"
    config = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        config.read_string((git / "config").read_text(encoding="utf-8"))
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        address = config.get(ORIGIN, "url", fallback="")
        return address, _commit(git, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
    except (OSError, ValueError, configparser.Error):
        return "", ""


def _commit(git: Path, branch: str) -> str:
    """The commit of a branch, from its file or from that of all branches."""
    if (git / branch).is_file():
        return (git / branch).read_text(encoding="utf-8").strip()
    lines = (line.split() for line in (git / "packed-refs").read_text(encoding="utf-8").splitlines())
    return next((words[0] for words in lines if words[1:] == [branch]), "")
