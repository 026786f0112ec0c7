# SPDX-License-Identifier: Apache-2.0
"""Navigation as a function of a sequence of measurements: alignment, filter, gates, status.

:class:`Navigation` is the model that a :class:`~meta_repo_ros.fusion.window.ReplayWindow` drives:
all that a measurement changes is in its snapshots.
"""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.earth import itrs_to_enu
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.rotations import (
    Quaternion,
    conjugate,
    from_matrix,
    log,
    multiply,
    rotate,
    skew,
    to_matrix,
)
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.alignment import Aligned, Alignment
from meta_repo_ros.fusion.attitude_field import world_field
from meta_repo_ros.fusion.constraints import CarConstraints
from meta_repo_ros.fusion.gates import DriftMonitor, Gate, GateLimits, StuckMonitor, Verdict
from meta_repo_ros.fusion.measurements import (
    CelestialPosition,
    Fix,
    GnssVelocity,
    Imu,
    MagneticField,
    PressureHeight,
    StarAttitude,
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
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Array = NDArray[np.float64]

# Unknown acceleration and rotation of a vehicle nobody measures, for gaps of the inertial sensor
_GAP_ACCELERATION = 5.0  # m/s2
_GAP_RATE = 0.3  # rad/s
_DRIFT_MEMORY = (5.0, 20.0, 60.0)  # s
_VELOCITY_NAME, _POSITION_NAME = 'gnss_velocity', 'gnss_position'
_DOUBTFUL_STREAK = 5


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
            _POSITION_NAME: Gate(3, limits(gnss.reacquire_count, gnss.outage)),
            _VELOCITY_NAME: Gate(3, limits(gnss.reacquire_count, gnss.outage)),
            'barometer': Gate(1, limits(3, math.inf)),
            'star_attitude': Gate(3, limits(2, math.inf)),
            'celestial_position': Gate(3, limits(2, math.inf)),
            'magnetic_heading': Gate(1, limits(3, math.inf)),
        }
        self.drift = DriftMonitor(_DRIFT_MEMORY, gnss.correlation_time, gnss.drift_false_alarm)
        self._stuck_monitor = StuckMonitor(gnss.stuck_distance)
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
        self._latest: dict[type, int] = {}
        self._due: dict[str, int] = {}
        self._inflated: int | None = None
        self._declination = 0.0
        self._ecef_to_enu: Quaternion = (1.0, 0.0, 0.0, 0.0)
        self._handlers: dict[type, Any] = {
            Imu: self._take_imu,
            Fix: self._take_fix,
            GnssVelocity: self._take_velocity,
            PressureHeight: self._take_height,
            StarAttitude: self._take_star,
            CelestialPosition: self._take_celestial,
            MagneticField: self._take_field,
        }

    @property
    def time(self) -> int:
        """Time of the state, ns."""
        return self._time

    @property
    def status(self) -> Status:
        """What the estimate rests on now."""
        if self.filter is None:
            return Status.ALIGNING
        aids = (_POSITION_NAME, 'celestial_position')
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
        self.parameters = self.alignment.parameters = parameters
        for name, gate in self.gates.items():
            gate.configure(fresh.gates[name].limits)
        self.drift.configure(fresh.drift)
        self._stuck_monitor.distance = parameters.gnss.stuck_distance
        if self.constraints is not None:
            self.constraints.configure(parameters.vehicle)
        if self.filter is not None:
            self.filter.noise = self._noise()
            self.filter.covariance_interval = parameters.covariance_interval

    # -- the window's model ------------------------------------------------------------------------
    def apply(self, stamp: int, measurement: Any) -> None:
        """Take one measurement with its time of validity, ns; stamps never fall."""
        kind = type(measurement)
        if self._latest.get(kind) == stamp:
            self.duplicates += 1
            return
        self._latest[kind] = stamp
        self._handlers[kind](stamp, measurement)

    def snapshot(self) -> Any:
        """The whole state."""
        return (
            self.frame,
            self.filter,
            None if self.filter is None else self.filter.snapshot(),
            tuple(gate.snapshot() for gate in self.gates.values()),
            self.drift.snapshot(),
            self._stuck_monitor.snapshot(),
            self.alignment.snapshot() if self.filter is None else None,
            None if self.constraints is None else self.constraints.snapshot(),
            (
                self.heading_source, self.alignments, self.gaps, self.duplicates, self.drift_found,
                self.stuck, self.last_jump, self._time, self._imu_stamp, self._imu,
                self._inflated, self._declination, self._ecef_to_enu,
            ),
            dict(self._latest),
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
        self._stuck_monitor.restore(stuck)
        if alignment is None:
            self.alignment.clear()
        else:
            self.alignment.restore(alignment)
        if self.constraints is not None:
            self.constraints.restore(car)
        (
            self.heading_source, self.alignments, self.gaps, self.duplicates, self.drift_found,
            self.stuck, self.last_jump, self._time, self._imu_stamp, self._imu,
            self._inflated, self._declination, self._ecef_to_enu,
        ) = rest  # fmt: skip
        self._latest = dict(last)
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
        self._inflated = None
        if self.constraints is not None:
            self.constraints.clear()

    def _noise(self) -> ProcessNoise:
        i = self.parameters.imu
        return ProcessNoise(
            i.gyro_noise, i.accel_noise, i.gyro_bias_walk, i.accel_bias_walk,
            self.parameters.barometer.bias_walk, i.gyro_scale_sigma, i.accel_scale_sigma,
        )  # fmt: skip

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
        c[POSITION, POSITION] = _floored(fix.covariance, g.position_floor)
        c[VELOCITY, VELOCITY] = _floored(aligned.velocity_covariance, g.velocity_floor)
        c[GYRO_BIAS, GYRO_BIAS] = np.eye(3) * i.gyro_bias_sigma**2
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
        for name in (_POSITION_NAME, _VELOCITY_NAME):
            self.gates[name].open(stamp)

    # -- GNSS --------------------------------------------------------------------------------------
    def _take_fix(self, stamp: int, fix: Fix) -> None:
        if self.frame is None:
            self.frame = LocalFrame(fix.latitude, fix.longitude, fix.altitude)
            self._ecef_to_enu = from_matrix(itrs_to_enu(fix.latitude, fix.longitude))
            self._declination = world_field(
                fix.latitude, fix.longitude, fix.altitude, stamp
            ).declination
        f = self.filter
        if f is None:
            aligned = self.alignment.solve(stamp, self.frame, self._ecef_to_enu, self._declination)
            if aligned is not None:
                self.start(stamp, fix, aligned)
            return
        if not self.advance(stamp):
            return
        g, gate = self.parameters.gnss, self.gates[_POSITION_NAME]
        measured = self.frame.to_enu(fix.latitude, fix.longitude, fix.altitude)
        arm = rotate(f.attitude, g.lever_arm)
        innovation = np.array(measured) - np.array(f.position) - arm
        velocity = np.array(f.velocity)
        r = _floored(fix.covariance, g.position_floor)
        r += g.time_sigma**2 * np.outer(velocity, velocity)
        h = np.zeros((3, SIZE))
        h[:, POSITION] = np.eye(3)
        h[:, ATTITUDE] = -skew(arm)
        gain, s = f.innovation_covariance(h, r)
        growth = f.covariance[VELOCITY, VELOCITY]
        speed = float(np.linalg.norm(velocity)) - 3.0 * math.sqrt(float(np.trace(growth)))
        self.stuck = self._stuck_monitor.add(
            stamp, (fix.latitude, fix.longitude, fix.altitude), max(speed, 0.0)
        )
        # A receiver whose velocity is refused again and again is not believed in position either
        doubtful = self.gates[_VELOCITY_NAME].state.streak >= _DOUBTFUL_STREAK
        if self.stuck or doubtful or self._held_back(stamp):
            gate.refuse()
            return
        verdict = gate.judge(stamp, innovation, s, r, growth, distrust=self.drift_found is not None)
        if verdict is Verdict.ACCEPT:
            if self.drift_found is not None:
                self.drift_found = None
                self.drift.clear()
            elif self.drift.add(stamp, innovation, s):
                self._found_drift(stamp, innovation)
                return
            f.update(h, r, innovation, gain, s)
            self._inflated = None
        elif verdict is Verdict.RESET:
            self.last_jump = float(np.linalg.norm(innovation))
            f.position = tuple((np.array(measured) - arm).tolist())
            f.set_block(POSITION, 4.0 * r)
            self.drift_found = None
            self.drift.clear()
        elif verdict is Verdict.REJECT:
            self._inflate(stamp)

    def _held_back(self, stamp: int) -> bool:
        hold = self.parameters.gnss.drift_hold * NANOSECONDS
        return self.drift_found is not None and stamp - self.drift_found < hold

    def _found_drift(self, stamp: int, innovation: Array) -> None:
        """The filter has been pulled already: position and velocity are as uncertain as that."""
        assert self.filter is not None  # noqa: S101
        self.drift_found = stamp
        c = self.filter.covariance
        c[POSITION, POSITION] += np.outer(innovation, innovation)
        c[VELOCITY, VELOCITY] += np.outer(innovation, innovation) / _DRIFT_MEMORY[0] ** 2

    def _inflate(self, stamp: int) -> None:
        """Doubt in the own state grows with each second in which good-looking fixes are refused."""
        assert self.filter is not None  # noqa: S101
        if self._inflated is not None:
            factor = self.parameters.gate.inflation ** ((stamp - self._inflated) / NANOSECONDS)
            root = math.sqrt(min(factor, self.parameters.gate.inflation))
            scale = np.ones(SIZE)
            scale[:6] = root
            self.filter.covariance *= np.outer(scale, scale)
        self._inflated = stamp

    def _take_velocity(self, stamp: int, gnss: GnssVelocity) -> None:
        f = self.filter
        if f is None:
            self.alignment.add_velocity(stamp, gnss.velocity, gnss.covariance)
            return
        if not self.advance(stamp):
            return
        g, gate = self.parameters.gnss, self.gates[_VELOCITY_NAME]
        if self.stuck or self._held_back(stamp):
            gate.refuse()
            return
        w, c = f.rate, f.matrix()
        swing = np.cross(w, g.lever_arm)
        innovation = np.array(gnss.velocity) - np.array(f.velocity) - c @ swing
        acceleration = np.array(f.acceleration)
        r = _floored(gnss.covariance, g.velocity_floor)
        r += g.time_sigma**2 * np.outer(acceleration, acceleration)
        h = np.zeros((3, SIZE))
        h[:, VELOCITY] = np.eye(3)
        if any(g.lever_arm):
            h[:, ATTITUDE] = -skew((c @ swing).tolist())
            h[:, GYRO_BIAS] = c @ skew(g.lever_arm)
        gain, s = f.innovation_covariance(h, r)
        growth = f.covariance[ATTITUDE, ATTITUDE] * 96.0 + f.covariance[ACCEL_BIAS, ACCEL_BIAS]
        # Velocity is not believed while the fixes of the same receiver are not
        distrust = self.drift_found is not None
        position = self.gates[_POSITION_NAME]
        lost = position.since_accepted(stamp) > g.outage and position.state.accepted > 0
        verdict = gate.judge(stamp, innovation, s, r, growth, distrust=distrust or lost)
        if verdict is Verdict.ACCEPT:
            f.update(h, r, innovation, gain, s)
        elif verdict is Verdict.RESET:
            f.velocity = tuple((np.array(gnss.velocity) - c @ swing).tolist())
            f.set_block(VELOCITY, 4.0 * r)
        elif verdict is Verdict.REJECT:
            self._inflate(stamp)

    # -- other sensors -----------------------------------------------------------------------------
    def _is_due(self, name: str, stamp: int, period: float) -> bool:
        if stamp < self._due.get(name, 0):
            return False
        self._due[name] = stamp + round(period * NANOSECONDS)
        return True

    def _judge(self, name: str, stamp: int, innovation: Array, h: Array, r: Array) -> Verdict:
        """Gate and update of a sensor whose innovation grows with nothing but its noise."""
        f = self.filter
        assert f is not None  # noqa: S101
        gain, s = f.innovation_covariance(h, r)
        growth = r * 0.0
        verdict = self.gates[name].judge(stamp, innovation, s, r, growth, distrust=False)
        if verdict is Verdict.ACCEPT:
            f.update(h, r, innovation, gain, s)
        return verdict

    def _take_height(self, stamp: int, pressure: PressureHeight) -> None:
        f, frame = self.filter, self.frame
        period = self.parameters.barometer.period
        if f is None or frame is None or not self._is_due('barometer', stamp, period):
            return
        if not self.advance(stamp):
            return
        east, north, _ = f.position
        predicted = frame.height(*f.position) + f.baro_bias
        h = np.zeros((1, SIZE))
        h[0, :3] = east / frame.radius, north / frame.radius, 1.0
        h[0, BARO_BIAS] = 1.0
        r = np.array([[max(pressure.sigma, self.parameters.barometer.sigma) ** 2]])
        innovation = np.array([pressure.height - predicted])
        if self._judge('barometer', stamp, innovation, h, r) is Verdict.RESET:
            f.baro_bias += float(innovation[0])
            f.covariance[BARO_BIAS] = f.covariance[:, BARO_BIAS] = 0.0
            f.covariance[BARO_BIAS, BARO_BIAS] = self.parameters.barometer.bias_sigma**2

    def _take_star(self, stamp: int, star: StarAttitude) -> None:
        f = self.filter
        if f is None:
            self.alignment.add_star(star.attitude, star.covariance)
            return
        if not self.advance(stamp):
            return
        measured = multiply(self._ecef_to_enu, star.attitude)
        innovation = np.array(log(multiply(measured, conjugate(f.attitude))))
        turn = to_matrix(measured)
        r = turn @ star.covariance @ turn.T
        h = np.zeros((3, SIZE))
        h[:, ATTITUDE] = np.eye(3)
        if self._judge('star_attitude', stamp, innovation, h, r) is Verdict.RESET:
            f.attitude = measured
            f.set_block(ATTITUDE, 4.0 * r)

    def _take_celestial(self, stamp: int, fix: CelestialPosition) -> None:
        f, frame = self.filter, self.frame
        if f is None or frame is None or not self.advance(stamp):
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
        self._judge('celestial_position', stamp, innovation, h, r)

    def _take_field(self, stamp: int, field: MagneticField) -> None:
        f = self.filter
        if f is None:
            self.alignment.add_magnetic(field.field)
            return
        heading = self.parameters.heading
        if heading.use != 'always' or not self._is_due('heading', stamp, heading.period):
            return
        if not self.advance(stamp):
            return
        x, y, z = rotate(f.attitude, field.field)
        level = math.hypot(x, y)
        if level < 0.1 * abs(z):
            return  # near the magnetic pole there is no heading in it
        off = math.pi / 2.0 - self._declination - math.atan2(y, x)
        innovation = np.array([math.remainder(off, 2.0 * math.pi)])
        h = np.zeros((1, SIZE))
        # tilt turns the vertical field into the horizontal plane
        h[0, 6:9] = -x * z / (level * level), -y * z / (level * level), 1.0
        r = np.array([[self.parameters.heading.sigma**2]])
        if self._judge('magnetic_heading', stamp, innovation, h, r) is Verdict.RESET:
            f.attitude = multiply(
                (math.cos(0.5 * innovation[0]), 0.0, 0.0, math.sin(0.5 * innovation[0])),
                f.attitude,
            )
            f.set_block(slice(8, 9), 4.0 * r)


def _floored(covariance: Array, sigma: float) -> Array:
    """Covariance with at least ``sigma`` squared on its diagonal."""
    short = np.maximum(sigma * sigma - np.diagonal(covariance), 0.0)
    return np.asarray(covariance + np.diag(short))
