# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a bag, said for people."""

from __future__ import annotations

from pathlib import Path


class BagError(Exception):
    """A bag that cannot be read or written.

    Attributes:
        path: the bag or the file in it.
        reason: what is wrong.
        advice: what to do, '' where nothing helps.
    """

    def __init__(self, path: Path | str, reason: str, advice: str = '') -> None:
        super().__init__(f'{path}: {reason}{f"; {advice}" if advice else ""}')
        self.path = Path(path)
        self.reason = reason
        self.advice = advice


class BagFullError(BagError):
    """The disk is full (or a quota or file size limit is reached); the bag was closed."""
