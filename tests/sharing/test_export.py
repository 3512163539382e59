"""Exported files: that they give what the model gives, and that nothing is left of those that do not."""

import json
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import GenkitError
from genkit.runs.opening import as_config, prepare
from genkit.sharing import export as exporting
from genkit.sharing.export import export
from genkit.sharing.export_facts import facts_of
from genkit.training.seeds import own_random_state

FACTS = """
import json, sys
sys.modules["torch"] = sys.modules["genkit"] = None
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
shapes = {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())}
print(json.dumps([session.get_modelmeta().custom_metadata_map, shapes]))
"""
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
np.save(sys.argv[3], session.run(["x"], {"z": np.load(sys.argv[2])})[0])
"""


def model_of(digits, *overrides):
    with own_random_state():
        torch.manual_seed(0)
        return prepare(as_config(digits, overrides))[1]


@pytest.mark.slow
def test_onnxruntime_alone_decodes_latents_to_images(finished, tmp_path):
    done = export(finished.model, tmp_path / "decoder.onnx", "decoder")
    assert (done.inputs, done.outputs) == (("z",), ("x",))
    for size in (1, 9):
        z = torch.randn(size, 2)
        np.save(tmp_path / "z.npy", z.numpy())
        paths = [tmp_path / name for name in ("decoder.onnx", "z.npy", "x.npy")]
        subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, paths)], check=True)
        np.testing.assert_allclose(np.load(tmp_path / "x.npy"), finished.model.decode(z).numpy(), atol=1e-5)


@pytest.mark.slow
def test_onnxruntime_alone_reads_the_facts_and_the_axes(trained, tmp_path):
    model = trained["vae-digits"].model
    path = export(model, tmp_path / "all.onnx").path
    answer = subprocess.run([sys.executable, "-c", FACTS, str(path)], check=True, capture_output=True, text=True)
    facts, shapes = json.loads(answer.stdout)
    inner = {"x": [1, 8, 8], "z": [2], "reconstruction": [1, 8, 8]}
    assert shapes == {name: ["batch", *shape] for name, shape in inner.items()}
    assert genkit.RunConfig.model_validate(json.loads(facts["genkit.config"])) == model.config
    assert json.loads(facts["genkit.classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(facts["genkit.scaling"])["range"] == [0.0, 1.0]
    assert facts["genkit.version"] == metadata.version("genkit-torch")


def test_the_facts_say_what_side_data_and_transforms_there_are(digits):
    model = model_of(digits, "condition=labels", "data.transform=standardize", "likelihood=gaussian")
    facts = {key: value for key, value in facts_of(model).items() if key != "genkit.version"}
    values = {key: json.loads(value) for key, value in facts.items()}
    assert values["genkit.scaling"]["transforms"] == ["standardize"]
    assert values["genkit.side"]["labels"]["classes"] == 10
    assert values.keys() == {"genkit.config", "genkit.classes", "genkit.side", "genkit.scaling"}
    model = model_of(digits, "data.standardize=true", "likelihood=gaussian")
    scaling = json.loads(facts_of(model)["genkit.scaling"])["standardized"]
    assert len(scaling["mean"]) == len(scaling["deviation"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["encoder=rnn", "decoder=rnn"],
        ["encoder=cnn", "decoder=cnn", "decoder.normalization=batch"],
        ["sampler={name: point, latent: 8, activation: relu, top_k: 3}", "loss=reconstruction"],
    ],
    ids=["rnn", "cnn", "point"],
)
def test_all_of_a_model_in_onnx_gives_its_latents_and_reconstructions(digits, tmp_path, overrides):
    import onnxruntime

    model = model_of(digits, *overrides)
    done = export(model, tmp_path / "all.onnx")
    assert done.difference < 1e-5
    x = torch.rand(5, 1, 8, 8)
    session = onnxruntime.InferenceSession(str(done.path))
    z, rebuilt = session.run(["z", "reconstruction"], {"x": x.numpy()})
    np.testing.assert_allclose(z, model.encode(x).numpy(), atol=1e-5)
    np.testing.assert_allclose(rebuilt, model.reconstruct(x).numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated:FutureWarning")  # torch's own
@pytest.mark.parametrize("part", ["encoder", "decoder", "all"])
def test_an_exported_program_runs_at_any_batch_size(finished, tmp_path, part):
    done = export(finished.model, tmp_path / "m.pt2", part, "torch-export")
    assert done.difference == 0
    program = torch.export.load(tmp_path / "m.pt2").module()
    given = torch.rand(11, 2) if part == "decoder" else torch.rand(11, 1, 8, 8)
    found = program(given)
    expected = finished.model.decode(given) if part == "decoder" else finished.model.encode(given)
    torch.testing.assert_close(found[0] if part == "all" else found, expected)


def test_a_file_that_differs_is_refused_and_what_was_there_stays(finished, tmp_path, monkeypatch):
    (tmp_path / "m.pt2").write_text("kept")
    write = exporting._WRITERS["torch-export"]

    def wrong(*arguments):
        run = write(*arguments)
        return lambda x: [value + 1e-3 for value in run(x)]

    monkeypatch.setitem(exporting._WRITERS, "torch-export", wrong)
    with pytest.raises(GenkitError, match=r"the exported encoder differs from the model by 0\.001"):
        export(finished.model, tmp_path / "m.pt2", "encoder", "torch-export")
    assert (tmp_path / "m.pt2").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt2"]


def test_what_cannot_be_exported_is_named(finished, tmp_path, digits):
    for arguments, message in (
        (("encodr", "onnx"), "cannot export part 'encodr' as 'onnx'; there are parts encoder, decoder, all"),
        (("encoder", "tflite"), "formats onnx, torch-export"),
        (("encoder", "torch-export"), r"m\.onnx: a file of format torch-export ends in \.pt2"),
    ):
        with pytest.raises(GenkitError, match=message):
            export(finished.model, tmp_path / "m.onnx", *arguments)
    gan = model_of(digits, "encoder=null", "loss={name: adversarial, critic: mlp}")
    with pytest.raises(GenkitError, match="the model has no encoder; export its decoder"):
        export(gan, tmp_path / "m.onnx", "encoder")


def test_a_missing_package_is_named_with_the_way_to_get_it(finished, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GenkitError, match=r"onnx needs onnxruntime; pip install 'genkit-torch\[onnx\]'"):
        export(finished.model, tmp_path / "m.onnx")


def test_the_command_writes_beside_the_weights_and_says_how_far_it_is_off(cli, finished, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(finished.directory.model.read_bytes())
    answer = cli("export", path, "--part", "encoder", "--format", "torch-export")
    assert answer.code == 0, answer
    assert answer.out == f"{tmp_path / 'encoder.pt2'}\n"
    assert answer.err == "x -> z: differs from the model by at most 0.0e+00\n"
    assert genkit.load(path) is not None
