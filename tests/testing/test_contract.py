"""Every first-party component keeps the contract, as whoever writes a plugin would test theirs."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy import sparse

import genkit_tensorboard
from genkit.registry.registry import installed
from genkit.testing import checks, contract
from genkit_gan import Adversarial
from genkit_rnn import RNNDecoder, RNNEncoder

OPTIONS = {
    "encoder/cnn": [
        {"layers": [{"channels": 4, "stride": 2}], "normalization": "batch"},
        {"dense": [6]},
        {"maps": True},
    ],
    "decoder/cnn": [{"layers": [{"channels": 4, "stride": 2}, {}], "normalization": "group"}],
    "encoder/mlp": [{"hidden": []}, {"hidden": [8, 6], "normalization": "batch", "dropout": 0.5}, {"hidden": [8]}],
    "decoder/mlp": [{"hidden": []}, {"hidden": [8, 6], "normalization": "layer", "dropout": 0.5}, {"hidden": [8]}],
    "encoder/rnn": [{"hidden": 6}, {"hidden": 6, "layers": 2, "cell": "gru", "bidirectional": True}],
    "decoder/rnn": [{"hidden": 6}, {"hidden": 6, "layers": 2, "cell": "gru"}],
    "sampler/gaussian": [{}, {"latent": 3, "covariance": "full"}],
    "sampler/ladder": [{"groups": [2, 1], "hidden": 4}],
    "encoder/tcn": [{"channels": 6}, {"channels": 6, "kernel": 2, "blocks": 3, "dropout": 0.3}],
    "decoder/tcn": [{"channels": 6}],
    "decoder/autoregressive": [{"channels": 6}, {"channels": 6, "kernel": 2, "blocks": 1, "hidden": 0.3}],
    "encoder/resnet": [{"channels": [4, 6]}],
    "decoder/resnet": [{"channels": [4, 6]}],
    "encoder/transformer": [{"width": 8, "patch": 2}, {"width": 8, "patch": 2, "features": "summary"}],
    "decoder/transformer": [{"width": 8, "patch": 2, "dropout": 0.2}],
    "sampler/point": [{"latent": 4}, {"latent": 4, "activation": "sigmoid"}, {"latent": 4, "top_k": 2}],
    "sampler/flow": [{"form": "planar"}, {"form": "iaf"}, {"form": "spline", "hidden": [8], "transforms": 1}],
    "prior/flow": [{"form": "affine"}, {"form": "spline", "hidden": [8], "transforms": 1}],
    "prior/fitted_flow": [{"form": "affine", "hidden": [8], "transforms": 1, "steps": 10}],
    "prior/flow_matching": [{"hidden": [8], "steps": 10, "solver_steps": 2}],
    "likelihood/gaussian": [{}, {"scale": 0.1}, {"scale": "learned"}, {"scale": "per_value"}, {"scale": "decoder"}],
    "likelihood/laplace": [{"scale": "decoder"}],
    "likelihood/student_t": [{"degrees": "learned"}],
    "likelihood/categorical": [{"levels": 5}, {"levels": 17, "range": [0, 1]}],
    "likelihood/discretized_logistic": [{"levels": 9, "components": 3}],
    "likelihood/zero_inflated": [{"of": "poisson"}, {"of": {"name": "discretized_logistic", "levels": 5}}],
    "likelihood/masked": [{"of": "gaussian"}],
    "sampler/topk": [{"latent": 8, "k": 2}],
    "sampler/batch_topk": [{"latent": 8, "k": 2}],
    "sampler/jumprelu": [{"latent": 8}],
    "sampler/gated": [{"latent": 8}],
    "prior/autoregressive": [{"width": 8, "heads": 2, "epochs": 1}],
    "likelihood/poisson": [{}, {"zero_inflated": True}],
    "likelihood/negative_binomial": [{}, {"zero_inflated": True}],
    "loss/kl": [{}, {"weight": {"from": 0, "to": 1, "epochs": 5}}],
    "loss/adversarial": [
        {"critic": {"name": "mlp", "hidden": [8]}, "form": form} for form in ("non_saturating", "hinge", "wasserstein")
    ]
    + [{"critic": {"name": "mlp", "hidden": [8]}, "form": "relativistic", "r1": 1.0, "r2": 1.0, "spectral_norm": True}],
    "loss/joint_adversarial": [
        {"critic": {"name": "mlp", "hidden": [8]}},
        {"critic": {"name": "mlp", "hidden": [8]}, "form": "relativistic", "r1": 1.0, "spectral_norm": True},
    ],
    "loss/dip": [{}, {"form": "II"}],
    "loss/mmd": [{"scales": [1]}, {"scales": [1], "kernel": "rbf"}],
    "metric/dci": [{"trees": 2}],
    "metric/factor_score": [{"votes": 20, "data": 8}],
    "data/sprites": [{"positions": 3, "lengths": 2, "angles": 2}],
    "loss/latent_critic": [{"critic": {"name": "mlp", "hidden": [8]}}],
    "metric/loss_recovered": [{"network": "rest.onnx", "activations": "x.npy", "targets": "y.npy"}],
    "data/waves": [{"count": 30, "length": 8}],
}
NEED_FILES = {
    f"data/{name}" for name in ("activations", "arrays", "counts", "huggingface", "images", "mnist", "series", "table")
}
NEED_ZUKO = {"sampler/flow", "prior/flow", "prior/fitted_flow"} if find_spec("zuko") is None else set()
PARTS = {
    f"{component.kind}/{component.Config.model_fields['name'].default}": component
    for plugin in installed().plugins
    if plugin.distribution == "genkit-torch"
    for component in plugin.components
}
MADE = [
    pytest.param(PARTS[name], {"name": name.partition("/")[2], **options}, number == 0, id=f"{name}-{number}")
    for name in sorted(PARTS.keys() - NEED_FILES - NEED_ZUKO)
    for number, options in enumerate(OPTIONS.get(name, [{}]))
]


def broken(component, options, is_compiled=True):
    """What a component fails; each is compiled and exported with its first options alone."""
    every = checks(component, component.Config.model_validate(options))
    results = [check.result() for check in every if is_compiled or "compiled" not in (check.name, *check.promise.after)]
    assert len(results) >= 6
    return [result for result in results if result.status == "FAILED"]


@pytest.mark.parametrize(("component", "options", "is_compiled"), MADE)
def test_a_first_party_component_keeps_the_contract(component, options, is_compiled):
    assert broken(component, options, is_compiled) == []


@pytest.mark.parametrize("check", contract(genkit_tensorboard))
def test_the_first_party_logger_keeps_the_contract(check):
    check()


def test_arrays_keep_the_contract(tmp_path):
    np.savez(tmp_path / "made.npz", x=np.arange(24, dtype=np.uint8).reshape(6, 4), labels=["a", "b"] * 3)
    assert broken(PARTS["data/arrays"], {"name": "arrays", "path": str(tmp_path / "made.npz")}) == []


def test_activations_keep_the_contract(tmp_path):
    np.save(tmp_path / "made.npy", np.arange(24, dtype=np.float32).reshape(6, 4))
    assert broken(PARTS["data/activations"], {"name": "activations", "path": str(tmp_path / "made.npy")}) == []


def test_series_keep_the_contract(tmp_path):
    np.save(tmp_path / "made.npy", np.random.default_rng(0).normal(size=(300, 2)))
    options = {"name": "series", "path": str(tmp_path / "made.npy"), "window": 8}
    assert broken(PARTS["data/series"], options) == []


def test_tables_keep_the_contract(tmp_path):
    rows = [f"{number / 4},{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "made.csv").write_text("\n".join(["size,kind", *rows, ""]))
    assert broken(PARTS["data/table"], {"name": "table", "path": str(tmp_path / "made.csv")}) == []


def test_counts_keep_the_contract(tmp_path):
    sparse.save_npz(tmp_path / "made.npz", sparse.csr_matrix(np.arange(60).reshape(20, 3) % 7))
    assert broken(PARTS["data/counts"], {"name": "counts", "path": str(tmp_path / "made.npz")}) == []


def test_images_keep_the_contract(tmp_path):
    from PIL import Image

    for number in range(4):
        (tmp_path / f"class{number % 2}").mkdir(exist_ok=True)
        Image.new("L", (6, 5), 40 * number).save(tmp_path / f"class{number % 2}" / f"{number}.png")
    assert broken(PARTS["data/images"], {"name": "images", "root": str(tmp_path), "size": [5, 6]}) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_data_sets_of_hugging_face_keep_the_contract(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets, of the extra `huggingface`")
    values = np.arange(24, dtype=np.float32).reshape(6, 4).tolist()
    datasets.Dataset.from_dict({"x": values, "y": ["a", "b"] * 3}).save_to_disk(str(tmp_path))
    options = {"name": "huggingface", "path": str(tmp_path), "label": "y"}
    assert broken(PARTS["data/huggingface"], options) == []


def test_mnist_keeps_the_contract(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"train": 12, "t10k": 4}
    for prefix, count in sizes.items():
        for what, magic, values in (
            ("images-idx3", [0, 0, 8, 3], rng.integers(0, 256, (count, 28, 28), np.uint8)),
            ("labels-idx1", [0, 0, 8, 1], (np.arange(count) % 10).astype(np.uint8)),
        ):
            shape = np.array(values.shape, dtype=">i4").tobytes()
            (tmp_path / f"{prefix}-{what}-ubyte").write_bytes(bytes(magic) + shape + values.tobytes())
    assert broken(PARTS["data/mnist"], {"name": "mnist", "root": str(tmp_path)}) == []


@pytest.mark.parametrize("component", [RNNEncoder, RNNDecoder])
def test_recurrent_layers_cannot_be_traced_which_is_said_in_their_class(component):
    results = {check.name: check.result() for check in checks(component)}
    assert results["compiled"].status == "expected failure"
    assert "torch.compile does not trace the recurrent layers" in results["compiled"].message


def test_a_learned_term_is_checked_as_term_and_as_critic():
    names = {check.name for check in checks(Adversarial, Adversarial.Config(critic="mlp"))}
    assert {"critic loss", "gradients reach the model", "batch size", "state", "compiled"} <= names
