# SPDX-License-Identifier: Apache-2.0
"""Camera model: pixels to directions and back, by OpenCV's Brown and fisheye models.

Pixel coordinates and camera axes are those of ``starnav/types.py``. How the camera is mounted is a
separate value, the quaternion ``camera_to_body`` (``starnav/calibration_file.py``). Cameras are
made by the functions of ``starnav/camera.py``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from meta_repo_ros.starnav.types import Array

MODELS = {'none': (0,), 'plumb_bob': (4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
"""Distortion models of ``sensor_msgs/CameraInfo`` and how many coefficients each has."""

_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
_ZERO = np.zeros(3)
_WIDEST = math.radians(85.0)  # from the axis: OpenCV gives fisheye directions as tangents


class CameraError(ValueError):
    """A camera that cannot be: what is wrong, and what to do."""


@dataclass(frozen=True)
class Camera:
    """A camera.

    Attributes:
        width, height: pixels.
        fx, fy: focal lengths, pixels; they differ where pixels are not square.
        cx, cy: principal point, pixels.
        model: one of ``MODELS``.
        distortion: coefficients in OpenCV's order: k1 k2 p1 p2 [k3 [k4 k5 k6]], or k1 k2 k3 k4
            of the fisheye.
        readout_time: s from the first row to the last one; 0 for a global shutter, negative
            where the last row is read first.
        focal_sigma: relative standard deviation of the focal length; ``inf`` where unknown.

    Raises:
        CameraError: a value that no camera has.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = 'none'
    distortion: tuple[float, ...] = ()
    readout_time: float = 0.0
    focal_sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CameraError(f'image of {self.width}x{self.height} pixels; both must be positive')
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion, self.readout_time)
        if not all(map(math.isfinite, numbers)):
            raise CameraError('a value of the camera is not a finite number; calibrate it anew')
        if self.fx <= 0.0 or self.fy <= 0.0:
            raise CameraError(
                f'focal length {self.fx:g} x {self.fy:g} pixels; both must be positive: '
                'the camera is not calibrated, or a row of K is missing'
            )
        if self.model not in MODELS:
            raise CameraError(
                f'distortion model {self.model!r} is not known; known are {", ".join(MODELS)}'
            )
        if len(self.distortion) not in MODELS[self.model]:
            wanted = ' or '.join(map(str, MODELS[self.model]))
            raise CameraError(
                f'{self.model} has {wanted} distortion coefficients, got {len(self.distortion)}'
            )
        if not self.focal_sigma >= 0.0:
            raise CameraError(f'focal_sigma must be at least 0, got {self.focal_sigma}')

    # -- points and directions ------------------------------------------------------------------

    @cached_property
    def matrix(self) -> Array:
        """K, (3, 3)."""
        return np.array(((self.fx, 0.0, self.cx), (0.0, self.fy, self.cy), (0.0, 0.0, 1.0)))

    @cached_property
    def _coefficients(self) -> Array:
        return np.array(self.distortion, dtype=float)

    @cached_property
    def _straight(self) -> bool:
        return self.model == 'none' or (self.model != 'equidistant' and not any(self.distortion))

    def directions(self, uv: ArrayLike) -> Array:
        """Unit directions in camera axes.

        Args:
            uv: (n, 2) pixels.

        Returns:
            (n, 3); NaN where the distortion model has no direction for a pixel.
        """
        points = np.asarray(uv, dtype=float).reshape(-1, 2)
        rays = np.empty((len(points), 3))
        rays[:, 2] = 1.0
        if self._straight:
            rays[:, 0] = (points[:, 0] - self.cx) / self.fx
            rays[:, 1] = (points[:, 1] - self.cy) / self.fy
        elif len(points):
            undistort = cv2.fisheye if self.model == 'equidistant' else cv2
            rays[:, :2] = undistort.undistortPoints(
                points[:, np.newaxis], self.matrix, self._coefficients, criteria=_CRITERIA
            )[:, 0]
            # both report failure by values: a huge sentinel, or a point that does not reproject
            lost = rays[:, 0] ** 2 + rays[:, 1] ** 2 > self._reach**2
            rays[lost] = math.nan
        rays /= np.sqrt(np.einsum('ij,ij->i', rays, rays))[:, np.newaxis]
        return rays

    def project(self, directions: ArrayLike) -> Array:
        """Pixels at which directions are seen.

        Args:
            directions: (n, 3) in camera axes, of any length.

        Returns:
            (n, 2), also outside of the image; NaN behind the camera, and where the distortion
            model folds back (beyond the angle at which its radius stops growing).
        """
        rays = np.asarray(directions, dtype=float).reshape(-1, 3)
        z = rays[:, 2]
        ahead = z > 0.0
        with np.errstate(divide='ignore', invalid='ignore'):
            x, y = rays[:, 0] / z, rays[:, 1] / z
        result = np.empty((len(rays), 2))
        if self._straight:
            result[:, 0] = self.fx * x + self.cx
            result[:, 1] = self.fy * y + self.cy
            if not ahead.all():
                result[~ahead] = math.nan
            return result
        with np.errstate(invalid='ignore', over='ignore'):
            ahead &= x * x + y * y <= self._reach**2
        result[...] = math.nan
        if ahead.any():
            seen = np.stack((x[ahead], y[ahead], np.ones(int(ahead.sum()))), axis=-1)
            result[ahead] = self._distorted(seen)
        return result

    def _distorted(self, rays: Array) -> Array:
        """Pixels of rays (n, 3) with z = 1, by the distortion model alone."""
        project = cv2.fisheye if self.model == 'equidistant' else cv2
        points, _ = project.projectPoints(
            rays[:, np.newaxis], _ZERO, _ZERO, self.matrix, self._coefficients
        )
        return np.asarray(points).reshape(-1, 2)

    @cached_property
    def _reach(self) -> float:
        """Tangent of the angle from the axis up to which the model's radius grows."""
        if self._straight:
            return math.inf
        widest = math.tan(_WIDEST)
        tangent = np.concatenate((np.linspace(0.0, 1.5, 1501), np.geomspace(1.5, widest, 500)[1:]))
        k = self._coefficients
        if self.model == 'equidistant':
            theta = np.arctan(tangent)
            s = theta * theta
            radius = theta * (1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))))
        else:
            k = np.concatenate((k, np.zeros(8 - len(k))))
            s = tangent * tangent
            radius = tangent * (1.0 + s * (k[0] + s * (k[1] + s * k[4])))
            below = 1.0 + s * (k[5] + s * (k[6] + s * k[7]))
            radius = np.where(below > 0.0, radius / np.where(below > 0.0, below, 1.0), -1.0)
        falling = np.flatnonzero(np.diff(radius) <= 0.0)
        return float(tangent[falling[0]]) if len(falling) else widest

    def check_distortion(self) -> None:
        """Check that every pixel has a direction.

        Raises:
            CameraError: the distortion folds back within the image.
        """
        edge = np.linspace(-0.5, 0.5, 9)
        u = (edge + 0.5) * self.width - 0.5
        v = (edge + 0.5) * self.height - 0.5
        border = np.concatenate((
            np.stack(np.broadcast_arrays(u, v[0]), -1), np.stack(np.broadcast_arrays(u, v[-1]), -1),
            np.stack(np.broadcast_arrays(u[0], v), -1), np.stack(np.broadcast_arrays(u[-1], v), -1),
        ))  # fmt: skip
        error = np.abs(self.project(self.directions(border)) - border)
        if not (error < 0.01).all():
            raise CameraError(
                f'{self.model} distortion {list(self.distortion)} folds back within the image; '
                'calibrate the camera anew, with points up to its corners'
            )

    def contains(self, uv: ArrayLike, margin: float = 0.0) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether pixels (n, 2) lie in the image, ``margin`` pixels from its border; NaN do not."""
        u, v = np.asarray(uv, dtype=float).reshape(-1, 2).T
        low, right, below = margin - 0.5, self.width - 0.5 - margin, self.height - 0.5 - margin
        inside: np.ndarray[Any, np.dtype[np.bool_]] = (
            (u >= low) & (u <= right) & (v >= low) & (v <= below)
        )
        return inside

    def jacobian(self, uv: ArrayLike) -> Array:
        """Derivative (n, 3, 2) of :meth:`directions` by the pixel."""
        points = np.asarray(uv, dtype=float).reshape(-1, 2)
        if self._straight:
            d = self.directions(points)
            z = d[:, 2]
            result = -d[:, :, np.newaxis] * d[:, np.newaxis, :2]
            result[:, 0, 0] += 1.0
            result[:, 1, 1] += 1.0
            result *= z[:, np.newaxis, np.newaxis]
            result /= (self.fx, self.fy)
            return result
        step = 0.5
        moved = np.concatenate(
            [points + offset for offset in ((step, 0), (-step, 0), (0, step), (0, -step))]
        )
        right, left, below, above = np.split(self.directions(moved), 4)
        return np.stack((right - left, below - above), axis=-1) / (2.0 * step)

    def direction_covariance(self, uv: ArrayLike, covariance: ArrayLike) -> Array:
        """Covariance (n, 3, 3) of unit directions, of rank 2, rad2.

        Args:
            uv: (n, 2) pixels.
            covariance: (n, 2, 2) or (2, 2) of ``uv``, pixels squared.
        """
        j = self.jacobian(uv)
        return np.asarray(j @ np.asarray(covariance, dtype=float) @ np.swapaxes(j, -1, -2))

    # -- shutter --------------------------------------------------------------------------------

    def row_time(self, v: ArrayLike) -> Array:
        """When the middle of the exposure of row ``v`` was, s after that of the middle row."""
        rows = max(self.height - 1, 1)
        offset = (np.asarray(v, dtype=float) - 0.5 * (self.height - 1)) / rows
        return np.asarray(self.readout_time * offset)

    def at_middle_row(self, directions: ArrayLike, v: ArrayLike, rate: ArrayLike) -> Array:
        """Where stars measured in rows ``v`` stood when the middle row was exposed.

        Args:
            directions: (n, 3) as measured, camera axes.
            v: (n,) rows in which they were measured, pixels.
            rate: turn rate of the camera, rad/s, camera axes.

        Returns:
            (n, 3) directions in the camera's axes at the stamp of the image.
        """
        seen = np.asarray(directions, dtype=float)
        turn = np.asarray(rate, dtype=float)
        speed = float(np.linalg.norm(turn))
        if not self.readout_time or not speed:
            return seen
        # a star turns the other way; Rodrigues' formula takes it back by the row's time
        axis, angle = turn / speed, (speed * self.row_time(v))[:, np.newaxis]
        along = (seen @ axis)[:, np.newaxis] * axis
        return np.asarray(
            along + np.cos(angle) * (seen - along) + np.sin(angle) * np.cross(axis, seen)
        )

    # -- derived --------------------------------------------------------------------------------

    @property
    def field_of_view(self) -> float:
        """Horizontal, rad: from the left edge to the right edge in the middle row."""
        v = 0.5 * (self.height - 1)
        return self._angle((-0.5, v), (self.width - 0.5, v))

    @property
    def vertical_field_of_view(self) -> float:
        """Vertical, rad: from the upper edge to the lower edge in the middle column."""
        u = 0.5 * (self.width - 1)
        return self._angle((u, -0.5), (u, self.height - 0.5))

    @cached_property
    def radius(self) -> float:
        """Greatest angle between the optical axis and a corner of the image, rad."""
        corners = [(u, v) for u in (-0.5, self.width - 0.5) for v in (-0.5, self.height - 0.5)]
        return float(np.arccos(np.clip(self.directions(corners)[:, 2].min(), -1.0, 1.0)))

    @property
    def pixel_angle(self) -> float:
        """Angle of one pixel at the centre, rad; the geometric mean where not square."""
        return 1.0 / math.sqrt(self.fx * self.fy)

    def _angle(self, a: tuple[float, float], b: tuple[float, float]) -> float:
        p, q = self.directions((a, b))
        return math.atan2(float(np.linalg.norm(np.cross(p, q))), float(p @ q))

    def scaled(self, factor: float, factor_y: float | None = None) -> Camera:
        """The camera of the same image resized by ``factor`` (by ``factor_y`` vertically)."""
        fy = factor if factor_y is None else factor_y
        return dataclasses.replace(
            self,
            width=max(round(self.width * factor), 1),
            height=max(round(self.height * fy), 1),
            fx=self.fx * factor,
            fy=self.fy * fy,
            cx=(self.cx + 0.5) * factor - 0.5,
            cy=(self.cy + 0.5) * fy - 0.5,
        )

    def with_focal_length(self, fx: float, focal_sigma: float | None = None) -> Camera:
        """The same camera with another focal length (pixels, of u), its pixel aspect kept."""
        sigma = self.focal_sigma if focal_sigma is None else focal_sigma
        return dataclasses.replace(self, fx=fx, fy=self.fy * fx / self.fx, focal_sigma=sigma)
