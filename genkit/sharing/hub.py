"""The Hugging Face Hub: fetching files of a model repository by name, and committing files to one.

Fetched files are read as data; no code from the Hub runs. The package `huggingface_hub`, an extra, does the work.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genkit.errors import HubError

SCHEME = "hf://"
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


class Address(NamedTuple):
    """A model repository on the Hub, and a revision of it."""

    repository: str
    """The repository, as USER/REPO."""
    revision: str | None = None
    """A branch, a tag or a commit; None: the newest."""

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_address(source: str | Path) -> bool:
    """Whether a source is an address on the Hub; a Path of hf://USER/REPO, which has lost a slash, is one too."""
    return _text(source).startswith("hf:/")


def address(source: str | Path) -> Address:
    """The address in hf://USER/REPO[@REVISION]; raises HubError where the text has another form."""
    match = re.fullmatch(r"hf://?([\w.-]+/[\w.-]+)(?:@(\S+))?", _text(source))
    if not match:
        raise HubError(f"{source}: is no address on the Hub; write {SCHEME}USER/REPO or {SCHEME}USER/REPO@REVISION")
    return Address(match[1], match[2])


def fetch(source: str | Path, name: str) -> Path:
    """One file of a repository, fetched unless it is in the local cache.

    Raises:
        HubError: there is no such repository, revision or file, reading is forbidden, or the Hub cannot be reached.
    """
    where, library = address(source), _library()
    with _explained(where, name):
        return Path(library.hf_hub_download(where.repository, name, revision=where.revision, endpoint=_endpoint()))


def upload(files: Mapping[str, Path | bytes], target: str | Path, message: str, private: bool = False) -> str:
    """Commit files to a repository, which is created if it does not exist; returns the address of the commit.

    Raises:
        HubError: nobody is logged in, writing is forbidden, or the Hub cannot be reached.
    """
    where, library = address(target), _library()
    if library.get_token() is None:
        raise HubError(f"{where}: to write to the Hub, {LOGIN}, with a token that may write")
    api = library.HfApi(endpoint=_endpoint())
    additions = [library.CommitOperationAdd(name, content) for name, content in files.items()]
    with _explained(where):
        api.create_repo(where.repository, private=private or None, exist_ok=True)
        commit = api.create_commit(where.repository, additions, commit_message=message, revision=where.revision)
    return str(commit.commit_url)


def _text(source: str | Path) -> str:
    return source.as_posix() if isinstance(source, Path) else source


def _endpoint() -> str | None:
    """The address of another Hub than the public one; None: the public one."""
    return os.environ.get("HF_ENDPOINT") or None


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError(f"{SCHEME} needs the package huggingface_hub; pip install 'genkit-torch[hub]'") from None
    return huggingface_hub


@contextlib.contextmanager
def _explained(where: Address, name: str = "") -> Iterator[None]:
    """Turn the library's errors into HubError: something is missing, forbidden, or the Hub is out of reach."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except errors.GatedRepoError:
        page = f"{_endpoint() or 'https://huggingface.co'}/{where.repository}"
        raise HubError(f"{where}: its owner lets only some read it; ask on {page}, and {LOGIN}") from None
    except errors.RepositoryNotFoundError:
        raise HubError(f"{where}: there is no such repository, or it is private; to read that, {LOGIN}") from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{where}: the repository has no branch, tag or commit '{where.revision}'") from None
    except errors.LocalEntryNotFoundError:
        remedy = "unset HF_HUB_OFFLINE" if _library().constants.HF_HUB_OFFLINE else "look at your connection"
        raise HubError(f"{where}: {name} is not in the local cache, and the Hub is out of reach; {remedy}") from None
    except errors.EntryNotFoundError:
        raise HubError(f"{where}: has no {name}, so it holds no model of genkit") from None
    except errors.HfHubHTTPError as error:
        raise HubError(f"{where}: {_refusal(error)}") from None
    except (errors.HTTPError, OSError) as error:
        cause = " ".join(str(error).split())
        raise HubError(f"{where}: the Hub cannot be reached ({cause}); look at your connection") from None
    except ValueError as error:  # a name that the Hub does not allow
        raise HubError(f"{where}: {' '.join(str(error).split())}") from None


def _refusal(error: Any) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return f"the Hub refuses the token ({status}); it has to be one that may write there: {LOGIN}"
    return f"the Hub answered {status}: {' '.join(str(error.server_message or error).split())}"
