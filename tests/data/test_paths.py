"""Paths of data that begin where a run was started."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from genkit.data.paths import anchored
from genkit.interfaces import DataSource
from genkit.interfaces.data import FILE


class Files(DataSource):
    class Config(DataSource.Config):
        name: Literal["files"] = "files"
        path: Annotated[str, FILE, Field(description="a file")] = "x.npy"
        other: Annotated[str | None, FILE, Field(description="another")] = None
        title: str = "x.npy"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "x.npy").touch()
    return tmp_path


def test_marked_paths_that_lead_somewhere_become_absolute(folder):
    config = anchored(Files.Config(), folder)
    assert (config.path, config.other, config.title) == (str(folder / "x.npy"), None, "x.npy")
    assert anchored(Files.Config(other="x.npy"), folder).other == str(folder / "x.npy")


@pytest.mark.parametrize("path", ["y.npy", "~/x.npy", "/x.npy"])
def test_other_paths_stay_as_they_are(folder, path):
    config = Files.Config(path=path)
    assert anchored(config, folder) is config


def test_without_a_folder_nothing_changes():
    config = Files.Config()
    assert anchored(config, None) is config
    assert anchored(config, Path("gone")) is config
