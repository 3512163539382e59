from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import genkit
from genkit.data.loading import load
from genkit.errors import DataError
from genkit.interfaces import Reader
from genkit_data import Arrays
from genkit_data.mapped import Mapped, located

CONFIG = {
    "name": "small",
    "encoder": {"name": "mlp", "hidden": [16]},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": [16]},
    "likelihood": "gaussian",
    "loss": ["reconstruction", "kl"],
    "training": {"epochs": 3, "batch_size": 64},
}


@pytest.fixture(scope="module")
def images() -> np.ndarray[Any, Any]:
    x: np.ndarray[Any, Any] = load_digits().images.astype(np.float32)[:600, None] / 16
    return x


def config_of(path: object, **options: Any) -> dict[str, Any]:
    return {**CONFIG, "data": {"name": "arrays", "path": path, "shuffle_window": 100, **options}}


def shards_of(folder: Path, x: np.ndarray[Any, Any], count: int = 12) -> str:
    for number, part in enumerate(np.array_split(x, count)):
        np.save(folder / f"part-{number}.npy", part)
    return str(folder / "part-*.npy")


def both(path: object, **options: Any) -> tuple[torch.Tensor, Reader]:
    """The training data in memory, and those that stay in their files."""
    resident, mapped = (load(Arrays.Config(path=path, mapped=mapped, **options)) for mapped in (False, True))
    assert isinstance(resident.train.x, torch.Tensor)
    assert isinstance(mapped.train.x, Reader)
    assert mapped.range() == resident.range()
    assert mapped.fingerprint() == resident.fingerprint()
    return resident.train.x, mapped.train.x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int16, np.uint8, np.bool_, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_read_is_what_is_kept_in_memory(tmp_path, images, dtype, order):
    np.save(tmp_path / "x.npy", np.asarray(images * 16, dtype=dtype, order=order))
    resident, mapped = both(str(tmp_path / "x.npy"))
    assert torch.equal(mapped[:], resident)
    assert mapped.dtype == resident.dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.uint8])
def test_safetensors_are_read_where_they_are(tmp_path, images, dtype):
    tensors = {"other": torch.zeros(3), "x": torch.from_numpy(images * 16).to(dtype)}
    save_file({**tensors, "labels": torch.arange(600) % 10}, tmp_path / "x.safetensors")
    resident, mapped = both(str(tmp_path / "x.safetensors"))
    assert torch.equal(mapped[:], resident)
    labels = load(Arrays.Config(path=str(tmp_path / "x.safetensors"), mapped=True)).train.labels
    assert labels is not None


def test_a_range_is_applied_to_what_is_read(tmp_path, images):
    np.save(tmp_path / "x.npy", (images * 16).astype(np.float64))
    resident, mapped = both(str(tmp_path / "x.npy"), range=[0, 16])
    assert torch.equal(mapped[:], resident)
    assert float(mapped[:].max()) == 1.0


def test_a_column_of_numbers_is_data_of_one_value(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(50.0))
    resident, mapped = both(str(tmp_path / "x.npy"))
    assert resident.shape[1:] == mapped.shape[1:] == (1,)
    assert torch.equal(mapped[:], resident)


def test_shards_follow_each_other_in_their_natural_order(tmp_path, images):
    pattern = shards_of(tmp_path, images)
    resident, mapped = both(pattern, validation=0, test=0)
    assert torch.equal(resident, torch.from_numpy(images))
    assert torch.equal(mapped[:], resident)
    names = [str(tmp_path / f"part-{number}.npy") for number in (3, 1)]
    listed = load(Arrays.Config(path=names, validation=0, test=0)).train.x
    assert torch.equal(listed[:], torch.from_numpy(np.concatenate(list(map(np.load, names)))))


def test_shards_bring_their_own_labels(tmp_path, images):
    for number in range(3):
        np.savez(tmp_path / f"part-{number}.npz", x=images[:5], labels=np.full(5, number))
    data = load(Arrays.Config(path=str(tmp_path / "part-*.npz"), validation=0, test=0))
    assert data.train.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    np.savez(tmp_path / "part-3.npz", x=images[:5])
    with pytest.raises(DataError, match=r"part-3\.npz holds no labels, and other files do"):
        load(Arrays.Config(path=str(tmp_path / "part-*.npz")))


def weights_of(run: genkit.Run) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("transform", [[], ["standardize"]])
def test_a_run_over_files_is_the_run_in_memory(tmp_path, images, transform):
    pattern = shards_of(tmp_path, images)
    runs = [
        genkit.run(config_of(pattern, mapped=mapped, transform=transform), out=tmp_path / str(mapped))
        for mapped in (False, True)
    ]
    assert same(*map(weights_of, runs))
    assert (tmp_path / "True" / "evaluation.json").read_text() == (tmp_path / "False" / "evaluation.json").read_text()
    assert isinstance(runs[1].data.train.x, Reader)


def test_a_run_over_files_goes_on_within_an_epoch(tmp_path, images):
    config = config_of(shards_of(tmp_path, images), mapped=True)
    whole = genkit.run(config, out=tmp_path / "whole")
    genkit.run(config, out=tmp_path / "cut", until=(1, 3))
    assert same(weights_of(genkit.resume(tmp_path / "cut")), weights_of(whole))


def test_trained_models_take_data_in_files(tmp_path, images):
    run = genkit.run(config_of(shards_of(tmp_path, images), mapped=True), out=tmp_path / "run")
    model, data = genkit.load(tmp_path / "run"), run.data
    codes = model.encode(data.split("test"))
    assert torch.equal(codes, model.encode(data.split("test").x[:]))
    everything = data.split("all")
    assert len(model.encode(everything)) == 600
    assert model.reconstruct(data.split("validation").first(5)).shape == (5, 1, 8, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: np.save(path, np.zeros((5, 3), object)), "cannot be read as .npy"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as .npy: promises an array of shape"),
        (lambda path: np.save(path, np.zeros((0, 3))), "holds no data"),
        (lambda path: np.save(path, np.full((5, 3), np.nan)), "5 of 5 data hold NaN"),
        (lambda path: np.save(path, np.array(["a", "b"])), "not numbers"),
    ],
)
def test_files_that_are_no_data_are_named(tmp_path, images, make, message):
    path = tmp_path / "x.npy"
    np.save(path, images)
    make(path)
    with pytest.raises(DataError, match=re.escape(message)):
        load(Arrays.Config(path=str(path), mapped=True, validation=0, test=0))


def test_shards_of_different_widths_are_named(tmp_path, images):
    np.save(tmp_path / "a.npy", np.zeros((5, 3)))
    np.save(tmp_path / "b.npy", np.zeros((5, 4)))
    for mapped in (True, False):
        with pytest.raises(DataError, match=r"a\.npy holds data of shape \(3,\).*b\.npy of \(4,\)"):
            load(Arrays.Config(path=str(tmp_path / "*.npy"), mapped=mapped))


def test_what_cannot_stay_in_its_file_is_refused(tmp_path, images):
    np.savez(tmp_path / "x.npz", x=images)
    with pytest.raises(DataError, match=r"data\.mapped: .*x\.npz is none of \.npy, \.safetensors"):
        load(Arrays.Config(path=str(tmp_path / "x.npz"), mapped=True))
    np.save(tmp_path / "x.npy", images)
    with pytest.raises(DataError, match="transform: standardize, which goes batch by batch"):
        load(Arrays.Config(path=str(tmp_path / "x.npy"), mapped=True, standardize=True))
    with pytest.raises(DataError, match=r"data\.path: no file matches .*none-\*\.npy"):
        load(Arrays.Config(path=str(tmp_path / "none-*.npy")))


def test_a_wrong_header_of_safetensors_is_no_array(tmp_path):
    header = json.dumps({"x": {"dtype": "F32", "shape": [10, 10], "data_offsets": [0, 400]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
    with pytest.raises(DataError, match=r"promises an array of shape \(10, 10\), 400 bytes, and holds 100"):
        located(tmp_path / "x.safetensors", "x", "data.path")
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match=r"cannot be read as \.safetensors"):
        located(tmp_path / "x.safetensors", "x", "data.path")


def test_mapped_data_take_no_memory_of_their_own(tmp_path, images):
    np.save(tmp_path / "x.npy", images)
    place = located(tmp_path / "x.npy", "x", "data.path")
    reader = Mapped(place, torch.from_numpy, torch.float32)
    assert (reader.held, place.in_memory) == (0, images.nbytes)


PEAK = """
import re, sys, threading, time
from pathlib import Path
from genkit.cli import main

def watch():
    while True:
        peak[0] = max(peak[0], int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
        time.sleep(0.01)

peak = [0]
threading.Thread(target=watch, daemon=True).start()
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print("peak", peak[0] * 1024)
"""


def peak_of(process: Any, environment: dict[str, str], *words: object) -> int:
    """The most bytes of anonymous memory that a command takes."""
    done = process("python", "-c", PEAK, *words, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what memory is anonymous")
def test_data_larger_than_memory_take_little_of_it(tmp_path, process, environment):
    size = int(float(os.environ.get("GENKIT_LARGE", "2e9")))  # 3e10 where there is time
    config = {**config_of("", shuffle_window=None, mapped=True, validation=500, test=500), "training": {"steps": 2}}
    peaks = {}
    for name, count in (("few", 2000), ("many", size // 4096)):
        x = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (count, 1024))
        rows = np.random.default_rng(0).choice(count, 1000, replace=False)
        x[rows] = np.random.default_rng(1).random((1000, 1024), np.float32)  # the others are holes of the file
        x.flush()
        config["data"]["path"] = str(tmp_path / f"{name}.npy")
        (tmp_path / f"{name}.yaml").write_text(json.dumps(config))
        check = peak_of(process, environment, "check", tmp_path / f"{name}.yaml")
        run = peak_of(process, environment, "run", tmp_path / f"{name}.yaml", "--out", tmp_path / name)
        peaks[name] = max(check, run)
    (tmp_path / "many.npy").unlink()
    assert peaks["many"] - peaks["few"] < 2**28 + size // 4096 * 40  # places and orders are 8 bytes per datum each
