from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genkit.interfaces import Reader, Split
from genkit.interfaces.reader import Joined, Selected, bytes_of, joined, taken


class Listed(Reader):
    """Rows of a tensor, with the places that were read."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x.shape, x.dtype)
        self.x = x
        self.places: list[int] = []

    def read(self, rows: Tensor) -> Tensor:
        self.places += rows.tolist()
        return self.x[rows]

    @property
    def held(self) -> int:
        return 1200


@pytest.fixture
def x() -> Tensor:
    return torch.arange(60.0).view(20, 3)


def test_a_reader_stands_for_a_tensor(x):
    reader = Listed(x)
    assert (len(reader), reader.shape, reader.ndim, reader.numel()) == (20, x.shape, 2, 60)
    assert torch.equal(reader[:], x)
    assert torch.equal(reader[3:9], x[3:9])
    assert torch.equal(reader[18:40], x[18:])
    assert torch.equal(torch.cat(list(reader.split(7))), x)
    assert [len(part) for part in reader.split(7)] == [7, 7, 6]


def test_selected_data_are_read_where_they_are(x):
    reader = Listed(x)
    some = Selected(reader, torch.tensor([7, 2, 2, 19]))
    assert torch.equal(some[:], x[[7, 2, 2, 19]])
    assert torch.equal(taken(some, torch.tensor([3, 0])), x[[19, 7]])
    assert reader.places == [7, 2, 2, 19, 19, 7]
    assert bytes_of(some) == 1200 * 4 // 20 + 4 * 8


def test_a_split_of_a_reader_selects_rows_and_reads_nothing(x):
    reader = Listed(x)
    split = Split(reader, torch.arange(20), {"mask": torch.arange(20.0)})
    some = split.rows(torch.tensor([5, 1]))
    assert isinstance(some.x, Selected)
    assert some.labels.tolist() == some.side["mask"].tolist() == [5, 1]
    assert split.first(None) is split
    assert reader.places == []
    assert torch.equal(split.first(4).x, x[:4])


def test_joined_data_come_from_their_parts_in_any_order(x):
    whole = Joined([x[:4], Listed(x[4:5]), x[5:]])
    assert torch.equal(whole[:], x)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)).repeat(2)
    assert torch.equal(taken(whole, order), x[order])
    assert torch.equal(whole[6:9], x[6:9])
    assert whole.read(order[:0]).shape == (0, 3)
    assert bytes_of(whole) == 4 * 3 * 19 + 1200


def test_tensors_are_joined_into_a_tensor(x):
    assert torch.equal(joined([x[:4], x[4:]]), x)
    assert isinstance(joined([x, Listed(x)]), Joined)
