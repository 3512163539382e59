"""The contract of components: checks with numerical oracles, for whoever writes a plugin.

In the tests of the plugin, one import and one parametrized test:

    import pytest
    from genkit.testing import contract
    from mine import MyEncoder

    @pytest.mark.parametrize("check", contract(MyEncoder))
    def test_contract(check):
        check()

`genkit check-plugin encoder/mine` runs the same on the command line. A check that fails raises ContractError, whose
message says what is wrong and how to mend it; one that says nothing of the component is skipped, with the reason.
Options without a default, and the shapes that the component takes, are given:

    contract(MyEncoder, MyEncoder.Config(width=8), shapes=[(3, 32, 32)])

What a component cannot keep is marked with the reason, in the class, where `genkit check-plugin` reads it too, or in
the test; a mark on a check that passes is a failure:

    class MyEncoder(Encoder):
        expected_failures = {"compiled": "its library cannot be traced"}

    contract(MyEncoder, expected={"gradients": "straight-through: the gradient is not the derivative"})

A module whose hooks follow a run (a logger) is checked in the same way: `contract(my_logger)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from genkit.errors import ComponentError
from genkit.interfaces import Component, Shape
from genkit.registry.kinds import why_no_component
from genkit.settings.base import nearest
from genkit.testing import (  # noqa: F401 - each adds its checks
    densities,
    gradients,
    likelihoods,
    listeners,
    losses,
    modules,
    networks,
    options,
    samplers,
    shares,
    sources,
)
from genkit.testing.check import Check, Result, promises
from genkit.testing.listeners import Listener
from genkit.testing.subject import ContractError, NotApplicable, Subject, settings_of

__all__ = ["Check", "ContractError", "NotApplicable", "Result", "checks", "contract"]


def checks(
    component: Any,
    config: Component.Config | None = None,
    shapes: Iterable[Shape] | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Check]:
    """The checks of a component, or of a module that follows runs.

    Args:
        component: its class, or the module (any object with hook implementations).
        config: its options; by default those that it has without any.
        shapes: of one datum (of features, for a sampler), each of which it has to take; by default images, vectors and
            sequences, of which it may refuse any with a ComponentError.
        expected: the reasons of failures that are expected, by the names of their checks, beside those in the class.

    Raises:
        ComponentError: it is no component, options without a default are missing, or `expected` names no check.
    """
    subject: Subject | Listener
    if isinstance(component, type):
        if (problem := why_no_component(component)) is not None:
            raise ComponentError(problem)
        made: Any = component
        wanted = None if shapes is None else tuple(tuple(shape) for shape in shapes)
        subject = Subject(made, config or settings_of(made), wanted)
        reasons = {**made.expected_failures, **(expected or {})}
    else:
        subject, reasons = Listener(component), dict(expected or {})
    subject.expected = reasons
    found = {promise.name: Check(promise, subject, reasons.get(promise.name)) for promise in promises(subject)}
    for name in reasons.keys() - found.keys():
        raise ComponentError(
            f"an expected failure of {subject.name}: there is no check '{name}'; {nearest(name, found)}"
        )
    return list(found.values())


def contract(
    component: Any,
    config: Component.Config | None = None,
    shapes: Iterable[Shape] | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Any]:
    """The checks for `pytest.mark.parametrize`, expected failures marked as strict xfail; arguments as of `checks`."""
    import pytest

    return [
        pytest.param(
            check,
            id=check.name,
            marks=[]
            if check.reason is None
            else [pytest.mark.xfail(reason=check.reason, strict=True, raises=ContractError)],
        )
        for check in checks(component, config, shapes, expected)
    ]
