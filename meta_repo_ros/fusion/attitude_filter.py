# SPDX-License-Identifier: Apache-2.0
"""Multiplicative error-state Kalman filter for attitude: gyros, gravity, magnetic field, stars.

Error state, 9: small rotation about east, north, up (``q_true = exp(error) * q``), gyro bias,
horizontal velocity, deviation of the field from north. The rotation error is taken in the earth
frame, so heading is one element of it and an update of heading leaves roll and pitch alone.

Gravity: the specific force is turned to the earth frame and integrated to a velocity, and velocity
is known to come back to its mean (``motion.*``). This is the low-pass in the almost-inertial frame
of VQF (Laidig, Seel, 2023) with the gain computed from covariances. The velocity error is not
coupled to heading: neither gravity nor a bounded velocity tell of it, and the linearised filter
would otherwise think so.

Magnetic field: heading only, with the deviation of the field as a first-order Gauss-Markov state.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.fusion.attitude_field import FieldReference, world_field
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_state import (
    BIAS,
    DEVIATION,
    HEADING,
    NO_SUMS,
    SIZE,
    TILT_X,
    TILT_Y,
    VELOCITY,
    AttitudeSample,
    FieldSample,
    ImuSample,
    PositionSample,
    RestDetector,
    Sample,
    StarSample,
    State,
)

Array = NDArray[np.float64]

EARTH_RATE = 7.292115e-5  # rad/s, WGS84
_UNKNOWN_HEADING = math.pi**2
_EYE = np.eye(SIZE)
_VELOCITY_ROWS = np.zeros((2, SIZE))
_VELOCITY_ROWS[:, VELOCITY] = np.eye(2)
_BIAS_ROWS = np.zeros((3, SIZE))
_BIAS_ROWS[:, BIAS] = np.eye(3)
_ROTATION_ROWS = np.zeros((3, SIZE))
_ROTATION_ROWS[:, :3] = np.eye(3)
_ALL = np.ones((SIZE, 1))
# what a magnetic heading may change: heading, bias and the deviation, not roll, pitch, velocity
_HEADING_GAIN = np.array([[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]]).T
_DIAGONAL = np.arange(SIZE)


class AttitudeFilter:
    """The filter; a :class:`~meta_repo_ros.fusion.window.Model` for the replay window.

    Args:
        parameters: all tuning.
    """

    def __init__(self, parameters: AttitudeParameters) -> None:
        self.parameters = parameters
        self.state = State(RestDetector(parameters.rest), FieldReference(parameters.magnetometer))
        self._heading_gate = chi2_quantile(0.999, 1)
        self._star_gate = chi2_quantile(parameters.stars.gate, 3)

    def retune(self, parameters: AttitudeParameters) -> None:
        """Go on from the present state with other parameters."""
        self.parameters = parameters
        self._star_gate = chi2_quantile(parameters.stars.gate, 3)
        self.state.rest.parameters = parameters.rest
        self.state.field.parameters = parameters.magnetometer

    # -- what the window drives --------------------------------------------------------------------
    def apply(self, stamp: int, measurement: Sample) -> None:
        """Take one measurement, valid at ``stamp``, ns; stamps never fall."""
        if isinstance(measurement, ImuSample):
            self._imu(stamp, measurement)
        elif isinstance(measurement, FieldSample):
            self._field(stamp, measurement)
        elif isinstance(measurement, StarSample):
            self._star(stamp, measurement)
        elif isinstance(measurement, AttitudeSample):
            self._attitude(stamp, measurement.orientation, measurement.covariance)
        else:
            self._position(stamp, measurement)

    def snapshot(self) -> State:
        """Copy of the whole state."""
        return self.state.copy()

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot."""
        self.state = snapshot.copy()

    # -- what it knows -----------------------------------------------------------------------------
    @property
    def rotation_covariance(self) -> Array:
        """Covariance (3, 3), rad2, of a small rotation about east, north, up."""
        return self.state.covariance[:3, :3]

    # -- IMU ---------------------------------------------------------------------------------------
    def _imu(self, stamp: int, sample: ImuSample) -> None:
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
            self._update()

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
        s.covariance = np.diag(variance)
        self._level(sample.force)
        self._forget_heading()
        s.aligned = True
        if s.position is not None:
            self._position(stamp, s.position)

    def _level(self, force: Vector) -> None:
        """Take the tilt from the specific force, the more doubtful the less it is gravity."""
        s, g = self.state, self.parameters.gravity
        s.orientation = rot.normalize(
            rot.multiply(
                rot.between(rot.rotate(s.orientation, force), (0.0, 0.0, 1.0)), s.orientation
            )
        )
        sigma = min(max(0.17, 2.0 * abs(math.hypot(*force) - g) / g), 1.0)
        self._set_variance((TILT_X, TILT_Y), sigma * sigma)

    def _set_variance(self, elements: tuple[int, ...], variance: float) -> None:
        covariance = self.state.covariance.copy()
        for i in elements:
            covariance[i, :] = covariance[:, i] = 0.0
            covariance[i, i] = variance
        self.state.covariance = covariance

    def _forget_heading(self) -> None:
        self.state.heading_known = False
        self._set_variance((HEADING,), _UNKNOWN_HEADING)

    def _gap(self, stamp: int, dt: float, sample: ImuSample) -> None:
        """Bridge a gap with the mean of the rates at its ends; level again after a long one."""
        s, p = self.state, self.parameters
        self._update()
        s.gaps += 1
        s.counts['imu'].accepted += 1
        bx, by, bz = s.bias
        rate = (sample.rate[0] - bx, sample.rate[1] - by, sample.rate[2] - bz)
        half = 0.5 * dt
        mean = [half * (a + b) for a, b in zip(s.rate, rate, strict=True)]
        s.orientation = rot.normalize(rot.multiply(s.orientation, rot.exp(mean)))
        s.rate, s.force = rate, sample.force
        s.rest.restart()
        s.velocity = (0.0, 0.0)
        self._set_variance(tuple(range(6, 8)), p.motion.velocity_sigma**2)
        covariance = s.covariance.copy()
        covariance[_DIAGONAL[:3], _DIAGONAL[:3]] += (p.timing.gap_rate_sigma * dt) ** 2
        covariance[_DIAGONAL[3:6], _DIAGONAL[3:6]] += p.gyroscope.bias_walk**2 * dt
        s.covariance = covariance
        s.stamp = s.updated = stamp
        if dt > p.timing.gap_limit:
            self._level(sample.force)
            if covariance[HEADING, HEADING] > 1.0:
                self._forget_heading()

    # -- covariance, gravity, rest, heading: every timing.update_interval --------------------------
    def _update(self) -> None:
        s, p = self.state, self.parameters
        dt = (s.stamp - s.updated) * 1e-9
        if dt <= 0.0:
            return
        self._predict(dt)
        resting = self._rest(dt)
        m = p.motion
        spread = m.velocity_sigma**2 + m.acceleration_time**2 * s.spread
        # a velocity of variance v and correlation time t has the density 2 v t at low frequency
        variance = p.rest.velocity_sigma**2 * 0.1 if resting else 2.0 * spread * m.velocity_time
        x, y = s.velocity
        self._correct(_VELOCITY_ROWS, np.array((-x, -y)), np.eye(2) * (variance / dt), _ALL)
        if s.field.count:
            self._heading(dt, resting=resting)
        s.orientation = rot.normalize(s.orientation)
        s.sums = NO_SUMS
        s.updated = s.stamp

    def _predict(self, dt: float) -> None:
        s, p = self.state, self.parameters
        i = s.sums
        phi = _EYE.copy()
        phi[0:3, 3:6] = ((-i[0], -i[1], -i[2]), (-i[3], -i[4], -i[5]), (-i[6], -i[7], -i[8]))
        phi[6, TILT_Y] = i[11]
        phi[7, TILT_X] = -i[11]
        # a deviation belongs to a place: it stays while the sensor rests
        decay = 1.0 if s.rest.resting else math.exp(-dt / p.magnetometer.disturbance_time)
        phi[DEVIATION, DEVIATION] = decay
        gyro, acc = p.gyroscope, p.accelerometer
        rate = gyro.noise_density**2 if s.rate_variance is None else s.rate_variance
        force = acc.noise_density**2 if s.force_variance is None else s.force_variance
        turn = rate * dt + gyro.rate_noise**2 * i[12]
        walk = gyro.bias_walk**2 * dt
        push = force * dt + acc.acceleration_noise**2 * i[13]
        field = p.magnetometer.disturbance_sigma**2
        field += p.magnetometer.disturbance_gain * s.field.variance
        drift = (1.0 - decay * decay) * field
        covariance = phi @ s.covariance @ phi.T
        covariance[_DIAGONAL, _DIAGONAL] += (
            turn, turn, turn, walk, walk, walk, push, push, drift,
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
        earth = rot.rotate(rot.conjugate(s.orientation), self._earth_rate())
        z = np.array(
            [r - e - b for r, e, b in zip(s.rest.rate, earth, s.bias, strict=True)], dtype=float
        )
        known = np.sqrt(s.covariance[_DIAGONAL[3:6], _DIAGONAL[3:6]] + p.rate_sigma**2)
        if (np.abs(z) > 5.0 * known + 3e-3).any():
            # a slow steady turn looks like rest, except that the bias is known better than that
            s.rest.restart()
            return False
        self._correct(_BIAS_ROWS, z, np.eye(3) * (p.rate_sigma**2 / dt), _ALL)
        return True

    def _correct(self, rows: Array, z: Array, noise: Array, mask: Array) -> float:
        """Update with the innovation ``z``; returns its normalised square.

        Joseph form: holds for any gain, so also for the masked one.
        """
        s = self.state
        covariance = s.covariance
        cross = covariance @ rows.T
        inverse = np.linalg.inv(rows @ cross + noise)
        gain = (cross @ inverse) * mask
        left = _EYE - gain @ rows
        covariance = left @ covariance @ left.T + gain @ noise @ gain.T
        s.covariance = 0.5 * (covariance + covariance.T)
        a, b, c, bx, by, bz, vx, vy, d = (gain @ z).tolist()
        s.orientation = rot.multiply(rot.exp((a, b, c)), s.orientation)
        s.bias = (s.bias[0] + bx, s.bias[1] + by, s.bias[2] + bz)
        s.velocity = (s.velocity[0] + vx, s.velocity[1] + vy)
        s.deviation += d
        return float(z @ inverse @ z)

    # -- magnetic field ----------------------------------------------------------------------------
    def _field(self, stamp: int, sample: FieldSample) -> None:
        s, p = self.state, self.parameters.magnetometer
        if not s.aligned or stamp <= s.last_field:
            s.counts['magnetometer'].rejected += 1
            return
        s.last_field = stamp
        variance = p.noise**2 if sample.variance is None else sample.variance
        s.field.add(rot.rotate(self._ahead(stamp), sample.field), variance)

    def _ahead(self, stamp: int) -> Quaternion:
        """Orientation at ``stamp``, not before the last IMU sample, with the rate held."""
        s = self.state
        dt = (stamp - s.stamp) * 1e-9
        if dt <= 0.0:
            return s.orientation
        x, y, z = s.rate
        return rot.multiply(s.orientation, rot.exp((x * dt, y * dt, z * dt)))

    def _heading(self, dt: float, *, resting: bool) -> None:
        s, p = self.state, self.parameters.magnetometer
        field, variance, samples = s.field.take()
        count = s.counts['magnetometer']
        since = min((s.stamp - s.judged) * 1e-9, 1.0)
        s.judged = s.stamp
        mx, my, mz = field
        h2 = mx * mx + my * my
        if not s.field.judge(since, field, variance, moving=not resting) or h2 == 0.0:
            count.rejected += samples
            return
        # west of true north: of the field as seen, and as it should be
        seen = math.atan2(-mx, my)
        z = _wrapped(-s.field.declination + s.deviation - seen)
        noise = variance / h2 + p.lag**2 * s.sums[12] / dt
        if not s.heading_known:
            self._set_heading(z, noise)
            count.take(1.0, samples)
            return
        rows = np.zeros((1, SIZE))
        rows[0, TILT_X], rows[0, TILT_Y] = -mz * mx / h2, -mz * my / h2
        rows[0, HEADING], rows[0, DEVIATION] = 1.0, -1.0
        expected = float((rows @ s.covariance @ rows.T)[0, 0]) + noise
        if z * z > self._heading_gate * expected:
            s.heading_refused += since
            if s.heading_refused < p.recovery_time:
                count.rejected += samples
                return
            covariance = s.covariance.copy()
            covariance[HEADING, HEADING] += z * z
            s.covariance = covariance
            s.resets += 1
        s.heading_refused = 0.0
        nis = self._correct(rows, np.array((z,)), np.array(((noise,),)), _HEADING_GAIN)
        count.take(nis, samples)

    def _set_heading(self, turn: float, noise: float) -> None:
        """First heading: turn by ``turn``; its error holds the whole deviation of the field."""
        s = self.state
        deviation = self.parameters.magnetometer.disturbance_sigma**2
        s.orientation = rot.multiply(rot.exp((0.0, 0.0, turn)), s.orientation)
        s.deviation = 0.0
        tilt = float(s.covariance[TILT_X, TILT_X])
        self._set_variance((DEVIATION,), deviation)
        # with the tilt still doubtful, the horizontal part of a dipping field is doubtful too
        self._set_variance((HEADING,), deviation + noise + 4.0 * tilt)
        s.covariance[HEADING, DEVIATION] = s.covariance[DEVIATION, HEADING] = deviation
        s.heading_known = True

    # -- stars -------------------------------------------------------------------------------------
    def _position(self, stamp: int, sample: PositionSample) -> None:
        s, p = self.state, self.parameters.magnetometer
        s.position = sample
        if p.enabled and p.world_model:
            before = s.field.declination
            s.field.set_world(world_field(*sample, stamp))
            if s.heading_known and not s.counts['stars'].accepted:
                turn = before - s.field.declination
                s.orientation = rot.multiply(rot.exp((0.0, 0.0, turn)), s.orientation)

    def _star(self, stamp: int, sample: StarSample) -> None:
        position = self.state.position
        if position is None:
            self.state.counts['stars'].rejected += 1
            return
        turn = icrs_to_enu(stamp, position.latitude, position.longitude)
        matrix = turn @ rot.to_matrix(sample.orientation).T
        covariance = matrix @ np.reshape(sample.covariance, (3, 3)) @ matrix.T
        self._attitude(stamp, rot.from_matrix(matrix), covariance.ravel())

    def _attitude(
        self, stamp: int, orientation: Quaternion, covariance: Array | tuple[float, ...]
    ) -> None:
        s, p = self.state, self.parameters.stars
        count = s.counts['stars']
        if not s.aligned or stamp <= s.last_fix:
            count.rejected += 1
            return
        s.last_fix = stamp
        self._update()
        error = rot.multiply(orientation, rot.conjugate(self._ahead(stamp)))
        z = np.array(rot.log(error))
        noise = np.reshape(covariance, (3, 3)) + p.noise_floor**2 * np.eye(3)
        late = (stamp - s.stamp) * 1e-9
        if late > self.parameters.timing.gap:
            noise = noise + (self.parameters.timing.gap_rate_sigma * late) ** 2 * np.eye(3)
        nis = float(z @ np.linalg.solve(s.covariance[:3, :3] + noise, z))
        wide = not s.heading_known or float(z @ z) > 0.1
        if s.heading_known and nis > self._star_gate:
            if not self._agree(error, float(np.trace(noise)) / 3.0):
                count.rejected += 1
                return
            wide = True
            s.resets += 1
        s.fixes = ()
        s.heading_known = True
        if wide:
            # too far for the linear update, or the filter was wrong: start from the stars
            s.orientation = rot.normalize(rot.multiply(error, s.orientation))
            self._set_variance((TILT_X, TILT_Y, HEADING), 0.0)
            s.covariance[:3, :3] = noise
            count.take(min(nis, self._star_gate))
            return
        count.take(self._correct(_ROTATION_ROWS, z, noise, _ALL))

    def _agree(self, error: Quaternion, variance: float) -> bool:
        """Whether enough refused attitudes in a row tell the same; wrong stars never do."""
        s = self.state
        for other, spread in s.fixes:
            if rot.angle(error, other) > max(4.0 * math.sqrt(variance + spread), 0.02):
                s.fixes = ((error, variance),)
                return False
        s.fixes = (*s.fixes, (error, variance))
        return len(s.fixes) >= self.parameters.stars.recovery_count


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi
