"""Data sets of Hugging Face, as folders that the library has written."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from genkit.data import loading
from genkit.errors import DataError
from genkit_data import HuggingFace

datasets = pytest.importorskip("datasets", reason="needs datasets, of the extra `huggingface`")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

COLOURS = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return {"bytes": stream.getvalue(), "path": None}


def made(count=4, **columns):
    """A data set of columns, each with its feature."""
    features = {name: feature for name, (feature, _) in columns.items()}
    values = {name: list(cells)[:count] for name, (_, cells) in columns.items()}
    return datasets.Dataset.from_dict(values, datasets.Features(features))


def pictures(count=4, labels=(1, 0, 1, 0)):
    return made(
        count,
        image=(datasets.Image(), map(png, COLOURS)),
        label=(datasets.ClassLabel(names=["dog", "ant"]), labels),
        file=(datasets.Value("string"), [f"{row}.png" for row in range(4)]),
    )


def saved(path, whole):
    whole.save_to_disk(str(path))
    return path


def load(path, **options):
    return HuggingFace(HuggingFace.Config.model_validate({"path": str(path), **options})).load()


@pytest.fixture
def split_up(tmp_path):
    return saved(tmp_path / "saved", datasets.DatasetDict(train=pictures(), test=pictures(2)))


def test_images_keep_their_splits_and_their_classes_the_names_of_the_data_set(split_up):
    raw = load(split_up, colour=True, id="file")
    np.testing.assert_array_equal(raw.train.x.numpy(), COLOURS.transpose(0, 3, 1, 2))
    assert raw.train.x.dtype == torch.uint8
    assert (raw.classes, raw.train.labels.tolist()) == (("dog", "ant"), [1, 0, 1, 0])
    assert (len(raw.test.x), raw.test.labels.tolist(), raw.validation) == (2, [1, 0], None)
    assert raw.ids == {"train": ("0.png", "1.png", "2.png", "3.png"), "test": ("0.png", "1.png")}
    assert raw.notes == ("column 'image'", "colour")


def test_images_are_grey_and_brought_to_a_size(split_up):
    assert load(split_up, size=(4, 4)).train.x.shape == (4, 1, 4, 4)


def test_images_of_several_sizes_need_a_size(tmp_path):
    images = [png(COLOURS[0]), png(COLOURS[0, :, :2])]
    path = saved(tmp_path / "saved", made(2, image=(datasets.Image(), images)))
    with pytest.raises(DataError, match=r"row 0 has 2×3 and row 1 2×2; data\.size=\[2,3\] brings all to one"):
        load(path)
    assert load(path, size=(2, 3)).train.x.shape == (2, 1, 2, 3)


@pytest.mark.parametrize("size", [None, (2, 3)])
@pytest.mark.parametrize("cell", [{"bytes": b"no image", "path": None}, None])
def test_an_image_that_cannot_be_read_is_named_by_its_row(tmp_path, cell, size):
    path = saved(tmp_path / "saved", made(2, image=(datasets.Image(), [png(COLOURS[0]), cell])))
    with pytest.raises(DataError, match=r"train split, column 'image': row 1: the image cannot be read"):
        load(path, size=size)


ARRAYS = {
    "bytes": (datasets.Array3D((2, 3, 1), "uint8"), np.arange(24, dtype=np.uint8).reshape(4, 2, 3, 1)),
    "floats": (datasets.Array2D((2, 3), "float32"), np.arange(24, dtype=np.float32).reshape(4, 2, 3) / 7),
    "lists": (datasets.List(datasets.Value("float64")), np.arange(12, dtype=np.float64).reshape(4, 3) / 7),
    "fixed": (datasets.List(datasets.Value("int16"), length=3), np.arange(12).reshape(4, 3)),
    "nested": (datasets.List(datasets.List(datasets.Value("float16"))), np.arange(24).reshape(4, 3, 2)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_lists_of_numbers_are_data(tmp_path, kind):
    feature, values = ARRAYS[kind]
    raw = load(saved(tmp_path / "saved", made(x=(feature, values.tolist()))))
    assert raw.train.x.dtype == (torch.uint8 if kind == "bytes" else torch.float32)
    np.testing.assert_array_equal(raw.train.x.numpy(), values.astype(raw.train.x.numpy().dtype))


def test_rows_that_are_chosen_and_shuffled_stay_together(tmp_path):
    feature, values = ARRAYS["lists"]
    whole = made(x=(feature, values.tolist()), y=(datasets.Value("string"), "abca"))
    raw = load(saved(tmp_path / "saved", whole.select([3, 1])), label="y")
    np.testing.assert_array_equal(raw.train.x.numpy(), values[[3, 1]].astype(np.float32))
    assert (raw.classes, raw.train.labels.tolist()) == (("a", "b"), [0, 1])


def test_a_column_of_single_numbers_is_one_dimension_and_a_range_brings_them_to_0_and_1(tmp_path):
    path = saved(tmp_path / "saved", made(3, age=(datasets.Value("int64"), [0, 5, 10])))
    assert load(path, x="age", range=(0, 10)).train.x.tolist() == [[0], [0.5], [1]]


def test_lists_of_different_lengths_are_refused(tmp_path):
    path = saved(tmp_path / "saved", made(2, x=(datasets.List(datasets.Value("float32")), [[1, 2], [3]])))
    with pytest.raises(DataError, match=r"column 'x': holds lists of 1 to 2 values; all data have one shape"):
        load(path)


@pytest.mark.parametrize("values", [[[1, None]], [None]])
def test_missing_numbers_are_refused(tmp_path, values):
    path = saved(tmp_path / "saved", made(1, x=(datasets.List(datasets.Value("float32")), values)))
    with pytest.raises(DataError, match=r"column 'x': 1 values are missing"):
        load(path)


def test_text_is_no_data(tmp_path):
    path = saved(tmp_path / "saved", made(1, x=(datasets.Value("string"), ["a"])))
    with pytest.raises(DataError, match=r"data\.x: no column holds images, or arrays of numbers; .*: x"):
        load(path)
    with pytest.raises(DataError, match="holds string, not numbers"):
        load(path, x="x")


def test_where_columns_are_not_clear_the_message_lists_them(tmp_path):
    feature, values = ARRAYS["lists"]
    kinds = datasets.ClassLabel(names=["a", "b"])
    columns = {
        "u": (feature, values.tolist()),
        "v": (feature, values.tolist()),
        "k": (kinds, [0] * 4),
        "l": (kinds, [1] * 4),
    }
    path = saved(tmp_path / "saved", made(**columns))
    with pytest.raises(DataError, match=r"data\.x: 2 columns hold images, or arrays of numbers; say which .*: u, v"):
        load(path, label="k")
    with pytest.raises(DataError, match=r"data\.label: 2 columns hold classes; say which column it is: k, l"):
        load(path, x="u")
    with pytest.raises(DataError, match=r"data\.x: .* has no column 'w'"):
        load(path, x="w")


def test_splits_have_the_roles_that_the_config_gives(tmp_path):
    whole = datasets.DatasetDict(fit=pictures(3), test=pictures(2), held=pictures(1))
    path = saved(tmp_path / "saved", whole)
    raw = load(path, split="fit", validation_split="test", test_split="held")
    assert [len(split.x) for split in (raw.train, raw.validation, raw.test)] == [3, 2, 1]
    with pytest.raises(DataError, match=r"data\.split: .* has no split 'train'; it has fit, test, held"):
        load(path)
    with pytest.raises(DataError, match=r"data\.(split|test_split): split 'fit' has another role too"):
        load(path, split="fit", test_split="fit")


def test_one_split_is_shared_out_by_the_core(tmp_path):
    path = saved(tmp_path / "saved", datasets.DatasetDict(test=pictures()))
    data = loading.load(HuggingFace.Config(path=str(path), test=1, validation=1, id="file", colour=True))
    assert data.counts() == {"train": 2, "validation": 1, "test": 1}
    for name, split in data.splits().items():
        first = [int(value) for value in split.x[:, 0, 0, 0]]
        assert [f"{value // 18}.png" for value in first] == list(data.ids_of(name))


def test_a_split_without_labels_has_minus_one_everywhere(tmp_path):
    path = saved(tmp_path / "saved", datasets.DatasetDict(train=pictures(), test=pictures(2, (-1, -1))))
    raw = load(path)
    assert (raw.train.labels.tolist(), raw.test.labels) == ([1, 0, 1, 0], None)
    path = saved(tmp_path / "some", datasets.DatasetDict(train=pictures(4, (0, 1, -1, 1))))
    with pytest.raises(DataError, match=r"1 of 4 data have no label \(-1\)"):
        load(path)


@pytest.mark.parametrize(
    ("ids", "fault"), [("abca", "'a' is that of row 0 too"), (["a", None, "b", "c"], "is missing")]
)
def test_ids_that_name_no_datum_are_refused(tmp_path, ids, fault):
    feature, values = ARRAYS["lists"]
    path = saved(tmp_path / "saved", made(x=(feature, values.tolist()), key=(datasets.Value("string"), ids)))
    with pytest.raises(DataError, match=rf"column 'key': row \d: the id {fault}"):
        load(path, id="key")


def test_a_folder_that_is_no_data_set_and_a_damaged_one_are_named(tmp_path, split_up):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.path: .*empty cannot be read as a data set"):
        load(tmp_path / "empty")
    (file,) = (split_up / "train").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"data\.path: .*saved cannot be read as a data set"):
        load(split_up)


@pytest.mark.parametrize("name", ["./saved", "/no/saved", "../saved", "~/no/such/folder", "a/b/saved"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(DataError, match=r"data\.path: .*: there is no such folder"):
        load(name)


def test_a_name_is_looked_for_on_the_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, **more: asked.append((names, more)) or pictures())
    assert len(load("ylecun/mnist", subset="small", revision="main").train.x) == 4
    assert asked == [(("ylecun/mnist", "small"), {"revision": "main"})]


def test_without_the_library_the_message_says_how_to_get_it(split_up, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs datasets; pip install 'genkit-torch\[huggingface\]'"):
        load(split_up)
