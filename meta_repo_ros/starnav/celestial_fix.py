# SPDX-License-Identifier: Apache-2.0
"""Celestial fix: latitude and longitude from the stars, the vertical and the time.

Stars tell how the body lies in inertial space, the Earth's rotation how the Earth does; the
accelerometers tell where up is in the body. Up, seen from the Earth, is the astronomical latitude
and longitude; the deflection of the vertical leads to the geodetic ones. All rests on the vertical:
one second of arc of it is 31 m, and one thousandth of g of unknown acceleration 206 of them.

Two least-squares solutions over time, by recursion: :mod:`celestial_static` for a vehicle that
stands, :mod:`celestial_moving` for one that moves. Sources: Groves (2013), chapters 2, 5 and 12;
Heiskanen, Moritz, Physical Geodesy (1967), section 2-20 (deflection of the vertical).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meta_repo_ros.core.earth import earth_orientation_error
from meta_repo_ros.core.geodesy import EARTH_RATE, SEMI_MAJOR
from meta_repo_ros.core.rotations import Vector, normalize
from meta_repo_ros.core.statistics import is_covariance
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.celestial_inertial import Attitude, Inertial
from meta_repo_ros.starnav.celestial_moving import MovingFix
from meta_repo_ros.starnav.celestial_static import StaticFix
from meta_repo_ros.starnav.celestial_types import Array, CelestialParameters, Fix, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ['CelestialFix', 'CelestialParameters', 'Fix', 'Source']

_WAITING = 32  # star attitudes that wait for inertial samples


class CelestialFix:
    """Gathers star attitudes, inertial samples and air data, and gives positions.

    Every method takes the stamp of validity; star attitudes may come late, the others in order.
    What is not finite, out of order or has no covariance is passed over and counted in
    :attr:`refused`.

    Args:
        parameters: of the fix.

    Attributes:
        refused: inputs passed over.
    """

    def __init__(self, parameters: CelestialParameters) -> None:
        self.parameters = parameters
        self.refused = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        p = self.parameters
        self._inertial = Inertial(p.gyro_noise, p.maximum_gap)
        self._solver: MovingFix | StaticFix = StaticFix(p) if p.motion == 'static' else MovingFix(p)
        self._waiting: deque[Attitude] = deque(maxlen=_WAITING)
        self._newest = 0

    @property
    def epochs(self) -> int:
        """Intervals between star attitudes taken into the solution."""
        return self._solver.epochs

    @property
    def rejected(self) -> int:
        """Intervals that contradicted the solution."""
        return self._solver.rejected

    def add_attitude(self, stamp: int, q_icrs_to_body: Sequence[float], covariance: Array) -> None:
        """Take the attitude by one star image.

        Args:
            stamp: middle of the exposure, ns UTC.
            q_icrs_to_body: unit quaternion, w first.
            covariance: (3, 3) rad2, about the body axes.
        """
        matrix = np.asarray(covariance, np.float64).reshape(3, 3)
        if not (is_covariance(matrix) and math.isfinite(sum(q_icrs_to_body))):
            self.refused += 1
            return
        latest = self._waiting[-1].stamp if self._waiting else self._newest
        if stamp <= latest:
            self.refused += 1
            return
        self._waiting.append(Attitude(stamp, normalize(q_icrs_to_body), np.array(matrix)))
        self._work()

    def add_inertial(self, stamp: int, rate: Vector, force: Vector) -> None:
        """Take mean rate (rad/s) and specific force (m/s2) since the sample before, body axes."""
        if not math.isfinite(sum(rate) + sum(force)):
            self.refused += 1
            return
        self._inertial.add(stamp, rate, force)
        if self._waiting:
            self._work()

    def add_pressure(self, stamp: int, height: float, sigma: float = 0.0) -> None:
        """Take a pressure height (standard atmosphere), m, and its standard deviation."""
        if not math.isfinite(height + sigma):
            self.refused += 1
            return
        self._solver.add_pressure(stamp, height, sigma)

    def add_air_data(
        self, stamp: int, airspeed: float, angle_of_attack: float, sideslip: float
    ) -> None:
        """Take air data: true airspeed m/s, angle of attack (nose up) and sideslip (from right).

        NaN angles are taken as zero, with a tenth of the airspeed as their error.
        """
        if not math.isfinite(airspeed):
            self.refused += 1
            return
        self._solver.add_air_data(stamp, airspeed, angle_of_attack, sideslip)

    def add_gnss(
        self, stamp: int, latitude: float, longitude: float, altitude: float, covariance: Array
    ) -> None:
        """Take a GNSS position (deg, deg, m; m2 east north up) where ``gnss`` allows it."""
        matrix = np.asarray(covariance, np.float64).reshape(3, 3)
        if not (is_covariance(matrix) and math.isfinite(latitude + longitude + altitude)):
            self.refused += 1
            return
        if self.parameters.gnss:
            self._solver.add_gnss(stamp, (latitude, longitude, altitude), np.array(matrix))

    def solution(self, stamp: int) -> Fix | None:
        """The position at the last star image, None without a fresh one.

        Args:
            stamp: now, ns.
        """
        found = self._solver.solution()
        if found is None or stamp - found.stamp > self.parameters.maximum_age * NANOSECONDS:
            return None
        error = earth_orientation_error(found.stamp)
        seconds = math.hypot(error.ut1, self.parameters.clock_sigma)
        east = SEMI_MAJOR * math.cos(math.radians(found.latitude)) * EARTH_RATE * seconds
        pole = SEMI_MAJOR * error.pole
        covariance = found.covariance + np.diag([east**2 + pole**2, pole**2, 0.0])
        return replace(found, covariance=covariance)

    def _work(self) -> None:
        while self._waiting and self._inertial.ready(self._waiting[0].stamp):
            attitude = self._waiting.popleft()
            self._newest = attitude.stamp
            interval = self._inertial.close(attitude)
            if interval is not None:
                self._solver.add(interval)
            elif self._inertial.doubtful:
                self.refused += 1
            else:
                self._solver.gap(attitude.stamp)
