# SPDX-License-Identifier: Apache-2.0
"""Focal length, principal point and distortion from stars that were identified in images.

Bundle adjustment: the camera is common to all frames, each frame has an attitude of its own, star
directions are known. Derivatives are OpenCV's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from meta_repo_ros.starnav.calibration_solver import solve
from meta_repo_ros.starnav.camera_model import Camera, CameraError
from meta_repo_ros.starnav.types import Array

_ROBUST = 3.0  # standard deviations up to which residuals count in full
_PRINCIPAL_POINT = 0.03  # of the width: spread of principal points of real lenses
_FLOOR = 0.02  # px: no centroid is better
_ASPECT = 0.02  # relative: spread of fx / fy about the known one


@dataclass(frozen=True)
class Frame:
    """Identified stars of one image.

    Attributes:
        stamp: ns.
        uv: (k, 2) pixels, as at the middle row.
        sigma: (k,) standard deviation of a centroid per axis, pixels.
        directions: (k, 3) apparent, GCRS axes.
        icrs_to_camera: (3, 3), as identified.
    """

    stamp: int
    uv: Array
    sigma: Array
    directions: Array
    icrs_to_camera: Array


@dataclass(frozen=True)
class Lens:
    """What is free in a camera.

    Attributes:
        name: for people.
        model: of ``Camera``.
        free: how many distortion coefficients, in OpenCV's order, are free; the others are kept.
        count: how many coefficients the model has.
        aspect: whether fy is free of fx.
    """

    name: str
    model: str
    free: tuple[int, ...]
    count: int
    aspect: bool = True


KEPT = 'focal length and principal point'
CANDIDATES = (
    Lens('no distortion', 'plumb_bob', (), 5),
    Lens('radial distortion k1', 'plumb_bob', (0,), 5),
    Lens('radial distortion k1 k2', 'plumb_bob', (0, 1), 5),
    Lens('Brown distortion k1 k2 p1 p2', 'plumb_bob', (0, 1, 2, 3), 5),
    Lens('Brown distortion k1 k2 p1 p2 k3', 'plumb_bob', (0, 1, 2, 3, 4), 5),
)
FISHEYE = (
    Lens('fisheye distortion k1 k2', 'equidistant', (0, 1), 4),
    Lens('fisheye distortion k1 k2 k3 k4', 'equidistant', (0, 1, 2, 3), 4),
)


@dataclass(frozen=True)
class LensFit:
    """A fitted camera.

    Attributes:
        camera: the camera.
        sigma: (4,) standard deviations of fx, fy, cx, cy, pixels.
        rotations: (n, 3, 3) ICRS to camera of each frame.
        covariances: (n, 3, 3) of them, rad2, about camera axes, the camera taken as known.
        scale: residuals over their standard deviations.
    """

    camera: Camera
    sigma: Array
    rotations: Array
    covariances: Array
    scale: float


def fit(frames: Sequence[Frame], start: Camera, lens: Lens) -> LensFit:
    """Fit ``lens`` to ``frames``, from the camera ``start`` on.

    Raises:
        CameraError: what was found is no camera.
    """
    problem = _Problem(frames, start, lens)
    solution = solve(problem.equations, problem.start(), problem.rows)
    camera, turns = problem.unpack(solution.x)
    camera.check_distortion()
    scale, covariance = solution.scale, solution.covariance
    sigma = np.sqrt(np.diag(problem.spread @ covariance @ problem.spread.T))
    rotation = [
        cv2.Rodrigues(turn)[0] @ r for turn, r in zip(turns, problem.rotations, strict=True)
    ]
    attitudes = attitude_covariances(frames, camera, np.array(rotation), max(scale, 1.0))
    return LensFit(camera, sigma, np.array(rotation), attitudes, scale)


def with_attitudes(frames: Sequence[Frame], camera: Camera) -> LensFit:
    """Attitudes of ``frames`` with ``camera`` as it is."""
    rotation, residual = [], []
    for frame in frames:
        r, error = frame.icrs_to_camera, np.zeros(0)
        for _ in range(8):
            error, jacobian = _attitude_equations(frame, camera, r)
            weight = np.minimum(1.0, _ROBUST / np.maximum(np.abs(error), 1e-12))
            step = np.linalg.lstsq(
                jacobian * np.sqrt(weight)[:, np.newaxis], -error * np.sqrt(weight), rcond=None
            )[0]
            r = cv2.Rodrigues(step)[0] @ r
            if float(np.abs(step).max()) < 1e-9:
                break
        rotation.append(r)
        residual.append(error)
    scale = max(1.4826 * float(np.median(np.abs(np.concatenate(residual)))), 1e-3)
    rotations = np.array(rotation)
    covariances = attitude_covariances(frames, camera, rotations, max(scale, 1.0))
    return LensFit(camera, np.zeros(4), rotations, covariances, scale)


def attitude_covariances(
    frames: Sequence[Frame], camera: Camera, rotations: Array, scale: float
) -> Array:
    """Covariances (n, 3, 3) of the attitudes of ``frames``, rad2, about camera axes."""
    result = []
    for frame, r in zip(frames, rotations, strict=True):
        _, jacobian = _attitude_equations(frame, camera, r)
        result.append(np.linalg.pinv(jacobian.T @ jacobian) * scale**2)
    return np.array(result)


def residual_rms(frames: Sequence[Frame], camera: Camera) -> float:
    """Root mean square residual per axis, pixels, of ``frames`` with attitudes of their own.

    Each frame's three parameters are allowed for; stars beyond six median deviations are not
    counted, they are wrong.
    """
    fitted = with_attitudes(frames, camera)
    total, count = 0.0, 0.0
    for frame, r in zip(frames, fitted.rotations, strict=True):
        error = camera.project(frame.directions @ r.T) - frame.uv
        error = error[np.isfinite(error).all(axis=1)]
        size = np.hypot(*error.T)
        good = error[size <= 6.0 * max(float(np.median(size)), _FLOOR)]
        total += float((good**2).sum())
        count += max(good.size - 3.0, 1.0)
    return math.sqrt(total / count)


def _attitude_equations(frame: Frame, camera: Camera, r: Array) -> tuple[Array, Array]:
    """Residuals (2k,) over their standard deviations, and derivatives by a turn of the camera."""
    points, jacobian = _projected(frame.directions @ r.T, np.zeros(3), camera)
    seen = np.isfinite(points).all(axis=1)
    weight = np.repeat(np.where(seen, 1.0 / np.maximum(frame.sigma, _FLOOR), 0.0), 2)
    error = np.nan_to_num(points - frame.uv).ravel() * weight
    return error, np.nan_to_num(jacobian[:, :3]) * weight[:, np.newaxis]


def _projected(rays: Array, turn: Array, camera: Camera) -> tuple[Array, Array]:
    """Pixels (k, 2) of turned ``rays``, and derivatives (2k, 7 + n).

    The derivatives are by the turn, then by fx, fy, cx, cy and the n distortion coefficients.
    """
    fisheye = camera.model == 'equidistant'
    coefficients = np.array(camera.distortion) if camera.distortion else np.zeros(5)
    project = cv2.fisheye if fisheye else cv2
    points, jacobian = project.projectPoints(
        np.ascontiguousarray(rays)[:, np.newaxis], turn, np.zeros(3), camera.matrix, coefficients
    )
    # OpenCV: turn, shift, f, c, k; of the fisheye: f, c, k, turn, shift, skew
    if fisheye:
        jacobian = np.hstack((jacobian[:, 8:11], jacobian[:, :8]))
    else:
        jacobian = np.hstack((jacobian[:, :3], jacobian[:, 6:]))
    return np.asarray(points).reshape(-1, 2), jacobian


class _Problem:
    """Residuals and derivatives of the bundle.

    Unknowns are fx, [fy], cx, cy as shares of what they were, the free coefficients, and three
    small angles a frame.
    """

    def __init__(self, frames: Sequence[Frame], start: Camera, lens: Lens) -> None:
        self.frames, self.lens = frames, lens
        same = start.model == lens.model or not lens.free
        if not lens.free and lens.name == KEPT:
            self.base = start
        else:
            kept = np.zeros(lens.count)
            if same and lens.free:
                known = np.array(start.distortion)[: lens.count]
                which = [i for i in lens.free if i < len(known)]
                kept[which] = known[which]
            self.base = dataclasses.replace(
                start, model=lens.model, distortion=tuple(kept.tolist())
            )
        self.rotations = [frame.icrs_to_camera for frame in frames]
        self.rows = 2 * sum(len(frame.uv) for frame in frames)
        # fx, fy, cx, cy by the unknowns; without an aspect of its own fy follows fx
        self.common = 4 if lens.aspect else 3
        ratio = self.base.fy / self.base.fx
        self.mix = np.eye(4) if lens.aspect else np.array(
            ((1.0, 0.0, 0.0), (ratio, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        )  # fmt: skip
        self.unit = np.full(self.common, self.base.fx)
        self.camera_size = self.common + len(lens.free)
        size = self.camera_size + 3 * len(frames)
        self.spread = np.zeros((4, size))
        self.spread[:, : self.common] = self.mix * self.unit

    def start(self) -> Array:
        x = np.zeros(self.spread.shape[1])
        x[self.common : self.camera_size] = np.array(self.base.distortion)[list(self.lens.free)]
        return x

    def unpack(self, x: Array) -> tuple[Camera, Array]:
        base = self.base
        change = self.mix @ (self.unit * x[: self.common])
        values = np.array((base.fx, base.fy, base.cx, base.cy)) + change
        distortion = list(base.distortion)
        for place, value in zip(self.lens.free, x[self.common : self.camera_size], strict=True):
            distortion[place] = float(value)
        fx, fy, cx, cy = values.tolist()
        if not (0.1 < fx / base.fx < 10.0 and 0.1 < fy / base.fy < 10.0):
            raise CameraError('the focal length does not settle: the stars do not fit the camera')
        camera = dataclasses.replace(base, fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(distortion))
        return camera, x[self.camera_size :].reshape(-1, 3)

    def _prior(self, x: Array) -> tuple[Array, Array]:
        """The principal point is near where it was, and the aspect of the pixels too."""
        base = self.base
        rows = self.spread[2:] / (_PRINCIPAL_POINT * base.width)
        if self.lens.aspect:
            aspect = (self.spread[0] / base.fx - self.spread[1] / base.fy) / _ASPECT
            rows = np.vstack((rows, aspect))
        return rows @ x, rows

    def equations(self, x: Array) -> tuple[Array, Array]:
        """Residuals over their standard deviations, and derivatives."""
        camera, turns = self.unpack(x)
        known, prior = self._prior(x)
        residuals = np.concatenate((np.zeros(self.rows), known))
        jacobian = np.zeros((self.rows + len(prior), len(x)))
        jacobian[self.rows :] = prior
        columns = [7 + i for i in self.lens.free]
        row = 0
        for i, (frame, r, turn) in enumerate(zip(self.frames, self.rotations, turns, strict=True)):
            points, derivative = _projected(frame.directions @ r.T, turn, camera)
            weight = np.repeat(1.0 / np.maximum(frame.sigma, _FLOOR), 2)
            stop = row + len(weight)
            residuals[row:stop] = (points - frame.uv).ravel() * weight
            derivative *= weight[:, np.newaxis]
            block = jacobian[row:stop]
            block[:, : self.common] = derivative[:, 3:7] @ (self.mix * self.unit)
            block[:, self.common : self.camera_size] = derivative[:, columns]
            at = self.camera_size + 3 * i
            block[:, at : at + 3] = derivative[:, :3]
            row = stop
        return residuals, jacobian
