# SPDX-License-Identifier: Apache-2.0
"""From scores to levels that hold: m of n frames to rise, a lower threshold and time to fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.vortex_shield.types import Level

_FRAMES = 250.0  # per second


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
    rise_of = round(min(max(2.0 * unit, 10.0), 250.0))
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

    def run(
        self,
        known: Sequence[bool],
        near: Sequence[bool],
        alarm: Sequence[bool],
        hold: Sequence[bool],
        deep: Sequence[bool],
        proven: Sequence[bool],
    ) -> list[int]:
        """Levels of consecutive frames.

        Args:
            known: whether any voice spoke.
            near: sign of MARGIN.
            alarm: sign of INCIPIENT.
            hold: what keeps INCIPIENT; true wherever ``alarm`` is.
            deep: sign of DEVELOPED.
            proven: what keeps DEVELOPED.
        """
        times = self.times
        level, rises, deeps = self.level, self._rises, self._deeps
        calm, clear, unproven = self._calm, self._clear, self._unproven
        result = []
        for k, n, a, h, d, p in zip(known, near, alarm, hold, deep, proven, strict=True):
            rises = ((rises << 1) | a) & self._rise_mask
            deeps = ((deeps << 1) | d) & self._deep_mask
            calm = 0 if h else calm + 1
            clear = 0 if n or h else clear + 1
            unproven = 0 if p else unproven + 1
            if not k:
                # nothing is known: an alarm stands until it must be given up
                if level <= Level.MARGIN or calm > times.fall:
                    level = 0
            elif level == Level.DEVELOPED:
                if calm > times.fall:
                    level = 2
                elif unproven > times.settle:
                    level = 3
            elif a and level == Level.INCIPIENT and d and _count(deeps) >= times.deep:
                level = 4
            elif level != Level.INCIPIENT:
                if a and _count(rises) >= times.rise:
                    level = 3
                elif n:
                    level = 2
                elif level != Level.MARGIN or clear > times.fall:
                    level = 1
            elif calm > times.fall:
                level = 2 if n else 1
            result.append(level)
        self.level, self._rises, self._deeps = level, rises, deeps
        self._calm, self._clear, self._unproven = calm, clear, unproven
        return result


def _count(bits: int) -> int:
    return bits.bit_count()
