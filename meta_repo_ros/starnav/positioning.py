# SPDX-License-Identifier: Apache-2.0
"""Position of the vehicle: the celestial fix, GNSS beside it, and which of them goes out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from meta_repo_ros.core.geodesy import pressure_altitude
from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.celestial_fix import CelestialFix
from meta_repo_ros.starnav.celestial_types import Array, CelestialParameters, Fix
from meta_repo_ros.starnav.cross_check import CrossCheck, CrossCheckParameters, Verdict

_BACKUP_AGE = 2.0  # s
_LEAST_STEP = NANOSECONDS // 2  # between positions by GNSS alone


class Positioning:
    """Gathers what the celestial fix needs, compares it with GNSS, chooses.

    Args:
        celestial: parameters of the fix.
        cross_check: parameters of the comparison.
    """

    def __init__(self, celestial: CelestialParameters, cross_check: CrossCheckParameters) -> None:
        self.celestial = CelestialFix(celestial)
        self.cross_check = CrossCheck(cross_check)
        self.last: Fix | None = None  # newest celestial one
        self._backup = 0  # ns, newest position by GNSS given out

    def reset(self) -> None:
        """Forget everything."""
        self.celestial.reset()
        self.cross_check.reset()
        self.last = None
        self._backup = 0

    @property
    def verdict(self) -> Verdict:
        """Of the comparison with GNSS."""
        return self.cross_check.verdict

    def add_inertial(self, stamp: int, rate: Vector, force: Vector) -> None:
        """Take an inertial sample; one without force is passed over."""
        if not math.isnan(force[0]):
            self.celestial.add_inertial(stamp, rate, force)

    def add_pressure(self, stamp: int, pressure: float) -> None:
        """Take a static pressure, Pa."""
        self.celestial.add_pressure(stamp, pressure_altitude(pressure))

    def add_image(self, stamp: int, attitude: Quaternion, covariance: Array) -> Sequence[Fix]:
        """Take the attitude by an image; the positions that go out because of it."""
        self.celestial.add_attitude(stamp, attitude, covariance)
        fix = self.celestial.solution(stamp)
        if fix is None or (self.last is not None and fix.stamp <= self.last.stamp):
            return ()
        self.last = fix
        self.cross_check.add_fix(fix)
        backup = self.cross_check.backup(stamp, _BACKUP_AGE)
        return (fix,) if backup is None or self._outweighs_gnss(fix) else ()

    def _outweighs_gnss(self, fix: Fix) -> bool:
        usable = fix.horizontal_sigma <= self.celestial.parameters.usable_sigma
        return usable or self.verdict.spoofing_suspected

    def add_gnss(
        self, stamp: int, latitude: float, longitude: float, altitude: float, covariance: Array
    ) -> Sequence[Fix]:
        """Take a GNSS fix; it goes out itself while there is no celestial one of use."""
        self.celestial.add_gnss(stamp, latitude, longitude, altitude, covariance)
        self.cross_check.add_gnss(stamp, latitude, longitude, altitude, covariance)
        age = self.celestial.parameters.maximum_age * NANOSECONDS
        fresh = self.last is not None and stamp - self.last.stamp <= age
        if self.last is not None and fresh and self._outweighs_gnss(self.last):
            return ()
        backup = self.cross_check.backup(stamp, _BACKUP_AGE)
        if backup is None or backup.stamp < self._backup + _LEAST_STEP:
            return ()
        self._backup = backup.stamp
        return (backup,)
