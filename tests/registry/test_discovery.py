"""What distributions offer, and what their code may do to everybody else."""

import os
import sys
from pathlib import Path

import pytest
import torch

from genkit.registry.discovery import contained, offers
from genkit.registry.entry_points import UNKNOWN


@pytest.fixture
def site(tmp_path, monkeypatch):
    """`site(name, entry_points, needs)`: the offers of a distribution that is on the path."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def write(name, entry_points, needs="", folder=None):
        place = (tmp_path if folder is None else folder) / f"{name or 'nameless'}-1.0.dist-info"
        place.mkdir(parents=True)
        head = f"Name: {name}\n" if name else ""
        text = f"Metadata-Version: 2.1\n{head}Version: 1.0\n"
        (place / "METADATA").write_text(text + (f"Requires-Dist: {needs}\n" if needs else ""))
        (place / "entry_points.txt").write_bytes(entry_points)
        return offers()

    return write


def test_offers_come_by_distribution_and_name(site):
    site("zeta", b"[genkit]\none = zeta\n[console_scripts]\nzeta = zeta:main\n")
    found = site("acme", b"[genkit]\nb = acme.b\na = acme.a\n")
    assert [(offer.distribution, offer.entry.name) for offer in found] == [
        ("acme", "a"),
        ("acme", "b"),
        ("zeta", "one"),
    ]
    assert found[0].entry.value == "acme.a"


def test_of_the_same_distribution_twice_the_first_on_the_path_counts(site, tmp_path, monkeypatch):
    site("acme", b"[genkit]\na = first\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "later")])
    (offer,) = site("acme", b"[genkit]\na = second\n", folder=tmp_path / "later")
    assert offer.entry.value == "first"


def test_damaged_files_offer_nothing_and_a_lost_name_is_told(site):
    assert site("binary", b"[genkit]\n\xff = a") == []
    assert site("lines", b"[genkit]\nno equals sign") == []
    (offer,) = site("", b"[genkit]\nlost = lost\n")
    assert offer.distribution == UNKNOWN


@pytest.mark.parametrize(
    ("needs", "misfit"),
    [
        ("genkit-torch>=99", "it needs genkit-torch>=99, and this is "),
        ("Genkit_Torch<0.0.1", "it needs genkit-torch<0.0.1, and this is "),
        ("genkit-torch>=0.0.1", None),
        ("genkit-torch>=99; extra == 'dev'", None),
        ("genkit-torch-tools>=99", None),
        ("not a requirement !", None),
    ],
)
def test_what_was_made_for_another_genkit_is_told_by_its_requirements(site, monkeypatch, needs, misfit):
    path = list(sys.path)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    found = next(offer for offer in site("acme", b"[genkit]\na = acme\n", needs) if offer.distribution == "acme")
    assert found.misfit() is None if misfit is None else found.misfit().startswith(misfit)


def test_what_is_done_apart_leaves_everything_as_it_was(tmp_path, capsys):
    notes, before = [], (Path.cwd(), torch.get_default_dtype(), torch.get_default_device())

    def meddle():
        with contained(notes):
            print("for stderr")
            os.chdir(tmp_path)
            torch.set_default_dtype(torch.float64)
            torch.set_default_device("meta")
            raise KeyError

    with pytest.raises(KeyError):
        meddle()
    assert (Path.cwd(), torch.get_default_dtype(), torch.get_default_device()) == before
    assert capsys.readouterr() == ("", "for stderr\n")
    assert notes == [
        "changed the working directory; it was put back",
        "set torch's default type to torch.float64; it was put back",
        "set torch's default device to meta; it was put back",
    ]


def test_code_that_changes_nothing_leaves_no_note():
    notes = []
    with contained(notes):
        torch.ones(3)
    assert notes == []
