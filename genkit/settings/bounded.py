"""Reading YAML that may be odd or hostile, within bounds: what cannot be read is a YAMLError, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import YAMLError

from genkit.errors import in_a_line

MOST_VALUES = 100_000
"""The largest number of values when all aliases are written out."""
DEEPEST = 50
"""The deepest level of a value in a config."""
LONGEST_NUMBER = 1024
"""The largest number of bits of a whole number."""
UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What ruamel raises, beside its own errors, for values that it cannot read."""


class _Composer(Composer):
    """Refuses what is nested deeper than a config ever is, before Python's own limit ends in an error of no place."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.depth > DEEPEST:
            mark = self.parser.peek_event().start_mark
            raise ComposerError(None, None, f"it is nested more than {DEEPEST} deep", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Constructor(RoundTripConstructor):
    """Gives the place of a value that cannot be read, such as `!!int abc`."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except UNREADABLE as error:
            raise ConstructorError(None, None, f"a value cannot be read: {in_a_line(error)}", node.start_mark) from None
        if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
            raise ConstructorError(None, None, "a number is too long", node.start_mark)
        return value


def loaded(text: str) -> Any:
    """The values of a YAML text with ruamel's own types; raises YAMLError, whatever is wrong with it."""
    yaml = YAML(typ="rt")
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    try:
        root = yaml.load(text)
        _check_aliases(root, {})
    except UNREADABLE as error:
        raise YAMLError(f"it cannot be read: {in_a_line(error)}") from None
    return root


def _check_aliases(value: Any, sizes: dict[int, int]) -> int:
    """The number of values that a value becomes when its aliases (*a) are written out; raises YAMLError if too many."""
    if not isinstance(value, Mapping | list | tuple):
        return 1
    if sizes.get(id(value)) == 0:
        raise YAMLError("an alias stands for what it is part of")
    if id(value) not in sizes:
        sizes[id(value)] = 0
        items = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
        sizes[id(value)] = 1 + sum(_check_aliases(item, sizes) for item in items)
    if sizes[id(value)] > MOST_VALUES:
        raise YAMLError(f"with its aliases written out it has more than {MOST_VALUES:,} values")
    return sizes[id(value)]
