"""Images of every depth and transparency: their values, and what is said about them."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image

from genkit.errors import DataError
from genkit_data import Images

GREY = np.array([[0, 255], [256, 65535]], np.uint16)


def load(root, **options):
    return Images(Images.Config(**{"root": str(root), "size": (2, 2), **options})).load()


@pytest.mark.parametrize("cache", [True, False])
def test_16_bit_values_are_parts_of_65535(tmp_path, cache):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for _ in range(2):  # from the file, and from the cache
        raw = load(tmp_path, cache=cache)
        assert raw.train.x.dtype == torch.float32
        torch.testing.assert_close(raw.train.x[0, 0], torch.from_numpy(GREY.astype(np.float32)) / 65535)
        assert "16-bit grey images: values / 65535 (1)" in raw.notes
    assert load(tmp_path, colour=True).train.x.shape == (1, 3, 2, 2)


@pytest.mark.parametrize("name", ["a.tif", "a.pgm"])
def test_other_files_of_16_bits_are_read_alike(tmp_path, name):
    Image.fromarray(GREY).save(tmp_path / name)
    torch.testing.assert_close(load(tmp_path).train.x[0, 0], torch.from_numpy(GREY.astype(np.float32)) / 65535)


def test_mixed_depths_share_one_scale(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 51], [102, 255]], np.uint8)).save(tmp_path / "b.png")
    x = load(tmp_path).train.x
    torch.testing.assert_close(x[1, 0], torch.tensor([[0, 0.2], [0.4, 1]]))
    assert x[0].max() == 1


def tiff_of_12_bits(path, values):
    """A TIFF of one row whose values have 12 bits, packed."""
    pairs = zip(values[::2], values[1::2], strict=True)
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in pairs)
    tags = {256: len(values), 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    start = 8 + len(packed) + len(packed) % 2
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + packed.ljust(start - 8, b"\0") + directory)


def test_a_file_that_says_that_it_has_12_bits_is_read_so(tmp_path):
    tiff_of_12_bits(tmp_path / "a.tif", [0, 4095, 1365, 2730])
    raw = load(tmp_path, size=(1, 4))
    torch.testing.assert_close(raw.train.x.flatten(), torch.tensor([0, 1, 1 / 3, 2 / 3]))
    assert raw.doubts == ()


def test_12_bits_that_are_held_in_16_are_a_doubt_whose_remedy_works(tmp_path):
    Image.fromarray(np.array([[0, 4095], [1365, 2730]], np.uint16)).save(tmp_path / "a.png")
    (doubt,) = load(tmp_path).doubts
    assert "no 16-bit image has a value above 4,095 of 65,535" in doubt
    assert "data.range=[0,4095]" in doubt
    raw = load(tmp_path, range=(0, 4095))
    torch.testing.assert_close(raw.train.x[0, 0], torch.tensor([[0, 1], [1 / 3, 2 / 3]]))
    assert raw.doubts == ()


def test_floats_stay_as_they_are_and_are_doubted_outside_0_to_1(tmp_path):
    values = np.array([[0, 0.25], [0.5, 1]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    raw = load(tmp_path)
    torch.testing.assert_close(raw.train.x[0, 0], torch.from_numpy(values))
    assert "float images: values as they are (1)" in raw.notes
    assert raw.doubts == ()
    Image.fromarray(200 * values - 50).save(tmp_path / "a.tif")
    (doubt,) = load(tmp_path).doubts
    assert "from -50 to 150" in doubt
    torch.testing.assert_close(load(tmp_path, range=(-50, 150)).train.x[0, 0], torch.from_numpy(values))


def test_a_mode_without_a_scale_is_refused_by_name(tmp_path):
    Image.fromarray(np.array([[0, 70000], [5, 6]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif \(mode I: .*data\.range=\[LOW,HIGH\]"):
        load(tmp_path)
    assert load(tmp_path, range=(0, 70000)).train.x.max() == 1
    Image.new("LAB", (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif \(mode LAB: "):
        load(tmp_path)


def test_floats_that_are_no_numbers_are_refused_by_name(tmp_path):
    Image.fromarray(np.array([[np.nan, 1], [0, 0]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif \(holds values that are not finite\)"):
        load(tmp_path)


def square(ground):
    """A red square on a fully transparent ground, whose hidden colour is `ground`."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., :3] = ground
    pixels[1:3, 1:3] = (255, 0, 0, 255)
    return Image.fromarray(pixels, "RGBA")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "a.tif"])
@pytest.mark.parametrize("background", ["white", "black", (10, 20, 30)])
def test_the_colour_under_transparent_pixels_never_shows(tmp_path, name, background):
    expected = {"white": (255, 255, 255), "black": (0, 0, 0)}.get(background, background)
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    for ground in (0, 90, 255):
        square(ground).save(tmp_path / name, **options)
        raw = load(tmp_path, size=(4, 4), colour=True, background=background)
        assert raw.train.x[0, :, 0, 0].tolist() == [*expected]
        assert raw.train.x[0, :, 1, 1].tolist() == [255, 0, 0]
        assert raw.train.x.dtype == torch.uint8
    assert "transparent pixels: over data.background (1)" in raw.notes


def test_transparency_of_a_palette_or_a_grey_value_shows_the_background(tmp_path):
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 200, 200, 200])
    palette.save(tmp_path / "a.png", transparency=0)
    assert load(tmp_path).train.x.flatten().tolist() == [255, 200, 200, 255]
    Image.fromarray(np.array([[7, 40], [40, 7]], np.uint8)).save(tmp_path / "a.png", transparency=7)
    assert load(tmp_path, background="black").train.x.flatten().tolist() == [0, 40, 40, 0]
    Image.fromarray(GREY).save(tmp_path / "a.png", transparency=256)
    torch.testing.assert_close(load(tmp_path).train.x[0, 0, 1], torch.tensor([1.0, 1.0]))


def test_half_transparent_pixels_are_mixed(tmp_path):
    Image.fromarray(np.full((2, 2, 2), (100, 128), np.uint8), "LA").save(tmp_path / "a.png")
    assert load(tmp_path, background="black").train.x.unique().tolist() == [50]
    assert load(tmp_path).train.x.unique().tolist() == [177]  # 100 · 128/255 + 255 · 127/255


def test_of_several_frames_the_first_is_read_and_said(tmp_path):
    frames = [Image.new("L", (2, 2), value) for value in (30, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    raw = load(tmp_path)
    assert raw.train.x.unique().tolist() == [30]
    assert "several frames: the first is read (1)" in raw.notes


@pytest.mark.parametrize("limit", [3, 1])
def test_an_image_beyond_pillows_limit_counts_as_broken(tmp_path, monkeypatch, limit):
    Image.new("L", (2, 2)).save(tmp_path / "bomb.png")  # 4 pixels: pillow warns above 3, and refuses above 2
    Image.new("L", (1, 1), 8).save(tmp_path / "fine.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=rf"bomb\.png \(more than pillow's limit of {limit} pixels\)"):
        load(tmp_path, size=(1, 1))
    with pytest.warns(UserWarning, match=r"left out 1 images that cannot be read: bomb\.png"):
        assert load(tmp_path, size=(1, 1), broken="skip").train.x.flatten().tolist() == [8]
