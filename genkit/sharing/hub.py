"""The Hugging Face Hub: files of a model repository fetched by name, and files committed to one.

What is fetched is data that is read, never code that is run. The work is done by `huggingface_hub`, an extra.
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
    """A model repository on the Hub, and which state of it."""

    repository: str
    """USER/REPO"""
    revision: str | None = None
    """A branch, a tag or a commit; None: the newest."""

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_address(source: str | Path) -> bool:
    """Whether a model is to come from the Hub. A Path made of hf://USER/REPO, which has lost a slash, counts."""
    return _text(source).startswith("hf:/")


def address(source: str | Path) -> Address:
    """The parts of hf://USER/REPO[@REVISION]; raises HubError where it is written otherwise."""
    match = re.fullmatch(r"hf://?([\w.-]+/[\w.-]+)(?:@(\S+))?", _text(source))
    if not match:
        raise HubError(f"{source}: is no address on the Hub; write {SCHEME}USER/REPO or {SCHEME}USER/REPO@REVISION")
    return Address(match[1], match[2])


def fetch(source: str | Path, name: str) -> Path:
    """One file of a repository, from the local cache where it is there already.

    Raises:
        HubError: there is no such repository, revision or file, it may not be read, or the Hub cannot be reached.
    """
    where, library = address(source), _library()
    with _explained(where, name):
        return Path(library.hf_hub_download(where.repository, name, revision=where.revision, endpoint=_endpoint()))


def upload(files: Mapping[str, Path | bytes], target: str | Path, message: str, private: bool = False) -> str:
    """Commit files to a repository, which is made where there is none; gives the address of the commit.

    Raises:
        HubError: nobody is logged in, the repository may not be written, or the Hub cannot be reached.
    """
    where, library = address(target), _library()
    if library.get_token() is None:
        raise HubError(f"{where}: to write to the Hub, {LOGIN}, with a token that may write")
    api = library.HfApi(endpoint=_endpoint())
    added = [library.CommitOperationAdd(name, content) for name, content in files.items()]
    with _explained(where):
        api.create_repo(where.repository, private=private or None, exist_ok=True)
        done = api.create_commit(where.repository, added, commit_message=message, revision=where.revision)
    return str(done.commit_url)


def _text(source: str | Path) -> str:
    return source.as_posix() if isinstance(source, Path) else source


def _endpoint() -> str | None:
    """The Hub's address, where it is another than the public one."""
    return os.environ.get("HF_ENDPOINT") or None


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError(f"{SCHEME} needs the package huggingface_hub; pip install 'genkit-torch[hub]'") from None
    return huggingface_hub


@contextlib.contextmanager
def _explained(where: Address, name: str = "") -> Iterator[None]:
    """Errors of the library as ours: what is not there, what may not be done, or that the Hub is out of reach."""
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
