"""A check: one promise of an interface, bound to the component that has to keep it."""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from genkit.errors import in_a_line, place
from genkit.interfaces.signatures import remedy
from genkit.testing.subject import Blocked, ContractError, NotApplicable, Subject, seeded

Function = Callable[[Any], None]
Status = Literal["ok", "FAILED", "not run", "not applicable", "expected failure"]


class Promise(NamedTuple):
    """A promise that components of some kinds keep."""

    name: str
    kinds: tuple[type[Any], ...]
    after: tuple[str, ...]
    """The checks that it builds on; it is not run if one of them fails."""
    function: Function
    applies: Callable[[Any], bool] = lambda subject: True
    """Whether a subject of these kinds makes it at all."""


PROMISES: list[Promise] = []


def promise(
    *kinds: type[Any], after: tuple[str, ...] = (), applies: Callable[[Any], bool] = lambda subject: True
) -> Callable[[Function], Function]:
    """Register a function as the check of all components of some kinds; the check has its name and docstring."""

    def register(function: Function) -> Function:
        PROMISES.append(Promise(function.__name__.replace("_", " "), kinds, after, function, applies))
        return function

    return register


class OnceEach(io.TextIOBase):
    """A stream that writes each line to stderr once; a part that prints does so in every pass."""

    seen: ClassVar[set[str]] = set()

    def write(self, text: str) -> int:
        """Write the lines that are new."""
        new = [line for line in text.splitlines() if line not in self.seen]
        self.seen.update(new)
        sys.stderr.write("".join(f"{line}\n" for line in new if line))
        return len(text)


class Result(NamedTuple):
    """The result of a check."""

    check: str
    status: Status
    message: str
    """What is wrong and how to mend it, or why the check does not apply; empty if it passes."""


@dataclass(frozen=True, repr=False)
class Check:
    """One check of one component: a call raises ContractError if the component breaks the promise.

    It raises NotApplicable, which pytest reports as skipped, if the promise does not apply to the component.
    """

    promise: Promise
    subject: Any
    reason: str | None = None
    """Why it is expected to fail; None: it is not expected to."""

    @property
    def name(self) -> str:
        """The check's name, as `expected` has it."""
        return self.promise.name

    @property
    def text(self) -> str:
        """The promise, in a sentence or two."""
        return inspect.getdoc(self.promise.function) or ""

    @property
    def cause(self) -> BaseException | None:
        """The error in the part, or in torch, by which it fails; None where it passes, or values are wrong."""
        outcome = _outcome(self.subject, self.promise)
        return outcome.__cause__ if isinstance(outcome, ContractError) and self.reason is None else None

    def __repr__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Run the check; a second call has the outcome of the first."""
        __tracebackhide__ = True  # the message says it all
        outcome = _outcome(self.subject, self.promise)
        if outcome is not None:
            raise outcome

    def result(self) -> Result:
        """The result; an expected failure has a status of its own."""
        try:
            self()
        except NotApplicable as error:
            return Result(self.name, "not run" if isinstance(error, Blocked) else "not applicable", str(error))
        except ContractError as error:
            return Result(self.name, "FAILED" if self.reason is None else "expected failure", self.reason or str(error))
        if self.reason is not None:
            return Result(
                self.name, "FAILED", f"it is marked as an expected failure ({self.reason}) and passes: unmark it"
            )
        return Result(self.name, "ok", "")


def promises(subject: Any) -> list[Promise]:
    """The promises of a subject, each after those that it builds on."""
    kind = subject.component if isinstance(subject, Subject) else type(subject)
    of_kind = [promise for promise in PROMISES if issubclass(kind, promise.kinds) and promise.applies(subject)]
    by_name = {promise.name: promise for promise in of_kind}

    def depth(promise: Promise) -> int:
        return max((1 + depth(by_name[name]) for name in promise.after if name in by_name), default=0)

    return sorted(of_kind, key=depth)


def _outcome(subject: Any, promise: Promise) -> Exception | None:
    """The outcome of a check, which runs once: its error, or None."""
    if promise.name not in subject.outcomes:
        subject.outcomes[promise.name] = _run(subject, promise)
    outcome: Exception | None = subject.outcomes[promise.name]
    return outcome


def _run(subject: Any, promise: Promise) -> Exception | None:
    by_name = {each.name: each for each in promises(subject)}
    for name in promise.after:
        if name not in by_name or name in subject.expected:
            continue
        if isinstance(_outcome(subject, by_name[name]), ContractError | Blocked):
            return Blocked(f"it builds on '{name}', which has to be mended first")
    try:
        with seeded(), contextlib.redirect_stdout(OnceEach()):  # what a part prints is no result
            promise.function(subject)
    except (ContractError, NotApplicable) as error:
        return error
    except (Exception, SystemExit) as error:
        failure = ContractError(f"it fails: {in_a_line(error)}{place(error)}{remedy(error)}")
        failure.__cause__ = error
        return failure
    return None
