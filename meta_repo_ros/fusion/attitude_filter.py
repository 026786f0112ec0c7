# SPDX-License-Identifier: Apache-2.0
"""Multiplicative error-state Kalman filter for attitude: gyros, gravity, magnetic field, stars.

State and prediction are in :mod:`meta_repo_ros.fusion.attitude_propagation`; here are the sensors
other than the IMU. The magnetic field gives heading only, with its deviation from north as a
first-order Gauss-Markov state; star images give all three axes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.fusion.attitude_field import world_field
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_propagation import (
    ALL,
    ROTATION_ROWS,
    VELOCITY_ROWS,
    Propagation,
)
from meta_repo_ros.fusion.attitude_state import (
    BIAS,
    DEVIATION,
    HEADING,
    SIZE,
    TILT_X,
    TILT_Y,
    VELOCITY,
    AttitudeSample,
    FieldSample,
    ImuSample,
    PositionSample,
    Sample,
    StarSample,
    State,
    VelocitySample,
)

Array = NDArray[np.float64]

_GATE = 0.999
_EARTH_RADIUS = 6.371e6  # m
# what a magnetic heading may change: heading, gyro bias and the deviation; roll, pitch stay
_HEADING_GAIN = np.zeros((SIZE, 1))
_HEADING_GAIN[[HEADING, *range(SIZE)[BIAS], DEVIATION]] = 1.0


class AttitudeFilter(Propagation):
    """The filter; a :class:`~meta_repo_ros.core.window.Model` for the replay window.

    Args:
        parameters: all tuning.
    """

    def __init__(self, parameters: AttitudeParameters) -> None:
        super().__init__(parameters)
        self._heading_gate = chi2_quantile(_GATE, 1)
        self._velocity_gate = chi2_quantile(_GATE, 2)
        self._star_gate = chi2_quantile(parameters.stars.gate, 3)

    def retune(self, parameters: AttitudeParameters) -> None:
        """Go on from the present state with other parameters."""
        self.parameters = parameters
        self._star_gate = chi2_quantile(parameters.stars.gate, 3)
        self.state.rest.parameters = parameters.rest
        self.state.field.parameters = parameters.magnetometer

    def apply(self, stamp: int, measurement: Sample) -> None:
        """Take one measurement, valid at ``stamp``, ns; stamps never fall."""
        if isinstance(measurement, ImuSample):
            self.imu(stamp, measurement)
        elif isinstance(measurement, FieldSample):
            self._field(stamp, measurement)
        elif isinstance(measurement, VelocitySample):
            self._velocity(stamp, measurement)
        elif isinstance(measurement, StarSample):
            self._star(stamp, measurement)
        elif isinstance(measurement, AttitudeSample):
            self._attitude(stamp, measurement.orientation, measurement.covariance)
        else:
            self.place(stamp, measurement)

    def snapshot(self) -> State:
        """Copy of the whole state."""
        return self.state.copy()

    def restore(self, snapshot: State) -> None:
        """Go back to a snapshot."""
        self.state = snapshot.copy()

    @property
    def rotation_covariance(self) -> Array:
        """Covariance (3, 3), rad2, of a small rotation about east, north, up."""
        return self.state.covariance[:3, :3]

    # -- magnetic field ----------------------------------------------------------------------------
    def _field(self, stamp: int, sample: FieldSample) -> None:
        s, p = self.state, self.parameters.magnetometer
        if not s.aligned or stamp <= s.last_field:
            s.counts['magnetometer'].rejected += 1
            return
        s.last_field = stamp
        variance = p.noise**2 if sample.variance is None else sample.variance
        s.field.add(rot.rotate(self.ahead(stamp), sample.field), variance)

    def heading_update(self, dt: float, *, resting: bool) -> None:
        """Turn the magnetic field collected in the last ``dt`` seconds into heading."""
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
        # the lever of tilt, with the expected direction: with the measured one the gain would
        # share its noise with the innovation, and their product has a mean
        lever = -mz / math.sqrt(h2)
        rows[0, TILT_X] = lever * math.sin(s.field.declination)
        rows[0, TILT_Y] = lever * math.cos(s.field.declination)
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
        nis = self.correct(rows, np.array((z,)), np.array(((noise,),)), _HEADING_GAIN)
        count.take(nis, samples)

    def _set_heading(self, turn: float, noise: float) -> None:
        """First heading: turn by ``turn``; its error holds the whole deviation of the field."""
        s = self.state
        deviation = self.parameters.magnetometer.disturbance_sigma**2
        s.orientation = rot.multiply(rot.exp((0.0, 0.0, turn)), s.orientation)
        s.deviation = 0.0
        tilt = float(s.covariance[TILT_X, TILT_X])
        self.set_variance((DEVIATION,), deviation)
        # with the tilt still doubtful, the horizontal part of a dipping field is doubtful too
        self.set_variance((HEADING,), deviation + noise + 4.0 * tilt)
        s.covariance[HEADING, DEVIATION] = s.covariance[DEVIATION, HEADING] = deviation
        s.heading_known = True

    # -- velocity ----------------------------------------------------------------------------------
    def _velocity(self, stamp: int, sample: VelocitySample) -> None:
        s, p = self.state, self.parameters.velocity
        count = s.counts['velocity']
        if not s.aligned or not s.heading_known or stamp <= s.last_velocity:
            # without a heading, east and north mean nothing to the filter
            count.rejected += 1
            return
        self.update()
        noise = np.reshape(sample.covariance, (2, 2)) + p.noise_floor**2 * np.eye(2)
        z = np.subtract(sample.velocity, s.velocity)
        if s.aided:
            expected = s.covariance[VELOCITY, VELOCITY] + noise
            nis = float(z @ np.linalg.solve(expected, z))
            if nis > self._velocity_gate and s.velocity_refused < p.recovery_count:
                s.velocity_refused += 1
                count.rejected += 1
                return
        s.last_velocity, s.mean_velocity = stamp, sample.velocity
        if s.aided and not s.velocity_refused >= p.recovery_count:
            s.velocity_refused = 0
            count.take(self.correct(VELOCITY_ROWS, z, noise, ALL))
            return
        s.resets += s.velocity_refused > 0
        s.velocity_refused = 0
        s.aided, s.velocity = True, sample.velocity
        self.set_variance((6, 7), 0.0)
        s.covariance[VELOCITY, VELOCITY] = noise
        count.take(2.0)

    # -- stars -------------------------------------------------------------------------------------
    def place(self, stamp: int, sample: PositionSample) -> None:
        """Take the position; with it comes what the magnetic field should be there."""
        s, p = self.state, self.parameters.magnetometer
        s.position, s.placed = sample, stamp
        s.counts['position'].accepted += 1
        if p.enabled and p.world_model:
            before = s.field.declination
            s.field.set_world(world_field(*sample, stamp))
            if s.heading_known and not s.counts['stars'].accepted:
                turn = before - s.field.declination
                s.orientation = rot.multiply(rot.exp((0.0, 0.0, turn)), s.orientation)

    def _star(self, stamp: int, sample: StarSample) -> None:
        s = self.state
        position = s.position
        if position is None:
            s.counts['stars'].rejected += 1
            return
        turn = icrs_to_enu(stamp, position.latitude, position.longitude)
        matrix = turn @ rot.to_matrix(sample.orientation).T
        covariance = matrix @ np.reshape(sample.covariance, (3, 3)) @ matrix.T
        # an old position turns the local vertical by what was flown since
        moved = math.hypot(*s.mean_velocity) * (stamp - s.placed) * 1e-9 / _EARTH_RADIUS
        covariance += moved * moved * np.eye(3)
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
        self.update()
        error = rot.multiply(orientation, rot.conjugate(self.ahead(stamp)))
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
            self.set_variance((TILT_X, TILT_Y, HEADING), 0.0)
            s.covariance[:3, :3] = noise
            count.take(min(nis, self._star_gate))
            return
        count.take(self.correct(ROTATION_ROWS, z, noise, ALL))

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
