import importlib

import numpy as np
import pytest
import torch
from torch.utils import _python_dispatch

from genkit.errors import GenkitWarning
from genkit.runs import preflight
from genkit.runs.opening import as_config
from genkit.runs.preflight import check
from genkit.speed import seam

ARRAYS = ["data.validation=0", "data.test=0", "encoder.hidden=[8]", "decoder.hidden=[8]"]


@pytest.fixture
def arrays(tmp_path, digits):
    """`arrays(x, labels)`: the config of digits with other data."""

    def made(x, labels=None, *overrides):
        np.savez(tmp_path / "x.npz", x=x, **({} if labels is None else {"labels": labels}))
        source = f"data={{name: arrays, path: {tmp_path / 'x.npz'}}}"
        return as_config(digits, [source, *ARRAYS, *overrides])

    return made


def test_a_sound_config_is_told_what_it_takes(digits):
    report = check(as_config(digits))
    assert report.errors == []
    assert report.counts == {"train": 1258, "validation": 180, "test": 359}
    assert report.shape == (1, 8, 8)
    assert report.range == (0, 1)
    assert report.parameters == 99_908
    assert report.steps == 20
    assert 0 < report.seconds < 10
    assert report.doubts == ["3 of 64 values are the same in all training data"]


def test_where_torch_does_not_let_memory_be_counted_the_report_says_so(digits, monkeypatch):
    importlib.import_module("torch._dynamo")  # it needs what is taken away here, and is not imported twice
    monkeypatch.delattr(_python_dispatch, "TorchDispatchMode")
    seam._warn_once.cache_clear()
    with pytest.warns(GenkitWarning, match="'TorchDispatchMode'.*the memory that the run takes is not estimated"):
        report = check(as_config(digits), probe=False)
    assert report.errors == []
    assert report.bytes is None
    assert report.doubts[-1] == preflight.UNWATCHED


def test_one_mistake_does_not_hide_the_next(digits):
    wrong = ["training.precision=tf32", "encoder={name: cnn, layers: [{channels: 4, kernel: 11, padding: valid}]}"]
    report = check(as_config(digits, wrong))
    assert [error.partition(":")[0] for error in report.errors] == ["training.precision", "encoder 'cnn'"]
    assert report.counts["train"] == 1258
    assert report.bytes is report.seconds is None


def test_data_that_cannot_be_read_or_have_no_likelihood_are_errors(arrays, digits, tmp_path):
    missing = check(as_config(digits, ["data=mnist", f"data.root={tmp_path}"]))
    assert "holds neither train-images-idx3-ubyte" in missing.errors[0]
    outside = check(arrays(np.linspace(-1, 2, 800, dtype=np.float32).reshape(100, 8)))
    assert "likelihood 'bernoulli'" in outside.errors[0]
    assert outside.errors[0].startswith("the training split")
    single = check(arrays(np.random.default_rng(0).random((65, 8), np.float32), None, "encoder.normalization=batch"))
    assert "leave a last one of a single datum" in single.errors[0]


def test_odd_data_are_told_of(arrays):
    x = np.random.default_rng(0).integers(0, 255, (1000, 8), np.uint8)
    labels = np.where(np.arange(1000) < 990, "many", "few")
    x[:, 3] = 7
    report = check(arrays(x, labels, "data.test=50"))
    assert report.errors == []
    assert report.doubts[0] == "1 of 8 values are the same in all training data"
    assert report.doubts[1].startswith("classes with few training data, of 2: 'few' with ")
    assert report.doubts[2] == "the test split has 50 data: figures of so few are noisy"
    assert check(arrays(np.ones((10, 8), np.uint8))).doubts[0] == "all training data are the same"


def test_checking_leaves_random_states_as_they_were(digits):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check(as_config(digits))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_of_any_size_is_looked_at_without_taking_its_memory(digits, monkeypatch):
    wide = as_config(digits, ["encoder.hidden=[300000, 300000]"])
    report = check(wide)
    assert report.errors == []
    assert report.parameters > 9e10
    assert report.bytes > 16 * 9e10
    assert report.seconds is None
    assert report.doubts[-1].startswith("the run takes about 1,3")
    assert "a smaller training.batch_size or a smaller model takes less" in report.doubts[-1]


def test_a_part_that_needs_numbers_to_be_built_is_built_with_them(digits, variant):
    from genkit_mlp import MLPEncoder

    def init(self, config, shape):
        MLPEncoder.__init__(self, config, shape)
        assert float(torch.ones(3).sum()) == 3

    name = variant(MLPEncoder, __init__=init)
    report = check(as_config(digits, [f"encoder={{name: {name}, hidden: [8]}}"]), probe=False)
    assert report.errors == []
    assert report.parameters


def encoder_of(variant, digits, forward, **members):
    """A config whose encoder has another forward pass."""
    from genkit_mlp import MLPEncoder

    name = variant(MLPEncoder, forward=forward, **members)
    return as_config(digits, [f"encoder={{name: {name}, hidden: [8]}}"])


def test_a_part_that_looks_at_its_numbers_in_training_is_given_some(digits, variant):
    from genkit_mlp import MLPEncoder

    def forward(self, x):
        assert not self.training or x.mean().item() < 1
        return MLPEncoder.forward(self, x)

    report = check(encoder_of(variant, digits, forward))
    assert report.errors == []
    usual = check(as_config(digits, ["encoder.hidden=[8]"]))
    assert report.bytes == pytest.approx(usual.bytes, rel=0.3)
    assert report.seconds > 0


@pytest.mark.parametrize("probe", [True, False])
def test_a_part_that_fails_in_training_alone_is_named_with_the_place(digits, variant, probe):
    from genkit_mlp import MLPEncoder

    def forward(self, x):
        if self.training:
            raise KeyError("no such thing")
        return MLPEncoder.forward(self, x)

    line = forward.__code__.co_firstlineno + 2
    (error,) = check(encoder_of(variant, digits, forward), probe=probe).errors
    assert error == (
        "encoder 'of-test' fails in training on input of shape "
        f"(8, 1, 8, 8): KeyError: 'no such thing' (test_preflight.py:{line})"
    )


def test_a_gradient_that_cannot_be_taken_is_told(digits, variant):
    from genkit_mlp import MLPEncoder

    def forward(self, x):
        features = MLPEncoder.forward(self, x).exp()
        return features.mul_(0.5) if self.training else features * 0.5

    (error,) = check(encoder_of(variant, digits, forward)).errors
    assert error.startswith("a training step fails: RuntimeError: one of the variables needed for gradient computation")
    assert error.endswith("; a part changes a tensor in place that the gradients need")


def test_figures_that_are_not_finite_in_the_probe_are_an_error(digits):
    (error,) = check(as_config(digits, ["training.optimizer={name: sgd, lr: 1.0e+9}"])).errors
    assert error.startswith("after 20 steps of training: not finite: term/")


def test_data_that_are_unscaled_are_doubted_and_blamed_and_their_remedy_works(arrays, digits):
    columns = np.random.default_rng(0).random((60, 4), np.float32) * np.array([1, 3e18, 5, 3e18], np.float32)
    path = f"data={{name: arrays, path: '{arrays(columns).data.path}'}}"
    config = as_config(digits, [path, "likelihood=gaussian", "training.batch_size=20"])
    report = check(config)
    extents = "(column 1 from " if columns[:, 1].max() >= columns[:, 3].max() else "(column 3 from "
    assert any("the data are unscaled" in doubt and extents in doubt for doubt in report.doubts)
    (error,) = report.errors
    assert "not finite" in error
    assert "data.standardize=true brings each column to mean 0 and standard deviation 1" in error
    better = check(as_config(config, ["data.standardize=true"]))
    assert better.errors == []
    assert not any("unscaled" in doubt for doubt in better.doubts)
    assert "each column standardized" in better.notes[0]


def test_bad_values_do_not_hide_what_is_wrong_with_the_model(arrays, digits):
    x = np.random.default_rng(0).random((100, 8), np.float32)
    x[3, 4] = np.nan
    report = check(arrays(x, None, "encoder={name: cnn}"))
    assert [error.partition(" ")[0] for error in report.errors] == ["data", "encoder"]


def test_classes_without_training_data_and_uneven_ones_are_told_of(arrays, monkeypatch):
    from genkit_data import Arrays

    x = np.random.default_rng(0).random((1000, 8), np.float32)
    labels = np.where(np.arange(1000) < 950, "a", "b")
    assert "classes with few training data, of 2: 'b' with 50" in check(arrays(x, labels)).doubts
    load = Arrays.load
    monkeypatch.setattr(Arrays, "load", lambda self: load(self)._replace(classes=("a", "b", "c")))
    assert "classes with few training data, of 3: 'b' with 50, 'c' with 0" in check(arrays(x, labels)).doubts


def test_a_part_that_makes_of_a_datum_what_is_not_finite_is_named_with_the_datum(arrays, variant):
    from genkit_mlp import MLPEncoder

    def forward(self, x):
        return MLPEncoder.forward(self, x / x.flatten(1).std(1).view(-1, *[1] * (x.ndim - 1)))

    x = np.random.default_rng(0).random((100, 8), np.float32)
    x[70] = 0
    config = arrays(x, None, f"encoder={{name: {variant(MLPEncoder, forward=forward)}, hidden: [8]}}")
    (error,) = check(config).errors
    assert (
        "encoder 'of-test' makes of training datum 70 what is not finite, before any training: a division by 0" in error
    )
    assert "lower training.optimizer.lr" not in error


def test_values_without_a_density_are_told_beside_a_model_that_does_not_fit(arrays):
    x = np.linspace(-1, 2, 800, dtype=np.float32).reshape(100, 8)
    errors = check(arrays(x, None, "encoder={name: cnn}")).errors
    assert [error.partition(" ")[0] for error in errors] == ["encoder", "the"]


def test_labels_of_minus_one_and_a_single_class_are_told_of(arrays):
    x = np.random.default_rng(0).random((100, 8), np.float32)
    doubts = check(arrays(x, np.arange(100) % 3 - 1)).doubts
    assert "the label -1 counts as a class; leave data without a label out, or their labels" in doubts
    assert "all training data are of one class" in check(arrays(x, np.zeros(100, int))).doubts


def test_a_part_that_exits_in_training_is_named(digits, variant):
    from genkit_mlp import MLPEncoder

    def forward(self, x):
        if self.training:
            raise SystemExit("bye")
        return MLPEncoder.forward(self, x)

    (error,) = check(encoder_of(variant, digits, forward)).errors
    assert "encoder 'of-test' fails in training on input of shape (8, 1, 8, 8): SystemExit: bye" in error


def test_a_prior_that_is_yet_to_be_fitted_is_looked_at(digits):
    report = check(as_config(digits, ["prior=gmm", *ARRAYS]))
    assert report.errors == []
    assert report.bytes > 0
