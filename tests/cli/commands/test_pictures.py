"""Pictures that are drawn again, and in other formats."""

import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_pictures_are_drawn_again_in_any_format(cli, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained["gan"].directory.path, run)
    code, out, _ = cli("pictures", run)
    assert code == 0
    assert out.splitlines() == [str(run / "pictures" / f"{name}.png") for name in ("loss", "samples", "traversals")]
    assert cli("pictures", run, "--format", "pdf", "--out", tmp_path / "print").code == 0
    assert {path.name for path in (tmp_path / "print").iterdir()} == {"loss.pdf", "samples.pdf", "traversals.pdf"}
    alone = cli("pictures", run / "model.safetensors", "--format", "svg", "--out", tmp_path / "alone")
    assert alone.code == 0
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {"samples.svg", "traversals.svg"}, "no history"


def test_a_format_and_a_place_that_are_none_are_refused_first(cli, trained, tmp_path):
    run = trained["gan"].directory.path
    assert cli("pictures", run, "--format", "gif").err == "error: --format gif: choose one of png, svg, pdf\n"
    file = run / "model.safetensors"
    assert (
        cli("pictures", file).err
        == f"error: {file}: is no run's directory; say with --out where to write the pictures\n"
    )


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

    import genkit.pictures.mosaic as mosaic

    original = mosaic.framed
    monkeypatch.setattr(mosaic, "framed", framed)
    run, path = trained["vae-digits"], tmp_path / "i.png"
    assert cli("interpolate", run.directory.path, "--from", 3, "--to", 8, "--steps", 5, "--out", path).code == 0
    labels = run.data.test.labels
    assert list(seen["rows"]) == [f"3 ({labels[3]})"]
    assert list(seen["ends"]) == [f"8 ({labels[8]})"]
    assert seen["title"] == f"from 3 ({labels[3]}) to 8 ({labels[8]}) of the test split"
    assert np.asarray(Image.open(path)).shape[1] > 5 * 58
