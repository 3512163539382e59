"""Figures as a table for notebooks: a row per figure with its unit and its better direction, a column per model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from genkit.evaluation.descriptions import Figure
from genkit.interfaces import Description
from genkit.text import printable

MISSING = "–"
"""What stands in place of a figure that a model lacks."""
GAP = "padding: 0.2em 0.6em"
TEXT, NUMBER = f"text-align: left; {GAP}", f"text-align: right; font-variant-numeric: tabular-nums; {GAP}"


class Column(NamedTuple):
    """The figures of one model."""

    head: str
    texts: Mapping[str, str]
    """The figures as texts by their keys."""


def table(title: str, columns: Sequence[Column], rows: Mapping[str, Description]) -> str:
    """An HTML table. Titles, heads and descriptions may hold any text.

    Args:
        title: the caption.
        columns: a column for each model.
        rows: the descriptions of the figures by their keys, in their order; those that no model has are left out.
    """
    heads = [_cell("th", head, TEXT) for head in ("figure", "unit", "better")]
    heads += [_cell("th", column.head, NUMBER) for column in columns]
    there = {key: about for key, about in rows.items() if any(key in column.texts for column in columns)}
    body = "".join(_row(about, [column.texts.get(key, MISSING) for column in columns]) for key, about in there.items())
    caption = f'<caption style="{TEXT}">{shown(title)}</caption>'
    return f"<table>{caption}<thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table>"


def _row(about: Description, numbers: Iterable[str]) -> str:
    better = f"{about.arrow} {about.better}" if about.better else ""
    texts = [_cell("th", about.name, TEXT, about.sentence), _cell("td", about.unit, TEXT), _cell("td", better, TEXT)]
    return f"<tr>{''.join([*texts, *(_cell('td', number, NUMBER) for number in numbers)])}</tr>"


def _cell(tag: str, text: str, style: str, title: str = "") -> str:
    tip = f' title="{shown(title)}"' if title else ""
    return f'<{tag} style="{style}"{tip}>{shown(text)}</{tag}>'


def shown(text: object) -> str:
    """Any text as it is shown in HTML, and in the quotes of an attribute."""
    return escape(printable(text))


def texts_of(figures: Iterable[Figure]) -> dict[str, str]:
    """Figures as texts by their keys."""
    return {figure.key: figure.text for figure in figures}


def abouts(figures: Iterable[Figure]) -> dict[str, Description]:
    """The descriptions of figures by their keys."""
    return {figure.key: figure.about for figure in figures}
