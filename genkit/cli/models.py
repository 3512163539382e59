"""Commands that look at models: their layers, their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import USER_ERROR, ConfigPath, DataOverrides, Json, Overrides, RunPath, Seed, SplitName, app, fail


@app.command()
def describe(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG", help="A YAML config, a run directory, a model.safetensors, or hf://USER/REPO."
        ),
    ],
    overrides: Overrides = None,
    part: Annotated[str | None, typer.Option(help="encoder or decoder alone.")] = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Shapes of maps as height x width x channels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show each layer of a model with its output shape and parameters, in the order that data flow."""
    from genkit.cli import tables
    from genkit.model.summary import describe as rows_of
    from genkit.model.summary import part_of
    from genkit.runs.opening import as_config, prepare
    from genkit.sharing import hub, weights

    if source.is_dir() or source.suffix == ".safetensors" or hub.is_address(source):
        if overrides:
            fail("overrides need a config; a trained model is described as it is")
        model = weights.load(source)
    else:
        model = prepare(as_config(source, overrides or ()))[1]
    rows = rows_of(model) if part is None else part_of(rows_of(model), part)
    if channels_last:
        rows = [row.channels_last() for row in rows]
    if as_json:
        tables.print_json([row.to_json() for row in rows])
    else:
        tables.print_rows(rows)


@app.command()
def check(
    config: ConfigPath,
    overrides: Overrides = None,
    probe: Annotated[bool, typer.Option(help="Time a few training steps.")] = True,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a config, its parts and its data, and what a run will take, before any training."""
    from genkit.cli import tables
    from genkit.runs.opening import as_config
    from genkit.runs.preflight import check as checked

    report = checked(as_config(config, overrides or ()), probe)
    if as_json:
        tables.print_json(report.to_json())
    else:
        tables.print_check(report)
    if report.errors:
        raise SystemExit(USER_ERROR)


@app.command()
def evaluate(
    run: RunPath,
    data: DataOverrides = None,
    split: SplitName = "test",
    draws: Annotated[int, typer.Option(min=1, help="Draws from q(z|x) a datum.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws; by default the run's.")] = None,
    as_json: Json = False,
) -> None:
    """Estimate the ELBO and its parts, in nats per datum, and what the latents know of the labels."""
    from genkit.cli import tables
    from genkit.evaluation.figures import evaluate as figures_of
    from genkit.evaluation.probes import probe
    from genkit.runs.opening import reopen

    model, dataset = reopen(run, data or ())
    assert model.config is not None
    figures = figures_of(model, dataset, split, draws, model.config.seed if seed is None else seed).to_json()
    probes = probe(model, dataset, split)
    figures["probes"] = probes and probes.to_json()
    if as_json:
        tables.print_json(figures)
    else:
        tables.print_figures(figures)


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN... [data.KEY=VALUE]...", help="Runs of the same data, or other data for all."),
    ],
    out: Annotated[Path, typer.Option(help="The page of pictures (.png).")] = Path("compare.png"),
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Samples and data at most.")] = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Put trained models side by side: figures in a table, samples, reconstructions and latents on a page."""
    from genkit.cli import tables
    from genkit.runs.comparison import compare as compared
    from genkit.runs.comparison_page import draw

    if out.suffix != ".png":
        fail(f"--out {out}: the page is a .png; call it {out.with_suffix('.png').name}")
    paths = [run for run in runs if "=" not in run or Path(run).exists()]
    found = compared(paths, [run for run in runs if run not in paths], n, seed)
    draw(found, out)
    if as_json:
        tables.print_json(found.comparison.to_json())
    else:
        tables.print_comparison(found.comparison)
        print(out)
