# SPDX-License-Identifier: Apache-2.0
"""Quality of service between rclpy and bags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
)

from meta_repo_ros.replay.qos import INFINITE_NS, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

RECORDER_DEPTH = 1000  # messages that may wait while a file is split or flushed
_PLAYER_DEPTH = 1000


def to_bag(profile: QoSProfile) -> Qos:
    """What a bag holds of a publisher's offer; history and depth are not told over DDS."""
    return Qos(
        history=QosHistory(int(profile.history)),
        depth=profile.depth,
        reliability=QosReliability(int(profile.reliability)),
        durability=QosDurability(int(profile.durability)),
        deadline=duration(profile.deadline.nanoseconds),
        lifespan=duration(profile.lifespan.nanoseconds),
        liveliness=QosLiveliness(int(profile.liveliness)),
        liveliness_lease_duration=duration(profile.liveliness_lease_duration.nanoseconds),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )


def request(offers: Collection[QoSProfile]) -> QoSProfile:
    """The strongest request that all ``offers`` satisfy, with a deep queue."""
    reliable = all(o.reliability == ReliabilityPolicy.RELIABLE for o in offers)
    latched = all(o.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offers)
    return _profile(RECORDER_DEPTH, reliable=reliable, latched=latched)


def offer(recorded: Iterable[Qos]) -> QoSProfile:
    """What a player offers for a topic: as recorded; of several publishers the stronger."""
    offers = list(recorded)
    if not offers:
        return _profile(_PLAYER_DEPTH, reliable=True, latched=False)
    reliable = any(o.reliability != QosReliability.BEST_EFFORT for o in offers)
    latched = any(o.durability == QosDurability.TRANSIENT_LOCAL for o in offers)
    depths = [o.depth for o in offers if o.history == QosHistory.KEEP_LAST and o.depth > 0]
    profile = _profile(max(depths, default=_PLAYER_DEPTH), reliable=reliable, latched=latched)
    lifespans = {o.lifespan.sec * 1_000_000_000 + o.lifespan.nsec for o in offers}
    lifespan = max(lifespans)
    if 0 < lifespan < INFINITE_NS:
        profile.lifespan = Duration(nanoseconds=lifespan)
    return profile


def _profile(depth: int, *, reliable: bool, latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
