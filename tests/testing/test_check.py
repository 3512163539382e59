from __future__ import annotations

import math
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field
from torch import nn

from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import Encoder
from genkit.testing import ContractError, NotApplicable, checks, contract
from genkit.testing.check import PROMISES, promise
from genkit.testing.settings import settings_of
from genkit.testing.subject import close, seeded


class Straight(Encoder):
    """Rounds, and lets the gradient pass: a straight-through estimator, whose gradient is not the derivative."""

    class Config(Encoder.Config):
        name: Literal["of-test"] = "of-test"
        width: Annotated[int, Field(ge=1, description="of the features")]

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (config.width,)
        self.layer = nn.Linear(math.prod(shape), config.width)

    def forward(self, x):
        features = self.layer(x.flatten(1))
        return features + (features.round() - features).detach()


CONFIG = Straight.Config(width=3)
REASON = "straight-through: the gradient is not the derivative"


@pytest.mark.parametrize("check", contract(Straight, CONFIG, expected={"gradients": REASON}))
def test_the_contract_is_one_parametrized_test(check):
    check()


def test_an_expected_failure_is_a_strict_xfail_with_its_reason():
    marks = {param.id: param.marks for param in contract(Straight, CONFIG, expected={"gradients": REASON})}
    (mark,) = marks.pop("gradients")
    assert mark.name == "xfail"
    assert mark.kwargs == {"reason": REASON, "strict": True, "raises": ContractError}
    assert not any(marks.values())


def result(component, name, **options):
    return next(check for check in checks(component, CONFIG, **options) if check.name == name).result()


def test_a_failure_is_told_apart_from_one_that_is_expected_in_the_class_or_in_the_test():
    class Marked(Straight):
        """Says so itself."""

        expected_failures = {"gradients": REASON}  # noqa: RUF012

    assert result(Straight, "gradients").status == "FAILED"
    assert result(Straight, "gradients", expected={"gradients": REASON})[1:] == ("expected failure", REASON)
    assert result(Marked, "gradients")[1:] == ("expected failure", REASON)


def test_a_mark_on_a_check_that_passes_is_a_failure():
    found = result(Straight, "shapes", expected={"shapes": "they are odd"})
    assert found.status == "FAILED"
    assert found.message == "it is marked as an expected failure (they are odd) and passes: unmark it"


def test_a_mark_on_no_check_is_refused_with_the_nearest():
    with pytest.raises(
        ComponentError, match=r"encoder 'of-test': there is no check 'gradient'; did you mean 'gradients'"
    ):
        checks(Straight, CONFIG, expected={"gradient": "?"})


class Broken(Straight):
    """Gives one feature too many."""

    def forward(self, x):
        return torch.cat([super().forward(x), torch.ones(len(x), 1)], 1)


def test_a_check_says_nothing_where_one_that_it_builds_on_is_broken():
    found = result(Broken, "compiled")
    assert found.status == "not run"
    assert found.message == "it builds on 'shapes', which has to be mended first"


def test_an_expected_failure_keeps_no_other_check_from_being_made():
    assert result(Broken, "input is kept").status == "not run"
    assert result(Broken, "input is kept", expected={"shapes": "wider on purpose"}).status == "ok"


def test_a_check_is_made_once_and_leaves_the_random_numbers_as_they_are():
    calls = []

    class Counted(Straight):
        """Counts."""

        def forward(self, x):
            calls.append(torch.rand(()).item())
            return super().forward(x)

    (shapes,) = (check for check in checks(Counted, CONFIG) if check.name == "shapes")
    before = torch.get_rng_state()
    shapes()
    made = len(calls)
    shapes()
    assert len(calls) == made > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_what_fails_in_another_way_is_a_broken_promise_too_with_its_cause():
    class Stumbles(Straight):
        """Fails in a subtle place."""

        def state_dict(self, *arguments, **options):
            raise KeyError("lost")

    (state,) = (check for check in checks(Stumbles, CONFIG) if check.name == "eval determinism")
    with pytest.raises(ContractError, match="it fails: KeyError: 'lost'") as caught:
        state()
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_is_no_component_is_refused():
    with pytest.raises(ComponentError, match="dict is no component"):
        checks(dict)


def test_options_without_a_default_are_asked_for():
    message = (
        r"encoder/of-test has options without a default: width; give them: genkit check-plugin encoder/of-test width"
    )
    with pytest.raises(ComponentError, match=message):
        checks(Straight)


def test_options_that_are_wrong_are_listed():
    with pytest.raises(ConfigError, match=r"encoder/of-test: width: .*\nencoder/of-test: hight: unknown key"):
        settings_of(Straight, {"width": "wide", "hight": 2})


def test_every_promise_has_a_sentence_and_every_name_is_its_own_within_a_kind():
    for each in PROMISES:
        assert (each.function.__doc__ or "").strip(), each.name
    for kind in {kind for each in PROMISES for kind in each.kinds}:
        names = [each.name for each in PROMISES if issubclass(kind, each.kinds)]
        assert len(names) == len(set(names))


def test_a_promise_is_named_after_its_function(monkeypatch):
    monkeypatch.setattr("genkit.testing.check.PROMISES", [])

    @promise(Encoder, after=("shapes",))
    def is_green(subject):
        """It is green."""

    from genkit.testing import check

    assert check.PROMISES[0][:3] == ("is green", (Encoder,), ("shapes",))


def test_not_applicable_is_a_skipped_test_for_pytest():
    import unittest

    assert issubclass(NotApplicable, unittest.SkipTest)


def test_seeded_blocks_draw_the_same_and_close_minds_shapes():
    drawn = []
    for _ in range(2):
        with seeded(3):
            drawn.append(torch.rand(2))
    assert torch.equal(*drawn)
    assert not close(torch.zeros(2), torch.zeros(2, 1))
    assert close(torch.ones(2), torch.ones(2) + 1e-5)
