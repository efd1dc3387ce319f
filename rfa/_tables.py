"""Results in other forms: rows as tables, values as strict JSON.

The first row of a table holds the titles of its columns.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def aligned(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as a table for a terminal."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def as_markdown(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as a Markdown table."""
    titles, *body = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [titles, ["---"] * len(titles), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_html(rows: Iterable[tuple[str, ...]], caption: str = "") -> str:
    """Rows as an HTML table."""
    titles, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in titles)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def jsonable(value: Any) -> Any:
    """A value that strict JSON can express.

    JSON has no NaN and no infinity: they become the strings "nan", "inf" and "-inf". NumPy arrays
    become lists, NumPy numbers become Python numbers.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
