from __future__ import annotations

import torch

from genkit.data.shuffling import BLOCK, WINDOW, shuffled, window_of
from tests.interfaces.test_reader import Listed


class Wide(Listed):
    """Data that say they are larger than memory."""

    def __init__(self, count: int, values: int) -> None:
        super().__init__(torch.empty(0))
        self.shape = torch.Size((count, values))


def test_data_that_fit_a_window_have_any_order():
    torch.manual_seed(3)
    order = shuffled(torch.zeros(1000, 2), None)
    torch.manual_seed(3)
    assert torch.equal(order, torch.randperm(1000))


def test_every_datum_comes_once_and_in_an_order_of_the_seed():
    x = torch.zeros(1003, 2)
    torch.manual_seed(0)
    order = shuffled(x, 100)
    assert torch.equal(order.sort().values, torch.arange(1003))
    torch.manual_seed(0)
    assert torch.equal(shuffled(x, 100), order)
    assert not torch.equal(shuffled(x, 100), order)


def test_data_of_a_window_lie_in_few_blocks():
    x = Wide(1_000_000, 1024)  # 3.8 GiB in blocks of 256 data
    order = shuffled(x, None)
    window, rows = window_of(x, None), BLOCK // 4096
    assert window == WINDOW // 4096
    for part in order.split(window):
        blocks = (part // rows).unique()
        assert len(blocks) <= len(part) / rows + 2  # so little is read that the window does not need
        places = torch.arange(len(part))
        assert abs(torch.corrcoef(torch.stack([part % rows, places]).double())[0, 1]) < 0.01  # and nothing is in order
    assert len((order[:window] // rows).unique()) > window / rows / 2
    assert (order[:window].double().mean() / len(x) - 0.5).abs() < 0.05  # blocks from everywhere


def test_a_window_is_never_larger_than_the_data():
    assert window_of(torch.zeros(10, 2), None) == 10
    assert window_of(torch.zeros(10, 2), 50) == 10
    assert window_of(torch.zeros(10, 2), 3) == 3
