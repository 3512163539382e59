from genkit.cli.commands.evaluate import show
from genkit.interfaces import Description


def test_a_figure_stands_with_its_name_its_unit_and_the_better_direction(capsys):
    values = {"split": "test", "elbo": -1.5, "kl": None, "code": {"l0": 2.25}, "metrics": {"probe": {"knn": 0.5}}}
    show(values, {"metrics.probe.knn": Description("nearest neighbours", "", "higher", form=".3f")})
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["split", "test"],
        ["elbo", "-1.50", "evidence lower bound (ELBO), nats per datum ↑"],
        ["code.l0", "2.25", "active units, per datum"],
        ["metrics.probe.knn", "0.500", "nearest neighbours ↑"],
        ["↑", "higher", "is better, ↓ lower is better"],
    ]


def test_a_long_list_stands_in_short(capsys):
    show({"few": [1.0, 2.0], "many": [0.0, 1.0] * 20})
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines[:-1] == [["few", "1.000 2.000"], ["many", "0.000 to 1.000, mean 0.500"]]
