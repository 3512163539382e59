"""Colours are told apart by readers who see few of them.

Simulations of colour blindness: Machado, Oliveira & Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1.0; distances
in CIELAB (CIE 1976).
"""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from genkit.pictures.palette import COLOURS, colours

SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ.sum(1)


def lab(colour, sight):
    """A colour in CIELAB, as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = XYZ @ np.clip(np.array(sight) @ linear, 0, 1) / WHITE
    x, y, z = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(palette, sight):
    return min(np.linalg.norm(lab(one, sight) - lab(other, sight)) for one, other in combinations(palette, 2))


@pytest.mark.parametrize("sight", SIGHTS)
def test_no_two_colours_look_alike_to_anybody(sight):
    assert nearest(COLOURS, SIGHTS[sight]) > 17


def test_the_usual_colours_do_look_alike():
    usual = colormaps["tab10"].colors
    assert nearest(usual, SIGHTS["normal"]) > 17
    assert nearest(usual, SIGHTS["deuteranopia"]) < 8


def test_many_classes_have_a_colour_each():
    assert colours(3) == list(COLOURS[:3])
    assert len({tuple(colour) for colour in colours(40)}) == 40
