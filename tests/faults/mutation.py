"""Damage to files and values, chosen by chance: what a disk, an editor, another program or an attacker does to them."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

from genkit.files.tensors import DIGEST, MARK

LONG = 70_000
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, -1e308, 5e-324, 10**9, 2**31, 2**63, 2**64, 10**30, -(10**18)),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "0", "1", "nan", "inf", "1e999", "null", "~", "!!int abc"),
    *("\x1b[2J\x1b]0;title\x07", "\u202eabc", "🙂", "$5_to_$10", "<script>alert(1)</script>"),
    *("a" * LONG, "../../../etc/passwd", "/dev/zero", "/dev/stdin", "a\nerror: b", "\x00", "os.system", "mlp", "cnn"),
    *([], {}, [[]], [None], [1] * 1_000, ["a", 1], {"name": "mlp"}, {"name": None}, {"": {}}, {"from": 0, "to": 1}),
)
"""Values that are of the wrong type, too large, not finite, empty, hostile, or right elsewhere."""


def odd(chance: random.Random) -> Any:
    """A value that nobody expects."""
    if chance.random() < 0.03:
        return nested(chance.choice((5, 30, 150)))
    return copy.deepcopy(chance.choice(ODD))


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container within plain values with each of its keys or indices."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def changed(chance: random.Random, value: Any) -> Any:
    """Plain values with one to three changes: another value, a key that is renamed, removed, added or moved."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        spots = list(places(value))
        if not spots:
            return odd(chance)
        container, key = chance.choice(spots)
        kind = chance.choice(("replace", "replace", "replace", "remove", "rename", "swap", "scale", "add"))
        if kind == "remove":
            del container[key]
        elif kind == "rename" and isinstance(container, dict):
            container[chance.choice((f"{key}x", key[:-1], "", "name", "__class__", key.upper()))] = container.pop(key)
        elif kind == "swap":
            other, place = chance.choice(spots)
            container[key] = copy.deepcopy(other[place]) if _holds(other, place) else odd(chance)
        elif kind == "scale" and isinstance(container[key], int | float):
            container[key] = container[key] * chance.choice((0, -1, 0.5, 2, 1_000, 10**5))
        elif kind == "add" and isinstance(container, dict):
            container[chance.choice(("extra", "name", "hidden", "weight", "seed"))] = odd(chance)
        else:
            container[key] = odd(chance)
    return value


def _holds(container: Any, key: Any) -> bool:
    return key in container if isinstance(container, dict) else key < len(container)


def damaged(chance: random.Random, content: bytes) -> bytes:
    """Bytes of which some are flipped, cut, doubled, emptied, moved or added."""
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        if not content:
            return chance.randbytes(chance.randint(0, 100))
        start = chance.randrange(len(content)) if chance.random() < 0.5 else chance.randrange(min(400, len(content)))
        size = chance.choice((1, 1, 2, 8, 100))
        end = start + size
        block = content[start:end]
        content = chance.choice(
            (
                lambda: content[:start] + bytes([content[start] ^ (1 << chance.randrange(8))]) + content[start + 1 :],  # noqa: B023
                lambda: content[:start],  # noqa: B023
                lambda: content[:end] + block + content[end:],  # noqa: B023
                lambda: content[:start] + bytes(len(block)) + content[end:],  # noqa: B023
                lambda: content[:start] + chance.randbytes(size) + content[end:],  # noqa: B023
                lambda: content[:start] + b"9" * size + content[start:],  # noqa: B023
                lambda: content[:start] + content[end:],  # noqa: B023
                lambda: content[:start] + chance.choice(TOKENS) + content[end:],  # noqa: B023
            )
        )()
    return content


YAML = (
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "\n",
    "\t",
    "&a ",
    "*a ",
    "<<: ",
    "!!python/object:os.system ",
    "!!int ",
    "---\n",
)
REST = ("? ", "| ", "'", '"', "NaN", "-1e999", "\x00", "\ud800", "\ufeff", "%YAML 9.9\n", "@", "`", "2001-01-01", "0x_")
DEEP = ("[" * 500, "[" * 20_000, '{"a":' * 20_000)
TOKENS = tuple(text.encode("utf-8", "surrogatepass") for text in (*YAML, *REST, *DEEP))


def safetensors(header: Any, body: bytes) -> bytes:
    """A file of safetensors with any header: its length, its JSON, and the bytes of the tensors."""
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + body


def undigested(header: Any) -> None:
    """Take the digest out of a header, so that what else it says is believed."""
    for key in (DIGEST, MARK):
        header["__metadata__"].pop(key, None)


def parts(content: bytes) -> tuple[Any, bytes]:
    """The header and the bytes of a safetensors file."""
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]
