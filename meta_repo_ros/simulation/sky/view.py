# SPDX-License-Identifier: Apache-2.0
"""Where fixed directions are seen in the image while the camera turns during an exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.types import Array

_STEP = 0.5  # of the width of a profile, between two points of a trail
_STILL = 0.05  # of that width: a shorter trail is a point
_MOST = 4000  # points of a trail
_BUDGET = 2_000_000  # points of all trails


@dataclass(frozen=True)
class View:
    """A camera in its mount during one exposure.

    Attributes:
        camera: the true camera.
        body_to_camera: rotation of the true mount.
        exposure: when, and how the vehicle turned.
    """

    camera: Camera
    body_to_camera: Quaternion
    exposure: Exposure

    def icrs_to_camera(self, time: Array) -> Array:
        """Transposed rotations (..., 3, 3) at ``time`` (...): ``v_camera = v_icrs @ result``."""
        q = rotations.multiply_array(self.body_to_camera, self.exposure.orientation(time))
        return rotations.rotate_array(q[..., np.newaxis, :], np.eye(3))

    def at_stamp(self) -> Array:
        """Rotation (3, 3) from ICRS to the camera at the stamp."""
        return np.asarray(self.icrs_to_camera(np.zeros(())).T)

    def swept(self) -> float:
        """How far the optical axis goes from its place at the stamp, rad, and the image's edge."""
        half = 0.5 * (self.exposure.duration + abs(self.camera.readout_time))
        times = np.linspace(-half, half, 9)
        q = self.exposure.orientation(times)
        middle = self.exposure.orientation(np.zeros(()))
        turn = rotations.log_array(rotations.multiply_array(q, rotations.conjugate_array(middle)))
        return float(np.linalg.norm(turn, axis=-1).max())

    def place(self, directions: Array) -> Array:
        """Pixels (n, 2) at the middle of each row's own exposure; NaN where not seen."""
        still = self.icrs_to_camera(np.zeros(()))
        uv = self.camera.project(directions @ still)
        if not self.camera.readout_time:
            return uv
        for _ in range(3):
            uv = self._at(directions, self._row_time(uv)[:, np.newaxis])[:, 0]
        return uv

    def tracks(self, directions: Array, sigma: float) -> Array:
        """Pixels (n, k, 2) passed by each direction during the exposure of its row, evenly."""
        rows = self._row_time(self.place(directions))[:, np.newaxis]
        half = 0.5 * self.exposure.duration
        ends = self._at(directions, rows + np.linspace(-half, half, 5))
        steps = np.linalg.norm(np.diff(ends, axis=1), axis=-1).sum(axis=1)
        length = float(np.nanmax(steps, initial=0.0))
        if length < _STILL * sigma:
            return self._at(directions, rows)
        most = min(_MOST, max(_BUDGET // len(directions), 100))
        k = min(max(math.ceil(length / (_STEP * sigma)), 3), most)
        return self._at(directions, rows + half * ((np.arange(k) + 0.5) / k * 2.0 - 1.0))

    def _row_time(self, uv: Array) -> Array:
        middle = 0.5 * (self.camera.height - 1)
        v = np.where(np.isfinite(uv[:, 1]), uv[:, 1], middle)
        return self.camera.row_time(np.clip(v, -0.5, self.camera.height - 0.5))

    def _at(self, directions: Array, time: Array) -> Array:
        """Pixels (n, k, 2) at ``time`` (n, k), s from the stamp."""
        n, k = time.shape
        if not n:
            return np.zeros((0, k, 2))
        if not self.camera.readout_time:
            turned = directions @ self.icrs_to_camera(time[0])  # (k, n, 3)
            seen = np.swapaxes(turned, 0, 1)
        else:
            q = rotations.multiply_array(self.body_to_camera, self.exposure.orientation(time))
            seen = rotations.rotate_array(q, directions[:, np.newaxis])
        return self.camera.project(seen.reshape(n * k, 3)).reshape(n, k, 2)
