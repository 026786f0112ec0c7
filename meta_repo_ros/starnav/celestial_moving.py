# SPDX-License-Identifier: Apache-2.0
"""Celestial fix of a moving vehicle: an inertial solution whose attitude is that of the stars.

Where the vehicle is shows only in the direction of gravity, and the accelerometers feel gravity
and acceleration as one. What parts them is that a vehicle does not accelerate for long: its
velocity is that through the air plus the wind, or, without air data, small. So the position is
known the better the longer it has been watched, the better its speed is known, and never better
than the bias of the accelerometers and the deflection of the vertical. An error of position
oscillates as a Schuler pendulum (84 minutes).

Latitude, longitude, height and velocity (east north up) are integrated over the intervals between
star images with Coriolis and transport terms and normal gravity; errors are position (m), velocity,
accelerometer bias (body), wind (two), deflection (two), bias of the pressure height. Not for
latitudes beyond 89 deg. Source: Groves (2013), sections 5.4, 14.2.4.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from meta_repo_ros.core.earth import icrs_to_itrs, itrs_to_enu
from meta_repo_ros.core.geodesy import EARTH_RATE, LocalFrame
from meta_repo_ros.core.rotations import conjugate, rotate, skew
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns
from meta_repo_ros.starnav.celestial_inertial import Interval
from meta_repo_ros.starnav.celestial_types import (
    ARCSEC,
    Array,
    CelestialParameters,
    Fix,
    Source,
    radii,
)

_SIZE = 14
_P, _V, _B = slice(0, 3), slice(3, 6), slice(6, 9)
_W, _D, _H = slice(9, 11), slice(11, 13), 13
_EYE = np.eye(_SIZE)
_AIR_WINDOW = seconds_ns(0.3)  # air data so near to an image are averaged
_AIR_START, _PLAIN_START = 20.0, 60.0  # s of vertical for the first guess
_GUST_TIME = 10.0  # s, over which gusts and errors of air data are alike
_VERTICAL_SPEED = 5.0  # m/s, without air data
_NO_HEIGHT = 3000.0  # m, height above the ellipsoid where nothing tells it
_HEIGHT_TIME = 3600.0  # s, over which the bias of pressure heights changes
_UNKNOWN_ACCELERATION, _UNKNOWN_SPEED = 3.0, 50.0  # m/s2, m/s, in a gap
_KEPT = 128
_SPACING = seconds_ns(0.05)  # what comes sooner is not kept
_PERSISTENT = 10  # velocities refused in a row: the solution is lost, start anew


class _Epoch(NamedTuple):
    """An interval with what was measured at its end."""

    interval: Interval
    air: tuple[Array, float] | None  # velocity, ICRS axes, and its extra sigma
    height: tuple[float, float] | None


class MovingFix:
    """Least squares by recursion over the intervals between star images.

    Args:
        parameters: of the fix.

    Attributes:
        epochs: intervals used.
        rejected: measurements that contradicted the rest.
    """

    def __init__(self, parameters: CelestialParameters) -> None:
        self._p = parameters
        self.epochs = self.rejected = 0
        self._air: deque[tuple[int, tuple[float, float, float], float]] = deque(maxlen=_KEPT)
        self._pressure: deque[tuple[int, float, float]] = deque(maxlen=_KEPT)
        self._gnss: deque[tuple[int, tuple[float, float, float], Array]] = deque(maxlen=_KEPT)
        self._first: list[_Epoch] = []
        self._first_air: tuple[Array, float] | None = None
        self._mask = Source.STARS | Source.ACCELEROMETER | Source.GYROSCOPE
        self._place: tuple[float, float, float] | None = None
        self._start(0)

    def _start(self, stamp: int) -> None:
        self._place = None
        self._velocity = np.zeros(3)
        self._bias = np.zeros(3)
        self._wind = np.zeros(2)
        self._deflection = np.zeros(2)  # beyond the known one: east, north, rad
        self._height_bias = 0.0
        self._covariance = np.zeros((_SIZE, _SIZE))
        self._stamp = stamp
        self._seconds = 0.0
        self._streak = 0
        self._first = []

    # -- inputs ------------------------------------------------------------------------------------
    def add_pressure(self, stamp: int, height: float, sigma: float) -> None:
        """Keep a pressure height, m."""
        if not _soon(self._pressure, stamp):
            self._pressure.append((stamp, height, sigma))

    def add_air_data(self, stamp: int, airspeed: float, attack: float, sideslip: float) -> None:
        """Keep the velocity through the air, body axes."""
        if airspeed < self._p.minimum_airspeed or _soon(self._air, stamp):
            return
        known = math.isfinite(attack + sideslip)
        a, b = (attack, sideslip) if known else (0.0, 0.0)
        body = (
            airspeed * math.cos(a) * math.cos(b),
            -airspeed * math.sin(b),
            -airspeed * math.sin(a) * math.cos(b),
        )
        self._air.append((stamp, body, 0.0 if known else 0.1 * airspeed))

    def add_gnss(self, stamp: int, place: tuple[float, float, float], covariance: Array) -> None:
        """Keep a position."""
        self._gnss.append((stamp, place, covariance))

    def gap(self, stamp: int) -> None:
        """No images, or no inertial data, since the last interval until ``stamp``."""
        if self._place is None:
            self._first = []
            return
        t = (stamp - self._stamp) / NANOSECONDS
        self._stamp = stamp
        if not 0.0 < t < 3600.0:
            self._start(stamp)
            return
        self._move(self._velocity * t)
        f = _EYE.copy()
        f[_P, _V] = np.eye(3) * t
        speed = min(_UNKNOWN_ACCELERATION * t, _UNKNOWN_SPEED)
        c = f @ self._covariance @ f.T
        c[_V, _V] += np.eye(3) * speed**2
        c[_P, _P] += np.eye(3) * (speed * t) ** 2
        self._covariance = c

    def add(self, interval: Interval) -> None:
        """Take one interval between two star images."""
        air = self._air_velocity(interval.end, interval.last.icrs_to_body)
        epoch = _Epoch(interval, air, self._height(interval.end))
        if self._place is not None:
            self._step(epoch)
            return
        if self._first and interval.start != self._first[-1].interval.end:
            self._first = []
        if not self._first:
            self._first_air = self._air_velocity(interval.start, interval.first.icrs_to_body)
        if self._first_air is None and air is not None:
            self._first = []  # air data have begun just now: start with them
            return
        self._first.append(epoch)
        span = (interval.end - self._first[0].interval.start) / NANOSECONDS
        if span >= (_PLAIN_START if self._first_air is None else _AIR_START):
            self._guess()

    # -- output ------------------------------------------------------------------------------------
    def solution(self) -> Fix | None:
        """The position at the last image, None while there is none."""
        if self._place is None:
            return None
        latitude, longitude, altitude = self._place
        covariance = self._covariance[_P, _P].copy()
        if not self._mask & (Source.BAROMETER | Source.GNSS):
            altitude = math.nan
            covariance[2, :] = covariance[:, 2] = 0.0
        return Fix(
            self._stamp, latitude, longitude, altitude, covariance, self._mask,
            self._velocity.copy(), self.epochs, self._seconds,
        )  # fmt: skip

    # -- start -------------------------------------------------------------------------------------
    def _guess(self) -> None:
        """A place to linearise about, from the mean vertical; then all intervals from the start.

        The guess enters with three times its own standard deviation, since the same data follow.
        """
        epochs, p = self._first, self._p
        begin = epochs[0].interval
        impulse, span = np.zeros(3), 0.0
        for i in (epoch.interval for epoch in epochs):
            impulse += icrs_to_itrs(i.middle) @ i.impulse
            span += i.seconds
        first, last = self._first_air, epochs[-1].air
        change, mean, spread = np.zeros(3), np.zeros(3), p.ground_speed_sigma
        if first is not None and last is not None:
            start = icrs_to_itrs(begin.start) @ first[0]
            change = icrs_to_itrs(epochs[-1].interval.end) @ last[0] - start
            mean = start + 0.5 * change
            spread = p.gust_sigma + first[1]
        earth = np.array([0.0, 0.0, EARTH_RATE])
        up = impulse / span - change / span - 2.0 * np.cross(earth, mean)
        scale = float(np.linalg.norm(up))
        latitude = math.degrees(math.asin(max(-1.0, min(1.0, float(up[2]) / scale))))
        longitude = math.degrees(math.atan2(up[1], up[0]))
        self._start(begin.start)
        height = epochs[0].height
        self._place = (latitude, longitude, 0.0 if height is None else height[0])
        meridian, _ = radii(latitude, 0.0)
        sigma = math.hypot(spread * math.sqrt(2.0) / span, p.accel_bias_sigma) / scale
        wide = 3.0 * sigma * meridian
        enu = itrs_to_enu(latitude, longitude)
        if first is not None:
            self._velocity = enu @ icrs_to_itrs(begin.start) @ first[0]
            wind = p.wind_sigma
        else:
            wind = p.ground_speed_sigma
        tall = p.barometer_bias_sigma if height is not None else _NO_HEIGHT
        speed = math.hypot(wind, 3.0 * p.gust_sigma)
        sigmas = [
            wide, wide, tall + p.barometer_sigma, speed, speed, _VERTICAL_SPEED,
            *[p.accel_bias_sigma] * 3, wind, wind, *[p.vertical_sigma * ARCSEC] * 2, tall,
        ]  # fmt: skip
        self._covariance = np.diag(np.square(sigmas))
        # velocity is that through the air plus the wind, from the start on
        self._covariance[3, 9] = self._covariance[9, 3] = wind**2
        self._covariance[4, 10] = self._covariance[10, 4] = wind**2
        for epoch in epochs:
            self._step(epoch)

    # -- time --------------------------------------------------------------------------------------
    def _step(self, epoch: _Epoch) -> None:
        if self._place is None:  # lost while stepping through the start
            return
        interval, air, height = epoch.interval, epoch.air, epoch.height
        p, t = self._p, interval.seconds
        latitude, _, altitude = self._place
        meridian, normal = radii(latitude, altitude)
        tangent = math.tan(math.radians(latitude))
        east, north, _ = self._velocity.tolist()
        halfway = self._moved(self._velocity * (0.5 * t))
        turn = itrs_to_enu(halfway[0], halfway[1]) @ icrs_to_itrs(interval.middle)
        body = turn @ interval.body_to_icrs
        force = turn @ interval.impulse / t - body @ self._bias
        gravity = np.array(LocalFrame(*halfway).gravity(0.0, 0.0, 0.0))
        known_north, known_east = p.deflection
        off = self._deflection + np.array([known_east, known_north]) * ARCSEC
        gravity[:2] += gravity[2] * off
        lat = math.radians(latitude)
        spin = np.array([
            -north / meridian,
            2.0 * EARTH_RATE * math.cos(lat) + east / normal,
            2.0 * EARTH_RATE * math.sin(lat) + east * tangent / normal,
        ])  # fmt: skip
        straight = force + gravity
        middle = self._velocity + 0.5 * t * (straight - np.cross(spin, self._velocity))
        velocity = self._velocity + t * (straight - np.cross(spin, middle))
        self._move(0.5 * t * (self._velocity + velocity))
        self._velocity = velocity
        tilt = np.array([
            [0.0, -1.0 / meridian, 0.0], [1.0 / normal, 0.0, 0.0], [tangent / normal, 0.0, 0.0],
        ])  # fmt: skip
        a = np.zeros((_SIZE, _SIZE))
        a[_P, _V] = np.eye(3)
        a[_V, _P] = skew(force.tolist()) @ tilt
        a[5, 2] -= 2.0 * gravity[2] / meridian
        a[_V, _V] = -skew(spin.tolist())
        a[_V, _B] = -body
        a[3, 11] = a[4, 12] = gravity[2]
        noise = turn @ interval.covariance @ turn.T + np.eye(3) * (p.accel_noise**2 * t)
        self._spread(t, a, noise, with_air=air is not None, with_height=height is not None)
        self._stamp = interval.end
        self._seconds += t
        self.epochs += 1
        self._take_velocity(air, t, tilt)
        if self._place is not None:
            self._take_height(height)
            self._take_gnss()

    def _spread(
        self, t: float, a: Array, noise: Array, *, with_air: bool, with_height: bool
    ) -> None:
        """Bring the covariance over ``t`` s of the error dynamics ``a``; ``noise``: of velocity."""
        p = self._p
        wind, wind_time = (
            (p.wind_sigma, p.wind_time) if with_air else (p.ground_speed_sigma, p.ground_speed_time)
        )
        way = p.deflection_distance / max(float(np.hypot(*self._velocity[:2])), 1.0)
        tall = p.barometer_bias_sigma if with_height else _NO_HEIGHT
        f = _EYE + a * t + a @ a * (0.5 * t * t)
        c = f @ self._covariance @ f.T
        c[_V, _V] += noise
        c[_P, _V] += 0.5 * t * noise
        c[_V, _P] += 0.5 * t * noise
        c[_P, _P] += 0.25 * t * t * noise
        c[_B, _B] += np.eye(3) * (p.accel_bias_walk**2 * t)
        self._forget(c, _W, t / wind_time, wind)
        self._forget(c, _D, t / way, p.vertical_sigma * ARCSEC)
        self._forget(c, slice(_H, _SIZE), t / _HEIGHT_TIME, tall)
        self._wind = self._wind * math.exp(-t / wind_time)
        self._deflection = self._deflection * math.exp(-t / way)
        self._height_bias *= math.exp(-t / _HEIGHT_TIME)
        self._covariance = c

    @staticmethod
    def _forget(c: Array, block: slice, share: float, sigma: float) -> None:
        """First-order Gauss-Markov step of the states in ``block``."""
        keep = math.exp(-share)
        c[block, :] *= keep
        c[:, block] *= keep
        size = block.stop - block.start
        c[block, block] += np.eye(size) * (sigma**2 * (1.0 - keep * keep))

    # -- measurements ------------------------------------------------------------------------------
    def _take_velocity(self, air: tuple[Array, float] | None, t: float, tilt: Array) -> None:
        """Velocity is that through the air plus wind; without air data, small."""
        assert self._place is not None  # noqa: S101
        h = np.zeros((3, _SIZE))
        h[:, _V] = np.eye(3)
        h[0, 9] = h[1, 10] = -1.0
        stretch = max(1.0, _GUST_TIME / t)
        if air is None:
            seen = np.zeros(3)
            sigma = np.array([self._p.gust_sigma, self._p.gust_sigma, _VERTICAL_SPEED])
        else:
            enu = itrs_to_enu(*self._place[:2]) @ icrs_to_itrs(self._stamp)
            seen = enu @ air[0]
            # axes that stand elsewhere see another air velocity
            h[:, _P] = -skew(seen.tolist()) @ tilt
            sigma = np.full(3, math.hypot(self._p.gust_sigma, air[1]))
        innovation = seen - self._velocity + np.append(self._wind, 0.0)
        if self._update(innovation, h, np.diag(sigma**2 * stretch)):
            self._streak = 0
            return
        self._streak += 1
        if self._streak >= _PERSISTENT:
            self._start(self._stamp)

    def _take_height(self, height: tuple[float, float] | None) -> None:
        assert self._place is not None  # noqa: S101
        h = np.zeros((1, _SIZE))
        h[0, 2] = h[0, _H] = 1.0
        value, sigma = height or (0.0, 100.0)
        if height is not None:
            self._mask |= Source.BAROMETER
        innovation = np.array([value - self._place[2] - self._height_bias])
        self._update(innovation, h, np.array([[sigma**2]]))

    def _take_gnss(self) -> None:
        assert self._place is not None  # noqa: S101
        while self._gnss and self._gnss[0][0] <= self._stamp:
            stamp, (latitude, longitude, altitude), covariance = self._gnss.popleft()
            back = (self._stamp - stamp) / NANOSECONDS
            if back > 2.0:
                continue
            meridian, normal = radii(self._place[0], self._place[2])
            cosine = math.cos(math.radians(self._place[0]))
            off = np.array([
                math.remainder(math.radians(longitude - self._place[1]), math.tau)
                * normal * cosine,
                math.radians(latitude - self._place[0]) * meridian,
                altitude - self._place[2],
            ])  # fmt: skip
            h = np.zeros((3, _SIZE))
            h[:, _P] = np.eye(3)
            h[:, _V] = -back * np.eye(3)
            if self._update(off + back * self._velocity, h, covariance):
                self._mask |= Source.GNSS

    def _update(self, innovation: Array, h: Array, r: Array) -> bool:
        gain = self._covariance @ h.T
        s = h @ gain + r
        limit = chi2_quantile(self._p.gate_probability, len(innovation))
        if float(innovation @ np.linalg.solve(s, innovation)) > limit:
            self.rejected += 1
            return False
        k = np.linalg.solve(s, gain.T).T
        a = _EYE - k @ h
        c = a @ self._covariance @ a.T + k @ r @ k.T
        self._covariance = 0.5 * (c + c.T)
        e = k @ innovation
        self._move(e[_P])
        self._velocity = self._velocity + e[_V]
        self._bias = self._bias + e[_B]
        self._wind = self._wind + e[_W]
        self._deflection = self._deflection + e[_D]
        self._height_bias += float(e[_H])
        return True

    # -- places ------------------------------------------------------------------------------------
    def _moved(self, enu: Array) -> tuple[float, float, float]:
        """The place after a way (m, east north up) along the ellipsoid."""
        assert self._place is not None  # noqa: S101
        latitude, longitude, altitude = self._place
        meridian, normal = radii(latitude, altitude)
        east, north, up = enu.tolist()
        cosine = max(math.cos(math.radians(latitude)), 1e-6)
        moved = max(-90.0, min(90.0, latitude + math.degrees(north / meridian)))
        around = math.remainder(longitude + math.degrees(east / (normal * cosine)), 360.0)
        return moved, around, altitude + up

    def _move(self, enu: Array) -> None:
        self._place = self._moved(enu)

    def _air_velocity(
        self, stamp: int, icrs_to_body: tuple[float, float, float, float]
    ) -> tuple[Array, float] | None:
        """Velocity through the air about ``stamp``, ICRS axes, and its extra sigma; or None."""
        near = [(v, s) for when, v, s in self._air if abs(when - stamp) <= _AIR_WINDOW]
        if not near:
            return None
        mean = np.mean([v for v, _ in near], axis=0).tolist()
        return np.array(rotate(conjugate(icrs_to_body), mean)), max(s for _, s in near)

    def _height(self, stamp: int) -> tuple[float, float] | None:
        near = [(h, s) for when, h, s in self._pressure if abs(when - stamp) <= 2 * _AIR_WINDOW]
        if not near:
            return None
        sigma = max(self._p.barometer_sigma, near[-1][1])
        return float(np.mean([h for h, _ in near])), sigma


def _soon(kept: deque[Any], stamp: int) -> bool:
    """Whether a measurement comes so soon after the last one kept that it adds nothing."""
    return bool(kept) and stamp - kept[-1][0] < _SPACING
