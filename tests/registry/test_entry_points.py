"""Entry points of installed distributions."""

import sys

import pytest

from genkit.registry.entry_points import UNKNOWN, located


@pytest.fixture
def site(tmp_path, monkeypatch):
    """`site(folder, metadata, entry_points)`: writes a distribution in a folder that alone is on the path."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def write(folder, metadata, entry_points):
        info = tmp_path / f"{folder}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_bytes(entry_points)

    return write


def test_those_of_one_group_come_with_the_names_of_their_distributions(site):
    site("acme", "Name: acme\nVersion: 1.0\n", b"[wanted]\na = acme.a\n[other]\nb = acme.b\n")
    site("nameless", "Version: 1.0\n", b"[wanted]\nc = lost\n")
    site("binary", "Name: binary\nVersion: 1.0\n", b"[wanted]\n\xff = a")
    site("lines", "Name: lines\nVersion: 1.0\n", b"[wanted]\nno equals sign")
    rows = {(each.distribution, each.entry.name, each.entry.value) for each in located("wanted")}
    assert rows == {("acme", "a", "acme.a"), (UNKNOWN, "c", "lost")}
    assert [*located("nobody's")] == []
