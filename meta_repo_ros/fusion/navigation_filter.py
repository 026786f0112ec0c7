# SPDX-License-Identifier: Apache-2.0
"""Error-state Kalman filter: position, velocity, attitude, gyro and accelerometer bias, barometer.

The nominal state lives in a :class:`~meta_repo_ros.core.geodesy.LocalFrame` (east, north, up) and
is integrated sample by sample; the covariance follows at a lower rate with the transition gathered
in between. The attitude error is a rotation vector in the frame's axes: ``C_true = exp(e x) C``.

Sources: Groves, Principles of GNSS, Inertial, and Multisensor Integrated Navigation Systems (2nd
ed., 2013), chapters 5 and 14; Sola, arXiv:1711.02508, for the reset of the attitude error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.rotations import Quaternion, Vector, exp, multiply, rotate, to_matrix

Array = NDArray[np.float64]

SIZE = 16
POSITION, VELOCITY, ATTITUDE = slice(0, 3), slice(3, 6), slice(6, 9)
GYRO_BIAS, ACCEL_BIAS, BARO_BIAS = slice(9, 12), slice(12, 15), 15

_EYE = np.eye(SIZE)
_EYE3 = np.eye(3)
_ZERO3: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ProcessNoise:
    """Spectral densities, all as square roots.

    Attributes:
        gyro: rad/s/sqrt(Hz).
        accel: m/s2/sqrt(Hz).
        gyro_bias: rad/s2/sqrt(Hz), random walk of the bias.
        accel_bias: m/s3/sqrt(Hz).
        baro_bias: m/s/sqrt(Hz).
        gyro_scale: 1, standard deviation of unmodelled scale and misalignment.
        accel_scale: 1.
        vibration: sqrt(s), attitude noise for each rad/s of vibration about the same body axis.
    """

    gyro: float
    accel: float
    gyro_bias: float
    accel_bias: float
    baro_bias: float
    gyro_scale: float = 0.0
    accel_scale: float = 0.0
    vibration: float = 0.0


# Scale errors act over a manoeuvre: as white noise they get the density that leaves after this
# time what the constant error would leave
_MANOEUVRE_S = 1.0
# Vibration: deviation of the measured rate from its mean over the first time, squared and averaged
# over the second, s
_VIBRATION_LOW_S, _VIBRATION_MEMORY_S = 0.1, 0.3


class NavigationFilter:
    """State, covariance, strapdown integration and measurement update.

    Args:
        frame: the local frame of position and attitude.
        noise: process noise.
        covariance_interval: time between steps of the covariance, s.

    Attributes:
        position: m, east north up.
        velocity: m/s, east north up.
        attitude: quaternion (w first), body to frame.
        gyro_bias: rad/s, body axes; subtracted from the measured rate.
        accel_bias: m/s2, body axes; subtracted from the measured specific force.
        baro_bias: m, pressure height minus height above the ellipsoid.
        covariance: (16, 16) of the error: position, velocity, attitude (frame's axes), biases.
        acceleration: last acceleration relative to the Earth, m/s2, frame's axes.
        rate: last angular rate without bias, rad/s, body axes.
    """

    def __init__(self, frame: LocalFrame, noise: ProcessNoise, covariance_interval: float) -> None:
        self.frame = frame
        self.noise = noise
        self.covariance_interval = covariance_interval
        self.position: Vector = _ZERO3
        self.velocity: Vector = _ZERO3
        self.attitude: Quaternion = (1.0, 0.0, 0.0, 0.0)
        self.gyro_bias: Vector = _ZERO3
        self.accel_bias: Vector = _ZERO3
        self.baro_bias = 0.0
        self.acceleration: Vector = _ZERO3
        self.rate: Vector = _ZERO3
        self.covariance: Array = np.eye(SIZE)
        self._gravity: Vector = frame.gravity(0.0, 0.0, 0.0)
        self._gathered: tuple[float, ...] = _NOTHING
        self._shaking: tuple[float, ...] = _STILL
        self._transition = np.eye(SIZE)

    # -- time --------------------------------------------------------------------------------------
    def integrate(self, rate: Vector, force: Vector, dt: float) -> None:
        """Move the state by ``dt`` seconds of constant measured rate (rad/s) and force (m/s2)."""
        bx, by, bz = self.gyro_bias
        wx, wy, wz = rate[0] - bx, rate[1] - by, rate[2] - bz
        bx, by, bz = self.accel_bias
        fx, fy, fz = force[0] - bx, force[1] - by, force[2] - bz
        self.rate = (wx, wy, wz)
        q0, q1, q2, q3 = self.attitude
        _, en, eu = self.frame.earth_rate
        # Earth rate in body axes: third and second row of C' (east component is zero)
        ex = 2.0 * (q1 * q2 + q0 * q3) * en + 2.0 * (q1 * q3 - q0 * q2) * eu
        ey = (1.0 - 2.0 * (q1 * q1 + q3 * q3)) * en + 2.0 * (q2 * q3 + q0 * q1) * eu
        ez = 2.0 * (q2 * q3 - q0 * q1) * en + (1.0 - 2.0 * (q1 * q1 + q2 * q2)) * eu
        half = 0.25 * dt  # quarter: half of the step, half of the angle
        hx, hy, hz = (wx - ex) * half, (wy - ey) * half, (wz - ez) * half
        s = hx * hx + hy * hy + hz * hz
        # cos and sin(x)/x of the small half angle by series: error below 1e-12 up to 4 rad/s, 5 ms
        if s < 1e-4:
            c, k = 1.0 - s * (0.5 - s / 24.0), 1.0 - s * (1.0 / 6.0 - s / 120.0)
        else:
            n = math.sqrt(s)
            c, k = math.cos(n), math.sin(n) / n
        hx, hy, hz = hx * k, hy * k, hz * k
        # attitude in the middle of the step, for the specific force
        m0 = q0 * c - q1 * hx - q2 * hy - q3 * hz
        m1 = q0 * hx + q1 * c + q2 * hz - q3 * hy
        m2 = q0 * hy - q1 * hz + q2 * c + q3 * hx
        m3 = q0 * hz + q1 * hy - q2 * hx + q3 * c
        (c00, c01, c02), (c10, c11, c12), (c20, c21, c22) = rows((m0, m1, m2, m3))
        # end of the step, with one Newton step towards unit norm
        q0 = m0 * c - m1 * hx - m2 * hy - m3 * hz
        q1 = m0 * hx + m1 * c + m2 * hz - m3 * hy
        q2 = m0 * hy - m1 * hz + m2 * c + m3 * hx
        q3 = m0 * hz + m1 * hy - m2 * hx + m3 * c
        unit = 1.5 - 0.5 * (q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3)
        self.attitude = (q0 * unit, q1 * unit, q2 * unit, q3 * unit)
        ax = c00 * fx + c01 * fy + c02 * fz
        ay = c10 * fx + c11 * fy + c12 * fz
        az = c20 * fx + c21 * fy + c22 * fz
        t, sx, sy, sz, dx, dy, dz, j00, j01, j02, j10, j11, j12, j20, j21, j22 = self._gathered
        half = 0.5 * dt * dt
        self._gathered = (
            t + dt,
            sx + ax * dt, sy + ay * dt, sz + az * dt,
            dx + sx * dt + ax * half, dy + sy * dt + ay * half, dz + sz * dt + az * half,
            j00 + c00 * dt, j01 + c01 * dt, j02 + c02 * dt,
            j10 + c10 * dt, j11 + c11 * dt, j12 + c12 * dt,
            j20 + c20 * dt, j21 + c21 * dt, j22 + c22 * dt,
        )  # fmt: skip
        vx, vy, vz = self.velocity
        gx, gy, gz = self._gravity
        ax += gx - 2.0 * (en * vz - eu * vy)
        ay += gy - 2.0 * eu * vx
        az += gz + 2.0 * en * vx
        self.acceleration = (ax, ay, az)
        px, py, pz = self.position
        self.position = (
            px + vx * dt + ax * half, py + vy * dt + ay * half, pz + vz * dt + az * half
        )  # fmt: skip
        self.velocity = (vx + ax * dt, vy + ay * dt, vz + az * dt)
        if self.noise.vibration:
            self._watch_vibration(rate, dt)
        if t + dt >= self.covariance_interval:
            self.propagate_covariance()

    def _watch_vibration(self, rate: Vector, dt: float) -> None:
        lx, ly, lz, vx, vy, vz, gx, gy, gz = self._shaking
        k = min(dt / _VIBRATION_LOW_S, 1.0)
        lx, ly, lz = lx + k * (rate[0] - lx), ly + k * (rate[1] - ly), lz + k * (rate[2] - lz)
        dx, dy, dz = rate[0] - lx, rate[1] - ly, rate[2] - lz
        k = min(dt / _VIBRATION_MEMORY_S, 1.0)
        vx, vy, vz = vx + k * (dx * dx - vx), vy + k * (dy * dy - vy), vz + k * (dz * dz - vz)
        self._shaking = (lx, ly, lz, vx, vy, vz, gx + vx * dt, gy + vy * dt, gz + vz * dt)

    def propagate_covariance(self) -> None:
        """Bring the covariance to the time of the state."""
        t, sx, sy, sz, dx, dy, dz, *gathered = self._gathered
        if t == 0.0:
            return
        self._gathered = _NOTHING
        self._gravity = self.frame.gravity(*self.position)
        _, en, eu = self.frame.earth_rate
        turn = np.array(gathered).reshape(3, 3)
        f = self._transition
        f[0, 3] = f[1, 4] = f[2, 5] = t
        f[0, 7], f[0, 8], f[1, 6], f[1, 8], f[2, 6], f[2, 7] = dz, -dy, -dz, dx, dy, -dx
        f[3, 7], f[3, 8], f[4, 6], f[4, 8], f[5, 6], f[5, 7] = sz, -sy, -sz, sx, sy, -sx
        f[0:3, 12:15] = (-0.5 * t) * turn
        f[3:6, 12:15] = -turn
        f[6:9, 9:12] = -turn
        # second order: rate bias turns the attitude, which tilts the specific force
        f[3:6, 9:12] = (-0.5) * (f[3:6, 6:9] @ turn)
        f[0:3, 9:12] = (t / 3.0) * f[3:6, 9:12]
        # Coriolis and the turning frame
        f[3, 4], f[3, 5], f[4, 3], f[5, 3] = 2 * eu * t, -2 * en * t, -2 * eu * t, 2 * en * t
        f[6, 7], f[6, 8], f[7, 6], f[8, 6] = eu * t, -en * t, -eu * t, en * t
        # gravity falls with height and turns with distance
        slope = -self._gravity[2] / (self.frame.radius + self.frame.altitude) * t
        f[3, 0], f[4, 1], f[5, 2] = -slope, -slope, 2.0 * slope
        p = f @ self.covariance @ f.T
        self._add_noise(p, t, (sx, sy, sz))
        self.covariance = p

    def _add_noise(self, p: Array, t: float, impulse: Vector) -> None:
        n = self.noise
        q_rate, q_force = n.gyro * n.gyro, n.accel * n.accel
        if n.gyro_scale or n.accel_scale:
            x, y, z = self.rate
            q_rate += n.gyro_scale * n.gyro_scale * (x * x + y * y + z * z) * _MANOEUVRE_S
            x, y, z = self.acceleration
            q_force += n.accel_scale * n.accel_scale * (x * x + y * y + z * z) * _MANOEUVRE_S
        d = p.ravel()[:: SIZE + 1]  # view of the diagonal
        d[0:3] += q_force * t * t * t / 3.0
        d[3:6] += q_force * t
        d[6:9] += q_rate * t
        d[9:12] += n.gyro_bias * n.gyro_bias * t
        d[12:15] += n.accel_bias * n.accel_bias * t
        d[15] += n.baro_bias * n.baro_bias * t
        cross = 0.5 * q_force * t * t
        for i in (0, 1, 2):
            p[i, i + 3] += cross
            p[i + 3, i] += cross
        # attitude noise tilts the specific force within the interval
        cross = 0.5 * q_rate * t
        x, y, z = (component * cross for component in impulse)
        p[3, 7] += z
        p[7, 3] += z
        p[3, 8] -= y
        p[8, 3] -= y
        p[4, 6] -= z
        p[6, 4] -= z
        p[4, 8] += x
        p[8, 4] += x
        p[5, 6] += y
        p[6, 5] += y
        p[5, 7] -= x
        p[7, 5] -= x
        if n.vibration:
            self._add_vibration(p)

    def _add_vibration(self, p: Array) -> None:
        """Rates that are aliased or sampled with jitter: white noise in body axes."""
        *before, gx, gy, gz = self._shaking
        self._shaking = (*before, 0.0, 0.0, 0.0)
        turn = self.matrix() * self.noise.vibration
        q = (turn * (gx, gy, gz)) @ turn.T
        p[ATTITUDE, ATTITUDE] += q
        cross = 0.5 * (self._transition[VELOCITY, ATTITUDE] @ q)
        p[VELOCITY, ATTITUDE] += cross
        p[ATTITUDE, VELOCITY] += cross.T

    def inflate(self, velocity: float, attitude: float) -> None:
        """Add standard deviations (m/s, rad) of what happened while nothing was measured."""
        self.propagate_covariance()
        d = self.covariance.ravel()[:: SIZE + 1]
        d[3:6] += velocity * velocity
        d[6:9] += attitude * attitude

    # -- measurements ------------------------------------------------------------------------------
    def innovation_covariance(self, h: Array, r: Array) -> tuple[Array, Array]:
        """``P h'`` (16, m) and ``h P h' + r`` (m, m); the covariance must be up to date."""
        gain = self.covariance @ h.T
        return gain, h @ gain + r

    def update(self, h: Array, r: Array, innovation: Array, gain: Array, s: Array) -> None:
        """Kalman update in Joseph's form.

        Args:
            h: measurement matrix (m, 16) with respect to the error.
            r: measurement covariance (m, m).
            innovation: measured minus predicted (m,).
            gain: ``P h'`` as :meth:`innovation_covariance` gave it.
            s: innovation covariance.
        """
        k = np.linalg.solve(s, gain.T).T
        a = _EYE - k @ h
        p = a @ self.covariance @ a.T + k @ r @ k.T
        self.covariance = 0.5 * (p + p.T)
        self.correct(k @ innovation)

    def correct(self, error: Array) -> None:
        """Move the nominal state by an estimated error (16,) and reset the error to zero."""
        e = error.tolist()
        x, y, z = self.position
        self.position = (x + e[0], y + e[1], z + e[2])
        x, y, z = self.velocity
        self.velocity = (x + e[3], y + e[4], z + e[5])
        self.attitude = multiply(exp(e[6:9]), self.attitude)
        x, y, z = self.gyro_bias
        self.gyro_bias = (x + e[9], y + e[10], z + e[11])
        x, y, z = self.accel_bias
        self.accel_bias = (x + e[12], y + e[13], z + e[14])
        self.baro_bias += e[15]
        x, y, z = 0.5 * e[6], 0.5 * e[7], 0.5 * e[8]
        if x * x + y * y + z * z > 1e-7:
            turn = np.array(((1.0, -z, y), (z, 1.0, -x), (-y, x, 1.0)))
            p = self.covariance
            p[ATTITUDE] = turn @ p[ATTITUDE]
            p[:, ATTITUDE] = p[:, ATTITUDE] @ turn.T

    def set_block(self, block: slice, covariance: Array) -> None:
        """Replace one block of the covariance and drop its correlations."""
        self.propagate_covariance()
        self.covariance = self.covariance.copy()  # a new object tells readers of a change
        self.covariance[block] = 0.0
        self.covariance[:, block] = 0.0
        self.covariance[block, block] = covariance

    def matrix(self) -> Array:
        """Attitude as rotation matrix (3, 3), body to frame."""
        return to_matrix(self.attitude)

    def body_velocity(self) -> Vector:
        """Velocity in body axes, m/s."""
        w, x, y, z = self.attitude
        return rotate((w, -x, -y, -z), self.velocity)

    def horizontal_sigma_after(self, seconds: float) -> float:
        """Horizontal standard deviation (larger axis) after so long without any aid, m.

        With the present covariance, level and not accelerating; noise is included to its leading
        order.
        """
        t, gravity = seconds, -self._gravity[2]
        row = np.zeros((2, SIZE))
        row[:, POSITION] = _EYE3[:2]
        row[:, VELOCITY] = t * _EYE3[:2]
        tilt = 0.5 * t * t * gravity
        row[0, 7], row[1, 6] = tilt, -tilt
        turn = self.matrix()
        row[:, ACCEL_BIAS] = (-0.5 * t * t) * turn[:2]
        row[0, GYRO_BIAS] = (-t / 3.0 * tilt) * turn[1]
        row[1, GYRO_BIAS] = (t / 3.0 * tilt) * turn[0]
        p = row @ self.covariance @ row.T
        n = self.noise
        turning = n.gyro**2 + n.vibration**2 * max(self._shaking[3:6])
        grown = n.accel**2 * t**3 / 3.0 + gravity**2 * turning * t**5 / 20.0
        mean, half = 0.5 * (p[0, 0] + p[1, 1]), 0.5 * (p[0, 0] - p[1, 1])
        return float(math.sqrt(max(mean + math.hypot(half, p[0, 1]) + grown, 0.0)))

    # -- replay ------------------------------------------------------------------------------------
    def snapshot(self) -> Any:
        """Whole state; tuples are immutable, and the covariance is copied."""
        return (
            self.position, self.velocity, self.attitude, self.gyro_bias, self.accel_bias,
            self.baro_bias, self.acceleration, self.rate, self._gravity, self._gathered,
            self._shaking, self.covariance.copy(),
        )  # fmt: skip

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        (
            self.position, self.velocity, self.attitude, self.gyro_bias, self.accel_bias,
            self.baro_bias, self.acceleration, self.rate, self._gravity, self._gathered,
            self._shaking, covariance,
        ) = snapshot  # fmt: skip
        self.covariance = covariance.copy()


def rows(q: Quaternion) -> tuple[Vector, Vector, Vector]:
    """Rows of the rotation matrix of a unit quaternion, as plain numbers."""
    w, x, y, z = q
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
    )


_NOTHING: tuple[float, ...] = (0.0,) * 16
_STILL: tuple[float, ...] = (0.0,) * 9
