import subprocess
import sys
import zipfile

import pytest

from genkit import examples
from genkit.examples import config_path, example, folder, names, script


def test_each_example_says_what_it_is_in_a_sentence():
    each = [example(name) for name in names()]
    assert len(each) > 50
    for one in each:
        assert one.sentence.endswith("."), one
        assert 20 < len(one.sentence) < 300
        assert "arXiv" not in one.sentence
        assert one.data.isidentifier()


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("gan-conv", "digits", "A convolutional GAN after Radford et al. 2016, in a size for 28x28 images."),
        ("vae-beta", "sprites", None),
        ("vae-series", "series", None),
        ("wae.yaml", "digits", None),
    ],
)
def test_an_example_is_read_without_parsing(name, data, sentence):
    one = example(name)
    assert one.data == data
    assert sentence in (None, one.sentence)
    assert one.system == one.name.split("-")[0]


def test_a_copy_has_all_but_the_line_for_editors():
    one = example("vae-digits")
    assert "$schema=" in one.text()
    assert [line for line in one.text().splitlines() if "$schema" not in line] == one.copied_text().splitlines()


@pytest.mark.parametrize("name", ["", ".", "..", "nothing", "vae-digits.json", "../vae-digits", "genkit.schema"])
def test_what_is_no_example(name):
    assert example(name) is None


def test_a_script_beside_the_examples_can_be_copied_and_is_no_config():
    assert script("transformer_activations.py").text().startswith('"""')
    assert example("transformer_activations.py") is None
    for name in ("__init__.py", "transformer_activations", "../examples/transformer_activations.py", "gan.yaml"):
        assert script(name) is None


def test_a_file_goes_before_an_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_path("gan") == config_path("gan.yaml") == folder() / "gan.yaml"
    (tmp_path / "gan").mkdir()
    assert config_path("gan") == folder() / "gan.yaml"  # a folder is no config
    (tmp_path / "gan.yaml").touch()
    assert str(config_path("gan")) == str(config_path("gan.yaml")) == "gan.yaml"
    (tmp_path / "vae").touch()
    assert str(config_path("vae")) == "vae"
    for other in ("nothing", "sub/gan", "gan.json", str(tmp_path / "wae"), ".", ""):
        assert str(config_path(other)) == (other or ".")


@pytest.mark.slow
def test_a_wheel_has_the_examples_and_no_second_copy(genkit_wheel, unpacked):
    files = zipfile.ZipFile(genkit_wheel).namelist()
    mine = {path.name for path in folder().iterdir() if path.is_file()}
    assert {name.rpartition("/")[2] for name in files if name.startswith("genkit/examples/")} == mine | {"__init__.py"}
    assert len(files) == len(set(files))
    code = "from genkit import examples; print(examples.folder(), len(examples.names()))"
    place = unpacked("wheel-unpacked", genkit_wheel)
    printed = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(place)}, cwd=place, capture_output=True, text=True
    )
    assert printed.stdout.split() == [str(place / "genkit/examples"), str(len(examples.names()))], printed
