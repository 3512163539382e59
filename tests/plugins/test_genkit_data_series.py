"""Series in files: windows of a long one, many of different lengths, and what is wrong with bad ones."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from genkit.data.loading import load
from genkit.errors import DataError
from genkit.interfaces import Side
from genkit_data import Series
from genkit_transforms.affine import StandardizeTransform

TS = """\
# a comment
@problemName Tiny
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true b a
@data
1,2,3:4,5,6:a
7:8:b
9,10:11,12:a
"""
LONG = "who,t,kind,left,right\n" + "".join(
    f"{who},{step},{kind},{step},{10 * step}\n"
    for who, kind, steps in (("p", "x", 3), ("q", "y", 1), ("r", "x", 2))
    for step in range(steps)
)


@pytest.fixture
def series(tmp_path):
    """A function that reads series from a text or from arrays."""

    def read(content, suffix=".csv", trained=None, side=None, channels=(), test_file=None, **options):
        for name, each in (("s", content), ("test", test_file)):
            path = (tmp_path / name).with_suffix(suffix)
            if isinstance(each, str):
                path.write_text(each)
            elif isinstance(each, dict):
                np.savez(path, **each)
            elif each is not None:
                np.save(path, each)
            if name == "test" and each is not None:
                options["test_path"] = str(path)
        config = Series.Config(path=str((tmp_path / "s").with_suffix(suffix)), **options)
        return Series(config, trained, side, channels).load()

    return read


def values_of(split):
    """The steps that are there of each series, as nested lists."""
    masks = split.side["mask"] > 0
    return [x[mask].tolist() for x, mask in zip(split.x, masks, strict=True)]


def test_sktime_text_becomes_padded_series_with_their_classes(series):
    raw = series(TS, ".ts")
    assert raw.train.x.shape == (3, 3, 2)
    assert values_of(raw.train) == [[[1, 4], [2, 5], [3, 6]], [[7, 8]], [[9, 11], [10, 12]]]
    assert raw.train.side["mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert raw.train.x[1].tolist() == [[7, 8]] * 3  # what pads is within the range of the data
    assert raw.classes == ("b", "a")
    assert raw.train.labels.tolist() == [1, 0, 1]
    assert raw.notes == (
        "3 series of 1 to 3 steps, padded to 3: a mask says which steps are there, and no other counts",
    )


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.array([[1, 2, 3], [7, -9, -9], [9, 10, -9]], np.float32), "lengths": np.array([3, 1, 2])},
        {"values": np.array([1, 2, 3, 7, 9, 10.0]), "offsets": np.array([0, 3, 4])},
        {"values": np.array([[1], [2], [3], [7], [9], [10]]), "offsets": np.array([0, 3, 4, 6])},
    ],
    ids=["padded", "starts", "starts and end"],
)
def test_arrays_become_the_same_series(series, arrays):
    raw = series({**arrays, "labels": np.array([10, 9, 10])}, ".npz")
    assert values_of(raw.train) == [[[1], [2], [3]], [[7]], [[9], [10]]]
    assert raw.classes == ("9", "10")
    assert raw.train.labels.tolist() == [1, 0, 1]


def test_a_long_table_becomes_a_series_for_each_id(series):
    raw = series(LONG, id="who", time="t", label="kind")
    assert raw.channels == ("left", "right")
    assert values_of(raw.train) == [[[0, 0], [1, 10], [2, 20]], [[0, 0]], [[0, 0], [1, 10]]]
    assert raw.ids == {"train": ("p", "q", "r")}
    assert (raw.classes, raw.train.labels.tolist()) == (("x", "y"), [0, 1, 0])


def test_series_of_one_length_need_no_mask(series):
    raw = series(np.arange(24.0).reshape(3, 4, 2), ".npy")
    assert raw.train.side == {}
    assert raw.train.x.tolist() == np.arange(24.0).reshape(3, 4, 2).tolist()
    longer = series(np.arange(24.0).reshape(3, 4, 2), ".npy", length=6)
    assert longer.train.side["mask"].tolist() == [[1, 1, 1, 1, 0, 0]] * 3


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("".join(f"{step}\n" for step in range(40)), ".txt"),
        ("v\n" + "".join(f"{step}\n" for step in range(40)), ".csv"),
        (np.arange(40.0), ".npy"),
        ({"x": np.arange(40).reshape(40, 1)}, ".npz"),
    ],
    ids=["numbers", "table", "npy", "npz"],
)
def test_a_long_series_is_cut_into_windows_split_by_time(series, content, suffix):
    raw = series(content, suffix, window=8, stride=2, validation=0.2, test=3)
    starts = {name: getattr(raw, name).x[:, 0, 0].int().tolist() for name in ("train", "validation", "test")}
    assert starts["test"] == [28, 30, 32]  # the last of 0, 2, ..., 32
    assert starts["validation"] == [16, 18, 20]  # 3 of 17, before those that overlap the test
    assert starts["train"] == [0, 2, 4, 6, 8]
    assert raw.ids == {name: tuple(map(str, own)) for name, own in starts.items()}
    assert torch.equal(raw.train.x[1, :, 0], torch.arange(2.0, 10.0))
    steps = {name: {int(step) for window in getattr(raw, name).x for step in window} for name in starts}
    assert not steps["train"] & steps["validation"]
    assert not steps["validation"] & steps["test"]
    assert raw.notes == (
        *(["channels: v"] if suffix == ".csv" else []),
        "windows of 8 steps, 2 apart, split by time: training first, then validation, test last; "
        "6 that overlap a later split are left out",
    )


def test_a_file_of_its_own_is_the_test_and_windows_have_labels_and_times(series):
    train = "t,v,odd\n" + "".join(f"2020-01-{day:02},{day},no\n" for day in range(1, 13))
    test = "t,v,odd\n" + "".join(f"2021-01-{day:02},{day},{'yes' if day == 5 else 'no'}\n" for day in range(1, 13))
    raw = series(train, test_file=test, window=4, time="t", label="odd", validation=1)
    assert raw.classes == ("no", "yes")
    assert raw.test.labels.tolist() == [0, 1, 0]
    assert raw.ids == {
        "train": ("2020-01-01", "2020-01-05"),
        "validation": ("2020-01-09",),
        "test": ("2021-01-01", "2021-01-05", "2021-01-09"),
    }


def test_steps_that_miss_a_value_are_refused_or_not_there(series):
    text = TS.replace("2,3:4", "?,3:4")
    with pytest.raises(
        DataError, match=r"series 0: step 1, channel 0: the value is missing, as are 1 of 3 .*missing=mask"
    ):
        series(text, ".ts")
    raw = series(text, ".ts", missing="mask")
    assert raw.train.side["mask"][0].tolist() == [1, 0, 1]
    assert raw.train.x[0].tolist() == [[1, 4], [1, 4], [3, 6]]
    windows = series("v\n1\n2\nNA\n4\n5\n6\n", window=3, missing="mask", validation=0, test=0)
    assert windows.train.side["mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    with pytest.raises(DataError, match="each step of window 1 misses a value"):
        series("v\n1\n2\nNA\nNA\n5\n6\n", window=2, missing="mask", validation=0, test=0)


def test_a_trained_model_reads_series_of_its_length_and_classes(series):
    side = {"mask": Side((5,)), "labels": Side((), 3, ("c", "b", "a"))}
    raw = series(TS, ".ts", trained=(5, 2), side=side)
    assert raw.train.x.shape == (3, 5, 2)
    assert raw.train.labels.tolist() == [2, 1, 2]
    whole = series(np.zeros((2, 5, 2)), ".npy", trained=(5, 2), side={"mask": Side((5,))})
    assert whole.train.side["mask"].tolist() == [[1] * 5] * 2
    with pytest.raises(
        DataError, match=r"series 0 has 3 steps, and the model takes 2: cut it, or train with data.length=3"
    ):
        series(TS, ".ts", trained=(2, 2), side=side)
    with pytest.raises(DataError, match=r"some series have fewer than 3 steps.* trained on whole ones"):
        series(TS, ".ts", trained=(3, 2), side={})
    with pytest.raises(DataError, match="the class 'a' is none of the training data: b"):
        series(TS, ".ts", trained=(3, 2), side={"mask": Side((3,)), "labels": Side((), 1, ("b",))})
    with pytest.raises(
        DataError, match=r"has the channels left, right, and the training data right, left; data.columns"
    ):
        series(LONG, id="who", time="t", label="kind", channels=("right", "left"), columns=("left", "right"))
    own = {"id": "who", "time": "t", "label": "kind"}
    turned = series(LONG, channels=("right", "left"), trained=(3, 2), side={"mask": Side((3,))}, **own)
    assert (turned.channels, turned.train.x[0, 2].tolist()) == (("right", "left"), [20, 2])
    fewer = series("right,left,more\n5,6,7\n", channels=("left",), trained=(3, 1), side={"mask": Side((3,))}, **own)
    assert (values_of(fewer.train), fewer.ids, fewer.train.labels) == ([[[6]]], {}, None)
    assert "columns that the model was not trained on are left out: right, more" in fewer.doubts
    with pytest.raises(DataError, match=r"lacks channels that the model was trained on: up; it has who, t, kind, left"):
        series(LONG, channels=("up",), trained=(3, 1), **own)
    with pytest.raises(DataError, match="has 2 channels, not as many as the training data"):
        series(TS, ".ts", trained=(3, 4), side=side)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TS.replace("7:8:b", ":8:b"), r"line 11: channel 1 has 0 steps, and channel 2 has 1"),
        (TS.replace("7:8:b", "::b"), r"line 11: a series with a length of 0"),
        (TS.replace("4,5,6", "4,5"), r"line 10: channel 1 has 3 steps, and channel 2 has 2; all channels"),
        (TS.replace("7:8:b", "7:b"), r"line 11: 1 channels, and 2 in the series before"),
        (TS.replace("7:8:b", "7:8:c"), r"line 11: the class 'c' is none of @classLabel: b, a"),
        (TS.replace("7:8:b", "7:z:b"), r"line 11, channel 2: value 1 is no number: 'z'"),
        (TS.replace("timeStamps false", "timeStamps true"), r"time stamps, which are not read"),
        (TS.replace("@data\n", ""), r"line 9 stands before the line '@data'"),
        (TS.partition("1,2,3")[0], r"has no series below its line '@data'"),
        (TS.partition("@data")[0], r"has no line '@data'"),
    ],
)
def test_bad_sktime_text_is_refused_with_its_line(series, text, message):
    with pytest.raises(DataError, match=message):
        series(text, ".ts")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (LONG.replace("r,0", "p,0"), {}, r"line 6, column 'who': the id 'p' was there from line 2 on"),
        (LONG.replace("p,1,", "p,0,"), {}, r"line 3, column 't': the time 0 is there twice"),
        (
            LONG.replace("p,2,", "p,-1,"),
            {},
            r"line 4, column 't': the time -1 lies before the one above; sort the rows",
        ),
        (LONG.replace("q,0,y", "q,0,"), {}, r"line 5, column 'kind': the label is missing; fill it in"),
        (LONG.replace("q,0", ",0"), {}, r"line 5, column 'who': the id is missing"),
        (LONG.replace("p,1,x", "p,1,y"), {}, r"line 3, column 'kind': the label 'y' differs from 'x'"),
        (
            LONG.replace("p,1,x,1", "p,1,x,2020-01-01"),
            {},
            r"line 3, column 'left': '2020-01-01' is a date; data.time=left",
        ),
        (LONG.replace("p,1,x,1", "p,1,x,one"), {}, r"line 3, column 'left': 'one' is no number; data.drop"),
        (LONG.replace("p,1,", "p,soon,"), {}, r"line 3, column 't': 'soon' is neither a number nor a date"),
        (LONG, {"columns": ("lefd",)}, r"data.columns: .* has no column 'lefd'.*left"),
        (LONG, {"drop": ("left", "right")}, r"no column is left for a channel"),
        ("1\n2\n3\n", {}, r"data.time: .* has no line with the names of its columns"),
        ("", {}, r"is empty"),
    ],
)
def test_a_bad_long_table_is_refused_with_its_line(series, text, options, message):
    with pytest.raises(DataError, match=message):
        series(text, **{"id": "who", "time": "t", "label": "kind", **options})


@pytest.mark.parametrize(
    ("content", "suffix", "options", "message"),
    [
        (np.arange(9.0), ".npy", {"window": 10}, r"the series has 9 steps, and a window takes 10; lower data.window"),
        (np.arange(9.0), ".npy", {"window": 4, "test": 2}, r"none is left to train on, before the 2 for test"),
        (np.arange(9.0), ".npy", {}, r"holds one series of 9 steps; data.window=64 cuts it"),
        (np.zeros((2, 9, 1)), ".npy", {"window": 4}, r"data.window cuts one long series, and there are 2"),
        (np.zeros((2, 9, 1, 1)), ".npy", {}, r"has shape \(2, 9, 1, 1\); series are"),
        (np.full((2, 3, 1), np.nan), ".npy", {"missing": "mask"}, r"series 0: each of its 3 steps misses a value"),
        (np.full((2, 3, 1), np.inf), ".npy", {}, r"series 0: step 0, channel 0: the value is infinite"),
        ({"x": np.zeros((2, 3)), "lengths": np.array([0, 2])}, ".npz", {}, r"series 0 has a length of 0"),
        (
            {"x": np.zeros((2, 3)), "lengths": np.array([4, 2])},
            ".npz",
            {},
            r"lengths go from 2 to 4, and x has 3 steps",
        ),
        ({"x": np.zeros((2, 3)), "lengths": np.array([1.5, 2])}, ".npz", {}, r"lengths .* are whole numbers"),
        ({"values": np.zeros(3), "offsets": np.array([0, 5])}, ".npz", {}, r"series 1 would begin at 5 and end at 3"),
        (
            {"values": np.zeros(3), "offsets": np.array([1, 2])},
            ".npz",
            {},
            r"offsets are whole numbers .* the first is 0",
        ),
        ({"y": np.zeros(3)}, ".npz", {}, r"holds no 'x'; it holds y"),
        ("1 2\n3\n", ".txt", {"window": 1}, r"line 2 has 1 numbers, and the first has 2"),
        ("1\ntwo\n", ".txt", {"window": 1}, r"line 2 holds no number: 'two'"),
    ],
)
def test_bad_series_are_refused_with_what_to_do(series, content, suffix, options, message):
    with pytest.raises(DataError, match=message):
        series(content, suffix, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"stride": 2}, "stride is that of windows: say window too"), ({"window": 2, "length": 3}, "length pads series")],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Series.Config(path="x.csv", **options)


def test_a_test_file_without_classes_leaves_those_of_the_training(series):
    test = TS.replace("@classLabel true b a", "@classLabel false").replace(":a\n", "\n").replace(":b\n", "\n")
    raw = series(TS, ".ts", test_file=test)
    assert (raw.classes, raw.train.labels.tolist(), raw.test.labels) == (("b", "a"), [1, 0, 1], None)


def test_what_looks_like_a_time_is_a_doubt(series):
    assert series("t,v\n0,5\n1,3\n2,4\n3,9\n", window=2, validation=0, test=0).doubts == (
        "'t' rises evenly, and is taken as a channel; if it is the time: data.time=t",
    )
    uneven = series("t,v\n0,5\n1,3\n5,4\n6,9\n", time="t", window=2, validation=0, test=0)
    assert uneven.doubts == (
        "times in 't' are not evenly spaced (1 to 4 apart): the model sees steps alone, whatever lies between them",
    )


def test_transforms_and_standardizing_are_fitted_to_steps_that_are_there(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 200)
    values = rng.normal(50, 3, (int(lengths.sum()), 2))
    np.savez(tmp_path / "s.npz", values=values, offsets=lengths.cumsum() - lengths)
    options = {"path": str(tmp_path / "s.npz"), "validation": 0, "test": 0}
    standardized = load(Series.Config(**options, standardize=True)).scaling
    assert standardized.mean == pytest.approx(values.mean(0), rel=1e-2)
    assert standardized.deviation == pytest.approx(values.std(0), rel=1e-2)
    transform = load(Series.Config(**options, transform=(StandardizeTransform.Config(),)))
    assert transform.transforms[0].mean.flatten().tolist() == pytest.approx(values.mean(0), rel=1e-2)
