# SPDX-License-Identifier: Apache-2.0
"""Status rows to ``diagnostic_msgs``: REP-107 names ``node: subsystem``, one array per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.time import set_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

TOPIC = '/diagnostics'


def status(node: str, hardware_id: str, row: Diagnostic) -> DiagnosticStatus:
    """One row of ``node`` as a message.

    Args:
        node: fully qualified node name, such as ``/uav1/navigation_fusion``.
        hardware_id: what the row is about, the vehicle's namespace where nothing closer is known.
        row: the row.
    """
    return DiagnosticStatus(
        level=bytes((row.level,)),
        name=f'{node.lstrip("/")}: {row.name}',
        message=row.message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=_text(value)) for key, value in row.values.items()],
    )


def array(stamp_ns: int, rows: Iterable[DiagnosticStatus]) -> DiagnosticArray:
    """All rows of a process at ``stamp_ns``."""
    message = DiagnosticArray(status=list(rows))
    set_stamp(message.header.stamp, stamp_ns)
    return message


def _text(value: str | float | bool) -> str:  # noqa: FBT001 (a value, not a switch)
    return f'{value:.6g}' if isinstance(value, float) else str(value)


__all__ = ['TOPIC', 'Diagnostic', 'Level', 'array', 'status']
