# SPDX-License-Identifier: Apache-2.0
"""Navigation as a function of a sequence of measurements: alignment, filter, gates, status.

:class:`Navigation` is the model that a :class:`~meta_repo_ros.core.window.ReplayWindow` drives:
all that a measurement changes is in its snapshots.
"""

from __future__ import annotations

import enum
import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.earth import itrs_to_enu
from meta_repo_ros.core.gates import Gate, GateLimits, Verdict
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.rotations import (
    Quaternion,
    from_matrix,
    rotate,
)
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.alignment import Aligned, Alignment
from meta_repo_ros.fusion.attitude_field import world_field
from meta_repo_ros.fusion.constraints import CarConstraints
from meta_repo_ros.fusion.gates import DriftMonitor, StuckMonitor
from meta_repo_ros.fusion.measurements import (
    CelestialPosition,
    Fix,
    GnssVelocity,
    Imu,
    MagneticField,
    PressureHeight,
    StarAttitude,
)
from meta_repo_ros.fusion.navigation_aiding import (
    take_celestial,
    take_field,
    take_height,
    take_star,
)
from meta_repo_ros.fusion.navigation_filter import (
    ACCEL_BIAS,
    ATTITUDE,
    BARO_BIAS,
    GYRO_BIAS,
    POSITION,
    SIZE,
    VELOCITY,
    NavigationFilter,
    ProcessNoise,
)
from meta_repo_ros.fusion.navigation_gnss import (
    DRIFT_MEMORY,
    GNSS_POSITION,
    GNSS_VELOCITY,
    floored,
    take_fix,
    take_velocity,
)
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Array = NDArray[np.float64]

# Unknown acceleration and rotation of a vehicle nobody measures, for gaps of the inertial sensor
_GAP_ACCELERATION = 5.0  # m/s2
_GAP_RATE = 0.3  # rad/s


class Status(enum.Enum):
    """What the estimate rests on."""

    ALIGNING = 'aligning'
    AIDED = 'aided'
    DEAD_RECKONING = 'dead reckoning'


class Navigation:
    """Alignment, then the filter with its gates.

    Args:
        parameters: of the node.

    Attributes:
        frame: local frame about the first fix, None before it.
        filter: None while aligning.
        gates: by sensor name.
        heading_source: of the last alignment.
        alignments: how often the filter was aligned.
        gaps: inertial gaps bridged, and those that forced a new alignment.
        duplicates: measurements of a sensor with the stamp of the one before.
        drift_found: ns of the last slow drift found, None for none or after trust came back.
        stuck: whether the receiver repeats one fix while the vehicle moves.
    """

    def __init__(self, parameters: NavigationParameters) -> None:
        self.parameters = parameters
        gate, gnss = parameters.gate, parameters.gnss

        def limits(count: int, outage: float) -> GateLimits:
            return GateLimits(
                gate.probability, outage, count, gate.reacquire_probability, gate.recovery_after,
                gate.recovery_count,
            )  # fmt: skip

        self.gates = {
            GNSS_POSITION: Gate(3, limits(gnss.reacquire_count, gnss.outage)),
            GNSS_VELOCITY: Gate(3, limits(gnss.reacquire_count, gnss.outage)),
            'barometer': Gate(1, limits(3, math.inf)),
            'star_attitude': Gate(3, limits(2, math.inf)),
            'celestial_position': Gate(3, limits(2, math.inf)),
            'magnetic_heading': Gate(1, limits(3, math.inf)),
        }
        self.drift = DriftMonitor(DRIFT_MEMORY, gnss.correlation_time, gnss.drift_false_alarm)
        self.stuck_monitor = StuckMonitor(gnss.stuck_distance)
        self.alignment = Alignment(parameters)
        self.constraints = (
            CarConstraints(parameters.vehicle) if parameters.vehicle.constraints == 'car' else None
        )
        self.frame: LocalFrame | None = None
        self.filter: NavigationFilter | None = None
        self.heading_source = ''
        self.alignments = self.gaps = self.duplicates = 0
        self.drift_found: int | None = None
        self.stuck = False
        self.last_jump = 0.0  # m, size of the last reset of the position
        self._time = 0  # ns, of the filter's state
        self._imu_stamp: int | None = None
        self._imu = Imu((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        self.latest: dict[type, int] = {}
        self._due: dict[str, int] = {}
        self.inflated: int | None = None
        self.declination = 0.0
        self.ecef_to_enu: Quaternion = (1.0, 0.0, 0.0, 0.0)
        self._handlers: dict[type, Any] = {
            Imu: self._take_imu,
            Fix: partial(take_fix, self),
            GnssVelocity: partial(take_velocity, self),
            PressureHeight: partial(take_height, self),
            StarAttitude: partial(take_star, self),
            CelestialPosition: partial(take_celestial, self),
            MagneticField: partial(take_field, self),
        }

    @property
    def time(self) -> int:
        """Time of the state, ns."""
        return self._time

    @property
    def running(self) -> NavigationFilter:
        """The filter, where it is known to run."""
        if self.filter is None:
            raise RuntimeError('the filter is not aligned')
        return self.filter

    @property
    def status(self) -> Status:
        """What the estimate rests on now."""
        if self.filter is None:
            return Status.ALIGNING
        aids = (GNSS_POSITION, 'celestial_position')
        since = min(self.gates[name].since_accepted(self._time) for name in aids)
        return Status.AIDED if since <= self.parameters.gnss.outage else Status.DEAD_RECKONING

    @property
    def missing(self) -> str:
        """What the alignment waits for."""
        if self._imu_stamp is None:
            return 'inertial data'
        return 'a GNSS fix' if self.frame is None else self.alignment.missing

    def usable_seconds(self) -> float:
        """How long dead reckoning stays below ``usable_sigma`` from now, s; at most one hour."""
        limit = self.parameters.usable_sigma
        if self.filter is None or self.filter.horizontal_sigma_after(0.0) >= limit:
            return 0.0
        low, high = 0.0, 3600.0
        if self.filter.horizontal_sigma_after(high) < limit:
            return high
        while high - low > 0.5:
            middle = 0.5 * (low + high)
            if self.filter.horizontal_sigma_after(middle) < limit:
                low = middle
            else:
                high = middle
        return low

    def configure(self, parameters: NavigationParameters) -> None:
        """Take changed parameters; the state stays."""
        fresh = Navigation(parameters)
        self.parameters = parameters
        self.alignment.configure(parameters)
        for name, gate in self.gates.items():
            gate.configure(fresh.gates[name].limits)
        self.drift.configure(fresh.drift)
        self.stuck_monitor.distance = parameters.gnss.stuck_distance
        if self.constraints is not None:
            self.constraints.configure(parameters.vehicle)
        if self.filter is not None:
            self.filter.noise = self._noise()
            self.filter.covariance_interval = parameters.covariance_interval

    # -- the window's model ------------------------------------------------------------------------
    def apply(self, stamp: int, measurement: Any) -> None:
        """Take one measurement with its time of validity, ns; stamps never fall."""
        kind = type(measurement)
        if self.latest.get(kind) == stamp:
            self.duplicates += 1
            return
        self.latest[kind] = stamp
        self._handlers[kind](stamp, measurement)

    def snapshot(self) -> Any:
        """The whole state."""
        return (
            self.frame,
            self.filter,
            None if self.filter is None else self.filter.snapshot(),
            tuple(gate.snapshot() for gate in self.gates.values()),
            self.drift.snapshot(),
            self.stuck_monitor.snapshot(),
            self.alignment.snapshot() if self.filter is None else None,
            None if self.constraints is None else self.constraints.snapshot(),
            (
                self.heading_source, self.alignments, self.gaps, self.duplicates, self.drift_found,
                self.stuck, self.last_jump, self._time, self._imu_stamp, self._imu,
                self.inflated, self.declination, self.ecef_to_enu,
            ),
            dict(self.latest),
            dict(self._due),
        )  # fmt: skip

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        (
            self.frame, self.filter, state, gates, drift, stuck, alignment, car, rest, last, due,
        ) = snapshot  # fmt: skip
        if self.filter is not None:
            self.filter.restore(state)
        for gate, saved in zip(self.gates.values(), gates, strict=True):
            gate.restore(saved)
        self.drift.restore(drift)
        self.stuck_monitor.restore(stuck)
        if alignment is None:
            self.alignment.clear()
        else:
            self.alignment.restore(alignment)
        if self.constraints is not None:
            self.constraints.restore(car)
        (
            self.heading_source, self.alignments, self.gaps, self.duplicates, self.drift_found,
            self.stuck, self.last_jump, self._time, self._imu_stamp, self._imu,
            self.inflated, self.declination, self.ecef_to_enu,
        ) = rest  # fmt: skip
        self.latest = dict(last)
        self._due = dict(due)

    # -- inertial ----------------------------------------------------------------------------------
    def _take_imu(self, stamp: int, imu: Imu) -> None:
        before, self._imu, old = self._imu_stamp, imu, self._imu
        self._imu_stamp = stamp
        if before is None:
            self._time = stamp
            return
        dt = (stamp - before) / NANOSECONDS
        limits = self.parameters.imu
        if dt > limits.max_gap:
            self.gaps += 1
            self.realign()
            self._time = stamp
            return
        if limits.interval_mean:
            rate, force = imu
        else:
            (a, b, c), (x, y, z) = old
            (d, e, f), (u, v, w) = imu
            rate = (0.5 * (a + d), 0.5 * (b + e), 0.5 * (c + f))
            force = (0.5 * (x + u), 0.5 * (y + v), 0.5 * (z + w))
        if self.filter is None:
            self.alignment.add_imu(stamp, rate, force, dt)
            self._time = stamp
            return
        if stamp > self._time:
            self.filter.integrate(rate, force, (stamp - self._time) / NANOSECONDS)
            self._time = stamp
        if dt > limits.gap_tolerance:
            self.gaps += 1
            self.filter.inflate(_GAP_ACCELERATION * dt, _GAP_RATE * dt)
        if self.constraints is not None:
            self.constraints.apply(stamp, dt, rate, force, self.filter)

    def advance(self, stamp: int) -> bool:
        """Move the state to a measurement between two samples; False where it cannot be moved."""
        assert self.filter is not None  # noqa: S101
        ahead = (stamp - self._time) / NANOSECONDS
        if ahead > self.parameters.imu.gap_tolerance:
            return False
        if ahead > 0.0:
            self.filter.integrate(self._imu.rate, self._imu.force, ahead)
            self._time = stamp
        self.filter.propagate_covariance()
        return True

    def realign(self) -> None:
        """Forget the state, keep the local frame."""
        self.filter = None
        self.alignment.clear()
        self.drift.clear()
        self.drift_found = None
        self.inflated = None
        if self.constraints is not None:
            self.constraints.clear()

    def _noise(self) -> ProcessNoise:
        i = self.parameters.imu
        return ProcessNoise(
            i.gyro_noise, i.accel_noise, i.gyro_bias_walk, i.accel_bias_walk,
            self.parameters.barometer.bias_walk, i.gyro_scale_sigma, i.accel_scale_sigma,
            i.vibration_noise,
        )  # fmt: skip

    def place(self, stamp: int, fix: Fix) -> LocalFrame:
        """The local frame; the first fix is its origin."""
        if self.frame is None:
            place = (fix.latitude, fix.longitude, fix.altitude)
            self.frame = LocalFrame(*place)
            self.ecef_to_enu = from_matrix(itrs_to_enu(fix.latitude, fix.longitude))
            self.declination = world_field(*place, stamp).declination
        return self.frame

    def try_to_start(self, stamp: int, fix: Fix) -> None:
        """Begin to filter where the alignment is complete."""
        frame = self.place(stamp, fix)
        aligned = self.alignment.solve(stamp, frame, self.ecef_to_enu, self.declination)
        if aligned is not None:
            self.start(stamp, fix, aligned)

    def start(self, stamp: int, fix: Fix, aligned: Aligned) -> None:
        """Begin to filter at ``stamp`` from an alignment and a fix."""
        assert self.frame is not None  # noqa: S101
        p = self.parameters
        i, g = p.imu, p.gnss
        f = NavigationFilter(self.frame, self._noise(), p.covariance_interval)
        f.attitude, f.velocity = aligned.attitude, aligned.velocity
        arm = rotate(f.attitude, g.lever_arm)
        x, y, z = self.frame.to_enu(fix.latitude, fix.longitude, fix.altitude)
        f.position = (x - arm[0], y - arm[1], z - arm[2])
        c = np.zeros((SIZE, SIZE))
        c[POSITION, POSITION] = floored(fix.covariance, g.position_floor)
        c[VELOCITY, VELOCITY] = floored(aligned.velocity_covariance, g.velocity_floor)
        f.gyro_bias = aligned.gyro_bias
        c[GYRO_BIAS, GYRO_BIAS] = np.eye(3) * aligned.gyro_bias_sigma**2
        c[ACCEL_BIAS, ACCEL_BIAS] = np.eye(3) * i.accel_bias_sigma**2
        tilt = aligned.tilt_from_bias
        c[ATTITUDE, ACCEL_BIAS] = tilt * i.accel_bias_sigma**2
        c[ACCEL_BIAS, ATTITUDE] = c[ATTITUDE, ACCEL_BIAS].T
        c[ATTITUDE, ATTITUDE] = aligned.covariance + tilt @ tilt.T * i.accel_bias_sigma**2
        c[BARO_BIAS, BARO_BIAS] = p.barometer.bias_sigma**2
        f.covariance = c
        self.filter, self._time = f, stamp
        self.alignment.clear()
        self.heading_source = aligned.heading_source
        self.alignments += 1
        for name in (GNSS_POSITION, GNSS_VELOCITY):
            self.gates[name].open(stamp)

    # -- aiding ------------------------------------------------------------------------------------
    def is_due(self, name: str, stamp: int, period: float) -> bool:
        """Whether a sensor that is fused at most once in ``period`` s may speak again."""
        if stamp < self._due.get(name, 0):
            return False
        self._due[name] = stamp + round(period * NANOSECONDS)
        return True

    def judge(self, name: str, stamp: int, innovation: Array, h: Array, r: Array) -> Verdict:
        """Gate and update of a sensor whose innovation grows with nothing but its noise."""
        f = self.filter
        assert f is not None  # noqa: S101
        gain, s = f.innovation_covariance(h, r)
        growth = r * 0.0
        verdict = self.gates[name].judge(stamp, innovation, s, r, growth, distrust=False)
        if verdict is Verdict.ACCEPT:
            f.update(h, r, innovation, gain, s)
        return verdict
