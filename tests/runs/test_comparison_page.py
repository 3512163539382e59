from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.legend import Legend
from PIL import Image

from genkit.errors import RunError
from genkit.runs import comparison_page as page
from genkit.runs.comparison import Compared

pytestmark = pytest.mark.slow


def of(compared: Compared, *names: str) -> Compared:
    """Some of the models, in this order."""
    all_names = [entry.name for entry in compared.comparison.entries]
    chosen = [all_names.index(name) for name in names]
    entries = tuple(compared.comparison.entries[index] for index in chosen)
    models = tuple(compared.models[index] for index in chosen)
    return Compared(replace(compared.comparison, entries=entries), models, compared.data)


def drawn(compared: Compared, path: Path) -> np.ndarray:
    """The page as pixels, by another reader."""
    assert page.draw(compared, path) == path
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def ink(part: np.ndarray) -> float:
    """The share of pixels that are not the paper's."""
    return float((part < 250).any(-1).mean())


def columns(pixels: np.ndarray, n: int) -> list[np.ndarray]:
    return np.array_split(pixels, n, axis=1)


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["gan"], 1),
        (["autoencoder"], 3),
        (["gan", "gan"], 1),
        (["vae-digits", "gan", "autoencoder"], 3),
    ],
    ids=str,
)
def test_the_page_has_a_column_a_model_and_the_rows_that_they_have(
    compared: Compared, tmp_path: Path, names: list[str], rows: int
) -> None:
    pixels = drawn(of(compared, *names), tmp_path / "page.png")
    height, width = pixels.shape[:2]
    assert width == pytest.approx(len(names) * page.WIDTH * 120, abs=30)
    assert 0.75 * rows * page.WIDTH * 120 < height <= rows * page.WIDTH * 1.12 * 120  # no bands of nothing
    assert all(ink(column) > 0.01 for column in columns(pixels, len(names)))


def test_what_a_model_cannot_show_stays_nearly_empty(compared: Compared, tmp_path: Path) -> None:
    pixels = drawn(of(compared, "gan", "autoencoder"), tmp_path / "page.png")
    shown = [[ink(cell) for cell in columns(row, 2)] for row in np.array_split(pixels, 3)]
    gan, autoencoder = (list(column) for column in zip(*shown, strict=True))
    assert gan[0] > 0.4
    assert autoencoder[1] > 0.4
    assert max(gan[1], gan[2], autoencoder[0]) < 0.1
    assert autoencoder[2] > gan[2]


def words(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All the text of the page."""
    from matplotlib.text import Text

    found: list[str] = []

    def keep(figure, path, cut: bool = False):
        found.extend(text.get_text() for text in figure.findobj(Text) if text.get_text())
        return path

    monkeypatch.setattr(page, "save", keep)
    page.draw(compared, Path("page.png"))
    return found


def test_each_column_is_headed_by_a_name_and_figures(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    text = words(compared, monkeypatch)
    vae, gan, _ = compared.comparison.entries
    judged = [f"Fréchet {entry.samples.frechet:.1f}, coverage {entry.samples.coverage:.2f}" for entry in (vae, gan)]
    assert f"vae-digits\nELBO {vae.evaluation.elbo:.1f}, {judged[0]}\nsamples" in text
    assert f"gan\n{judged[1]}\nsamples" in text
    assert "autoencoder" in [line.rstrip() for line in text]


def test_what_is_missing_is_said_in_words(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    text = words(of(compared, "gan", "autoencoder"), monkeypatch)
    for said in (
        "no prior: nothing to sample from",
        "no encoder: nothing to rebuild",
        "no encoder: no latents of data",
    ):
        assert text.count(said) == 1
    assert not [line for line in words(of(compared, "vae-digits"), monkeypatch) if line.startswith("no ")]


def test_the_classes_are_named_once(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.legend import Legend

    legends = []
    monkeypatch.setattr(page, "save", lambda figure, path, **_: legends.append(figure.findobj(Legend)) or path)
    page.draw(of(compared, "vae-digits", "autoencoder"), Path("page.png"))
    assert [[text.get_text() for text in legend.get_texts()] for legend in legends[0]] == [list("0123456789")]


def test_drawing_twice_gives_the_same_page_and_leaves_the_random_state(compared: Compared, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    one, other = (drawn(of(compared, "vae-digits"), tmp_path / name) for name in ("one.png", "other.png"))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(one, other)


def test_a_page_that_cannot_be_written_is_refused_and_one_that_is_there_replaced(
    compared: Compared, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RunError, match=r"cannot write .*page\.png"):
        page.draw(of(compared, "gan"), tmp_path / "file" / "page.png")
    assert (tmp_path / "file").read_text() == "kept"
    (tmp_path / "old.png").write_text("old")
    assert ink(drawn(of(compared, "gan"), tmp_path / "old.png")) > 0.4


def test_the_classes_are_named_beside_the_last_latents(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Legend] = []
    monkeypatch.setattr(page, "save", lambda figure, path, **_: found.extend(figure.findobj(Legend)) or path)
    page.draw(of(compared, "vae-digits", "gan"), Path("page.png"))
    assert len(found) == 1
