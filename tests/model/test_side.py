import numpy as np
import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces import Schema, Side
from genkit.model.side import completed, own_side


class Reader:
    schema = Schema((4,), {"labels": Side(classes=3, names=("cat", "dog", "2")), "size": Side((2,))})
    device = torch.device("cpu")

    def __init__(self, *inputs):
        self.inputs = self.decoder_inputs = inputs


@pytest.mark.parametrize(
    "value", [1, "dog", [1, 1], ["dog", "dog"], torch.tensor(1), torch.tensor([1, 1]), np.array([1, 1]), "1"]
)
def test_classes_go_by_number_or_name_for_all_data_or_for_each(value):
    assert completed(Reader("labels"), ("labels",), {"labels": value}, 2)["labels"].tolist() == [1, 1]


def test_a_text_is_a_name_before_it_is_a_number():
    reader = Reader("labels")
    reader.schema = Schema((4,), {"labels": Side(classes=3, names=("2", "1", "0"))})
    assert completed(reader, reader.inputs, {"labels": "2"}, 1)["labels"].tolist() == [0]
    assert completed(reader, reader.inputs, {"labels": 2}, 1)["labels"].tolist() == [2]


def test_numbers_are_for_all_data_or_for_each():
    assert completed(Reader("size"), ("size",), {"size": [1, 2.5]}, 3)["size"].tolist() == [[1, 2.5]] * 3
    each = [[1, 2], [3, 4]]
    assert completed(Reader("size"), ("size",), {"size": each}, 2)["size"].tolist() == each
    assert completed(Reader("size"), ("size",), {"size": ["1", "2"]}, 1)["size"].tolist() == [[1, 2]]


def test_classes_that_are_left_out_take_turns_where_they_may():
    assert completed(Reader("labels"), ("labels",), {}, 5, turns=True)["labels"].tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(DataError, match="the model reads 'labels' beside the data, and there are none: say labels="):
        completed(Reader("labels"), ("labels",), {}, 5)
    with pytest.raises(DataError, match="reads 'size' beside the data"):
        completed(Reader("size"), ("size",), {}, 5, turns=True)


def test_side_data_of_a_split_that_the_model_does_not_take_are_passed_over_and_named_ones_are_refused():
    assert own_side(("size",), {"labels": [0, 1], "size": [1, 2]}) == {"size": [1, 2]}
    with pytest.raises(DataError, match=r"not conditioned on 'labels', which .* nothing; it takes nothing: train"):
        completed(Reader(), (), {"labels": [0, 1]}, 2)


def test_a_text_is_no_place_where_all_classes_have_numbers_for_names():
    reader = Reader("digit")
    reader.schema = Schema((4,), {"digit": Side((), 2, ("3", "7"))})
    assert completed(reader, ("digit",), {"digit": "7"}, 2)["digit"].tolist() == [1, 1]
    assert completed(reader, ("digit",), {"digit": 0}, 1)["digit"].tolist() == [0]
    with pytest.raises(DataError, match="there is no class '1'; the model knows 3, 7"):
        completed(reader, ("digit",), {"digit": "1"}, 2)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("labels", 3, "there is no class 3; they go from 0 to 2"),
        ("labels", -1, "there is no class -1"),
        ("labels", "cow", "there is no class 'cow'; the model knows cat, dog, 2"),
        ("labels", 1.5, "takes classes, whole numbers from 0 to 2 or names, not 1.5"),
        ("labels", True, "takes classes"),
        ("labels", [0, 1, 2], "takes one value for all data, or one for each of the 2, not values of shape"),
        ("size", "big", "takes numbers, not 'big'"),
        ("size", [float("nan"), 1], "not finite"),
        ("size", [1, 2, 3], "takes one value of shape"),
        ("colour", 1, "the model is not conditioned on 'colour', which would change nothing; it takes labels, size"),
    ],
)
def test_what_is_no_side_data_of_the_model_is_refused(name, value, words):
    values = {"labels": 0, "size": [0, 0], name: value}
    with pytest.raises(DataError, match=words):
        completed(
            Reader("labels", "size"),
            (
                "labels",
                "size",
            ),
            values,
            2,
        )


def test_side_data_of_the_other_way_alone_are_refused():
    reader = Reader("labels", "size")
    reader.decoder_inputs = ("size",)
    with pytest.raises(DataError, match="'labels' would change nothing: encoding reads it, and this is decoding"):
        completed(reader, ("size",), {"labels": 0, "size": [0, 0]}, 2)
    with pytest.raises(DataError, match="'size' would change nothing: decoding reads it, and this is encoding"):
        completed(reader, ("labels",), {"labels": 0, "size": [0, 0]}, 2)
