"""Images whose splits have folders of their own, whose labels stand in a table, and that are cut into patches."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from genkit.data import loading
from genkit.data.identity import identity
from genkit.errors import DataError
from genkit_data import Images


def draw(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), number).save(path)


def config(root, **options):
    return Images.Config(**{"root": str(root), "size": (2, 2), **options})


def load(root, **options):
    return Images(config(root, **options)).load()


def values(split):
    return split.x[:, 0, 0, 0].tolist()


@pytest.fixture
def photos(tmp_path):
    """Three folders, in each of which the first image is black; and the options that name them."""
    draw(tmp_path / "photos", "cat/0.png", "cat/1.png", "dog/0.png")
    draw(tmp_path / "new", "cat/7.png", "dog/7.png")
    draw(tmp_path / "watched", "dog/5.png")
    return tmp_path / "photos", {
        "test_root": str(tmp_path / "new"),
        "validation_root": str(tmp_path / "watched"),
        "cache": False,
    }


def test_each_split_may_have_a_root_and_all_share_the_classes_and_names_of_files(photos):
    root, options = photos
    raw = load(root, **options)
    assert raw.classes == ("cat", "dog")
    assert [values(split) for split in (raw.train, raw.validation, raw.test)] == [[0, 1, 2], [0], [0, 1]]
    assert [split.labels.tolist() for split in (raw.train, raw.validation, raw.test)] == [[0, 0, 1], [1], [0, 1]]
    assert raw.ids == {
        "train": ("cat/0.png", "cat/1.png", "dog/0.png"),
        "validation": ("dog/5.png",),
        "test": ("cat/7.png", "dog/7.png"),
    }


def test_names_of_files_stay_with_the_images_through_a_random_split(tmp_path):
    draw(tmp_path, *(f"{number}.png" for number in range(10)))
    data = loading.load(config(tmp_path, test=3, validation=2))
    for name, split in data.splits().items():
        assert [f"{int(value)}.png" for value in values(split)] == list(data.ids_of(name))
    written = identity(data, "all")
    assert written["id"].tolist() == [f"{number}.png" for number in range(10)]
    assert written["row"].tolist() == list(range(10))


def test_a_root_with_folders_for_splits_has_names_with_these(tmp_path):
    draw(tmp_path, "train/cat/0.png", "test/cat/0.png")
    assert load(tmp_path).ids == {"train": ("train/cat/0.png",), "test": ("test/cat/0.png",)}
    draw(tmp_path.parent / "apart", "cat/0.png")
    with pytest.raises(DataError, match=r"data\.test_root: data\.root has a folder of the test split too"):
        load(tmp_path, test_root=str(tmp_path.parent / "apart"))


@pytest.mark.parametrize("name", [".", "cat", ".."])
def test_splits_that_share_images_are_refused(tmp_path, name):
    draw(tmp_path / "photos", "cat/0.png")
    with pytest.raises(DataError, match=r"data\.test_root: .* and data\.root, .* share images"):
        load(tmp_path / "photos", test_root=str(tmp_path / "photos" / name))


def test_a_missing_root_and_one_without_images_are_named_with_their_option(tmp_path):
    draw(tmp_path / "photos", "0.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.test_root: .*nowhere is no folder"):
        load(tmp_path / "photos", test_root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"data\.validation_root: .*empty holds no images"):
        load(tmp_path / "photos", validation_root=str(tmp_path / "empty"))


def test_classes_that_differ_on_both_sides_are_refused(tmp_path):
    draw(tmp_path / "photos", "cat/0.png", "dog/0.png")
    draw(tmp_path / "new", "cats/0.png", "dog/0.png")
    with pytest.raises(DataError, match=r"classes of the test split differ .*: it has cats, and .* has cat; call a"):
        load(tmp_path / "photos", test_root=str(tmp_path / "new"))


def test_classes_that_only_the_test_images_have_are_a_doubt(tmp_path):
    """As where what is normal trains, and faults of some kinds are looked for."""
    draw(tmp_path, "train/good/0.png", "test/good/0.png", "test/scratch/0.png")
    raw = load(tmp_path)
    assert (raw.classes, raw.test.labels.tolist()) == (("good", "scratch"), [0, 1])
    assert raw.doubts == ("test split: no training image is of the classes scratch",)


def test_splits_of_different_depths_share_one_scale(tmp_path):
    draw(tmp_path / "photos", "0.png", "1.png")
    (tmp_path / "new").mkdir()
    Image.fromarray(np.full((2, 2), 65535, np.uint16)).save(tmp_path / "new" / "0.png")
    raw = load(tmp_path / "photos", test_root=str(tmp_path / "new"))
    assert raw.train.x.dtype == raw.test.x.dtype == torch.float32
    torch.testing.assert_close(raw.train.x[:, 0, 0, 0], torch.tensor([0, 1 / 255]))
    assert values(raw.test) == [1]


# Labels in a table


def table(path, *lines):
    path.write_text("\n".join(["file,label", *lines, ""]))
    return {"labels": str(path), "cache": False}


def test_labels_stand_in_a_table_by_the_paths_of_the_files(tmp_path):
    draw(tmp_path / "photos", "a/0.png", "a/1.png", "b/0.png")
    options = table(tmp_path / "labels.csv", "b/0.png,cat", "a/0.png,dog", r"a\1.png,cat")
    raw = load(tmp_path / "photos", **options)
    assert raw.classes == ("cat", "dog")
    assert raw.train.labels.tolist() == [1, 0, 0]


def test_the_columns_of_the_table_have_the_names_that_the_config_gives(tmp_path):
    draw(tmp_path / "photos", "0.png")
    (tmp_path / "labels.tsv").write_text("age\timage\tspecies\n3\t0.png\t7\n")
    options = {"labels": str(tmp_path / "labels.tsv"), "label_columns": ("image", "species"), "cache": False}
    assert load(tmp_path / "photos", **options).classes == ("7",)
    with pytest.raises(
        DataError, match=r"data\.label_columns: .*labels\.tsv has no column 'img'; did you mean 'image'"
    ):
        load(tmp_path / "photos", **{**options, "label_columns": ("img", "species")})


def test_one_table_serves_all_splits(photos):
    root, options = photos
    lines = ("cat/0.png,wild", "cat/1.png,tame", "dog/0.png,wild", "dog/5.png,tame", "cat/7.png,wild", "dog/7.png,wild")
    more = table(root.parent / "labels.csv", *lines)
    raw = load(root, **options | more)
    assert [split.labels.tolist() for split in (raw.train, raw.validation, raw.test)] == [[1, 0, 1], [0], [1, 1]]


def test_files_without_a_row_and_rows_without_a_file_are_all_named(tmp_path):
    draw(tmp_path / "photos", "0.png", "1.png")
    options = table(tmp_path / "labels.csv", "1.png,cat", "2.png,cat")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "photos", **options)
    strange, without = str(caught.value).splitlines()
    assert "labels.csv: 1 files that are not there; names are paths in data.root" in strange
    assert strange.endswith("take their rows out (2.png)")
    assert without.endswith("1 images without a row: give them one, or move them away (0.png)")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0.png,cat", "0.png,dog"], r"line 3, column 'file': '0\.png' is on line 2 too; a file has one row"),
        (["0.png,"], r"line 2, column 'label': the label of '0\.png' is missing"),
    ],
)
def test_a_row_that_says_nothing_or_too_much_is_named(tmp_path, lines, message):
    draw(tmp_path / "photos", "0.png")
    with pytest.raises(DataError, match=rf"data\.labels: .*{message}"):
        load(tmp_path / "photos", **table(tmp_path / "labels.csv", *lines))


def test_two_images_of_one_name_are_refused_where_a_table_has_the_labels(tmp_path):
    draw(tmp_path / "photos", "0.png")
    draw(tmp_path / "new", "0.png")
    with pytest.raises(DataError, match=r"images of two folders have the same name, .* \(0\.png\)"):
        load(tmp_path / "photos", test_root=str(tmp_path / "new"), **table(tmp_path / "labels.csv", "0.png,cat"))


def test_broken_images_that_are_left_out_may_have_rows(tmp_path):
    draw(tmp_path / "photos", "0.png")
    (tmp_path / "photos" / "1.png").write_bytes(b"no image")
    options = table(tmp_path / "labels.csv", "0.png,cat", "1.png,dog")
    with pytest.warns(UserWarning, match=r"left out 1 images"):
        assert load(tmp_path / "photos", broken="skip", **options).classes == ("cat",)


def test_a_missing_table_is_named(tmp_path):
    draw(tmp_path, "0.png")
    with pytest.raises(DataError, match=r"data\.labels: .*none\.csv: there is no such file"):
        load(tmp_path, labels=str(tmp_path / "none.csv"))


# Patches


def test_images_are_cut_into_patches_that_are_called_by_their_place(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    (tmp_path / "cat").mkdir()
    Image.fromarray(pixels).save(tmp_path / "cat" / "0.png")
    raw = load(tmp_path, size=(4, 6), patch=(2, 3), colour=True)
    expected = [pixels[top : top + 2, left : left + 3] for top in (0, 2) for left in (0, 3)]
    np.testing.assert_array_equal(raw.train.x.movedim(1, -1).numpy(), expected)
    assert raw.ids["train"] == tuple(
        f"cat/0.png[{rows},{columns}]" for rows in ("0:2", "2:4") for columns in ("0:3", "3:6")
    )
    assert raw.train.labels.tolist() == [0] * 4
    assert "patches of 2×3: those of one image are in several splits, where splits have no folders" in raw.notes[-1]


def test_patches_that_do_not_fill_the_size_are_refused():
    with pytest.raises(ValidationError, match="size must be a multiple of patch"):
        config("photos", size=(4, 6), patch=(2, 4))


# Photos


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_of_exif_is_read_upright(tmp_path, orientation):
    """Which side of the picture the first row and the first column of the file are: EXIF 2.3, tag 274."""
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3)
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.T,  # left, top
        6: upright.T[::-1],  # right, top
        7: upright[::-1, ::-1].T,  # right, bottom
        8: upright[::-1].T,  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "0.png", exif=exif)
    np.testing.assert_array_equal(load(tmp_path, size=(2, 3)).train.x[0, 0].numpy(), upright)


def test_photos_are_upright():
    root = Path(os.environ.get("GENKIT_DATA", "")) / "images"
    if not (root / "Landscape_6.jpg").is_file():
        pytest.skip("needs images/Landscape_6.jpg and Portrait_8.jpg of exif-orientation-examples in GENKIT_DATA")
    x = load(root, size=(40, 40), cache=False).train.x.float()
    assert (x[:, :, :10].mean((1, 2, 3)) > x[:, :, 30:].mean((1, 2, 3)) + 30).all()  # the sky is above
