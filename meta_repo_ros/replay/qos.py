# SPDX-License-Identifier: Apache-2.0
"""Quality of service as bags hold it; the presets have the values of ``ros/qos.py``.

Bags are written where no rclpy exists, so the presets stand here a second time as plain data; a
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v9

INFINITE_NS = 2**63 - 1
"""A deadline, lifespan or lease that never ends, ns."""


def duration(nanoseconds: int) -> QosTime:
    """``QosTime`` of ``nanoseconds``; 0 and more than 2^63 - 1 mean for ever, as in rosbag2."""
    clipped = INFINITE_NS if nanoseconds <= 0 else min(nanoseconds, INFINITE_NS)
    return QosTime(*divmod(clipped, 1_000_000_000))


def _preset(depth: int, *, reliable: bool, latched: bool = False, lifespan_ns: int = 0) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=duration(0),
        lifespan=duration(lifespan_ns),
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=duration(0),
        avoid_ros_namespace_conventions=False,
    )


PRESETS = {
    'SENSOR': _preset(5, reliable=False),
    'STREAM': _preset(200, reliable=True),
    'COMMAND': _preset(1, reliable=True, lifespan_ns=200_000_000),
    'STATE': _preset(10, reliable=True),
    'LATCHED': _preset(1, reliable=True, latched=True),
    'EVENT': _preset(1000, reliable=True),
    'BULK': _preset(1, reliable=False),
    'CLOCK': _preset(1, reliable=False),
}


def as_yaml(profiles: Sequence[Qos]) -> str:
    """The text that storage files hold for ``profiles`` (metadata version 9), '' for none."""
    if not profiles:
        return ''
    text: str = yaml.safe_dump(dump_qos_v9(list(profiles)), sort_keys=False)
    return text.strip()
