# SPDX-License-Identifier: Apache-2.0
"""What a car cannot do: slip sideways, leave the road, or move while nothing shakes it.

Groves (2013), sections 15.1 (motion constraints) and 15.3 (zero velocity updates).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meta_repo_ros.core.rotations import Vector, from_euler, skew, to_matrix
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.navigation_filter import (
    ATTITUDE,
    GYRO_BIAS,
    SIZE,
    VELOCITY,
    NavigationFilter,
)
from meta_repo_ros.fusion.navigation_parameters import VehicleParameters

# Memory of the standstill detector, and how long it must agree, s
_MEMORY, _QUIET = 0.5, 0.5
# Faster than this the constraint of a rigid rolling wheel is not believed, rad/s
_MAX_TURN = 0.6


class CarConstraints:
    """Pseudo-measurements of a car.

    Args:
        parameters: of the vehicle.

    Attributes:
        applied: number of constraints fused.
        standstill: whether the car stands.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        self.applied = 0
        self.standstill = False
        self.clear()
        self.configure(parameters)

    def configure(self, parameters: VehicleParameters) -> None:
        """Take other parameters; the state stays."""
        self.parameters = parameters
        # rows: vehicle axes in body axes
        self._axes = to_matrix(from_euler(*parameters.mount)).T

    def clear(self) -> None:
        """Forget what the detector has seen."""
        self._due = 0
        self._quiet = 0.0
        self._mean = (0.0, 0.0, 0.0)
        self._spread = 1e3
        self.standstill = False

    def apply(
        self, stamp: int, dt: float, rate: Vector, force: Vector, f: NavigationFilter
    ) -> None:
        """Watch one inertial sample and fuse a constraint where one is due."""
        p = self.parameters
        k = min(dt / _MEMORY, 1.0)
        deviation = 0.0
        mean = []
        for m, x in zip(self._mean, force, strict=True):
            mean.append(m + k * (x - m))
            deviation = max(deviation, abs(mean[-1] - m) / k)
        self._mean = (mean[0], mean[1], mean[2])
        self._spread += k * (min(deviation, 1e3) ** 2 - self._spread)
        turn = math.sqrt(sum((w - b) ** 2 for w, b in zip(rate[2:], f.gyro_bias[2:], strict=True)))
        quiet = self._spread < p.standstill_force**2 and turn < p.standstill_rate
        self._quiet = self._quiet + dt if quiet else 0.0
        if stamp < self._due:
            return
        self._due = stamp + round(p.period * NANOSECONDS)
        speed = math.hypot(*f.velocity[:2])
        sigma = math.sqrt(float(np.trace(f.covariance[3:5, 3:5])))
        self.standstill = self._quiet > _QUIET and speed < 0.5 + 3.0 * sigma
        f.propagate_covariance()
        h = np.zeros((3, SIZE))
        if self.standstill:
            h[:, VELOCITY] = np.eye(3)
            r = np.eye(3) * p.standstill_sigma**2
            innovation = -np.array(f.velocity)
        else:
            if abs(rate[2]) > _MAX_TURN:
                return
            c = f.matrix()
            to_vehicle = self._axes @ c.T
            arm = np.array(p.reference)
            velocity = c.T @ np.array(f.velocity)
            swing = np.cross(f.rate, arm)
            h = np.zeros((2, SIZE))
            h[:, VELOCITY] = to_vehicle[1:]
            # error of C' v: C' [v x] e
            h[:, ATTITUDE] = (to_vehicle @ skew(f.velocity))[1:]
            h[:, GYRO_BIAS] = (self._axes @ skew(p.reference))[1:]
            r = np.eye(2) * p.slip_sigma**2
            innovation = -(self._axes @ (velocity + swing))[1:]
        gain, s = f.innovation_covariance(h, r)
        if float(innovation @ np.linalg.solve(s, innovation)) < 16.0:
            f.update(h, r, innovation, gain, s)
            self.applied += 1

    def snapshot(self) -> Any:
        """State to go back to."""
        return self._due, self._quiet, self._mean, self._spread, self.standstill, self.applied

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        self._due, self._quiet, self._mean, self._spread, self.standstill, self.applied = snapshot
