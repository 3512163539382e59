import pytest

from benchmarks.scaling import exponent, measured


def test_the_exponent_is_that_of_the_last_two_points():
    points = [{"value": n, "seconds": 3.0 + n**2} for n in (1, 100, 1000)]
    assert exponent(points, "seconds") == pytest.approx(2, abs=1e-3)


@pytest.mark.slow
def test_a_point_has_its_time_and_its_memory(tmp_path):
    few, many = (measured("batch", size, 1, tmp_path) for size in (10, 2000))
    assert min(few["seconds"], many["seconds"]) > 0
    assert 2**26 < few["bytes"] < many["bytes"]
    assert [path.name for path in tmp_path.iterdir()] == ["10000-28.npy"]
