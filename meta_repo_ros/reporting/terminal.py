# SPDX-License-Identifier: Apache-2.0
"""The result of a run on a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from meta_repo_ros.reporting.report import Judgement, error_cells


def error_table(judgement: Judgement, title: str = '') -> Table:
    """The table of errors against truth; plain text where there is no terminal."""
    header, cells = error_cells(judgement)
    table = Table(title=title or None, title_justify='left', box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        # the first column folds where the terminal is narrow, numbers never do
        width = None if i == 0 else 4 if i == 1 else 7
        table.add_column(name, justify='left' if i < 2 else 'right', min_width=width)
    for row in cells:
        table.add_row(*row)
    return table
