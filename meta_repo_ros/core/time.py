# SPDX-License-Identifier: Apache-2.0
"""Time as integer nanoseconds; conversions from and to ``builtin_interfaces/Time`` fields."""

from __future__ import annotations

from typing import Any

NANOSECONDS = 1_000_000_000


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a ``builtin_interfaces/Time`` (anything with ``sec`` and ``nanosec``)."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def seconds_ns(seconds: float) -> int:
    """Nanoseconds nearest to ``seconds``."""
    return round(seconds * NANOSECONDS)


def set_stamp(stamp: Any, nanoseconds: int) -> None:
    """Write ``nanoseconds`` (>= 0) into a ``builtin_interfaces/Time``."""
    stamp.sec, stamp.nanosec = divmod(nanoseconds, NANOSECONDS)
