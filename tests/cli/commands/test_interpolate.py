"""Paths in latent space, and pictures for print."""

import numpy as np
import pytest
from PIL import Image

from genkit.pictures import mosaic


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_samples_are_written_for_print_too(cli, trained, tmp_path, suffix):
    path = tmp_path / f"samples{suffix}"
    assert cli("sample", trained["gan"].directory.path, "-n", 4, "--grid", "--out", path).code == 0
    assert path.read_bytes()[:5] == {".svg": b"<?xml", ".pdf": b"%PDF-"}[suffix]


def test_the_ends_of_an_interpolation_are_named(cli, trained, tmp_path, monkeypatch):
    seen = {}

    def framed(pixels, title, **beside):
        seen.update(beside, title=title)
        return original(pixels, title, **beside)

    original = mosaic.framed
    monkeypatch.setattr(mosaic, "framed", framed)
    run, path = trained["vae-digits"], tmp_path / "i.png"
    assert cli("interpolate", run.directory.path, "--from", 3, "--to", 8, "--steps", 5, "--out", path).code == 0
    labels = run.data.test.labels
    assert list(seen["rows"]) == [f"3 ({labels[3]})"]
    assert list(seen["ends"]) == [f"8 ({labels[8]})"]
    assert seen["title"] == f"from 3 ({labels[3]}) to 8 ({labels[8]}) of the test split"
    assert np.asarray(Image.open(path)).shape[1] > 5 * 58
