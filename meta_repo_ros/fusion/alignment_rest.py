# SPDX-License-Identifier: Apache-2.0
"""A standstill before the start: what the inertial sensor shows while GNSS velocity shows none.

The mean rate is the gyroscope's bias (and the Earth's rotation, which counts as uncertainty), the
mean specific force points up. That a vehicle at rest does not rotate is true on the ground, not in
hover, so it must be asked for; a mean rate beyond what the bias can be is not believed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.geodesy import EARTH_RATE
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Array = NDArray[np.float64]

_SHORTEST_S = 2.0
# Longer standstills fade: the bias walks
_MEMORY_S = 60.0
# Speed and mean rate beyond so many standard deviations are motion
_SPEED_SIGMAS, _BIAS_SIGMAS = 3.5, 4.0


class Rest:
    """Gathers means over a standstill.

    Args:
        parameters: of the node.
    """

    def __init__(self, parameters: NavigationParameters) -> None:
        self.parameters = parameters
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._now: tuple[float, ...] | None = None  # seconds, rate sums, force sums
        self._known: tuple[float, ...] | None = None

    def add_imu(self, rate: Vector, force: Vector, dt: float) -> None:
        """Take ``dt`` seconds of rate (rad/s) and specific force (m/s2)."""
        if self._now is None:
            return
        sums = zip(self._now, (1.0, *rate, *force), strict=True)
        keep = 0.5 if self._now[0] > _MEMORY_S else 1.0
        self._now = tuple(keep * total + x * dt for total, x in sums)

    def add_velocity(self, velocity: Vector, covariance: Array) -> bool:
        """Take a GNSS velocity; True where the vehicle has been at rest long enough to use it."""
        variance = float(np.trace(covariance)) / 3.0
        sigma = math.sqrt(max(variance, self.parameters.gnss.velocity_floor**2))
        if math.hypot(*velocity) > _SPEED_SIGMAS * sigma:
            self._now = None
            return False
        if self._now is None:
            self._now = (0.0,) * 7
            return False
        if self._now[0] < _SHORTEST_S:
            return False
        limit = _BIAS_SIGMAS * self.parameters.imu.gyro_bias_sigma
        if max(abs(total) for total in self._now[1:4]) > limit * self._now[0]:
            return False
        self._known = self._now
        return True

    @property
    def bias(self) -> Vector:
        """Gyroscope bias of the last standstill, rad/s; zero before one."""
        if self._known is None:
            return (0.0, 0.0, 0.0)
        seconds, x, y, z, *_ = self._known
        return x / seconds, y / seconds, z / seconds

    @property
    def bias_sigma(self) -> float:
        """Its standard deviation, rad/s."""
        imu = self.parameters.imu
        if self._known is None:
            return imu.gyro_bias_sigma
        return min(
            math.hypot(imu.gyro_noise / math.sqrt(self._known[0]), EARTH_RATE), imu.gyro_bias_sigma
        )

    @property
    def force(self) -> Vector | None:
        """Mean specific force of the last standstill in body axes, m/s2."""
        if self._known is None:
            return None
        seconds, _, _, _, x, y, z = self._known
        return x / seconds, y / seconds, z / seconds

    @property
    def accel_variance(self) -> float:
        """Of that mean, without the bias, m2/s4."""
        return 0.0 if self._known is None else self.parameters.imu.accel_noise**2 / self._known[0]

    def snapshot(self) -> Any:
        """State to go back to."""
        return self._now, self._known

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        self._now, self._known = snapshot
