from __future__ import annotations

import math

import pytest
import torch

from genkit.data.dataset import Dataset
from genkit.data.extent import extent, extents, same_values
from genkit.errors import DataError
from genkit.interfaces import Split
from genkit.parallel import draws
from tests.interfaces.test_reader import Listed


@pytest.fixture
def reader() -> Listed:
    return Listed(torch.arange(120.0).view(40, 3))


def dataset(x: Listed | torch.Tensor) -> Dataset:
    return Dataset(Split(x, torch.arange(40)), None, None, None, False)


def test_batches_of_a_reader_are_those_of_a_tensor(reader):
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for places in (None, order):
        pairs = zip(
            dataset(reader).batches(dataset(reader).train, 7, places, names=["labels"]),
            dataset(reader.x).batches(dataset(reader.x).train, 7, places, names=["labels"]),
            strict=True,
        )
        for one, other in pairs:
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.side["labels"], other.side["labels"])
            assert one.total == other.total


def test_each_of_two_processes_reads_its_own_rows_alone(reader, monkeypatch):
    order, read = torch.arange(39, -1, -1), []
    monkeypatch.setattr(draws, "count", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(draws, "rank", lambda rank=rank: rank)
        reader.places.clear()
        list(dataset(reader).batches(dataset(reader).train, 8, order))
        read.append(sorted(reader.places))
    assert [len(places) for places in read] == [20, 20]
    assert sorted(read[0] + read[1]) == list(range(40))


def test_a_reader_is_gone_through_once_for_its_extent(reader):
    assert extent(reader) == (0.0, 119.0)
    assert extents(reader)[0].tolist() == [0.0, 1.0, 2.0]
    assert extent(reader) == extent(reader.x)
    assert reader.places == list(range(40))


def test_a_value_that_is_not_a_number_is_in_the_extent(reader):
    reader.x[17, 1] = math.nan
    assert all(math.isnan(limit) for limit in extent(reader))


def test_values_are_compared_block_by_block(reader):
    assert same_values(reader, reader.x)
    assert not same_values(reader, reader.x + 1)
    assert not same_values(reader, reader.x[:-1])
    assert same_values(torch.full((4, 2), 255, dtype=torch.uint8), torch.ones(4, 2))


def test_side_data_that_are_not_there_are_named(reader):
    with pytest.raises(DataError, match="reads 'mask' beside the data"):
        list(dataset(reader).batches(dataset(reader).train, 8, names=["mask"]))
