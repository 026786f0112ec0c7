# SPDX-License-Identifier: Apache-2.0
"""From scores to levels that hold: m of n frames to rise, a lower threshold and time to fall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.vortex_shield.types import Level

_UNKNOWN, _NONE, _MARGIN, _INCIPIENT, _DEVELOPED = map(int, Level)
_FRAMES = 250.0  # per second


class Signs(NamedTuple):
    """What levels hang on: columns of flags, one per frame, or the flags of one frame.

    Attributes:
        known: whether any voice spoke.
        near: sign of MARGIN.
        alarm: sign of INCIPIENT.
        hold: what keeps INCIPIENT; true wherever ``alarm`` is.
        deep: sign of DEVELOPED.
        proven: what keeps DEVELOPED.
    """

    known: Any
    near: Any
    alarm: Any
    hold: Any
    deep: Any
    proven: Any


@dataclass(frozen=True)
class Persistence:
    """How long a sign must stand, in frames.

    Attributes:
        rise, rise_of: m of n for INCIPIENT.
        deep, deep_of: m of n for DEVELOPED.
        fall: frames without any sign after which INCIPIENT and MARGIN end.
        settle: frames without evidence after which DEVELOPED ends.
    """

    rise: int
    rise_of: int
    deep: int
    deep_of: int
    fall: int
    settle: int


def persistence(rotorcraft: Rotorcraft) -> Persistence:
    """Times that fit a vehicle: a ring forms in a few R / v_h and is shed every 10 to 80 turns."""
    unit = rotorcraft.radius / rotorcraft.hover_induced_velocity() * _FRAMES
    turn = 2.0 * math.pi / rotorcraft.rotor_speed * _FRAMES
    rise_of = round(min(max(1.0 * unit, 8.0), 125.0))
    deep_of = round(min(max(3.0 * unit, 20.0), 500.0))
    return Persistence(
        rise=math.ceil(0.6 * rise_of),
        rise_of=rise_of,
        deep=math.ceil(0.7 * deep_of),
        deep_of=deep_of,
        fall=round(min(max(3.0 * unit, 60.0), 400.0)),
        settle=round(min(max(20.0 * turn, 60.0), 1500.0)),
    )


class Levels:
    """Level of one flight.

    Args:
        times: see :func:`persistence`.
    """

    def __init__(self, times: Persistence) -> None:
        self.times = times
        self._rise_mask = (1 << times.rise_of) - 1
        self._deep_mask = (1 << times.deep_of) - 1
        self.reset()

    def reset(self) -> None:
        """Back to UNKNOWN."""
        self.level = int(Level.UNKNOWN)
        self._rises = self._deeps = 0
        self._calm = self._clear = self._unproven = 0

    def run(self, signs: Signs) -> list[int]:
        """Levels of consecutive frames, from columns of equal length."""
        times, one = self.times, self._next
        level, rises, deeps = self.level, self._rises, self._deeps
        calm, clear, unproven = self._calm, self._clear, self._unproven
        result = []
        for known, near, alarm, hold, deep, proven in zip(*signs, strict=True):
            rises = ((rises << 1) | alarm) & self._rise_mask
            deeps = ((deeps << 1) | deep) & self._deep_mask
            calm = 0 if hold else calm + 1
            clear = 0 if near or hold else clear + 1
            unproven = 0 if proven else unproven + 1
            if level >= _INCIPIENT:
                if calm > times.fall:
                    level = _MARGIN if near else _NONE if known else _UNKNOWN
                elif level == _DEVELOPED:
                    level = _INCIPIENT if known and unproven > times.settle else level
                elif deep and deeps.bit_count() >= times.deep:
                    level = _DEVELOPED
            elif not known:
                level = _UNKNOWN
            else:
                rising = alarm and rises.bit_count() >= times.rise
                level = _INCIPIENT if rising else one(level, near, clear)
            result.append(level)
        self.level, self._rises, self._deeps = level, rises, deeps
        self._calm, self._clear, self._unproven = calm, clear, unproven
        return result

    def _next(self, level: int, near: bool, clear: int) -> int:  # noqa: FBT001 - each frame
        """MARGIN or NONE."""
        return _MARGIN if near or (level == _MARGIN and clear <= self.times.fall) else _NONE
