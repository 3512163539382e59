"""The image folder: sizes, colours, labels, the cache, and broken files."""

import numpy as np
import pytest
import torch
from PIL import Image

from genkit.data import loading
from genkit.errors import DataError
from genkit_data import Images


def picture(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)


def source(root, **options):
    return Images(Images.Config(root=str(root), **{"size": [4, 6], **options}))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("cats", 3), ("ants", 2)):
        for index in range(count):
            picture(tmp_path / name / f"{index}.png", rng.integers(0, 256, (4, 6, 3)))
    return tmp_path


def test_sub_folders_are_classes_and_bytes_stay_bytes(folder):
    raw = source(folder, colour=True).load()
    assert raw.classes == ("ants", "cats")
    assert raw.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert raw.train.x.dtype == torch.uint8
    with Image.open(folder / "cats" / "1.png") as image:
        assert np.array_equal(raw.train.x[3].movedim(0, -1).numpy(), np.asarray(image))


def test_grey_is_the_luma_of_the_colours(folder):
    raw = source(folder).load()
    assert raw.train.x.shape == (5, 1, 4, 6)
    with Image.open(folder / "ants" / "0.png") as image:
        red, green, blue = np.moveaxis(np.asarray(image, float), -1, 0)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R 601
    assert np.abs(raw.train.x[0, 0].numpy() - expected).max() <= 1


def test_any_size_is_brought_to_the_one_asked_for_by_cutting_out_the_middle(tmp_path):
    wide = np.zeros((10, 40), np.uint8)
    wide[:, 15:25] = 200
    picture(tmp_path / "wide.png", wide)
    raw = source(tmp_path, size=[10, 10]).load()
    assert raw.train.x.shape == (1, 1, 10, 10)
    assert (raw.train.x == 200).all()
    assert source(tmp_path, size=[5, 5]).load().train.x.shape == (1, 1, 5, 5)
    assert raw.train.labels is None


def test_the_folder_loads_as_a_data_set(folder):
    loaded = loading.load(Images.Config(root=str(folder), size=(8, 8), test=1, validation=1))
    assert loaded.shape == (1, 8, 8)
    assert [len(part.x) for part in (loaded.train, loaded.validation, loaded.test)] == [3, 1, 1]


def test_images_are_kept_in_one_file_and_read_again_where_something_changed(folder, monkeypatch):
    first = source(folder).load().train.x
    (kept,) = folder.glob(".genkit-images-*.safetensors")
    with monkeypatch.context() as patched:
        patched.setattr(Images, "_read", lambda *_: pytest.fail("decoded again"))
        assert torch.equal(source(folder).load().train.x, first)
    kept.write_bytes(b"damaged")
    assert torch.equal(source(folder).load().train.x, first)
    picture(folder / "cats" / "0.png", np.full((4, 6, 3), 9))
    assert (source(folder).load().train.x[2] == 9).all()
    source(folder, size=[2, 2]).load()
    assert len(list(folder.glob(".genkit-images-*.safetensors"))) == 1


def test_nothing_is_kept_where_that_is_not_wanted(folder):
    source(folder, cache=False).load()
    assert not list(folder.glob(".genkit-images-*"))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut"])
@pytest.mark.parametrize("cache", [True, False])
def test_a_broken_image_is_named_and_refused_or_left_out_as_asked(folder, content, cache):
    (folder / "cats" / "broken.png").write_bytes(content)
    for _ in range(2):  # from the files, and from the cache
        with pytest.raises(DataError, match=r"1 of 6 images cannot be read: cats/broken\.png; .*data\.broken=skip"):
            source(folder, cache=cache).load()
    with pytest.warns(UserWarning, match=r"left out 1 images that cannot be read: cats/broken\.png"):
        raw = source(folder, broken="skip", cache=cache).load()
    assert raw.train.labels.tolist() == [0, 0, 1, 1, 1]


def test_an_image_that_is_cut_short_is_broken(folder):
    whole = (folder / "cats" / "0.png").read_bytes()
    (folder / "cats" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cats/0\.png"):
        source(folder).load()


def test_a_folder_without_images_and_no_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.root: .* holds no images \(\.png"):
        source(tmp_path).load()
    with pytest.raises(DataError, match=r"data\.root: .*nowhere is no folder"):
        source(tmp_path / "nowhere").load()


def test_a_folder_of_broken_images_alone_is_refused_even_where_they_are_skipped(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 1 images cannot be read"):
        source(tmp_path, broken="skip").load()
