"""Folders of images: what is data, and what the folders say."""

import os
import sys

import pytest
from PIL import Image

from genkit.data import loading
from genkit.errors import DataError
from genkit_data import Images


def draw(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), number).save(path)


def load(root, **options):
    return Images(Images.Config(root=str(root), size=(2, 2), **options)).load()


def test_hidden_names_are_no_data_and_that_is_said(tmp_path):
    hidden = (".ipynb_checkpoints/0.png", "cat/.0.png", "cat/.ipynb_checkpoints/0.png", "__MACOSX/cat/0.png")
    draw(tmp_path, *hidden, "cat/0.png", "dog/0.png")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    for _ in range(2):  # a file of genkit's own, the cache, is not mentioned
        raw = load(tmp_path)
        assert raw.classes == ("cat", "dog")
        assert raw.train.x[:, 0, 0, 0].tolist() == [4, 5]
        assert raw.notes == (
            "left out: 5 hidden (.0.png, .ipynb_checkpoints, Thumbs.db, ...), 1 no images by their names (notes.txt)",
        )


def test_a_linked_folder_is_said_to_be_left_out(tmp_path):
    draw(tmp_path, "root/cat/0.png", "dog/0.png")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "dog")
    raw = load(tmp_path / "root")
    assert raw.classes == ("cat",)
    assert "1 linked folders (dog)" in raw.notes[0]


def test_only_hidden_images_are_none(tmp_path):
    draw(tmp_path, ".hidden/0.png")
    with pytest.raises(DataError, match=r"holds no images .*left out: 1 hidden \(\.hidden\)"):
        load(tmp_path)


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Testing")])
def test_train_and_test_are_splits(tmp_path, names):
    train, test = names
    draw(tmp_path, f"{train}/cat/0.png", f"{train}/cat/1.png", f"{train}/dog/0.png", f"{test}/dog/0.png")
    raw = load(tmp_path)
    assert raw.classes == ("cat", "dog")
    assert raw.train.x[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert raw.train.labels.tolist() == [0, 0, 1]
    assert (raw.test.x[0, 0, 0, 0], raw.test.labels.tolist(), raw.validation) == (3, [1], None)
    assert raw.notes == (f"folders as splits: {test} as test, {train} as train",)


def test_a_folder_for_validation_is_the_validation_split(tmp_path):
    draw(tmp_path, *(f"train/{number}.png" for number in range(4)), "val/0.png", "test/0.png")
    data = loading.load(Images.Config(root=str(tmp_path), size=(2, 2), validation=2))
    assert data.counts() == {"train": 4, "validation": 1, "test": 1}
    assert data.validation.x[0, 0, 0, 0] == 4
    assert "no labels: the images lie in no folders of classes" in data.notes


def test_without_a_folder_for_tests_they_are_held_out_of_the_training_data(tmp_path):
    draw(tmp_path, *(f"train/{number}.png" for number in range(4)), "val/0.png")
    data = loading.load(Images.Config(root=str(tmp_path), size=(2, 2), test=1))
    assert data.counts() == {"train": 3, "validation": 1, "test": 1}
    assert data.validation.x[0, 0, 0, 0] == 4


def test_splits_beside_other_folders_are_classes_with_a_doubt(tmp_path):
    draw(tmp_path, "train/0.png", "test/0.png", "cat/0.png")
    raw = load(tmp_path)
    assert raw.classes == ("cat", "test", "train")
    assert "the folders test, train are taken as classes" in raw.doubts[0]
    assert load(tmp_path, folders="classes").doubts == ()
    with pytest.raises(DataError, match=r"data\.folders: splits: the folders in data\.root are 'cat', 'test', 'train'"):
        load(tmp_path, folders="splits")


def test_classes_that_are_called_train_and_test_can_be_asked_for(tmp_path):
    draw(tmp_path, "train/0.png", "test/0.png")
    assert load(tmp_path, folders="classes").classes == ("test", "train")
    draw(tmp_path / "vehicles", "train/0.png", "bus/0.png")
    assert load(tmp_path / "vehicles").classes == ("bus", "train")
    assert load(tmp_path / "vehicles").doubts == ()


def test_labels_that_are_dropped_are_said(tmp_path):
    draw(tmp_path, "0.png", "cat/0.png", "dog/0.png")
    raw = load(tmp_path)
    assert raw.train.labels is None
    assert raw.classes is None
    assert "1 images lie beside the folders of the classes, so the labels of all are dropped" in raw.doubts[0]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_class_whose_name_is_no_utf_8_has_a_name_that_can_be_written(tmp_path):
    draw(tmp_path, "cat/0.png")
    (tmp_path / "cat").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    raw = load(tmp_path)
    assert raw.classes == ("caf\\xe9",)
    assert raw.classes[0].encode()
