import pytest

from benchmarks.scaling import exponents, measured


def test_the_exponents_are_those_of_the_last_two_points():
    points = [{"value": n, "growth": 2.0, "bytes": 3.0 + n**2} for n in (1, 100, 1000)]
    points[-1]["growth"] = 100.0
    assert exponents(points) == pytest.approx({"seconds": 2, "bytes": 2}, abs=1e-3)


@pytest.mark.slow
def test_points_have_their_times_their_growth_and_their_memory(tmp_path):
    few, many = measured("batch", [10, 2000], 1, tmp_path)
    assert (few["value"], few["growth"], many["value"]) == (10, 1, 2000)
    assert many["growth"] == pytest.approx(many["seconds"] / few["seconds"])
    assert 2**26 < few["bytes"] < many["bytes"]
    assert [path.name for path in tmp_path.iterdir()] == ["10000-28.npy"]
    small, large = measured("data", [200, 400], 1, tmp_path)
    assert large["growth"] == pytest.approx(large["seconds"] / small["seconds"])
