"""Where a distribution was installed from, which is where others can install it from before an index has it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

PUBLIC = re.compile(r"https://[\w.:-]+/[\w./~+-]+")
"""An address that anybody can read, without a user's name or a password, or what a shell would take for its own."""


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
    return f"{address}@{commit}" if commit and PUBLIC.fullmatch(address) else None


def _of_clone(folder: str) -> tuple[str, str]:
    """The address that a clone is from, and its commit; empty texts: the folder is no clone."""
    return _git(folder, "config", "--get", "remote.origin.url"), _git(folder, "rev-parse", "HEAD")


def _git(folder: str, *words: str) -> str:
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
