"""Axes: the options that differ between the runs of a sweep, as they are typed: `KEY=2,8,32`, `KEY=0..4`."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from genkit.errors import ConfigError
from genkit.text import printable

MOST = 10_000
"""The largest number of runs of a grid."""
SEED = "seed"
"""The option whose values are repetitions of the same run."""
WHOLE = re.compile(r"([+-]?\d{1,15})\.\.([+-]?\d{1,15})")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
REAL = re.compile(rf"({NUMBER})\.\.({NUMBER})")
OPENING, CLOSING = "[{(", "]})"


class Range(NamedTuple):
    """A range of numbers, both ends included."""

    low: float
    high: float
    is_whole: bool
    """Whether it holds whole numbers alone."""

    @property
    def text(self) -> str:
        """The range, as it is typed."""
        return f"{self.low:g}..{self.high:g}"


class Axis(NamedTuple):
    """An option with its values."""

    key: str
    items: tuple[str | Range, ...]
    """Values as text, and ranges."""

    @classmethod
    def of(cls, word: str) -> Axis:
        """The axis of a word of the command line, such as `sampler.latent=2,8`; raises ConfigError."""
        key, equals, text = word.partition("=")
        if not equals or not key:
            hint = "write KEY=VALUE, or KEY=A,B,C without blanks, for example sampler.latent=2,8,32"
            raise ConfigError(f"'{printable(word, 200)}' is no option of a sweep; {hint}")
        items = [_item(item, word) for item in split(text, word)]
        return cls(key, tuple(items))

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return len(self.items) > 1 or isinstance(self.items[0], Range)

    def values(self) -> tuple[str, ...]:
        """All values as text; raises ConfigError for a range of real numbers, and where a value is there twice."""
        values = tuple(value for item in self.items for value in self._values(item))
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigError(f"{self.key}: the value {printable(twice, 200)} is there twice; leave one out")
        return values

    def _values(self, item: str | Range) -> Iterator[str]:
        if isinstance(item, str):
            yield item
        elif not item.is_whole:
            remedy = "list the values, as in 0.1,0.2, or add --search N, which draws from ranges"
            raise ConfigError(f"{self.key}: {item.text} is a range of real numbers, and a grid takes values: {remedy}")
        elif item.high - item.low >= MOST:
            raise ConfigError(f"{self.key}: {item.text} has more than {MOST:,} values; give fewer")
        else:
            yield from map(str, range(int(item.low), int(item.high) + 1))


def split(text: str, word: str) -> list[str]:
    """The values of a list by commas; brackets, braces and quotes stay whole.

    Args:
        text: the values.
        word: what was typed, for messages.

    Raises:
        ConfigError: a value is empty, or a bracket or a quote is left open.
    """
    values, start, depth, quote = [], 0, 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and not text[start:place].strip():
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            values.append(text[start:place])
            start = place + 1
    values.append(text[start:])
    if depth or quote:
        raise ConfigError(f"'{printable(word, 200)}': a bracket or a quote is left open")
    if len(values) > 1 and not all(value.strip() for value in values):
        raise ConfigError(f"'{printable(word, 200)}': a value is empty; write one between two commas, or `null`")
    return values


def _item(text: str, word: str) -> str | Range:
    """A value, or the range that it says; raises ConfigError where the range runs down."""
    whole, real = WHOLE.fullmatch(text.strip()), REAL.fullmatch(text.strip())
    match = whole or real
    if match is None:
        return text
    low, high = float(match[1]), float(match[2])
    if not (low < high and math.isfinite(high - low)):
        raise ConfigError(f"'{printable(word, 200)}': a range runs from the lesser to the greater number, as in 0..4")
    return Range(low, high, whole is not None)


def axes_of(words: Iterable[str]) -> tuple[Axis, ...]:
    """The axes of the words of a command line; raises ConfigError, also where an option is there twice."""
    axes = tuple(map(Axis.of, words))
    keys = [axis.key for axis in axes]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is there twice; give all of its values at once, as in {twice}=A,B")
    return axes


def grid(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """The assignments of every run of a grid, the last axis first; raises ConfigError where there are too many."""
    values = [[f"{axis.key}={value}" for value in axis.values()] for axis in axes]
    count = math.prod(map(len, values))
    if count > MOST:
        raise ConfigError(f"these are {count:,} runs, and a sweep has at most {MOST:,}; give fewer values, or --search")
    return list(itertools.product(*values))


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Short names of options: the last parts of their keys that tell them apart, `latent` for `sampler.latent`."""
    parts = {key: key.split(".") for key in keys}
    names = {}
    for key, own in parts.items():
        others = [other for each, other in parts.items() if each != key]
        sizes = range(1, len(own) + 1)
        size = next((n for n in sizes if all(own[-n:] != other[-n:] for other in others)), len(own))
        names[key] = ".".join(own[-size:])
    return names
