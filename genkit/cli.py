"""The command line. Each command is a few lines around the Python interface, which is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    help="Generative models with a latent space, from one config file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

USER_ERROR = 2
INTERRUPTED = 130

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML config.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a model.safetensors.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Options in place of the config's: training.epochs=5"),
]
DataOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[data.KEY=VALUE]...", help="Other data than the run's: data.root=DIR"),
]
Out = Annotated[Path, typer.Option("--out", help="The file; its suffix says the format.")]
SplitName = Annotated[str, typer.Option(help="train, validation, test or all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The run's directory; by default a new one in runs/.")] = None,
) -> None:
    """Train what a config describes; prints the run's directory last."""
    import genkit

    with _following() as progress:
        finished = genkit.run(config, overrides or (), out=out, listeners=[progress])
    _show_finished(finished.directory)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of an interrupted run.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Train up to so many epochs in all.")] = None,
) -> None:
    """Go on with an interrupted run, as if it had never stopped."""
    import genkit

    with _following() as progress:
        finished = genkit.resume(run, epochs=epochs, listeners=[progress])
    _show_finished(finished.directory)


@app.command()
def describe(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A YAML config, a run directory or a model.safetensors.")
    ],
    overrides: Overrides = None,
    part: Annotated[str | None, typer.Option(help="encoder or decoder alone.")] = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Shapes of maps as height x width x channels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show each layer of a model with its output shape and parameters, in the order that data flow."""
    from genkit import tables, weights
    from genkit.describe import describe as rows_of
    from genkit.describe import part_of
    from genkit.runs import as_config, prepare

    if source.is_dir() or source.suffix == ".safetensors":
        if overrides:
            _fail("overrides need a config; a trained model is described as it is")
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
def sample(
    run: RunPath,
    out: Out,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many.")] = 64,
    seed: Seed = 0,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from p(x|z) instead of taking its mean.")] = False,
) -> None:
    """Generate data from the prior: an array (.npy, .npz, .safetensors, .csv, .parquet) or a picture (.png)."""
    import torch

    from genkit import outputs, weights

    outputs.check_suffix(out, [".png"])
    model = weights.load(run)
    torch.manual_seed(seed)
    if out.suffix == ".npy":
        outputs.write_stream(out, (n, *model.shape), (part.numpy() for part in model.sampled(n, noise)))
    else:
        outputs.write_data(out, model.sample(n, noise).numpy(), model.limits, columns=max(1, round(n**0.5)))
    print(out)


@app.command()
def encode(run: RunPath, out: Out, data: DataOverrides = None, split: SplitName = "test") -> None:
    """Write the latents of data (the posterior mean, so always the same) and their labels."""
    from genkit import outputs
    from genkit.runs import reopen

    outputs.check_suffix(out)
    model, dataset = reopen(run, data or ())
    part = dataset.split(split)
    arrays = {"z": model.encode(part.x).numpy()}
    if part.labels is not None:
        arrays["labels"] = part.labels.numpy()
    outputs.write(out, arrays)
    print(out)


@app.command()
def reconstruct(
    run: RunPath,
    out: Out,
    data: DataOverrides = None,
    split: SplitName = "test",
    n: Annotated[int | None, typer.Option("-n", "--number", min=1, help="The first so many; by default all.")] = None,
) -> None:
    """Write data beside what the model makes of them: arrays x and reconstruction, or a picture (.png)."""
    from genkit import outputs, pictures
    from genkit.data import as_float
    from genkit.runs import reopen

    outputs.check_suffix(out, [".png"])
    model, dataset = reopen(run, data or ())
    x = dataset.split(split).x[:n]
    if out.suffix == ".png":
        outputs.write_picture(out, pictures.reconstructions(model, x, count=n or 24))
    else:
        outputs.write(out, {"reconstruction": model.reconstruct(x).numpy(), "x": as_float(x).numpy()})
    print(out)


@app.command()
def interpolate(
    run: RunPath,
    out: Out,
    data: DataOverrides = None,
    split: SplitName = "test",
    first: Annotated[int, typer.Option("--from", min=0, help="The number of a datum in the split.")] = 0,
    last: Annotated[int, typer.Option("--to", min=0, help="And of another.")] = 1,
    steps: Annotated[int, typer.Option(min=2, help="Points in all, the two included.")] = 11,
) -> None:
    """Write what lies between two data in latent space: an array, or a picture (.png)."""
    from genkit import outputs
    from genkit.data import as_float
    from genkit.runs import reopen

    outputs.check_suffix(out, [".png"])
    model, dataset = reopen(run, data or ())
    x = dataset.split(split).x
    if max(first, last) >= len(x):
        _fail(f"--from and --to: the {split} split has the data 0 to {len(x) - 1}, not {max(first, last)}")
    between = model.interpolate(as_float(x[first]), as_float(x[last]), steps)
    outputs.write_data(out, between.numpy(), model.limits, columns=steps)
    print(out)


@app.command()
def evaluate(
    run: RunPath,
    data: DataOverrides = None,
    split: SplitName = "test",
    draws: Annotated[int, typer.Option(min=1, help="Draws from q(z|x) a datum.")] = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Estimate the ELBO and its parts, in nats per datum, and what the latents know of the labels."""
    from genkit import tables
    from genkit.evaluation import evaluate as figures_of
    from genkit.probes import probe
    from genkit.runs import reopen

    model, dataset = reopen(run, data or ())
    figures = figures_of(model, dataset, split, draws, seed).to_json()
    probes = probe(model, dataset, split)
    figures["probes"] = probes and probes.to_json()
    if as_json:
        tables.print_json(figures)
    else:
        tables.print_figures(figures)


@app.command()
def export(
    run: RunPath,
    part: Annotated[str, typer.Option(help="encoder, decoder or all.")] = "all",
    format: Annotated[str, typer.Option(help="onnx or torch-export.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file; by default PART.onnx or PART.pt2 beside the weights.")
    ] = None,
) -> None:
    """Write a model for other programs, with any batch size, and compare the file with the model."""
    from genkit import weights
    from genkit.export import SUFFIXES
    from genkit.export import export as write

    model = weights.load(run)
    folder = run if run.is_dir() else run.parent
    done = write(model, out or folder / f"{part}{SUFFIXES.get(format, '')}", part, format)  # type: ignore[arg-type]
    names = f"{', '.join(done.inputs)} -> {', '.join(done.outputs)}"
    print(f"{names}: differs from the model by at most {done.difference:.1e}")
    print(done.path)


@app.command()
def plugins(as_json: Json = False) -> None:
    """List the installed plugins: whose they are, what they bring, and what failed to load."""
    from genkit import tables
    from genkit.registry import name_of, registry

    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "components": [f"{component.kind}/{name_of(component)}" for component in plugin.components],
            "events": plugin.events,
            "problems": plugin.problems,
        }
        for plugin in registry().plugins
    ]
    if as_json:
        tables.print_json(rows)
    else:
        tables.print_plugins(rows)


def main() -> None:
    """The entry point: errors that the user can mend end in one message and exit code 2."""
    from genkit.errors import GenkitError

    try:
        app()
    except GenkitError as error:
        _fail(str(error))


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(f"genkit-torch {version_of('genkit-torch')}")
        raise typer.Exit


def _fail(message: str) -> NoReturn:
    lines = message.splitlines()
    print("\n".join(f"error: {line}" for line in lines), file=sys.stderr)
    raise SystemExit(USER_ERROR)


@contextmanager
def _following() -> Iterator[Any]:
    """A progress bar for a run; Ctrl-C says how to go on."""
    from genkit.progress import ProgressBar

    progress = ProgressBar(_console())
    try:
        yield progress
    except KeyboardInterrupt:
        if progress.run is None:
            print("interrupted before training started; nothing was written", file=sys.stderr)
        else:
            done, directory = len(progress.run.history), progress.run.directory.path
            print(
                f"interrupted; {done} whole epochs are kept. To go on: genkit resume {directory}",
                file=sys.stderr,
            )
        raise SystemExit(INTERRUPTED) from None


def _console() -> Console:
    from rich.console import Console

    return Console()


def _show_finished(directory: Any) -> None:
    print(f"pictures: {directory.pictures}")
    print(f"weights: {directory.model}")
    print(directory.path)


if __name__ == "__main__":
    main()
