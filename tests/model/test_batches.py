import pytest
import torch

from genkit.model.batches import CACHED, FEW, MOST, Batches

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("values", "size"),
    [(1, MOST), (CACHED // 4 // 100, 96), (CACHED // 4 // FEW, FEW), (CACHED // 2 // FEW, FEW)],
    ids=["small", "a hundredth of the caches", "of which few fill them", "of which few are too many"],
)
def test_a_batch_has_as_many_times_few_data_as_the_caches_hold(values, size):
    spans = []

    def work(start, stop):
        spans.append((start, stop))
        return torch.zeros(stop - start, values)[:, :1]

    batches = Batches()
    for count in (MOST + 7, 5):
        spans.clear()
        assert sum(len(part) for part in batches.over(count, work, CPU)) == count
        starts, stops = zip(*spans, strict=True)
        assert starts == (0, *stops[:-1])
        assert stops[-1] == count
        assert stops[0] == min(FEW, count)
    assert batches.size == size


def test_batches_are_the_same_before_and_after_their_size_is_known():
    def spans(batches):
        def work(start, stop):
            found.append((start, stop))
            return torch.zeros(stop - start, 10_000)

        found = []
        list(batches.over(5000, work, CPU))
        return found

    batches = Batches()
    assert spans(batches) == spans(batches)


def test_no_data_and_few_data_do_not_tell_the_size():
    batches = Batches()
    assert list(batches.over(0, lambda start, stop: torch.zeros(stop - start), CPU)) == []
    assert [len(part) for part in batches.over(3, lambda start, stop: torch.zeros(stop - start), CPU)] == [3]
    assert batches.size is None


def test_on_a_device_with_memory_of_its_own_batches_are_large():
    sizes = [
        len(p) for p in Batches().over(MOST + 1, lambda start, stop: torch.zeros(stop - start), torch.device("meta"))
    ]
    assert sizes == [MOST, 1]
