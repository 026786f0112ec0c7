# SPDX-License-Identifier: Apache-2.0
"""Celestial fix of a vehicle that does not move over the ground.

The unknowns are the place, the bias of the accelerometers in body axes and the deflection of the
vertical. Bias and deflection have a prior and are constant (the bias nearly): averaging takes the
noise away and leaves them, so the covariance keeps them. Only turning the body tells the bias from
the place; nothing tells the deflection from it.
"""

from __future__ import annotations

import math

import numpy as np

from meta_repo_ros.core.earth import icrs_to_itrs, itrs_to_enu
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.starnav.celestial_inertial import Interval
from meta_repo_ros.starnav.celestial_types import (
    ARCSEC,
    Array,
    CelestialParameters,
    Fix,
    Source,
    radii,
)

_SIZE = 7
_PLACE, _BIAS, _DEFLECTION = slice(0, 2), slice(2, 5), slice(5, 7)
_UNKNOWN = 1.0  # rad, of the place before the first interval
_MOVE = 3e-4  # rad, the linearisation follows the solution
_PERSISTENT = 10


class StaticFix:
    """Least squares by recursion: place, accelerometer bias, deflection.

    Args:
        parameters: of the fix.

    Attributes:
        epochs: intervals used.
        rejected: intervals that contradicted the rest.
    """

    def __init__(self, parameters: CelestialParameters) -> None:
        self._p = parameters
        self._gate = chi2_quantile(parameters.gate_probability, 2)
        self.epochs = self.rejected = 0
        self._streak = 0
        self._seconds = 0.0
        self._stamp = 0
        self._latitude = self._longitude = math.nan
        self._state = np.zeros(_SIZE)
        self._covariance = np.zeros((_SIZE, _SIZE))
        self._height = self._height_variance = math.nan
        self._mask = Source.STARS | Source.ACCELEROMETER | Source.GYROSCOPE

    # -- inputs ------------------------------------------------------------------------------------
    def add_pressure(self, stamp: int, height: float, sigma: float) -> None:  # noqa: ARG002
        """Follow the pressure height."""
        p = self._p
        if math.isnan(self._height):
            self._height = height
        self._height += 0.02 * (height - self._height)
        self._height_variance = p.barometer_bias_sigma**2 + max(sigma, p.barometer_sigma) ** 2
        self._mask |= Source.BAROMETER

    def add_air_data(self, stamp: int, airspeed: float, attack: float, sideslip: float) -> None:
        """What stands still has no use for the wind."""

    def add_gnss(self, stamp: int, place: tuple[float, float, float], covariance: Array) -> None:  # noqa: ARG002
        """Take a position into the solution."""
        if math.isnan(self._latitude):
            return
        meridian, normal = radii(self._latitude, self._altitude)
        east = math.radians(place[1] - self._longitude) * math.cos(math.radians(self._latitude))
        measured = np.array([east, math.radians(place[0] - self._latitude)])
        scale = np.array([1.0 / normal, 1.0 / meridian])
        h = np.zeros((2, _SIZE))
        h[:, _PLACE] = np.eye(2)
        r = covariance[:2, :2] * np.outer(scale, scale)
        if not self._update(measured - self._state[_PLACE], h, r):
            self.rejected += 1
            return
        self._height, self._height_variance = place[2], float(covariance[2, 2])
        self._mask |= Source.GNSS

    def gap(self, stamp: int) -> None:
        """Nothing happens where nothing moves."""

    def add(self, interval: Interval) -> None:
        """Take the mean specific force of one interval."""
        t = interval.seconds
        force = icrs_to_itrs(interval.middle) @ interval.impulse / t
        if math.isnan(self._latitude):
            self._begin(force)
        enu = itrs_to_enu(self._latitude, self._longitude)
        up = enu @ force
        turn = enu @ icrs_to_itrs(interval.middle)
        gravity = LocalFrame(self._latitude, self._longitude, self._altitude).gravity(0.0, 0.0, 0.0)
        g = -gravity[2]
        north, east = self._p.deflection
        tilt = up[:2] / up[2] - np.array([east * ARCSEC, north * ARCSEC + gravity[1] / gravity[2]])
        h = np.zeros((2, _SIZE))
        h[:, _PLACE] = h[:, _DEFLECTION] = np.eye(2)
        h[:, _BIAS] = (turn @ interval.body_to_icrs)[:2] / g
        r = (turn @ interval.covariance @ turn.T)[:2, :2] / (g * t) ** 2
        r += np.eye(2) * (self._p.accel_noise**2 / t / g**2)
        self._covariance[_BIAS, _BIAS] += np.eye(3) * (self._p.accel_bias_walk**2 * t)
        if not self._update(tilt - h @ self._state, h, r):
            self.rejected += 1
            self._streak += 1
            if self._streak >= _PERSISTENT:
                self._latitude = math.nan
            return
        self._streak = 0
        self.epochs += 1
        self._seconds += t
        self._stamp = interval.end
        if float(np.abs(self._state[_PLACE]).max()) > _MOVE:
            self._latitude, self._longitude = self._place()
            self._state[_PLACE] = 0.0

    # -- output ------------------------------------------------------------------------------------
    def solution(self) -> Fix | None:
        """The place, None before the first interval."""
        if self.epochs == 0 or math.isnan(self._latitude):
            return None
        latitude, longitude = self._place()
        meridian, normal = radii(latitude, self._altitude)
        scale = np.array([normal, meridian])
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = self._covariance[_PLACE, _PLACE] * np.outer(scale, scale)
        if not math.isnan(self._height):
            covariance[2, 2] = self._height_variance
        return Fix(
            self._stamp, latitude, longitude, self._height, covariance, self._mask,
            np.zeros(3), self.epochs, self._seconds,
        )  # fmt: skip

    # -- inside ------------------------------------------------------------------------------------
    @property
    def _altitude(self) -> float:
        return 0.0 if math.isnan(self._height) else self._height

    def _begin(self, force: Array) -> None:
        x, y, z = (force / np.linalg.norm(force)).tolist()
        self._latitude = math.degrees(math.asin(max(-1.0, min(1.0, z))))
        self._longitude = math.degrees(math.atan2(y, x))
        p = self._p
        self._state = np.zeros(_SIZE)
        sigma = [_UNKNOWN] * 2 + [p.accel_bias_sigma] * 3 + [p.vertical_sigma * ARCSEC] * 2
        self._covariance = np.diag(np.square(sigma))
        self._streak = self.epochs = 0
        self._seconds = 0.0

    def _place(self) -> tuple[float, float]:
        east, north = self._state[_PLACE].tolist()
        turn = itrs_to_enu(self._latitude, self._longitude)
        x, y, z = (turn.T @ np.array([east, north, 1.0])).tolist()
        return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))

    def _update(self, innovation: Array, h: Array, r: Array) -> bool:
        gain = self._covariance @ h.T
        s = h @ gain + r
        if float(innovation @ np.linalg.solve(s, innovation)) > self._gate:
            return False
        k = np.linalg.solve(s, gain.T).T
        a = np.eye(_SIZE) - k @ h
        p = a @ self._covariance @ a.T + k @ r @ k.T
        self._covariance = 0.5 * (p + p.T)
        self._state = self._state + k @ innovation
        return True
