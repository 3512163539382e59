"""Decoded images of a folder, and the file in the folder that keeps them for the next run."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit.errors import RunError
from genkit.files import atomic

CACHE = ".genkit-images-{}.safetensors"


class Decoded(NamedTuple):
    """The images of a folder, decoded."""

    pixels: Tensor
    """(N, C, H, W): uint8 where all images have 8 bits and no range is stated, else float32."""
    broken: dict[str, str]
    """The files that are no data, each with the reason, which is empty where it is damaged."""
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def cached(path: Path, signature: str) -> Decoded | None:
    """The images that a file keeps; None: it is not there, damaged, or of other images or options."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("signature") != signature:
                return None
            facts = json.loads(metadata["facts"])
            return Decoded(file.get_tensor("pixels"), facts["broken"], tuple(facts["notes"]), tuple(facts["doubts"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def keep(path: Path, decoded: Decoded, signature: str) -> None:
    """Replace earlier caches; a folder that cannot be written has no cache, and is read anew each time."""
    facts = json.dumps({"broken": decoded.broken, "notes": decoded.notes, "doubts": decoded.doubts})
    with contextlib.suppress(RunError, OSError):
        for old in path.parent.glob(CACHE.format("*")):
            old.unlink(missing_ok=True)
        with atomic.replacing(path) as temporary:
            save_file({"pixels": decoded.pixels}, temporary, metadata={"signature": signature, "facts": facts})
