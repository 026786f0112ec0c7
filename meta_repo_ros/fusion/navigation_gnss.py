# SPDX-License-Identifier: Apache-2.0
"""How GNSS positions and velocities enter the navigation filter, and when they do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.gates import Verdict
from meta_repo_ros.core.rotations import rotate, skew
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.measurements import Fix, GnssVelocity
from meta_repo_ros.fusion.navigation_filter import (
    ACCEL_BIAS,
    ATTITUDE,
    GYRO_BIAS,
    POSITION,
    SIZE,
    VELOCITY,
)

if TYPE_CHECKING:
    from meta_repo_ros.fusion.navigation import Navigation
    from meta_repo_ros.fusion.navigation_filter import NavigationFilter

Array = NDArray[np.float64]

GNSS_POSITION, GNSS_VELOCITY = 'gnss_position', 'gnss_velocity'
_DOUBTFUL_STREAK = 5
DRIFT_MEMORY = (5.0, 20.0, 60.0)
"""Time constants of the test for slow drift, s."""


def take_fix(nav: Navigation, stamp: int, fix: Fix) -> None:
    """Judge and fuse a position; the first places the frame, one completes alignment."""
    frame = nav.place(stamp, fix)
    f = nav.filter
    if f is None:
        nav.try_to_start(stamp, fix)
        return
    if not nav.advance(stamp):
        return
    g = nav.parameters.gnss
    measured = np.array(frame.to_enu(fix.latitude, fix.longitude, fix.altitude))
    arm = rotate(f.attitude, g.lever_arm)
    innovation = measured - np.array(f.position) - arm
    velocity = np.array(f.velocity)
    r = floored(fix.covariance, g.position_floor)
    r += g.time_sigma**2 * np.outer(velocity, velocity)
    h = np.zeros((3, SIZE))
    h[:, POSITION] = np.eye(3)
    h[:, ATTITUDE] = -skew(arm)
    gain, s = f.innovation_covariance(h, r)
    verdict = _judge_fix(nav, stamp, fix, innovation, (s, r))
    if verdict is Verdict.ACCEPT:
        f.update(h, r, innovation, gain, s)
        nav.inflated = None
    elif verdict is Verdict.RESET:
        nav.last_jump = float(np.linalg.norm(innovation))
        f.position = tuple((measured - arm).tolist())
        f.set_block(POSITION, 4.0 * r)
        nav.drift_found = None
        nav.drift.clear()
    elif verdict is Verdict.REJECT:
        _inflate(nav, stamp)
        _give_up(nav, stamp)


def _judge_fix(
    nav: Navigation, stamp: int, fix: Fix, innovation: Array, covariances: tuple[Array, Array]
) -> Verdict:
    """Stuck receiver, doubtful velocity, the gate, then drift; covariances: innovation, fix."""
    f, gate = nav.running, nav.gates[GNSS_POSITION]
    growth = f.covariance[VELOCITY, VELOCITY]
    s, r = covariances
    speed = math.hypot(*f.velocity) - 3.0 * math.sqrt(float(np.trace(growth)))
    place = (fix.latitude, fix.longitude, fix.altitude)
    nav.stuck = nav.stuck_monitor.add(stamp, place, max(speed, 0.0))
    if nav.stuck or _doubtful(nav, stamp) or _held_back(nav, stamp):
        gate.refuse()
        return Verdict.REJECT
    distrust = nav.drift_found is not None
    verdict = gate.judge(stamp, innovation, s, r, growth, distrust=distrust)
    if verdict is not Verdict.ACCEPT:
        return verdict
    if distrust:
        nav.drift_found = None
        nav.drift.clear()
    elif nav.drift.add(stamp, innovation, s):
        _found_drift(nav, f, stamp, innovation)
        return Verdict.HOLD
    return verdict


def _doubtful(nav: Navigation, stamp: int) -> bool:
    """Whether the same receiver's velocity is being refused again and again."""
    fresh = stamp - nav.latest.get(GnssVelocity, 0) < nav.parameters.gnss.outage * NANOSECONDS
    return fresh and nav.gates[GNSS_VELOCITY].state.streak >= _DOUBTFUL_STREAK


def _give_up(nav: Navigation, stamp: int) -> None:
    """Align anew where GNSS disagrees for so long that nothing else can be meant."""
    limit = nav.parameters.gate.realign_after
    gate = nav.gates[GNSS_POSITION]
    if (
        limit > 0.0
        and gate.state.streak >= nav.parameters.gate.recovery_count
        and gate.since_accepted(stamp) > limit
        and not nav.stuck
    ):
        nav.realign()


def _held_back(nav: Navigation, stamp: int) -> bool:
    hold = nav.parameters.gnss.drift_hold * NANOSECONDS
    return nav.drift_found is not None and stamp - nav.drift_found < hold


def _found_drift(nav: Navigation, f: NavigationFilter, stamp: int, innovation: Array) -> None:
    """The filter has been pulled already: position and velocity are as uncertain as that."""
    nav.drift_found = stamp
    c = f.covariance
    c[POSITION, POSITION] += np.outer(innovation, innovation)
    c[VELOCITY, VELOCITY] += np.outer(innovation, innovation) / DRIFT_MEMORY[0] ** 2


def _inflate(nav: Navigation, stamp: int) -> None:
    """Doubt in the own state grows with each second in which good-looking fixes are refused."""
    assert nav.filter is not None  # noqa: S101
    if nav.inflated is not None:
        factor = nav.parameters.gate.inflation ** ((stamp - nav.inflated) / NANOSECONDS)
        root = math.sqrt(min(factor, nav.parameters.gate.inflation))
        scale = np.ones(SIZE)
        scale[:6] = root
        nav.filter.covariance = nav.filter.covariance * np.outer(scale, scale)
    nav.inflated = stamp


def take_velocity(nav: Navigation, stamp: int, gnss: GnssVelocity) -> None:
    """Judge and fuse a velocity."""
    f, frame = nav.filter, nav.frame
    if f is None or frame is None:
        nav.alignment.add_velocity(stamp, gnss.velocity, gnss.covariance)
        return
    if not nav.advance(stamp):
        return
    g, gate = nav.parameters.gnss, nav.gates[GNSS_VELOCITY]
    if nav.stuck or _held_back(nav, stamp):
        gate.refuse()
        return
    w, c = f.rate, f.matrix()
    swing = np.cross(w, g.lever_arm)
    turn = frame.axes_at(*f.position)
    measured = turn @ gnss.velocity
    innovation = measured - np.array(f.velocity) - c @ swing
    acceleration = np.array(f.acceleration)
    r = floored(turn @ gnss.covariance @ turn.T, g.velocity_floor)
    r += g.time_sigma**2 * np.outer(acceleration, acceleration)
    h = np.zeros((3, SIZE))
    h[:, VELOCITY] = np.eye(3)
    if any(g.lever_arm):
        h[:, ATTITUDE] = -skew((c @ swing).tolist())
        h[:, GYRO_BIAS] = c @ skew(g.lever_arm)
    gain, s = f.innovation_covariance(h, r)
    growth = f.covariance[ATTITUDE, ATTITUDE] * 96.0 + f.covariance[ACCEL_BIAS, ACCEL_BIAS]
    # Velocity is not believed while the fixes of the same receiver are not
    distrust = nav.drift_found is not None
    position = nav.gates[GNSS_POSITION]
    lost = position.since_accepted(stamp) > g.outage and position.state.accepted > 0
    verdict = gate.judge(stamp, innovation, s, r, growth, distrust=distrust or lost)
    if verdict is Verdict.ACCEPT:
        f.update(h, r, innovation, gain, s)
    elif verdict is Verdict.RESET:
        f.velocity = tuple((measured - c @ swing).tolist())
        f.set_block(VELOCITY, 4.0 * r)
    elif verdict is Verdict.REJECT:
        _inflate(nav, stamp)


def floored(covariance: Array, sigma: float) -> Array:
    """Covariance with at least ``sigma`` squared on its diagonal."""
    short = np.maximum(sigma * sigma - np.diagonal(covariance), 0.0)
    return np.asarray(covariance + np.diag(short))
