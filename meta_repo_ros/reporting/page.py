# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page of tiles, figures and tables: no script, no other host."""

from __future__ import annotations

import html
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A figure that a reader sees first; ``good`` colours it, None leaves it plain."""

    label: str
    value: str
    detail: str = ''
    good: bool | None = None


@dataclass(frozen=True)
class Table:
    """A table; columns whose cells are all numbers are aligned to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ''


@dataclass(frozen=True)
class Section:
    """A part of the page; ``figure`` is SVG text. A ``folded`` part opens on a click."""

    title: str
    text: str = ''
    figure: str = ''
    tables: Sequence[Table] = ()
    folded: bool = False


def render(
    title: str, lines: Sequence[str], tiles: Sequence[Tile], sections: Sequence[Section]
) -> str:
    """The HTML text of a page."""
    css = importlib.resources.files(__package__).joinpath('report.css').read_text()
    lead = ''.join(f'<p>{html.escape(line)}</p>' for line in lines)
    shown = ''.join(map(_tile, tiles))
    body = '\n'.join(map(_section, sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><style>\n{css}</style></head>\n'
        f'<body><main><header><h1>{html.escape(title)}</h1>{lead}</header>\n'
        f'<div class="tiles">{shown}</div>\n{body}\n</main></body></html>\n'
    )


def _tile(tile: Tile) -> str:
    state = {True: ' good', False: ' bad', None: ''}[tile.good]
    return (
        f'<div class="tile{state}"><div class="label">{html.escape(tile.label)}</div>'
        f'<div class="value">{html.escape(tile.value)}</div>'
        f'<div class="detail">{html.escape(tile.detail)}</div></div>'
    )


def _section(section: Section) -> str:
    text = f'<p>{html.escape(section.text)}</p>' if section.text else ''
    figure = (
        f'<figure role="img" aria-label="{html.escape(section.title)}">{section.figure}</figure>'
        if section.figure
        else ''
    )
    inner = text + figure + ''.join(map(_table, section.tables))
    title = html.escape(section.title)
    if section.folded:
        return f'<section><details><summary>{title}</summary>{inner}</details></section>'
    return f'<section><h2>{title}</h2>{inner}</section>'


def _table(table: Table) -> str:
    columns = range(len(table.header))
    numeric = [all(_is_number(row[i]) for row in table.rows) for i in columns]
    classes = [' class="number"' if flag else '' for flag in numeric]
    caption = f'<caption>{html.escape(table.caption)}</caption>' if table.caption else ''
    head = ''.join(f'<th{classes[i]}>{html.escape(table.header[i])}</th>' for i in columns)
    rows = ''.join(
        '<tr>' + ''.join(f'<td{classes[i]}>{html.escape(row[i])}</td>' for i in columns) + '</tr>'
        for row in table.rows
    )
    return f'<div class="scroll"><table>{caption}<tr>{head}</tr>{rows}</table></div>'


def _is_number(text: str) -> bool:
    text = text.strip().rstrip('%').strip()
    if text in {'', '-'}:
        return True
    try:
        float(text.replace(',', ''))
    except ValueError:
        return False
    return True
