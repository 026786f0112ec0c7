# SPDX-License-Identifier: Apache-2.0
"""How pressure, stars, celestial positions and the magnetic field enter the navigation filter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meta_repo_ros.core.gates import Verdict
from meta_repo_ros.core.rotations import conjugate, log, multiply, rotate, to_matrix
from meta_repo_ros.fusion.measurements import (
    CelestialPosition,
    MagneticField,
    PressureHeight,
    StarAttitude,
)
from meta_repo_ros.fusion.navigation_filter import ATTITUDE, BARO_BIAS, POSITION, SIZE

if TYPE_CHECKING:
    from meta_repo_ros.fusion.navigation import Navigation


def take_height(nav: Navigation, stamp: int, pressure: PressureHeight) -> None:
    """Pressure height with its slowly changing bias."""
    f, frame = nav.filter, nav.frame
    period = nav.parameters.barometer.period
    if f is None or frame is None or not nav.is_due('barometer', stamp, period):
        return
    if not nav.advance(stamp):
        return
    east, north, _ = f.position
    predicted = frame.height(*f.position) + f.baro_bias
    h = np.zeros((1, SIZE))
    h[0, :3] = east / frame.radius, north / frame.radius, 1.0
    h[0, BARO_BIAS] = 1.0
    r = np.array([[max(pressure.sigma, nav.parameters.barometer.sigma) ** 2]])
    innovation = np.array([pressure.height - predicted])
    if nav.judge('barometer', stamp, innovation, h, r) is Verdict.RESET:
        f.baro_bias += float(innovation[0])
        f.covariance[BARO_BIAS] = f.covariance[:, BARO_BIAS] = 0.0
        f.covariance[BARO_BIAS, BARO_BIAS] = nav.parameters.barometer.bias_sigma**2


def take_star(nav: Navigation, stamp: int, star: StarAttitude) -> None:
    """Attitude by stars, all three axes."""
    f = nav.filter
    if f is None:
        nav.alignment.add_star(star.attitude, star.covariance)
        return
    if not nav.advance(stamp):
        return
    measured = multiply(nav.ecef_to_enu, star.attitude)
    innovation = np.array(log(multiply(measured, conjugate(f.attitude))))
    turn = to_matrix(measured)
    r = turn @ star.covariance @ turn.T
    rate = turn @ f.rate
    r += nav.parameters.stars.time_sigma**2 * np.outer(rate, rate)
    h = np.zeros((3, SIZE))
    h[:, ATTITUDE] = np.eye(3)
    if nav.judge('star_attitude', stamp, innovation, h, r) is Verdict.RESET:
        f.attitude = measured
        f.set_block(ATTITUDE, 4.0 * r)


def take_celestial(nav: Navigation, stamp: int, fix: CelestialPosition) -> None:
    """Position by the sky, two or three axes."""
    f, frame = nav.filter, nav.frame
    if f is None or frame is None or not nav.advance(stamp):
        return
    flat = math.isnan(fix.altitude)
    height = frame.height(*f.position) if flat else fix.altitude
    measured = np.array(frame.to_enu(fix.latitude, fix.longitude, height))
    innovation = measured - np.array(f.position)
    r = fix.covariance.copy()
    if flat:
        # no height: as if measured where the filter is, with no weight
        r[2, :] = r[:, 2] = 0.0
        r[2, 2] = 1e12
    h = np.zeros((3, SIZE))
    h[:, POSITION] = np.eye(3)
    nav.judge('celestial_position', stamp, innovation, h, r)


def take_field(nav: Navigation, stamp: int, field: MagneticField) -> None:
    """Heading by the magnetic field; nothing of it pulls on roll and pitch."""
    f = nav.filter
    if f is None:
        nav.alignment.add_magnetic(field.field)
        return
    heading = nav.parameters.heading
    if heading.use != 'always' or not nav.is_due('heading', stamp, heading.period):
        return
    if not nav.advance(stamp):
        return
    x, y, z = rotate(f.attitude, field.field)
    level = math.hypot(x, y)
    if level < 0.1 * abs(z):
        return  # near the magnetic pole there is no heading in it
    off = math.pi / 2.0 - nav.declination - math.atan2(y, x)
    innovation = np.array([math.remainder(off, 2.0 * math.pi)])
    h = np.zeros((1, SIZE))
    # tilt turns the vertical field into the horizontal plane
    h[0, 6:9] = -x * z / (level * level), -y * z / (level * level), 1.0
    r = np.array([[nav.parameters.heading.sigma**2]])
    if nav.judge('magnetic_heading', stamp, innovation, h, r) is Verdict.RESET:
        f.attitude = multiply(
            (math.cos(0.5 * innovation[0]), 0.0, 0.0, math.sin(0.5 * innovation[0])),
            f.attitude,
        )
        f.set_block(slice(8, 9), 4.0 * r)
