"""The gallery of examples: what `make examples` keeps of each, and the page of the site that is made of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genkit.record.run import Run

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
KEPT = HERE / "gallery"
"""The folder of one picture and one JSON of figures for each example."""
WIDTH = 560
"""Pixels: the largest width of a picture that is kept."""
COLOURS = 64
TELLING = ("manifold", "samples", "marginals", "series", "neighbours", "reconstructions", "activations", "filters")
"""Pictures, the most telling first."""
SECTIONS = {
    "autoencoder": "Autoencoders",
    "wae": "Autoencoders",
    "sparse": "Sparse autoencoders and dictionaries",
    "sae": "Sparse autoencoders and dictionaries",
    "vae": "Variational autoencoders",
    "vq": "Codes",
    "fsq": "Codes",
    "gan": "Generative adversarial networks",
}
"""The section of an example, by the first word of its name."""
FIGURES = 6
"""The number of figures that are shown, the first ones of the evaluation."""


def keep(run: Run, folder: Path, draw: Callable[..., list[Path]]) -> None:
    """Write a picture of a finished run as NAME.png, and its verdict and its figures as NAME.json.

    Args:
        run: the run.
        folder: where the files go.
        draw: what draws all pictures of a run, `genkit.pictures.plots.draw_all`.
    """
    from genkit.evaluation.descriptions import figures
    from genkit.evaluation.figures import Evaluation

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as pictures:
        drawn = {path.stem: path for path in draw(run.model, run.data, run.history, Path(pictures))}
        chosen = next((name for name in TELLING if name in drawn), None)
        if chosen is not None:
            _shrink(drawn[chosen], folder / f"{run.config.name}.png")
    each = figures(run.evaluation.to_json(), Evaluation) if run.evaluation is not None else []
    shown = [{"title": one.about.title, "value": one.text} for one in each]
    kept = {
        "picture": chosen,
        "epochs": run.history[-1].epoch,
        "seconds": round(sum(record.seconds for record in run.history)),
        "figures": shown,
        "verdict": run.verdict().text,
    }
    (folder / f"{run.config.name}.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _shrink(picture: Path, place: Path) -> None:
    from PIL import Image

    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(place, optimize=True)


def page() -> str:
    """The gallery as Markdown: each example with its picture, its figures, its command and its config."""
    sections: dict[str, list[Path]] = {title: [] for title in SECTIONS.values()}
    for path in sorted(EXAMPLES.glob("*.yaml")):
        sections[SECTIONS[path.stem.partition("-")[0]]].append(path)
    body = "\n".join(f"## {title}\n\n" + "\n".join(map(_example, paths)) for title, paths in sections.items())
    return f"# Gallery\n\nEach example is one short config. Figures are of the test split, in nats per datum.\n\n{body}"


def _example(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [
        line.removeprefix("#").strip() for line in lines if line.startswith("#") and "yaml-language-server" not in line
    ]
    config = "\n".join(line for line in lines if not line.startswith("#"))
    kept = KEPT / f"{path.stem}.json"
    told = _figures(json.loads(kept.read_text(encoding="utf-8")), path.stem) if kept.is_file() else ""
    command = f"```console\ngenkit run {path.stem}\n```\n"
    indented = "\n".join(f"    {line}" for line in ["```yaml", *config.splitlines(), "```"])
    return f'### {path.stem}\n\n{" ".join(head)}\n\n{told}{command}\n??? example "The config"\n\n{indented}\n'


def _figures(kept: dict[str, Any], name: str) -> str:
    picture = f"![{kept['picture']} of {name}](gallery/{name}.png)\n\n" if kept["picture"] else ""
    titles = [each["title"].replace("|", r"\|") for each in kept["figures"][:FIGURES]]
    rows = [f"| {title} | {each['value']} |" for title, each in zip(titles, kept["figures"], strict=False)]
    verdict = f"{kept['verdict'].capitalize()}.\n\n"
    time = f"{kept['epochs']} epochs in {kept['seconds']} s on one core.\n\n"
    return picture + "\n".join(["| figure | value |", "|---|---|", *rows]) + "\n\n" + verdict + time
