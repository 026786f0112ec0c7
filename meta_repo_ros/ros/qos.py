# SPDX-License-Identifier: Apache-2.0
"""The quality-of-service presets of all topics, by name; nothing else in the project sets QoS.

=========  ============  ===============  ==========  ==============================================
name       reliability   durability       keep last   used for
=========  ============  ===============  ==========  ==============================================
SENSOR     best effort   volatile         5           samples that the next one replaces
STREAM     reliable      volatile         200         inertial and rotor data; gaps are counted
COMMAND    reliable      volatile         1           setpoints; too old, they are dropped
STATE      reliable      volatile         10          estimates and states
LATCHED    reliable      transient local  1           what a late subscriber needs at once
EVENT      reliable      volatile         1000        requests that must not be lost
BULK       best effort   volatile         1           images
=========  ============  ===============  ==========  ==============================================

A best-effort publisher never matches a reliable subscription: take both from here.
"""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_LIFESPAN_NS = 200_000_000
"""A command that waited longer than this (ns) is dropped by the middleware."""


def _profile(
    depth: int,
    *,
    reliable: bool,
    latched: bool = False,
    lifespan_ns: int = 0,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        liveliness=LivelinessPolicy.AUTOMATIC,
        lifespan=Duration(nanoseconds=lifespan_ns),
    )


PRESETS: Mapping[str, QoSProfile] = MappingProxyType(
    {
        'SENSOR': _profile(5, reliable=False),
        'STREAM': _profile(200, reliable=True),
        'COMMAND': _profile(1, reliable=True, lifespan_ns=COMMAND_LIFESPAN_NS),
        'STATE': _profile(10, reliable=True),
        'LATCHED': _profile(1, reliable=True, latched=True),
        'EVENT': _profile(1000, reliable=True),
        'BULK': _profile(1, reliable=False),
    }
)
CLOCK = _profile(1, reliable=False)
"""``/clock``, as rclcpp and rclpy publish and subscribe it."""


def profile(name: str) -> QoSProfile:
    """A profile of its own with the values of preset ``name``: rclpy writes QoS overrides into it.

    Raises:
        ValueError: no such preset.
    """
    try:
        return copy.copy(PRESETS[name])
    except KeyError:
        raise ValueError(f'no QoS preset {name!r}; there are {", ".join(PRESETS)}') from None


def incompatible_reason(topic: str, *, offered: bool, policy_kind: int) -> str:
    """What to tell a person about an incompatible-QoS event.

    Args:
        topic: resolved topic name.
        offered: whether our end is the publisher.
        policy_kind: ``last_policy_kind`` of the event.
    """
    policy = qos_policy_name_from_kind(policy_kind).replace('_QOS_POLICY', '').lower()
    other = 'a subscription asks for' if offered else 'a publisher offers'
    return f'{topic}: {other} an incompatible {policy}; no message passes between the two'
