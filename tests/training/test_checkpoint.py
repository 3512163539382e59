import json

import pytest
import torch
from safetensors.torch import save_file

from genkit.errors import GenkitWarning, WeightsError
from genkit.files.tensors import read_tensors, write_tensors
from genkit.record.directory import RunDirectory
from genkit.runs.opening import as_config, prepare
from genkit.training import checkpoint
from genkit.training.epochs import Loop
from genkit.training.trainer import Trainer


def trainer_of(digits, *overrides):
    config = as_config(digits, ["encoder.hidden=[8]", "decoder.hidden=[8]", *overrides])
    data, model = prepare(config)
    return Trainer(model, config.training), data


def restore(path, trainer):
    """Take up the checkpoint of a file; gives the number of epochs done."""
    point = checkpoint.read(path)
    checkpoint.restore(point, trainer)
    return point.epoch


def steps(trainer, data, count):
    torch.manual_seed(0)
    for index in range(count):
        trainer.step(data.train.x[index * 32 : (index + 1) * 32], torch.ones(2))


@pytest.mark.parametrize("name", ["adam", "adamw", "adamax", "rmsprop", "sgd"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_restored_trainer_takes_the_same_next_step(tmp_path, digits, name, momentum):
    option = [f"training.optimizer={{name: {name}, momentum: {momentum}}}"] if name in ("rmsprop", "sgd") else []
    option = option or [f"training.optimizer={name}"]
    original, data = trainer_of(digits, *option)
    steps(original, data, 3)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=7)
    restored, _ = trainer_of(digits, *option, "seed=9")
    assert restore(tmp_path / "c.safetensors", restored) == 7
    for trainer in (original, restored):
        steps(trainer, data, 2)
    for one, other in zip(original.model.parameters(), restored.model.parameters(), strict=True):
        assert torch.equal(one, other)


LAID_OUT = [  # weights of convolutions lie channels last
    "encoder={name: cnn, layers: [{channels: 4, kernel: 3, stride: 2}, {channels: 8, kernel: 3}]}",
    "decoder={name: cnn, layers: [{channels: 4, kernel: 3, stride: 2}, {kernel: 3}]}",
]


@pytest.mark.parametrize("name", ["adam", "adamax", "sgd"])
def test_moments_come_back_in_the_layout_of_their_parameters(tmp_path, digits, name):
    options = [*LAID_OUT, f"training.optimizer={'{name: sgd, momentum: 0.9}' if name == 'sgd' else name}"]
    config = as_config(digits, options)
    (data, model), (_, fresh) = prepare(config), prepare(config)
    original, restored = Trainer(model, config.training), Trainer(fresh, config.training)
    steps(original, data, 3)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=1)
    restore(tmp_path / "c.safetensors", restored)
    for trainer in (original, restored):
        steps(trainer, data, 2)
    for one, other in zip(original.model.parameters(), restored.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_number_of_epochs_is_read_without_the_model(tmp_path, digits):
    assert checkpoint.epochs_done(tmp_path / "c.safetensors") == 0
    trainer, _ = trainer_of(digits)
    checkpoint.save(tmp_path / "c.safetensors", trainer, epoch=3)
    assert checkpoint.epochs_done(tmp_path / "c.safetensors") == 3


def test_a_checkpoint_of_another_model_is_refused(tmp_path, digits):
    trainer, _ = trainer_of(digits)
    checkpoint.save(tmp_path / "c.safetensors", trainer, epoch=1)
    other, _ = trainer_of(digits, "encoder.hidden=[9]")
    with pytest.raises(WeightsError, match=r"c\.safetensors: .*do not fit"):
        restore(tmp_path / "c.safetensors", other)


@pytest.mark.parametrize("attempt", ["abc", -1, 1e999, None, 2.0, 99])
def test_a_place_in_training_that_is_none_is_refused(tmp_path, digits, attempt):
    trainer, data = trainer_of(digits)
    Loop(trainer, data, seed=0)
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, trainer, 1)
    tensors, metadata = read_tensors(path)
    header = json.loads(metadata[checkpoint.KEY])
    header["plain"]["state/loop/attempt"] = attempt
    write_tensors(path, tensors, {checkpoint.KEY: json.dumps(header)})
    with pytest.raises(WeightsError, match="its state of training is damaged"):
        restore(path, trainer)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, digits):
    save_file({"w": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match="is no checkpoint"):
        restore(tmp_path / "c.safetensors", trainer_of(digits)[0])


class Average:
    """Parameters averaged over steps, as a part of training with a state of its own."""

    def __init__(self, trainer):
        self.steps, self.mean = 0, [parameter.detach().clone() for parameter in trainer.model.parameters()]
        trainer.after_step.append(self)
        trainer.states["average"] = self

    def __call__(self, trainer):
        self.steps += 1
        for mean, parameter in zip(self.mean, trainer.model.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 / (self.steps + 1))

    def state_dict(self):
        return {"steps": self.steps, **{f"mean/{i}": mean for i, mean in enumerate(self.mean)}}

    def load_state_dict(self, state):
        self.steps = state["steps"]
        self.mean = [state[f"mean/{i}"] for i in range(len(self.mean))]


def test_what_takes_part_in_training_comes_back_with_its_state(tmp_path, digits):
    original, data = trainer_of(digits)
    average = Average(original)
    steps(original, data, 3)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=1)
    restored, _ = trainer_of(digits, "seed=9")
    again = Average(restored)
    restore(tmp_path / "c.safetensors", restored)
    assert again.steps == 3
    for trainer in (original, restored):
        steps(trainer, data, 2)
    for one, other in zip(average.mean, again.mean, strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_without_such_a_state_leaves_it_as_it_is(tmp_path, digits):
    original, data = trainer_of(digits)
    steps(original, data, 1)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=1)
    average = Average(original)
    restore(tmp_path / "c.safetensors", original)
    assert average.steps == 0


def test_a_checkpoint_of_an_earlier_genkit_is_taken_up(tmp_path, digits):
    original, data = trainer_of(digits)
    steps(original, data, 3)
    checkpoint.save(tmp_path / "c.safetensors", original, epoch=2)
    tensors, metadata = read_tensors(tmp_path / "c.safetensors")
    header = json.loads(metadata[checkpoint.KEY])
    before = {"epoch": header["epoch"], "optimizer": header["plain"], "scaler": header["scaler"]}
    write_tensors(tmp_path / "old.safetensors", tensors, {checkpoint.KEY: json.dumps(before)})
    restored, _ = trainer_of(digits, "seed=9")
    assert restore(tmp_path / "old.safetensors", restored) == 2
    for trainer in (original, restored):
        steps(trainer, data, 2)
    for one, other in zip(original.model.parameters(), restored.model.parameters(), strict=True):
        assert torch.equal(one, other)


def altered(path, change):
    """Give the checkpoint of a file other values, which it claims to be its own."""
    point = checkpoint.read(path)
    write_tensors(path, change(dict(point.tensors)), {checkpoint.KEY: point.metadata[checkpoint.KEY]})


MOMENT = "optimizer/model/0/exp_avg"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {**t, MOMENT: t[MOMENT][:4]}, r"the model has float32 \(8, 64\), the file float32 \(4, 64\)"),
        (lambda t: {**t, MOMENT: t[MOMENT].T}, r"the file float32 \(64, 8\)"),
        (lambda t: {**t, MOMENT: t[MOMENT].long()}, "the file int64"),
        (lambda t: {**t, MOMENT: t[MOMENT].repeat(10, 1)}, r"the file float32 \(80, 64\)"),
        (lambda t: {name: each for name, each in t.items() if name != MOMENT}, "the file none"),
        (lambda t: {**t, "optimizer/model/99/exp_avg": t[MOMENT]}, "the model has none"),
        (lambda t: {**t, "optimizer/loss.x/0/exp_avg": t[MOMENT]}, "the model has none"),
        (lambda t: {**t, "optimizer/model/0/step": torch.zeros(3)}, r"the file float32 \(3,\)"),
        (lambda t: {**t, "model.encoder.layers.1.weight": torch.zeros(8, 64, dtype=torch.int8)}, "the file int8"),
    ],
)
def test_states_of_another_name_shape_or_type_are_refused(tmp_path, digits, change, said):
    trainer, data = trainer_of(digits)
    steps(trainer, data, 2)
    checkpoint.save(tmp_path / "c.safetensors", trainer, epoch=1)
    altered(tmp_path / "c.safetensors", change)
    with pytest.raises(WeightsError, match=rf"c\.safetensors: .*do not fit .*{said}"):
        restore(tmp_path / "c.safetensors", trainer)


@pytest.mark.parametrize("name", ["strange", "optimizer/model", "state/x"])
def test_what_is_no_part_of_a_checkpoint_is_refused(tmp_path, digits, name):
    trainer, _ = trainer_of(digits)
    checkpoint.save(tmp_path / "c.safetensors", trainer, epoch=1)
    altered(tmp_path / "c.safetensors", lambda t: {**t, name: torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"c\.safetensors"):
        restore(tmp_path / "c.safetensors", trainer)


@pytest.mark.parametrize("text", ["", "{", "3", "[]", '{"epoch": -1}', '{"epoch": "x"}', '{"epoch": 1, "plain": 3}'])
def test_a_damaged_header_is_named(tmp_path, text):
    write_tensors(tmp_path / "c.safetensors", {"w": torch.zeros(1)}, {checkpoint.KEY: text})
    with pytest.raises(WeightsError, match=r"c\.safetensors: its metadata 'genkit-checkpoint' are damaged"):
        checkpoint.read(tmp_path / "c.safetensors")


def test_the_checkpoint_before_the_newest_is_a_file_of_the_run(tmp_path):
    directory = RunDirectory(tmp_path)
    assert checkpoint.before(directory.checkpoint) == directory.previous_checkpoint


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:-1] + b"x", lambda _: b""])
def test_where_the_newest_is_damaged_the_one_before_is_used_and_said(tmp_path, digits, damage):
    path = tmp_path / "c.safetensors"
    trainer, data = trainer_of(digits)
    for epoch in (1, 2, 3):
        steps(trainer, data, epoch)
        checkpoint.save(path, trainer, epoch)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c-before.safetensors", "c.safetensors"]
    assert checkpoint.epochs_done(path) == 3
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(GenkitWarning, match=r"c\.safetensors: is .*; the checkpoint before it is used, after epoch 2"):
        assert checkpoint.read(path).epoch == 2
    checkpoint.before(path).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"c\.safetensors: is "):
        checkpoint.read(path)
