from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from pydantic import Field
from torch import nn

from genkit import hookimpl
from genkit.errors import ComponentError
from genkit.interfaces import Encoder
from genkit.registry.registry import Plugin, installed, registry
from genkit.registry.selection import Selection
from genkit.testing.targets import examine, shape_of


class Mine(Encoder):
    """One dense layer."""

    class Config(Encoder.Config):
        name: Literal["mine"] = "mine"
        width: Annotated[int, Field(ge=1, description="of the features")]

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (config.width,)
        self.layer = nn.Linear(math.prod(shape), config.width)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Cramped(Mine):
    """Cannot be wide."""

    class Config(Mine.Config):
        name: Literal["cramped"] = "cramped"
        width: Annotated[int, Field(ge=1, description="of the features")] = 3

    def forward(self, x):
        return super().forward(x)[:, :2]


class Stumbling(Mine):
    """Fails in its pass."""

    class Config(Mine.Config):
        name: Literal["stumbling"] = "stumbling"
        width: Annotated[int, Field(ge=1, description="of the features")] = 3

    def forward(self, x):
        return self.layer(x)


@pytest.fixture
def mine():
    with registry().registered_within(Mine, Cramped, Stumbling):
        yield


def test_a_part_is_checked_with_its_options_a_line_a_check(cli, mine):
    answer = cli("check-plugin", "encoder/mine", "width=5")
    assert answer.code == 0, answer.err
    first, *lines, last = answer.out.splitlines()
    assert first.startswith("encoder/mine  (this process")
    assert [line.split()[-1] for line in lines] == ["ok"] * 19
    assert "    shapes                           ok" in lines
    assert last == "19 ok"


def test_options_without_a_default_are_asked_for(cli, mine):
    answer = cli("check-plugin", "encoder/mine")
    assert answer.code == 2
    assert "error: encoder/mine has options without a default: width; give them: genkit check-plugin" in answer.err


def test_a_broken_part_ends_with_code_1_and_says_what_is_wrong(cli, mine):
    answer = cli("check-plugin", "encoder/cramped", "--shape", "3x4", "--shape", "7")
    assert answer.code == 1
    assert (
        "shapes                           FAILED: for 1 data of shape (3, 4) it gives (1, 2), and must give (1, 3)"
        in (answer.out)
    )
    assert "compiled                         not run: it builds on 'shapes'" in answer.out
    assert answer.out.splitlines()[-1].endswith("1 FAILED")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_way_to_the_error_of_a_check_is_printed_where_it_is_asked_for(cli, mine, monkeypatch, form):
    command = ["check-plugin", "encoder/stumbling", "--shape", "3,4", *form]
    plain = cli(*command)
    assert "Traceback" not in plain.err
    monkeypatch.setenv("GENKIT_TRACEBACK", "1")
    answer = cli(*command)
    assert (answer.code, answer.out) == (1, plain.out)
    assert "Traceback (most recent call last)" in answer.err
    assert "return self.layer(x)" in answer.err
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in answer.err


def test_json_holds_all_of_it(cli, mine):
    answer = cli("check-plugin", "encoder/cramped", "--json")
    assert answer.code == 1
    (report,) = json.loads(answer.out)
    assert report["part"] == "encoder/cramped"
    assert report["problem"] is None
    (shapes,) = (check for check in report["checks"] if check["check"] == "shapes")
    assert shapes.keys() == {"check", "status", "message"}
    assert shapes["status"] == "FAILED"


def test_a_plugin_is_checked_part_by_part(cli):
    answer = cli("check-plugin", "rnn")
    assert answer.code == 0
    headers = [line for line in answer.out.splitlines() if not line.startswith("    ")]
    assert [header.split("  ")[0] for header in headers[:-1]] == ["plugin rnn", "encoder/rnn", "decoder/rnn"]
    assert "expected failure: torch.compile does not trace the recurrent layers" in answer.out
    assert headers[-1] == "37 ok, 2 expected failure"


def test_a_listener_is_checked_with_its_plugin(cli):
    answer = cli("check-plugin", "tensorboard")
    assert answer.code == 0
    assert "follows a resumed run            ok" in answer.out


def test_options_of_one_of_several_parts_bear_its_name(tmp_path):
    options = [f"loss/{name}.critic={{name: mlp, hidden: [4]}}" for name in ("adversarial", "joint_adversarial")]
    reports = examine("gan", options)
    assert [report.part for report in reports] == ["plugin gan", "loss/adversarial", "loss/joint_adversarial"]
    assert not any(report.broken or report.problem for report in reports)
    with pytest.raises(ComponentError, match=r"'vae' has sampler/gaussian, .*; write KIND/NAME.KEY=VALUE"):
        examine("vae", ["free_bits=1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encoder/mlq"], "unknown encoder 'mlq'; did you mean 'mlp'?"),
        (["mpl"], "there is no plugin, distribution or part 'mpl'; did you mean 'mlp'?"),
        (["genkit-torsh"], "did you mean 'genkit-torch'?"),
        (["encoder/mlp", "hiden=[4]"], "encoder/mlp: hiden: unknown key 'hiden'; did you mean 'hidden'?"),
        (["encoder/mlp", "hidden"], "'hidden' is no override; write key=value"),
        (["encoder/mlp", "--shape", "3,a"], "--shape: '3,a' is no shape; write whole numbers, such as 3,32,32"),
    ],
)
def test_what_is_not_there_or_wrong_is_an_error_with_a_remedy(cli, arguments, message):
    answer = cli("check-plugin", *arguments)
    assert answer.code == 2
    assert message in answer.err


def test_a_plugin_that_did_not_load_fails_its_registration(cli, monkeypatch):
    plugin = next(plugin for plugin in installed().plugins if plugin.name == "sparse")
    monkeypatch.setattr(plugin, "problems", ["its import failed: ModuleNotFoundError: No module named 'x'"])
    monkeypatch.setattr(plugin, "components", [])
    answer = cli("check-plugin", "sparse")
    assert answer.code == 1
    assert "registration                     FAILED: its import failed: ModuleNotFoundError" in answer.out


def test_a_plugin_that_is_left_out_is_not_checked(monkeypatch):
    monkeypatch.setattr(registry(), "wanted", Selection.of("-genkit-torch/mlp", "GENKIT_PLUGINS"))
    with pytest.raises(ComponentError, match=r"plugin 'mlp' of genkit-torch .* is left out by GENKIT_PLUGINS"):
        examine("mlp")


def test_shapes_are_read():
    assert shape_of("3,32,32") == shape_of("3x32x32") == (3, 32, 32)
    assert shape_of("7") == (7,)


@pytest.fixture
def claimed(monkeypatch):
    """`claimed((name, distribution, component), ...)`: plugins that are there for the test."""
    installed()
    found, hooks = registry(), []
    monkeypatch.setattr(found, "_claims", {key: list(claims) for key, claims in found._claims.items()})
    monkeypatch.setattr(found, "plugins", list(found.plugins))

    def add(*plugins):
        for name, distribution, component in plugins:
            hooks.append(SimpleNamespace(components=hookimpl(lambda component=component: [component])))
            found.add(hooks[-1], Plugin(name, distribution, "1.0"))

    yield add
    for each in hooks:
        found.manager.unregister(each)


def test_a_plugin_name_of_two_distributions_is_no_choice(claimed):
    claimed(("cramped", "genkit-one", Cramped), ("cramped", "genkit-two", Cramped))
    with pytest.raises(ComponentError, match=r"plugin 'cramped' is of genkit-one and of genkit-two; write the distr"):
        examine("cramped")
    reports = examine("genkit-two")
    assert [report.part for report in reports] == ["plugin cramped", "encoder/cramped"]
    assert "encoder 'cramped' is also of genkit-one 1.0" in reports[0].results[0].message


def test_a_part_is_also_found_by_its_distribution(claimed):
    claimed(("cramped", "genkit-one", Cramped))
    (report,) = examine("genkit-one/cramped")
    assert report.part == "encoder/cramped"
    with pytest.raises(ComponentError, match=r"'genkit-one' brings no part 'crampd'; did you mean 'cramped'"):
        examine("genkit-one/crampd")


def test_an_expected_failure_of_no_check_fails_with_the_nearest(monkeypatch, mine):
    monkeypatch.setattr(Cramped, "expected_failures", {"shape": "by design"})
    (report,) = examine("encoder/cramped")
    assert report.broken
    assert report.results[0].message.endswith("there is no check 'shape'; did you mean 'shapes'?")
