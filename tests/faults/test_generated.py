"""Configs, overrides, texts and files that chance makes: each is taken, or refused in a line, and nothing else."""

import copy
import gc
import gzip
import io
import json
import shutil
import sys
import traceback

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from genkit.pictures import plots
from genkit.settings import yaml
from tests.faults.conftest import FULL
from tests.faults.mutation import ODD, changed, damaged, odd, parts, places, safetensors, undigested
from tests.faults.watch import HangError, watched

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform != "linux", reason="time and memory are watched as Linux does"),
]
LARGEST = 2**30
"""The bytes that a command may take beyond what its files need, which is little here."""
PARTS = {
    "encoder": [{"name": "mlp", "hidden": [8]}, {"name": "rnn", "hidden": 4}, {"name": "cnn"}],
    "decoder": [{"name": "mlp", "hidden": [8]}, {"name": "rnn", "hidden": 4}, {"name": "cnn"}],
    "sampler": [{"name": "gaussian", "latent": 2}, {"name": "point", "latent": 3}],
    "likelihood": ["bernoulli", {"name": "gaussian", "scale": "learned"}, {"name": "gaussian", "scale": 0.5}],
    "loss": [["reconstruction", "kl"], ["reconstruction", {"name": "kl", "weight": {"from": 0, "to": 1, "epochs": 2}}]],
    "data": [{"name": "digits"}, {"name": "digits", "validation": 0.2, "binarize": "dynamic"}, {"name": "waves"}],
}
OPTIMIZERS = [{"name": "adam", "lr": 0.001}, {"name": "sgd", "lr": 0.01, "momentum": 0.9}]


@pytest.fixture
def attack(cli, chance, count, request):
    """`attack(what, of_full, make)`: many calls of `make(chance, number)`, whose commands end well or in one error."""

    def run(what, share, make):
        bad, tally = [], {"tracebacks": 0, "hangs": 0, "signals": 0, "lost": 0}
        cases, peak = max(12, FULL * share // 100) if FULL else 12, 0
        for number in range(cases):
            words = make(chance, number)
            try:
                with watched() as memory:
                    answer = cli(*words)
            except HangError:
                tally["hangs"] += 1
                bad.append((number, words, f"hangs: {_tail()}"))
                continue
            except BaseException:
                tally["tracebacks"] += 1
                bad.append((number, words, _tail()))
                continue
            peak = max(peak, memory.size)
            if complaint := wrong(answer, memory.size):
                tally["lost"] += 1
                bad.append((number, words, complaint))
        count(f"generated: {what}", cases=cases, peak=peak, **tally)
        shown = "\n".join(
            f"case {number}: genkit {' '.join(map(str, words))[:500]}\n{text}" for number, words, text in bad[:8]
        )
        assert not bad, f"{len(bad)} of {cases}\n{shown}"

    return run


def _tail():
    return traceback.format_exc()[-1500:]


def wrong(answer, memory):
    """What is wrong with the end of a command; None: nothing."""
    if answer.code not in (0, 2):
        return f"exit code {answer.code}: {answer.err[-500:]}"
    if "Traceback" in answer.err + answer.out:
        return answer.err[-1500:]
    # a wrong use is shown in a box, and what cannot be loaded on stdout
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ") or "Usage:" in line]
    if answer.code == 2 and not errors and not answer.out:
        return f"exit code 2 without an error: {answer.err[-500:]!r}"
    if "\x1b" in answer.err + answer.out or "\x00" in answer.err + answer.out:
        return "it prints what acts on a terminal"
    if memory > LARGEST:
        return f"it takes {memory:,} bytes"
    return None


def a_config(chance):
    """A config, which fits more often than not."""
    config = {key: copy.deepcopy(chance.choice(values)) for key, values in PARTS.items()}
    config["training"] = {"epochs": 1, "batch_size": 64, "optimizer": copy.deepcopy(chance.choice(OPTIMIZERS))}
    return {"name": "a", "seed": 0, **config}


def test_configs(attack, tmp_path):
    def make(chance, number):
        path = tmp_path / "config.yaml"
        values = a_config(chance) if number % 5 == 0 else changed(chance, a_config(chance))
        path.write_bytes(json.dumps(values).encode("utf-8", "surrogatepass"))
        return [chance.choice(("check", "check", "describe")), path]

    attack("configs", 25, make)


def test_overrides(attack, tmp_path):
    path = tmp_path / "config.yaml"

    def make(chance, number):
        config = a_config(chance)
        path.write_text(yaml.write(config))
        keys = [
            *config,
            *(f"{key}.{each}" for key, value in config.items() if isinstance(value, dict) for each in value),
        ]
        texts = [
            *map(str, ODD),
            "[",
            "{a: ",
            "[[[[",
            "&a [*a]",
            "!!int abc",
            "{from: 0, to: nan, epochs: 1}",
            "[1, 2",
            "=",
            "'",
        ]
        overrides = []
        for _ in range(chance.randint(1, 3)):
            key = (
                chance.choice(keys)
                if chance.random() < 0.8
                else chance.choice(("", "a.b.c", "loss.kl.weight", "loss.0", "..", "encoder.hidden.0"))
            )
            overrides.append(f"{key}={chance.choice(texts)[:2000]}".replace("\x00", ""))
        return ["check", path, "--", *overrides]

    attack("overrides", 13, make)


def test_yaml_texts(attack, tmp_path):
    path = tmp_path / "config.yaml"

    def make(chance, number):
        path.write_bytes(damaged(chance, yaml.write(a_config(chance)).encode()))
        return ["check", path]

    attack("YAML texts", 15, make)


def test_arrays(attack, tmp_path, digits):
    x = np.random.default_rng(0).random((60, 1, 8, 8), np.float32)
    whole = {"npy": _saved(np.save, x), "npz": _saved(np.savez, x=x, labels=np.arange(60) % 3)}
    whole["safetensors"] = save({"x": x, "labels": np.arange(60) % 3})

    def make(chance, number):
        suffix = chance.choice(list(whole))
        content = whole[suffix] if chance.random() < 0.7 else _odd_array(chance, suffix)
        path = tmp_path / f"data.{suffix}"
        if suffix == "safetensors" and chance.random() < 0.5:
            header, body = parts(content)
            path.write_bytes(safetensors(changed(chance, header), body))
        else:
            path.write_bytes(damaged(chance, content) if chance.random() < 0.8 else content)
        return ["check", digits, "data=arrays", f"data.path={path}", "encoder.hidden=[8]", "decoder.hidden=[8]"]

    attack("data: arrays", 10, make)


def _saved(save_to, *arrays, **named):
    stream = io.BytesIO()
    save_to(stream, *arrays, **named)
    return stream.getvalue()


def _odd_array(chance, suffix):
    """A whole file of an array whose shape, type or values are odd."""
    shape = chance.choice(
        [(), (0,), (60,), (60, 0), (1, 4), (60, 3), (60, 1, 8, 8), (60, 8, 8, 3), (3, 1, 1, 1, 1), (2, 2)]
    )
    kinds = ["f4", "f8", "f2", "u1", "i8", "?", "u8"] + (
        ["c8", "U3", "M8[s]", ">f4", "V4"] if suffix != "safetensors" else []
    )
    values = np.zeros(shape, chance.choice(kinds))
    if values.dtype.kind == "f" and values.size:
        values[...] = chance.choice([0, 0.5, -3, 1e30, np.nan, np.inf, 60000])
    if suffix == "npy":
        return _saved(np.save, values)
    return _saved(np.savez, x=values, labels=np.zeros(3)) if suffix == "npz" else save({"x": values, "y": values})


def test_images(attack, tmp_path, digits):
    pictures = {}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(stream, kind)
        pictures[kind.lower()] = stream.getvalue()

    def make(chance, number):
        root = tmp_path / "images"
        shutil.rmtree(root, ignore_errors=True)
        for name in ("a", "b"):
            (root / name).mkdir(parents=True)
            for index in range(4):
                kind = chance.choice(list(pictures))
                (root / name / f"{index}.{kind}").write_bytes(pictures[kind])
        kind = chance.choice(list(pictures))
        (root / "b" / f"4.{kind}").write_bytes(damaged(chance, pictures[kind]))
        broken = chance.choice(("skip", "error"))
        data = f"data={{name: images, root: {root}, size: [8, 8], broken: {broken}}}"
        return ["check", digits, data, "encoder.hidden=[8]", "decoder.hidden=[8]"]

    attack("data: images", 5, make)


def test_idx_files(attack, tmp_path, monkeypatch, digits):
    images, labels = np.zeros((40, 28, 28), np.uint8), np.zeros(40, np.uint8)
    contents = {"images-idx3-ubyte": (2051, images), "labels-idx1-ubyte": (2049, labels)}
    monkeypatch.setenv("GENKIT_MNIST", str(tmp_path))

    def make(chance, number):
        for split in ("train", "t10k"):
            for name, (magic, array) in contents.items():
                content = np.array([magic, *array.shape], ">i4").tobytes() + array.tobytes()
                hurt = chance.random() < 0.4
                inner = damaged(chance, content) if hurt and chance.random() < 0.5 else content
                outer = gzip.compress(inner, 1)
                (tmp_path / f"{split}-{name}.gz").write_bytes(
                    damaged(chance, outer) if hurt and inner is content else outer
                )
        return ["check", digits, "data=mnist", "encoder.hidden=[8]", "decoder.hidden=[8]"]

    attack("data: IDX", 3, make)


READERS = (["load"], ["describe"], ["sample", "-n", "2"], ["evaluate"], ["card"], ["encode"], ["load", "--json"])


def reading(chance, path, out):
    """A command that reads a model or a run."""
    command, *options = chance.choice(READERS)
    if command in ("sample", "encode", "card"):
        options += ["--out", out / f"{command}.{'md' if command == 'card' else 'npz'}"]
    return [command, path, *options]


def test_model_files(attack, trained, tmp_path):
    contents = [run.directory.model.read_bytes() for run in trained.values()]

    def make(chance, number):
        path = tmp_path / "model.safetensors"
        path.write_bytes(_model(chance, chance.choice(contents)))
        return reading(chance, path, tmp_path)

    attack("model files", 12, make)


def _model(chance, content):
    """A model or checkpoint whose bytes, header, tensors or metadata are changed; without a digest it is believed."""
    header, body = parts(content)
    kind = chance.choice(("bytes", "header", "body", "metadata", "metadata", "metadata"))
    if kind == "bytes":
        return damaged(chance, content)
    if chance.random() < 0.9:
        undigested(header)
    if kind == "header":
        return safetensors(changed(chance, header), body)
    if kind == "body":
        return safetensors(
            header,
            bytes(reversed(body)) if chance.random() < 0.3 else damaged(chance, body)[: len(body)].ljust(len(body)),
        )
    key = chance.choice([each for each in header["__metadata__"] if each.startswith("genkit")])
    text = header["__metadata__"][key]
    if chance.random() < 0.15:
        header["__metadata__"][key] = damaged(chance, text.encode()).decode("utf-8", "replace")
    else:
        header["__metadata__"][key] = json.dumps(changed(chance, json.loads(text)))
    return safetensors(header, body)


@pytest.fixture
def copied(trained, tmp_path, bare):
    """`copied()`: a fresh copy of a finished run."""
    assert plots.draw_all

    def make(chance):
        target = tmp_path / "run"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(trained[chance.choice(list(trained))].directory.path, target)
        return target

    return make


def test_checkpoints(attack, copied):
    def make(chance, number):
        run = copied(chance)
        hurt = [run / "checkpoint.safetensors", run / "checkpoint-before.safetensors"][: chance.choice((1, 1, 2))]
        for path in hurt:
            path.write_bytes(_model(chance, path.read_bytes()))
        return ["resume", run, "--epochs", "4"]

    attack("checkpoints", 8, make)


JSONS = (
    "environment.json",
    "evaluation.json",
    "stages.json",
    "local.json",
    "changes.json",
    "stopped.json",
    "metrics.jsonl",
)


def test_files_of_runs(attack, copied, trained, tmp_path):
    others = [run.directory.path for run in trained.values()]
    made = {
        "changes.json": [{"epoch": 2, "overrides": ["training.optimizer.lr=0.01"]}],
        "stopped.json": {"epoch": 3, "by": "a"},
    }

    def make(chance, number):
        run = copied(chance)
        path = run / chance.choice((*JSONS, "config.yaml"))
        content = path.read_bytes() if path.is_file() else json.dumps(made[path.name]).encode()
        path.write_bytes(_text(chance, content, path.suffix))
        command = chance.choice(("resume", "resume", "compare", "read", "read"))
        if command == "resume":
            return ["resume", run, *chance.choice(([], ["--epochs", "4"], ["training.optimizer.lr=0.01"]))]
        if command == "compare":
            return ["compare", run, chance.choice(others), "--out", tmp_path / "compared"]
        return reading(chance, run, tmp_path)

    attack("files of runs", 9, make)


def _text(chance, content, suffix):
    if chance.random() < 0.4 or suffix not in (".json", ".jsonl"):
        return damaged(chance, content)
    values = [json.loads(line) for line in content.splitlines()] if suffix == ".jsonl" else json.loads(content)
    values = changed(chance, values)
    lines = values if suffix == ".jsonl" and isinstance(values, list) else [values]
    return "\n".join(map(json.dumps, lines)).encode()


def test_changes_are_changes(chance):
    value = {"a": [1, {"b": "c"}], "d": 2.0}
    before = copy.deepcopy(value)
    assert sum(repr(changed(chance, value)) != repr(before) for _ in range(100)) > 80
    assert value == before
    assert sum(damaged(chance, b"0123456789" * 20) != b"0123456789" * 20 for _ in range(100)) > 80
    assert len(list(places(value))) == 5
    assert parts(safetensors({"x": 1}, b"ab")) == ({"x": 1}, b"ab")
    assert any(odd(chance) is not None for _ in range(9))


def _forever():
    with watched():
        while True:
            pass


def test_hangs_and_memory_are_seen(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("tests.faults.watch.SECONDS", 0.05)
        with pytest.raises(HangError):
            _forever()
    gc.collect()  # so that what other tests leave makes no room
    with watched() as peak:
        taken = bytearray(256 * 2**20)  # more than what threads may give back meanwhile
        taken[:: 2**12] = b"1" * (2**16)
    assert peak.size > 50 * 2**20
