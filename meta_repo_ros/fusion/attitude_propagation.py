# SPDX-License-Identifier: Apache-2.0
"""Strapdown, covariance, gravity and rest: the part of the attitude filter that the IMU drives.

Error state, 12: small rotation about east, north, up (``q_true = exp(error) * q``), gyro bias,
horizontal velocity, deviation of the magnetic field from north, accelerometer bias. The rotation
error is taken in the earth frame, so heading is one element of it and an update of heading leaves
roll and pitch alone.

Gravity: the specific force is turned to the earth frame and integrated to a velocity. That is
measured (GNSS), or else known to return to its mean (``motion.*``): the low-pass in the almost
inertial frame of VQF (Laidig, Seel, 2023) with the gain computed from covariances. In the second
case the velocity error is not coupled to heading: a bounded velocity does not tell of it, and the
linearised filter would otherwise think so.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.fusion.attitude_field import FieldReference
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_state import (
    BIAS,
    DEVIATION,
    FORCE_BIAS,
    HEADING,
    NO_SUMS,
    ROTATION,
    SIZE,
    TILT_X,
    TILT_Y,
    VELOCITY,
    ImuSample,
    PositionSample,
    RestDetector,
    State,
)

Array = NDArray[np.float64]

EARTH_RATE = 7.292115e-5  # rad/s, WGS84
UNKNOWN_HEADING = math.pi**2
EYE = np.eye(SIZE)
ALL = np.ones((SIZE, 1))
DIAGONAL = np.arange(SIZE)


def rows_of(part: slice) -> Array:
    """Measurement matrix that takes a part of the error state as it is."""
    return EYE[part]


VELOCITY_ROWS, BIAS_ROWS, ROTATION_ROWS = map(rows_of, (VELOCITY, BIAS, ROTATION))


class Propagation:
    """State, and how the IMU changes it.

    Args:
        parameters: all tuning.
    """

    def __init__(self, parameters: AttitudeParameters) -> None:
        self.parameters = parameters
        self.state = State(RestDetector(parameters.rest), FieldReference(parameters.magnetometer))

    def heading_update(self, dt: float, *, resting: bool) -> None:
        """Use the magnetic field collected in the last ``dt`` seconds."""
        raise NotImplementedError

    def place(self, stamp: int, sample: PositionSample) -> None:
        """Take the vehicle's position."""
        raise NotImplementedError

    # -- IMU ---------------------------------------------------------------------------------------
    def imu(self, stamp: int, sample: ImuSample) -> None:
        """Strapdown by one sample; every ``timing.update_interval`` the covariance and the rest."""
        s = self.state
        if not s.aligned:
            self._align(stamp, sample)
            return
        if stamp <= s.stamp:
            s.counts['imu'].rejected += 1
            return
        dt = (stamp - s.stamp) * 1e-9
        if dt > self.parameters.timing.gap:
            self._gap(stamp, dt, sample)
            return
        s.counts['imu'].accepted += 1
        bx, by, bz = s.bias
        gx, gy, gz = sample.rate
        # a rate sample is the mean over the interval that it ends
        s.rate = wx, wy, wz = (gx - bx, gy - by, gz - bz)
        s.orientation = q = rot.multiply(s.orientation, rot.exp((wx * dt, wy * dt, wz * dt)))
        w, x, y, z = q
        m00, m01, m02 = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)
        m10, m11, m12 = 2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)
        m20, m21, m22 = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)
        ax, ay, az = s.force = sample.force
        cx, cy, cz = s.force_bias
        ax, ay, az = ax - cx, ay - cy, az - cz
        ex = m00 * ax + m01 * ay + m02 * az
        ey = m10 * ax + m11 * ay + m12 * az
        ez = m20 * ax + m21 * ay + m22 * az
        up = ez - self.parameters.gravity
        i = s.sums
        s.sums = (
            i[0] + m00 * dt, i[1] + m01 * dt, i[2] + m02 * dt,
            i[3] + m10 * dt, i[4] + m11 * dt, i[5] + m12 * dt,
            i[6] + m20 * dt, i[7] + m21 * dt, i[8] + m22 * dt,
            i[9] + ex * dt, i[10] + ey * dt, i[11] + ez * dt,
            i[12] + (wx * wx + wy * wy + wz * wz) * dt,
            i[13] + (ex * ex + ey * ey + up * up) * dt,
        )  # fmt: skip
        # variances of samples become densities with the interval that they stand for
        s.rate_variance = None if sample.rate_variance is None else sample.rate_variance * dt
        s.force_variance = None if sample.force_variance is None else sample.force_variance * dt
        s.rest.add(dt, sample.rate, sample.force)
        s.stamp = stamp
        if (stamp - s.updated) * 1e-9 >= self.parameters.timing.update_interval - 1e-6:
            self.update()

    def _align(self, stamp: int, sample: ImuSample) -> None:
        s, p = self.state, self.parameters
        if sum(f * f for f in sample.force) < 1.0:
            # free fall: nothing says where down is
            s.counts['imu'].rejected += 1
            return
        s.counts['imu'].accepted += 1
        s.stamp = s.updated = stamp
        s.rest.add(0.0, sample.rate, sample.force)
        s.rate, s.force = sample.rate, sample.force
        variance = np.zeros(SIZE)
        variance[BIAS] = p.gyroscope.bias_sigma**2
        variance[VELOCITY] = p.motion.velocity_sigma**2
        variance[DEVIATION] = p.magnetometer.disturbance_sigma**2
        variance[FORCE_BIAS] = p.accelerometer.bias_sigma**2
        s.covariance = np.diag(variance)
        self._level(sample.force)
        self._forget_heading()
        s.aligned = True
        if s.position is not None:
            self.place(stamp, s.position)  # from the parameters

    def _level(self, force: Vector) -> None:
        """Take the tilt from the specific force, the more doubtful the less it is gravity."""
        s, g = self.state, self.parameters.gravity
        s.orientation = rot.normalize(
            rot.multiply(
                rot.between(rot.rotate(s.orientation, force), (0.0, 0.0, 1.0)), s.orientation
            )
        )
        sigma = min(max(0.17, 2.0 * abs(math.hypot(*force) - g) / g), 1.0)
        self.set_variance((TILT_X, TILT_Y), sigma * sigma)

    def set_variance(self, elements: tuple[int, ...], variance: float) -> None:
        """Give elements of the error state a new variance and no correlation."""
        covariance = self.state.covariance.copy()
        for i in elements:
            covariance[i, :] = covariance[:, i] = 0.0
            covariance[i, i] = variance
        self.state.covariance = covariance

    def _forget_heading(self) -> None:
        self.state.heading_known = False
        self.set_variance((HEADING,), UNKNOWN_HEADING)

    def _gap(self, stamp: int, dt: float, sample: ImuSample) -> None:
        """Bridge a gap with the mean of the rates at its ends; level again after a long one."""
        s, p = self.state, self.parameters
        self.update()
        s.gaps += 1
        s.counts['imu'].accepted += 1
        bx, by, bz = s.bias
        rate = (sample.rate[0] - bx, sample.rate[1] - by, sample.rate[2] - bz)
        half = 0.5 * dt
        mean = [half * (a + b) for a, b in zip(s.rate, rate, strict=True)]
        s.orientation = rot.normalize(rot.multiply(s.orientation, rot.exp(mean)))
        s.rate, s.force = rate, sample.force
        s.rest.restart()
        s.velocity, s.aided = s.mean_velocity, False
        self.set_variance((6, 7), p.motion.velocity_sigma**2)
        covariance = s.covariance.copy()
        covariance[DIAGONAL[:3], DIAGONAL[:3]] += (p.timing.gap_rate_sigma * dt) ** 2
        covariance[DIAGONAL[3:6], DIAGONAL[3:6]] += p.gyroscope.bias_walk**2 * dt
        s.covariance = covariance
        s.stamp = s.updated = stamp
        if dt > p.timing.gap_limit:
            self._level(sample.force)
            if covariance[HEADING, HEADING] > 1.0:
                self._forget_heading()

    # -- covariance, gravity, rest, heading: every timing.update_interval --------------------------
    def update(self) -> None:
        """Bring covariance, velocity and heading up to the last IMU sample."""
        s, p = self.state, self.parameters
        dt = (s.stamp - s.updated) * 1e-9
        if dt <= 0.0:
            return
        self._predict(dt)
        resting = self._rest(dt)
        if s.aided and (s.stamp - s.last_velocity) * 1e-9 > p.velocity.timeout:
            s.aided = False
        if not s.aided:
            self._bound_velocity(dt, resting=resting)
        if s.field.count:
            self.heading_update(dt, resting=resting)
        s.orientation = rot.normalize(s.orientation)
        s.sums = NO_SUMS
        s.updated = s.stamp

    def _bound_velocity(self, dt: float, *, resting: bool) -> None:
        """Without a measured velocity: it is near zero, or near the last one measured."""
        s, m = self.state, self.parameters.motion
        (x, y), (mean_x, mean_y) = s.velocity, s.mean_velocity
        if resting:
            variance = self.parameters.rest.velocity_sigma**2 * 0.1
        else:
            spread = m.velocity_sigma**2 + m.acceleration_time**2 * s.spread
            # variance v and correlation time t make the density 2 v t at low frequency
            variance = 2.0 * spread * m.velocity_time
            # what moved fast when last seen may have turned since
            turned = mean_x * mean_x + mean_y * mean_y
            variance += 2.0 * turned * self.parameters.velocity.outage_time
        z = np.array((mean_x - x, mean_y - y))
        self.correct(VELOCITY_ROWS, z, EYE[:2, :2] * (variance / dt), ALL)

    def _predict(self, dt: float) -> None:
        s, p = self.state, self.parameters
        i = s.sums
        phi = EYE.copy()
        phi[0:3, BIAS] = ((-i[0], -i[1], -i[2]), (-i[3], -i[4], -i[5]), (-i[6], -i[7], -i[8]))
        phi[6, TILT_Y] = i[11]
        phi[7, TILT_X] = -i[11]
        phi[6:8, FORCE_BIAS] = phi[0:2, BIAS]
        if s.aided:
            phi[6, HEADING], phi[7, HEADING] = -i[10], i[9]
        # a deviation belongs to a place: it stays while the sensor rests
        decay = 1.0 if s.rest.resting else math.exp(-dt / p.magnetometer.disturbance_time)
        phi[DEVIATION, DEVIATION] = decay
        gyro, acc = p.gyroscope, p.accelerometer
        rate = gyro.noise_density**2 if s.rate_variance is None else s.rate_variance
        force = acc.noise_density**2 if s.force_variance is None else s.force_variance
        turn = rate * dt + gyro.rate_noise**2 * i[12]
        walk, drag = gyro.bias_walk**2 * dt, acc.bias_walk**2 * dt
        push = force * dt + acc.acceleration_noise**2 * i[13]
        field = p.magnetometer.disturbance_sigma**2
        field += p.magnetometer.disturbance_gain * s.field.variance
        drift = (1.0 - decay * decay) * field
        covariance = phi @ s.covariance @ phi.T
        diagonal = covariance.reshape(-1)[:: SIZE + 1]  # a view
        diagonal += (
            turn, turn, turn, walk, walk, walk, push, push, drift, drag, drag, drag,
        )  # fmt: skip
        s.covariance = covariance
        x, y = s.velocity
        s.velocity = (x + i[9], y + i[10])
        s.deviation *= decay
        k = dt / (p.motion.acceleration_memory + dt)
        s.spread += k * (i[13] / dt - s.spread)
        if s.position is not None:
            east, north, up = self._earth_rate()
            turned = rot.exp((-east * dt, -north * dt, -up * dt))
            s.orientation = rot.multiply(turned, s.orientation)

    def _earth_rate(self) -> Vector:
        position = self.state.position
        if position is None:
            return (0.0, 0.0, 0.0)
        latitude = math.radians(position.latitude)
        return (0.0, EARTH_RATE * math.cos(latitude), EARTH_RATE * math.sin(latitude))

    def _rest(self, dt: float) -> bool:
        """Measure the bias at rest; False while moving."""
        s, p = self.state, self.parameters.rest
        if not s.rest.resting or s.rest.rate is None:
            return False
        if math.hypot(*s.mean_velocity) > p.speed_limit:
            s.rest.restart()
            return False
        earth = rot.rotate(rot.conjugate(s.orientation), self._earth_rate())
        z = np.array(
            [r - e - b for r, e, b in zip(s.rest.rate, earth, s.bias, strict=True)], dtype=float
        )
        known = np.sqrt(s.covariance[DIAGONAL[3:6], DIAGONAL[3:6]] + p.rate_sigma**2)
        if (np.abs(z) > 5.0 * known + 3e-3).any():
            # a slow steady turn looks like rest, except that the bias is known better than that
            s.rest.restart()
            return False
        self.correct(BIAS_ROWS, z, EYE[:3, :3] * (p.rate_sigma**2 / dt), ALL)
        return True

    def correct(self, rows: Array, z: Array, noise: Array, mask: Array) -> float:
        """Update with the innovation ``z``; returns its normalised square.

        Joseph form: holds for any gain, so also for the masked one.
        """
        s = self.state
        covariance = s.covariance
        cross = covariance @ rows.T
        expected = rows @ cross + noise
        inverse = 1.0 / expected if expected.size == 1 else np.linalg.inv(expected)
        gain = (cross @ inverse) * mask
        left = EYE - gain @ rows
        covariance = left @ covariance @ left.T + gain @ noise @ gain.T
        s.covariance = 0.5 * (covariance + covariance.T)
        a, b, c, bx, by, bz, vx, vy, d, fx, fy, fz = (gain @ z).tolist()
        s.orientation = rot.multiply(rot.exp((a, b, c)), s.orientation)
        s.bias = (s.bias[0] + bx, s.bias[1] + by, s.bias[2] + bz)
        x, y = s.velocity
        if not s.aided:
            # this velocity came about in the frame of the old heading: it turns along
            x, y = x - c * y, y + c * x
        s.velocity = (x + vx, y + vy)
        s.deviation += d
        s.force_bias = (s.force_bias[0] + fx, s.force_bias[1] + fy, s.force_bias[2] + fz)
        return float(z @ inverse @ z)

    def ahead(self, stamp: int) -> Quaternion:
        """Orientation at ``stamp``, not before the last IMU sample, with the rate held."""
        s = self.state
        dt = (stamp - s.stamp) * 1e-9
        if dt <= 0.0:
            return s.orientation
        x, y, z = s.rate
        return rot.multiply(s.orientation, rot.exp((x * dt, y * dt, z * dt)))
