"""Dictionaries in whole runs: planted ones are recovered, files for SAELens, and what a network loses."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import genkit
from genkit.data.dataset import Dataset
from genkit.errors import MetricError
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import measure
from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import resume, run
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_dictionaries import LossRecovered
from tests.models import built

EXAMPLES = Path(__file__).parents[2] / "examples"
ATOMS, SIZE, ACTIVE, UNITS = 48, 32, 3, 96


def planted(count: int) -> tuple[Tensor, Tensor]:
    """Atoms (48, 32) of norm 1, and data (count, 32) that each are made of 3 of them, with an offset."""
    random = torch.Generator().manual_seed(0)
    atoms = F.normalize(torch.randn(ATOMS, SIZE, generator=random), dim=1)
    chosen = torch.rand(count, ATOMS, generator=random).argsort(1) < ACTIVE
    sizes = torch.rand(count, ATOMS, generator=random) + 0.5
    return atoms, (chosen * sizes) @ atoms + torch.randn(SIZE, generator=random)


def config(path: Path, sampler: dict[str, Any], *losses: Any, epochs: int = 1, **training: Any) -> Any:
    values = {
        "data": {"name": "arrays", "path": str(path / "x.npy"), "validation": 0, "test": 0.1},
        "encoder": "centred",
        "sampler": {"latent": UNITS, **sampler},
        "decoder": "dictionary",
        "likelihood": {"name": "gaussian", "scale": 1.0},
        "loss": ["reconstruction", *losses],
        "training": {"epochs": epochs, "batch_size": 128, "optimizer": {"name": "adam", "lr": 1e-2}, **training},
    }
    return as_config(values)


def recovered(atoms: Tensor, model: Model) -> float:
    """The share of atoms that an atom of the dictionary has a cosine of 0.9 with."""
    cosines: Tensor = atoms @ model.decoder.directions().detach().T
    return float((cosines.amax(1) >= 0.9).float().mean())


def trained(path: Path, *parts: Any, epochs: int, silent: int | None = None) -> tuple[Tensor, Model, Dataset]:
    """The atoms, the dictionary after some epochs and the data; the units from `silent` on start below their bias."""
    atoms, x = planted(20_000)
    np.save(path / "x.npy", x.numpy())
    options = config(path, *parts, epochs=epochs)
    with own_random_state():
        torch.manual_seed(0)
        data, model = prepare(options)
        if silent is not None:
            with torch.no_grad():
                model.sampler.code.bias[silent:] = -1
        list(fit(Trainer(model, options.training), data, seed=0))
    return atoms, model.eval(), data


REVIVAL = {"name": "auxiliary", "dead_after": 20, "weight": 0.25}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "losses"),
    [
        ({"name": "topk", "k": ACTIVE}, [REVIVAL]),
        ({"name": "batch_topk", "k": ACTIVE}, [REVIVAL]),
        (
            {"name": "jumprelu", "bandwidth": 0.2},
            [{"name": "l0", "weight": {"from": 0.0, "to": 0.06, "epochs": 4}}, REVIVAL],
        ),
        ({"name": "gated"}, ["gate_reconstruction", {"name": "gate_l1", "weight": 0.5}]),
    ],
)
def test_a_planted_dictionary_is_recovered(tmp_path: Path, sampler: Any, losses: Any) -> None:
    atoms, model, data = trained(tmp_path, sampler, *losses, epochs=10)
    figures = evaluate(model, data)
    assert recovered(atoms, model) >= 0.95
    assert figures.code.l0 == pytest.approx(ACTIVE, abs=0.3)
    assert figures.unexplained < 0.1


@pytest.mark.slow
def test_dead_units_are_revived_and_learn_the_atoms_that_are_missing(tmp_path: Path) -> None:
    topk = {"name": "topk", "k": ACTIVE}
    atoms, without, data = trained(tmp_path, topk, epochs=12, silent=24)
    _, model, _ = trained(tmp_path, topk, REVIVAL, epochs=12, silent=24)
    dead = [evaluate(each, data).code.dead for each in (without, model)]
    assert dead[0] > 0.6
    assert dead[1] <= 1 - ATOMS / UNITS + 0.02  # more units than atoms: no unit that an atom needs
    assert recovered(atoms, without) < 0.6
    assert recovered(atoms, model) >= 0.95


def test_an_l1_penalty_cannot_be_escaped_by_scale(tmp_path: Path) -> None:
    """Plain weights grow, so that a smaller code gives the same data; atoms of norm 1 do not."""
    _, x = planted(2000)
    np.save(tmp_path / "x.npy", x.numpy())
    norms = {}
    for decoder in ("dictionary", {"name": "mlp", "hidden": []}):
        values = config(tmp_path, {"name": "point", "activation": "relu"}, {"name": "l1", "weight": 1.0}).resolved()
        values |= {"decoder": decoder, "encoder": {"name": "mlp", "hidden": []}}
        values["training"] |= {"epochs": 10, "batch_size": 100}
        options = as_config(values)
        with own_random_state():
            torch.manual_seed(0)
            data, model = prepare(options)
            layers = dict(model.decoder.named_parameters())
            atoms = layers["atoms"].T if "atoms" in layers else layers["layers.1.weight"]
            before = float(atoms.detach().norm(dim=0).mean())
            list(fit(Trainer(model, options.training), data, seed=0))
        norms[str(decoder)] = float(atoms.detach().norm(dim=0).mean()) / before
    plain = norms.pop(next(each for each in norms if "mlp" in each))
    assert plain > 1.1
    assert list(norms.values()) == pytest.approx([1], abs=1e-4)


class StopAfter:
    """A listener that interrupts once so many epochs are done."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    @genkit.hookimpl
    def epoch_ended(self, record: Any) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["topk", "batch_topk"])
def test_interrupted_and_resumed_it_ends_as_if_never_interrupted(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "x.npy", planted(600)[1].numpy())
    values = config(tmp_path, {"name": name, "k": 3}, {"name": "auxiliary", "dead_after": 3}, epochs=3)
    run(values, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(values, out=tmp_path / "stopped", listeners=[StopAfter(2)])
    resume(tmp_path / "stopped")
    whole, stopped = (genkit.load(tmp_path / each).state_dict() for each in ("whole", "stopped"))
    assert all(torch.equal(whole[each], stopped[each]) for each in whole)
    assert float(whole["encoder.is_moved"]) == 1


# Files for SAELens


def codes(folder: Path, x: Tensor) -> tuple[Tensor, Tensor]:
    """The codes and the reconstructions of a dictionary in SAELens' layout, as its documentation has them."""
    options = json.loads((folder / "cfg.json").read_text())
    w = load_file(folder / "sae_weights.safetensors")
    centred = x - w["b_dec"] * options["apply_b_dec_to_input"]
    if options["architecture"] == "gated":
        gates = (centred @ w["W_enc"] + w["b_gate"] > 0).float()
        code = gates * torch.relu(centred @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"])
    else:
        pre = centred @ w["W_enc"] + w["b_enc"]
        if options["architecture"] == "topk":
            largest = pre.topk(options["k"], dim=1)
            code = torch.zeros_like(pre).scatter(1, largest.indices, largest.values.relu())
        else:
            code = torch.relu(pre) * (pre > w["threshold"])
    assert w["W_enc"].shape == (options["d_in"], options["d_sae"]) == w["W_dec"].T.shape
    return code, code @ w["W_dec"] + w["b_dec"]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["topk", "batch_topk", "jumprelu", "gated"])
@pytest.mark.parametrize("encoder", ["centred", {"name": "mlp", "hidden": []}])
def test_saelens_reads_the_same_codes(tmp_path: Path, name: str, encoder: Any, cli: Callable[..., Any]) -> None:
    np.save(tmp_path / "x.npy", (planted(600)[1] * 7 + 2).numpy())
    losses = {"jumprelu": ["l0"], "gated": ["gate_l1", "gate_reconstruction"]}.get(name, [])
    values = config(tmp_path, {"name": name}, *losses).resolved()
    values |= {"encoder": encoder}
    values["data"]["transform"] = ["rms"] if encoder == "centred" else ["standardize"]
    values["training"] |= {"batch_size": 50}
    run(as_config(values), out=tmp_path / "run")
    answer = cli("saelens", tmp_path / "run", "--out", tmp_path / "sae")
    assert answer.code == 0, answer.err
    model, data = genkit.reopen(tmp_path / "run")
    code, rebuilt = codes(tmp_path / "sae", data.test.x)
    assert float((code > 0).float().mean()) > 0.005
    torch.testing.assert_close(code, model.encode(data.test.x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rebuilt, model.reconstruct(data.test.x), rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": "mlp", "encoder": "mlp"}, "SAELens reads dictionaries: the decoder is 'dictionary'"),
        ({"encoder": "mlp"}, "SAELens reads dictionaries without further layers: choose encoder: centred"),
        ({"encoder_transform": ["rms"]}, "leave encoder_transform out"),
    ],
)
def test_what_saelens_cannot_read_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str, cli: Callable[..., Any]
) -> None:
    np.save(tmp_path / "x.npy", planted(200)[1].numpy())
    run(as_config(config(tmp_path, {"name": "topk"}).resolved() | changes), out=tmp_path / "run")
    answer = cli("saelens", tmp_path / "run", "--out", tmp_path / "sae")
    assert answer.code == 2
    assert message in " ".join(answer.err.split())
    assert not (tmp_path / "sae").exists()


@pytest.mark.usefixtures("bare")
def test_saelens_has_no_logarithms(tmp_path: Path, cli: Callable[..., Any]) -> None:
    np.save(tmp_path / "x.npy", planted(200)[1].abs().numpy())
    values = config(tmp_path, {"name": "topk"}).resolved()
    values["data"]["transform"] = ["log1p"]
    run(as_config(values), out=tmp_path / "run")
    answer = cli("saelens", tmp_path / "run", "--out", tmp_path / "sae")
    assert answer.code == 2
    assert "do more than scale and shift each value" in " ".join(answer.err.split())


# The loss recovered


def model_of(sampler: dict[str, Any]) -> Model:
    parts = {"encoder": "centred", "sampler": sampler, "decoder": "dictionary", "loss": ["reconstruction"]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return built((6,), **parts).eval()


class Rest(nn.Module):
    """What comes after activations (B, T, 6): logits (B, T, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits


def exported(network: nn.Module, shape: tuple[int, ...], path: Path) -> str:
    """An ONNX file of a network for any number of sequences."""
    pytest.importorskip("onnxscript", reason="needs the extra `onnx`")
    batch = {0: torch.export.Dim("B")}
    torch.onnx.export(
        network.eval(), (torch.zeros(3, *shape),), path, dynamo=True, dynamic_shapes=(batch,), verbose=False
    )
    return str(path)


@pytest.fixture
def sequences(tmp_path: Path) -> dict[str, Any]:
    """A network on random activations (30, 5, 6), and what it says of them most often."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network, x = Rest(), torch.rand(30, 5, 6) * 4 - 2
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "y.npy", network(x).argmax(2).numpy())
    options = {"activations": str(tmp_path / "x.npy"), "targets": str(tmp_path / "y.npy"), "batch": 8}
    return {"network": network, "x": x, "options": options}


def loss_recovered(model: Model, **options: Any) -> Any:
    x = torch.rand(4, 6)
    data = Dataset(Split(x, None), None, Split(x, None), None, False)
    return measure(model, data, LossRecovered.Config.model_validate(options), seed=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_loss_recovered_is_that_of_the_networks_cross_entropies(tmp_path: Path, sequences: dict[str, Any]) -> None:
    model, network, x = model_of({"name": "topk", "latent": 40, "k": 2}), sequences["network"], sequences["x"]
    options = sequences["options"] | {"network": exported(network, (5, 6), tmp_path / "rest.onnx")}
    figures = loss_recovered(model, **options)
    targets = network(x).argmax(2)
    rebuilt = model.reconstruct(x.flatten(0, 1)).view_as(x)
    losses = [
        float(F.cross_entropy(network(each).flatten(0, 1), targets.flatten()).detach())
        for each in (x, rebuilt, torch.zeros_like(x))
    ]
    assert [figures[name] for name in ("loss", "rebuilt", "ablated")] == pytest.approx(losses, rel=1e-4)
    assert figures["recovered"] == pytest.approx((losses[2] - losses[1]) / (losses[2] - losses[0]), rel=1e-4)
    np.save(tmp_path / "y.npy", np.full((30, 5), 9))
    with pytest.raises(MetricError, match=r"must give logits \(8, 5, 'V'\) with V above the largest target, 9"):
        loss_recovered(model, **options)
    np.save(tmp_path / "y.npy", network(x).argmin(2).numpy())
    with pytest.raises(MetricError, match="check that network, activations and targets belong together"):
        loss_recovered(model, **options)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("activations", np.zeros((30, 5, 7)), r"the model reads activations of 6 values, in sequences \(N, T, 6\)"),
        ("targets", np.zeros((30, 4), int), r"one whole number for each position, \(30, 5\)"),
        ("targets", np.zeros((30, 5)), "the file has .* of float64"),
        ("network", np.zeros(3), "is no ONNX network with one input"),
        ("network", None, "there is no such file; export the network behind the activations to ONNX"),
    ],
)
def test_files_that_do_not_fit_are_named(
    tmp_path: Path, sequences: dict[str, Any], name: str, value: Any, message: str
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    file = tmp_path / "other.npy"
    if value is not None:
        np.save(file, value)
    options = {"network": str(tmp_path / "rest.onnx"), **sequences["options"], name: str(file)}
    with pytest.raises(MetricError, match=rf"other\.npy.*{message}"):
        loss_recovered(model_of({"name": "topk", "latent": 40, "k": 2}), **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dictionary_recovers_most_of_the_loss_of_a_transformer(tmp_path: Path) -> None:
    """A transformer of two layers learns some text, a dictionary the outputs of its first layer."""
    script = runpy.run_path(str(EXAMPLES / "transformer_activations.py"))
    text = script["text_of"](("difflib", "ast"))
    with torch.random.fork_rng():
        network = script["train"](text, 60)
    stretches = text[: 200 * 65].view(200, 65)
    with torch.no_grad():
        x = network.first(stretches[:, :-1])
    np.save(tmp_path / "activations.npy", x.numpy())
    np.save(tmp_path / "held.npy", x[180:].numpy())
    np.save(tmp_path / "targets.npy", stretches[180:, 1:].numpy())
    rest = script["Rest"](network)
    files = {"network": exported(rest, tuple(x.shape[1:]), tmp_path / "rest.onnx")}
    files |= {"activations": str(tmp_path / "held.npy"), "targets": str(tmp_path / "targets.npy")}
    values = config(tmp_path, {"name": "topk", "latent": 256, "k": 16}, epochs=5).resolved()
    values["data"] = {"name": "activations", "path": str(tmp_path / "activations.npy"), "test": 0.1}
    options = as_config(values)
    with own_random_state():
        torch.manual_seed(0)
        data, model = prepare(options)
        before = measure(model, data, LossRecovered.Config.model_validate(files), seed=0)
        list(fit(Trainer(model, options.training), data, seed=0))
    after = measure(model, data, LossRecovered.Config.model_validate(files), seed=0)
    assert after["loss"] < after["rebuilt"] < after["ablated"]
    assert after["recovered"] > max(0.9, before["recovered"])
