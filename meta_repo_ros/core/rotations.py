# SPDX-License-Identifier: Apache-2.0
"""Rotations: quaternions w first (Hamilton), rotation vectors, matrices.

A quaternion ``q`` that "rotates body to earth" gives ``v_earth = rotate(q, v_body)``. A small error
in the body frame is ``q_true = q_estimate * exp(error)``, in the earth frame ``exp(error) *
q_estimate``; each filter says which it uses.

Functions without a suffix take and give plain tuples of floats: at these sizes that is several
times faster than numpy, which the filters need. Functions ending in ``_array`` broadcast over
leading axes. Formulas: J. Solà, "Quaternion kinematics for the error-state Kalman filter",
arXiv:1711.02508.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]
IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)


# -- plain tuples ----------------------------------------------------------------------------------
def multiply(p: Sequence[float], q: Sequence[float]) -> Quaternion:
    """Hamilton product ``p q``: the rotation ``q`` first, then ``p``."""
    a, b, c, d = p
    w, x, y, z = q
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


def conjugate(q: Sequence[float]) -> Quaternion:
    """Conjugate: the inverse rotation of a unit quaternion."""
    return (q[0], -q[1], -q[2], -q[3])


def normalize(q: Sequence[float]) -> Quaternion:
    """``q`` over its norm.

    Raises:
        ValueError: the norm is zero or not finite.
    """
    n = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if not 0.0 < n < math.inf:
        raise ValueError(f'quaternion {tuple(q)} has no direction')
    return (q[0] / n, q[1] / n, q[2] / n, q[3] / n)


def rotate(q: Sequence[float], v: Sequence[float]) -> Vector:
    """Rotate the vector ``v`` by the unit quaternion ``q``."""
    w, x, y, z = q
    a, b, c = v
    tx, ty, tz = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return (
        a + w * tx + y * tz - z * ty,
        b + w * ty + z * tx - x * tz,
        c + w * tz + x * ty - y * tx,
    )


def exp(v: Sequence[float]) -> Quaternion:
    """Unit quaternion of a rotation vector, rad."""
    x, y, z = v
    s = x * x + y * y + z * z
    if s < 1e-8:
        # series: the error is below s**2 / 3840
        k = 0.5 - s / 48.0
        return (1.0 - s / 8.0 + s * s / 384.0, k * x, k * y, k * z)
    n = math.sqrt(s)
    k = math.sin(0.5 * n) / n
    return (math.cos(0.5 * n), k * x, k * y, k * z)


def log(q: Sequence[float]) -> Vector:
    """Rotation vector of a unit quaternion, rad, of length at most pi."""
    w, x, y, z = q
    s = math.sqrt(x * x + y * y + z * z)
    if w < 0.0:
        w, x, y, z = -w, -x, -y, -z
    # near zero the angle is 2 s / w up to third order
    k = 2.0 * math.atan2(s, w) / s if s > 1e-12 else 2.0 / w
    return (k * x, k * y, k * z)


def angle(p: Sequence[float], q: Sequence[float]) -> float:
    """Angle between two attitudes, rad, in [0, pi]."""
    w, x, y, z = multiply(conjugate(p), q)
    return 2.0 * math.atan2(math.sqrt(x * x + y * y + z * z), abs(w))


def to_matrix(q: Sequence[float]) -> Array:
    """Rotation matrix (3, 3) of a unit quaternion: ``to_matrix(q) @ v`` is ``rotate(q, v)``."""
    w, x, y, z = q
    return np.array(
        (
            (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
            (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
            (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
        )
    )


def from_matrix(matrix: ArrayLike) -> Quaternion:
    """Unit quaternion of a rotation matrix (3, 3), real part not negative (Shepperd's method)."""
    m = np.asarray(matrix, dtype=float)
    (a, b, c), (d, e, f), (g, h, i) = m.tolist()
    trace = a + e + i
    largest = max(trace, a, e, i)
    if largest == trace:
        q = (1.0 + trace, h - f, c - g, d - b)
    elif largest == a:
        q = (h - f, 1.0 + a - e - i, b + d, c + g)
    elif largest == e:
        q = (c - g, b + d, 1.0 - a + e - i, f + h)
    else:
        q = (d - b, c + g, f + h, 1.0 - a - e + i)
    w, x, y, z = normalize(q)
    return (w, x, y, z) if w >= 0.0 else (-w, -x, -y, -z)


def between(u: Sequence[float], v: Sequence[float]) -> Quaternion:
    """Shortest rotation that takes the direction of ``u`` to that of ``v`` (any length)."""
    ux, uy, uz = u
    vx, vy, vz = v
    n = math.sqrt((ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz))
    w = n + ux * vx + uy * vy + uz * vz
    if w < 1e-12 * n or n == 0.0:
        # opposite: any perpendicular axis serves
        axis = (-uy, ux, 0.0) if abs(uz) < 0.9 * math.hypot(ux, uy, uz) else (0.0, -uz, uy)
        return normalize((0.0, *axis)) if n > 0.0 else IDENTITY
    return normalize((w, uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx))


def yaw(q: Sequence[float]) -> float:
    """Yaw of a body-to-ENU attitude, rad: angle of the body's x axis from east, towards north."""
    w, x, y, z = q
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def from_euler(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Attitude from REP-103 angles, rad: rotations about x, then y, then z of the fixed frame."""
    cr, sr = math.cos(0.5 * roll), math.sin(0.5 * roll)
    cp, sp = math.cos(0.5 * pitch), math.sin(0.5 * pitch)
    cy, sy = math.cos(0.5 * yaw), math.sin(0.5 * yaw)
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def to_euler(q: Sequence[float]) -> Vector:
    """Roll, pitch, yaw (REP-103), rad; pitch in [-pi/2, pi/2], which at pitch up is negative."""
    w, x, y, z = q
    sine = max(-1.0, min(1.0, 2.0 * (w * y - x * z)))
    roll = math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    return (roll, math.asin(sine), yaw(q))


def skew(v: Sequence[float]) -> Array:
    """Matrix (3, 3) of the cross product: ``skew(v) @ u`` is ``v x u``."""
    x, y, z = v
    return np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))


# -- ROS messages ----------------------------------------------------------------------------------
def from_message(message: Any) -> Quaternion:
    """Components w first of a ``geometry_msgs/Quaternion``, as they are (not normalized)."""
    return (float(message.w), float(message.x), float(message.y), float(message.z))


def set_message(message: Any, q: Sequence[float]) -> None:
    """Write ``q`` into a ``geometry_msgs/Quaternion``."""
    message.w, message.x, message.y, message.z = map(float, q)


# -- arrays ----------------------------------------------------------------------------------------
def multiply_array(p: ArrayLike, q: ArrayLike) -> Array:
    """Hamilton products of quaternions (..., 4)."""
    a, b, c, d = np.moveaxis(np.asarray(p, dtype=float), -1, 0)
    w, x, y, z = np.moveaxis(np.asarray(q, dtype=float), -1, 0)
    return np.stack(multiply((a, b, c, d), (w, x, y, z)), axis=-1)


def conjugate_array(q: ArrayLike) -> Array:
    """Conjugates of quaternions (..., 4)."""
    return np.asarray(q, dtype=float) * (1.0, -1.0, -1.0, -1.0)


def rotate_array(q: ArrayLike, v: ArrayLike) -> Array:
    """Vectors (..., 3) rotated by unit quaternions (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(q, dtype=float), -1, 0)
    a, b, c = np.moveaxis(np.asarray(v, dtype=float), -1, 0)
    return np.stack(rotate((w, x, y, z), (a, b, c)), axis=-1)


def exp_array(v: ArrayLike) -> Array:
    """Unit quaternions (..., 4) of rotation vectors (..., 3), rad."""
    vector = np.asarray(v, dtype=float)
    half = 0.5 * np.linalg.norm(vector, axis=-1, keepdims=True)
    # numpy's sinc(t) is sin(pi t) / (pi t), defined at zero
    return np.concatenate((np.cos(half), 0.5 * np.sinc(half / np.pi) * vector), axis=-1)


def log_array(q: ArrayLike) -> Array:
    """Rotation vectors (..., 3), rad, of length at most pi, of unit quaternions (..., 4)."""
    quaternion = np.asarray(q, dtype=float)
    quaternion = np.where(quaternion[..., :1] < 0.0, -quaternion, quaternion)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    s = np.linalg.norm(vector, axis=-1, keepdims=True)
    small = s < 1e-12
    factor = np.where(small, 2.0, 2.0 * np.arctan2(s, w) / np.where(small, 1.0, s))
    return np.asarray(factor * vector)
