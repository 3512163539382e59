import base64
import io

import numpy as np
import pytest
from PIL import Image

from genkit.errors import RunError
from genkit.pages.images import picture, picture_of


def test_a_picture_is_the_file_itself_with_its_size(tmp_path):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    for each in (picture(tmp_path / "x.png", "t", "alt"), picture_of(pixels, "t", "alt")):
        head, _, data = each.uri.partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert np.array_equal(np.asarray(image), pixels)
        assert (each.width, each.height, each.alt) == (7, 5, "alt")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"<svg onload='x'>" * 9])
def test_what_is_no_picture_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(RunError, match=r"x\.png: is no \.png, or damaged"):
        picture(tmp_path / "x.png", "t", "alt")


def test_a_missing_picture_is_refused_by_its_name(tmp_path):
    with pytest.raises(RunError, match=r"x\.png: cannot be read: No such file"):
        picture(tmp_path / "x.png", "t", "alt")
