"""The contract of components: checks by numbers, for authors of plugins.

The tests of a plugin need one import and one parametrized test:

    import pytest
    from genkit.testing import contract
    from mine import MyEncoder

    @pytest.mark.parametrize("check", contract(MyEncoder))
    def test_contract(check):
        check()

`genkit check-plugin encoder/mine` runs the same on the command line. A check that fails raises ContractError, whose
message says what is wrong and how to mend it. A check that does not apply to the component is skipped, with the reason.
Options without a default and the shapes that the component takes are arguments:

    contract(MyEncoder, MyEncoder.Config(width=8), shapes=[(3, 32, 32)])

A promise that a component cannot keep is marked with the reason: in the class, where `genkit check-plugin` reads it
too, or in the test. A mark on a check that passes is a failure:

    class MyEncoder(Encoder):
        expected_failures = {"compiled": "its library cannot be traced"}

    contract(MyEncoder, expected={"gradients": "straight-through: the gradient is not the derivative"})

A part that works with certain others alone is checked with them, and with latents and side data of its own; what the
class says, `genkit check-plugin` reads too:

    class Codebook(Sampler):
        checked_with = {"partners": {"loss": "commitment"}}

    contract(MyPrior, partners={"sampler": {"name": "sphere", "latent": 3}})
    contract(MyDecoder, latent_shapes=[(4,), (2, 3)], side={"mask": Side((8,))})

A module with hooks that follow a run (a logger) is checked in the same way: `contract(my_logger)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from genkit.errors import ComponentError
from genkit.interfaces import Component, Shape, Side
from genkit.registry.kinds import why_no_component
from genkit.settings.base import nearest
from genkit.testing import (  # noqa: F401 - each module adds its checks
    densities,
    exports,
    gradients,
    likelihoods,
    listeners,
    losses,
    metrics,
    modules,
    networks,
    options,
    pairs,
    priors,
    readers,
    samplers,
    shares,
    side_data,
    sources,
    transforms,
)
from genkit.testing.check import Check, Result, promises
from genkit.testing.listeners import Listener
from genkit.testing.partners import partners_of
from genkit.testing.settings import settings_of
from genkit.testing.subject import ContractError, NotApplicable, Subject

__all__ = ["Check", "ContractError", "NotApplicable", "Result", "checks", "contract"]


def checks(
    component: Any,
    config: Component.Config | None = None,
    shapes: Iterable[Shape] | None = None,
    expected: Mapping[str, str] | None = None,
    *,
    partners: Mapping[str, Any] | None = None,
    latent_shapes: Iterable[Shape] | None = None,
    side: Mapping[str, Side] | None = None,
) -> list[Check]:
    """The checks of a component, or of a module that follows runs.

    Args:
        component: the component's class, or the module (any object with hook implementations).
        config: the component's options; by default its defaults.
        shapes: the shapes of one datum (for a sampler, of features) that the component must take; by default images,
            vectors and sequences, any of which it may refuse with a ComponentError.
        expected: the reasons of expected failures, by the names of their checks; they add to those in the class.
        partners: the parts with which it works, by their kinds: a name, options with a name, a class, or a list of
            these for losses; `condition` names the side data that a model is conditioned on. By default those in the
            class.
        latent_shapes: the shapes of latents to try, where the component reads latents; by default those in the class.
        side: what the side data hold that the component reads; by default what the class says, else classes for labels
            and numbers for the rest.

    Raises:
        ComponentError: the class is no component, options without a default are missing, `expected` names no check, or
            a partner is not there.
    """
    subject: Subject | Listener
    if isinstance(component, type):
        if (problem := why_no_component(component)) is not None:
            raise ComponentError(problem)
        subject = _subject(component, config, shapes=shapes, partners=partners, latent_shapes=latent_shapes, side=side)
        reasons = {**subject.component.expected_failures, **(expected or {})}
    else:
        subject, reasons = Listener(component), dict(expected or {})
    return _bound(subject, reasons)


def _bound(subject: Subject | Listener, reasons: dict[str, str]) -> list[Check]:
    """The checks of a subject, some of which are expected to fail for these reasons."""
    subject.expected = reasons
    by_name = {promise.name: Check(promise, subject, reasons.get(promise.name)) for promise in promises(subject)}
    for name in reasons.keys() - by_name.keys():
        raise ComponentError(
            f"an expected failure of {subject.name}: there is no check '{name}'; {nearest(name, by_name)}"
        )
    return list(by_name.values())


def _subject(component: Any, config: Component.Config | None, **arguments: Any) -> Subject:
    """The component with what it is checked with: these arguments, or those of the class."""
    for name in component.checked_with.keys() - arguments.keys():
        raise ComponentError(f"checked_with of {component.__name__}: '{name}'; {nearest(name, arguments)}")
    stated = {name: component.checked_with.get(name) if value is None else value for name, value in arguments.items()}
    shapes = None if stated["shapes"] is None else tuple(tuple(shape) for shape in stated["shapes"])
    partners = partners_of(component, stated["partners"] or {}, stated["latent_shapes"], stated["side"] or {})
    return Subject(component, config or settings_of(component), shapes, partners)


def contract(
    component: Any,
    config: Component.Config | None = None,
    shapes: Iterable[Shape] | None = None,
    expected: Mapping[str, str] | None = None,
    **others: Any,
) -> list[Any]:
    """The checks for `pytest.mark.parametrize`, with expected failures as strict xfail; for arguments see `checks`."""
    import pytest

    return [
        pytest.param(
            check,
            id=check.name,
            marks=[]
            if check.reason is None
            else [pytest.mark.xfail(reason=check.reason, strict=True, raises=ContractError)],
        )
        for check in checks(component, config, shapes, expected, **others)
    ]
