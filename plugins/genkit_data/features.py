"""The columns of a data set of Hugging Face: which of them are the data, the labels and the ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from genkit.errors import DataError
from genkit.settings.base import nearest
from genkit.text import printable
from genkit_data import arrow


class Columns(NamedTuple):
    """The columns that are read, by name."""

    x: str
    label: str | None
    id: str | None


def columns_of(features: Any, chosen: dict[str, str | None], path: str) -> Columns:
    """The columns, as they are chosen or by what there is.

    Args:
        features: the features of the data set, as `datasets` has them.
        chosen: the names of x, label and id; None: not chosen.
        path: the data set, for messages.

    Raises:
        DataError: there is no such column, or several could be meant.
    """
    for option, name in chosen.items():
        if name is not None and name not in features:
            raise DataError(f"data.{option}: {path} has no column '{printable(name)}'; {nearest(name, features)}")
    others = [name for name in features if name not in (chosen["label"], chosen["id"])]
    images = [name for name in others if is_image(features[name])]
    arrays = [name for name in others if _is_array(features, name)]
    x = chosen["x"] or _only(images or arrays, "x", "images, or arrays of numbers", features)
    classes = [name for name in features if names_of(features[name]) is not None]
    label = chosen["label"] or (_only(classes, "label", "classes", features) if classes else None)
    return Columns(x, label, chosen["id"])


def is_image(feature: Any) -> bool:
    """Whether a column holds images."""
    return type(feature).__name__ == "Image"


def names_of(feature: Any) -> tuple[str, ...] | None:
    """The names of the classes of a column; None: it holds no classes."""
    return tuple(feature.names) if type(feature).__name__ == "ClassLabel" else None


def _is_array(features: Any, name: str) -> bool:
    """Whether a column holds arrays or lists of numbers."""
    inner, axes = arrow.inner_type(features.arrow_schema.field(name).type)
    return axes > 0 and arrow.is_number(inner)


def _only(names: Sequence[str], option: str, what: str, features: Any) -> str:
    """The one column of a kind; raises DataError where there are several or none."""
    if len(names) == 1:
        return names[0]
    listed = ", ".join(map(printable, names or features))
    count = f"{len(names)} columns hold" if names else "no column holds"
    raise DataError(f"data.{option}: {count} {what}; say which column it is: {listed}")
