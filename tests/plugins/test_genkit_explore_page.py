"""The page of the explorer: its one-file form, its colours, and its texts."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces import Schema, Side, Split
from genkit.record.run import Run
from genkit_explore import static
from genkit_explore.explorer import Explorer
from genkit_explore.page import text_of
from genkit_explore.static import decoded_grid, static_page
from tests.models import built

MARKUP = "<img src=x onerror=alert(1)>\"'</script>"


def explorer(schema: Any = (1, 4, 4), **changes: Any) -> Explorer:
    model = built(schema, **changes).eval()
    x, labels = torch.rand(12, *model.shape), torch.arange(12) % 2 if model.schema.side else None
    return Explorer(model, Split(x, labels), 12, MARKUP, "the test split", MARKUP)


def space_of(page: str) -> dict[str, Any]:
    text = re.search(r'<script type="application/json" id="space">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    space: dict[str, Any] = json.loads(text[1])
    return space


def test_the_grid_holds_what_the_model_decodes_at_its_places() -> None:
    one = explorer(decoder={"name": "mlp", "hidden": []})
    grid, _ = decoded_grid(one, 0, 1)
    side = grid["side"]
    cells = np.frombuffer(base64.b64decode(grid["data"]), np.uint8).reshape(side, side, -1)
    (across, up), (right, top) = grid["low"], grid["high"]
    for i, j in ((0, 0), (side - 1, 0), (3, side - 1)):
        z = torch.tensor([[across + i * (right - across) / (side - 1), up + j * (top - up) / (side - 1)]])
        expected = one.model.decode(z).clamp(0, 1).mul(255).round().int().flatten()
        assert np.abs(cells[j, i].astype(int) - expected.numpy()).max() <= 1


def test_a_conditional_model_has_a_grid_for_each_class() -> None:
    one = explorer(Schema((6,), {"labels": Side(classes=2)}), condition="labels", decoder={"name": "mlp", "hidden": []})
    grid, _ = decoded_grid(one, 0, 1)
    cells = np.frombuffer(base64.b64decode(grid["data"]), "<f4").reshape(2, grid["side"] ** 2, 6)
    assert (grid["input"], grid["classes"]) == ("labels", 2)
    z = torch.tensor([grid["low"]])
    for k in range(2):
        np.testing.assert_allclose(cells[k, 0], one.model.decode(z, labels=k)[0], rtol=1e-4, atol=1e-5)


def test_the_page_in_one_file_asks_for_nothing_and_runs_its_own_script_alone() -> None:
    page = static_page(explorer())
    assert "<img" not in page
    assert not re.search(r"\b(?:src|href)=\"(?!data:)", page)
    assert "http" not in page.replace("http-equiv", "")
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "connect-src &#39;none&#39;" in policy[1]
    assert space_of(page)["code"] == MARKUP


def test_large_data_are_reduced_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "ROOM", 49 * 4)
    grid, view = decoded_grid(explorer(), 0, 1)
    assert grid["side"] == static.LEAST
    assert view["shape"] == [1, 2, 2]
    assert len(base64.b64decode(grid["data"])) == 49 * 4
    with pytest.raises(DataError, match="--static: a datum takes 24 bytes"):
        decoded_grid(explorer((6,)), 0, 1)


def test_the_command_writes_the_page(cli: Callable[..., Any], finished: Run, tmp_path: Path) -> None:
    path = tmp_path / "space.html"
    answer = cli("explore", finished.directory.path, "--static", path)
    assert answer.out.strip() == str(path)
    space = space_of(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 1_000_000
    assert (space["count"], space["dimensions"], space["view"]["kind"]) == (359, 2, "image")
    assert space["split"] == "the test split"
    wrong = cli("explore", finished.directory.path, "--static", tmp_path / "space.png")
    assert wrong.code == 2
    assert "call it space.html" in wrong.err


def linear(colour: str) -> Any:
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    """CIELAB of linear sRGB, under D65."""
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
                       [0.0193339, 0.119192, 0.9503041]])  # fmt: skip
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira & Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1
VISION = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_classes_are_told_apart_with_any_vision(theme: str, vision: str) -> None:
    line = re.search(rf"^    {theme}: \[(.*?)\]", text_of("explore.js"), re.MULTILINE)
    assert line is not None
    colours = re.findall(r"#[0-9a-f]{6}", line[1])
    assert len(colours) == 10
    seen = [lab(np.array(VISION[vision]) @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 17


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2.2, 1.4.3."""
    light, dark = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(each)) for each in (first, second))[::-1]
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_texts_stand_out(theme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", text_of("explore.css"), re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", block))
    colours = {
        name: each if len(each) == 7 else "#" + "".join(2 * c for c in each[1:]) for name, each in colours.items()
    }
    for text, ground in itertools.product(("ink", "quiet", "accent", "wrong"), ("page", "panel", "faint")):
        assert contrast(colours[text], colours[ground]) >= (4.5 if ground != "faint" or text in ("ink", "quiet") else 3)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
