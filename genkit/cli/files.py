"""Commands that write files from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import DataOverrides, Out, RunPath, Seed, SplitName, app, fail


@app.command()
def sample(
    run: RunPath,
    out: Out,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many.")] = 64,
    seed: Seed = 0,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from p(x|z) instead of taking its mean.")] = False,
    grid: Annotated[bool, typer.Option("--grid", help="Side by side in a picture, as any .png is.")] = False,
) -> None:
    """Generate data from the prior: an array (.npy, .npz, .safetensors, .csv, .parquet) or a picture (.png)."""
    import torch

    from genkit.cli import outputs
    from genkit.sharing import weights

    outputs.check_suffix(out, [".png"])
    if grid and out.suffix != ".png":
        fail(f"--out {out}: --grid makes a picture; call it {out.with_suffix('.png').name}")
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
    from genkit.cli import outputs
    from genkit.runs.opening import reopen

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
    n: Annotated[int | None, typer.Option("-n", "--n", min=1, help="The first so many; by default all.")] = None,
) -> None:
    """Write data beside what the model makes of them: arrays x and reconstruction, or a picture (.png)."""
    from genkit.cli import outputs
    from genkit.data.dataset import as_float
    from genkit.pictures import plots
    from genkit.runs.opening import reopen

    outputs.check_suffix(out, [".png"])
    model, dataset = reopen(run, data or ())
    x = dataset.split(split).x[:n]
    if out.suffix == ".png":
        outputs.write_picture(out, plots.reconstructions(model, x, count=n or 24))
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
    from genkit.cli import outputs
    from genkit.data.dataset import as_float
    from genkit.runs.opening import reopen

    outputs.check_suffix(out, [".png"])
    model, dataset = reopen(run, data or ())
    x = dataset.split(split).x
    if max(first, last) >= len(x):
        fail(f"--from and --to: the {split} split has the data 0 to {len(x) - 1}, not {max(first, last)}")
    between = model.interpolate(as_float(x[first]), as_float(x[last]), steps)
    outputs.write_data(out, between.numpy(), model.limits, columns=steps)
    print(out)


@app.command()
def export(
    run: RunPath,
    part: Annotated[str, typer.Option(help="encoder, decoder or all.")] = "all",
    format: Annotated[str, typer.Option(help="onnx or torch-export.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file; by default PART.onnx or PART.pt2 beside the weights; here for hf://.")
    ] = None,
) -> None:
    """Write a model for other programs, with any batch size, and compare the file with the model."""
    from genkit.sharing import hub, weights
    from genkit.sharing.export import SUFFIXES
    from genkit.sharing.export import export as write

    model = weights.load(run)
    folder = Path() if hub.is_address(run) else run if run.is_dir() else run.parent
    done = write(model, out or folder / f"{part}{SUFFIXES.get(format, '')}", part, format)  # type: ignore[arg-type]
    names = f"{', '.join(done.inputs)} -> {', '.join(done.outputs)}"
    print(f"{names}: differs from the model by at most {done.difference:.1e}")
    print(done.path)
