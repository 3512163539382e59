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
from genkit.testing.subject import Blocked, ContractError, NotApplicable, Subject, seeded

Function = Callable[[Any], None]
Status = Literal["ok", "FAILED", "not run", "not applicable", "expected failure"]


class Promise(NamedTuple):
    """What components of some kinds owe."""

    name: str
    kinds: tuple[type[Any], ...]
    after: tuple[str, ...]
    """The checks that it builds on: where one of them is broken it says nothing."""
    function: Function


PROMISES: list[Promise] = []


def promise(*kinds: type[Any], after: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """Make a function the check of all components of some kinds; its name and its docstring are the check's."""

    def noted(function: Function) -> Function:
        PROMISES.append(Promise(function.__name__.replace("_", " "), kinds, after, function))
        return function

    return noted


class OnceEach(io.TextIOBase):
    """A stream that lets each line through to stderr once: a part computes the same many times."""

    seen: ClassVar[set[str]] = set()

    def write(self, text: str) -> int:
        """Lines that are new."""
        new = [line for line in text.splitlines() if line not in self.seen]
        self.seen.update(new)
        sys.stderr.write("".join(f"{line}\n" for line in new if line))
        return len(text)


class Result(NamedTuple):
    """What came of a check."""

    check: str
    status: Status
    message: str
    """What is wrong and how to mend it, or why the check says nothing; empty where all is well."""


@dataclass(frozen=True, repr=False)
class Check:
    """One check of one component: call it, and it raises ContractError where the promise is broken.

    It raises NotApplicable, a skipped test for pytest, where it says nothing of the component.
    """

    promise: Promise
    subject: Any
    reason: str | None = None
    """Why it is expected to fail; None: it is not."""

    @property
    def name(self) -> str:
        """What `expected` calls it."""
        return self.promise.name

    @property
    def text(self) -> str:
        """What is promised, in a sentence or two."""
        return inspect.getdoc(self.promise.function) or ""

    def __repr__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Check it; a second call says what the first said."""
        __tracebackhide__ = True  # its message says all of it
        outcome = _outcome(self.subject, self.promise)
        if outcome is not None:
            raise outcome

    def result(self) -> Result:
        """What comes of it, expected failures told apart."""
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
    """What a subject owes, each after what it builds on."""
    what = subject.component if isinstance(subject, Subject) else type(subject)
    owed = [promise for promise in PROMISES if issubclass(what, promise.kinds)]
    known = {promise.name: promise for promise in owed}

    def depth(promise: Promise) -> int:
        return max((1 + depth(known[name]) for name in promise.after if name in known), default=0)

    return sorted(owed, key=depth)


def _outcome(subject: Any, promise: Promise) -> Exception | None:
    """What came of a check, which is made once."""
    if promise.name not in subject.outcomes:
        subject.outcomes[promise.name] = _tried(subject, promise)
    outcome: Exception | None = subject.outcomes[promise.name]
    return outcome


def _tried(subject: Any, promise: Promise) -> Exception | None:
    owed = {known.name: known for known in promises(subject)}
    for name in promise.after:
        if name not in owed or name in subject.expected:
            continue
        if isinstance(_outcome(subject, owed[name]), ContractError | Blocked):
            return Blocked(f"it builds on '{name}', which has to be mended first")
    try:
        with seeded(), contextlib.redirect_stdout(OnceEach()):  # what it prints is not what is found
            promise.function(subject)
    except (ContractError, NotApplicable) as error:
        return error
    except (Exception, SystemExit) as error:
        found = ContractError(f"it fails: {in_a_line(error)}{place(error)}")
        found.__cause__ = error
        return found
    return None
