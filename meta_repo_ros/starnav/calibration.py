# SPDX-License-Identifier: Apache-2.0
"""Calibration of the star camera, and of the gyroscope with it, from images of the sky.

Every fourth frame is held out. A new camera is taken only where it fits those frames better than
the old one; how much distortion it has is decided by them too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.starnav import calibration_lens, calibration_mounting
from meta_repo_ros.starnav.calibration_lens import CANDIDATES, FISHEYE, KEPT, Frame, Lens, LensFit
from meta_repo_ros.starnav.calibration_mounting import Motion, Mounting
from meta_repo_ros.starnav.camera_model import Camera, CameraError
from meta_repo_ros.starnav.types import Array, Ints

KINDS = ('full', 'quick', 'camera', 'gyro')
"""Everything; focal length and principal point; the camera alone; the gyroscope's bias alone."""

MIN_FRAMES = 6
MIN_STARS = 60
MOST_FRAMES = 60  # used for the camera: more add time and little else
_HELD_OUT = 4  # one frame of so many
_BETTER = 0.99  # of the residual on frames held out: less of a change is none
_SIMPLER = 0.995  # a lens with more coefficients must be better by this


@dataclass(frozen=True)
class Calibration:
    """A calibration that is better than the old one.

    Attributes:
        camera: the new camera; its ``focal_sigma`` is set.
        camera_to_body: w first.
        gyro_bias: (3,) rad/s, body axes.
        camera_sigma: (4,) of fx, fy, cx, cy, pixels; zero where the camera was not sought.
        mounting_sigma: (3,) of the mounting about body axes, rad; infinite where not sought.
        gyro_bias_sigma: (3,) rad/s; infinite where not sought.
        residual_before, residual_after: pixels, rms per axis on frames held out.
        frames, stars: used.
        notes: what was found, for people.
    """

    camera: Camera
    camera_to_body: Quaternion
    gyro_bias: Array
    camera_sigma: Array
    mounting_sigma: Array
    gyro_bias_sigma: Array
    residual_before: float
    residual_after: float
    frames: int
    stars: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InUse:
    """What is to be bettered.

    Attributes:
        camera: the camera.
        camera_to_body: w first.
        gyro_bias: (3,) rad/s, body axes.
    """

    camera: Camera
    camera_to_body: Quaternion
    gyro_bias: Array


@dataclass(frozen=True)
class CalibrationRefused:
    """Why there is no new calibration, for people; residuals in pixels where they are known."""

    reason: str
    residual_before: float = math.nan
    residual_after: float = math.nan
    frames: int = 0
    stars: int = 0


@dataclass(frozen=True)
class Settings:
    """Limits.

    Attributes:
        gyro_noise: rad/s/sqrt(Hz).
        mounting_limit: rad: with a greater standard deviation about any axis the mounting counts
            as not observable, and the old one is kept.
        bias_limit: rad/s: with a greater standard deviation no bias is taken.
    """

    gyro_noise: float = 2e-4
    mounting_limit: float = math.radians(0.1)
    bias_limit: float = 2e-3


def calibrate(
    kind: str,
    frames: Sequence[Frame],
    gyro: tuple[Ints, Array],
    in_use: InUse,
    settings: Settings | None = None,
) -> Calibration | CalibrationRefused:
    """Find a better calibration.

    Args:
        kind: one of ``KINDS``.
        frames: identified stars of each frame, in order of time.
        gyro: stamps (m,) in ns and rates (m, 3) in rad/s, body axes, uncorrected.
        in_use: camera, mounting and bias as they are.
        settings: limits.

    Raises:
        ValueError: an unknown ``kind``.
    """
    if kind not in KINDS:
        raise ValueError(f'calibration_type must be one of {", ".join(KINDS)}; got {kind!r}')
    settings = settings or Settings()
    stars = sum(len(frame.uv) for frame in frames)
    if len(frames) < MIN_FRAMES or (kind != 'gyro' and stars < MIN_STARS):
        return CalibrationRefused(
            f'{len(frames)} frames with {stars} stars were identified; at least {MIN_FRAMES} with '
            f'{MIN_STARS} are needed: take longer, or look at a clearer sky',
            frames=len(frames),
            stars=stars,
        )
    result = Calibration(
        in_use.camera, in_use.camera_to_body, np.asarray(in_use.gyro_bias, dtype=float),
        np.zeros(4), np.full(3, math.inf), np.full(3, math.inf), math.nan, math.nan,
        len(frames), stars,
    )  # fmt: skip
    refused: CalibrationRefused | None = None
    if kind != 'gyro':
        found = _camera(kind, frames, result)
        if isinstance(found, Calibration):
            result = found
        else:
            refused, before = found, found.residual_before
            result = dataclasses.replace(
                result, residual_before=before, residual_after=before, notes=(found.reason,)
            )
    if kind in ('full', 'gyro'):
        result, taken = _gyro(kind, frames, gyro, result, settings)
        if taken:
            return result
        if kind == 'gyro' or refused is not None:
            return CalibrationRefused(
                '; '.join(result.notes), result.residual_before, result.residual_after,
                len(frames), stars,
            )  # fmt: skip
    return result if refused is None else refused


# -- camera ------------------------------------------------------------------------------------


def _camera(
    kind: str, frames: Sequence[Frame], result: Calibration
) -> Calibration | CalibrationRefused:
    camera = result.camera
    frames = _spread(frames)
    held = list(frames[_HELD_OUT // 2 :: _HELD_OUT])
    used = [frame for frame in frames if frame not in held]
    stars = sum(len(frame.uv) for frame in frames)
    before = calibration_lens.residual_rms(held, camera)
    best: tuple[float, Lens, LensFit] | None = None
    problem = ''
    for lens in _candidates(kind, camera):
        try:
            fitted = calibration_lens.fit(used, camera, lens)
        except CameraError as error:
            problem = str(error)
            continue
        after = calibration_lens.residual_rms(held, fitted.camera)
        if best is None or after < best[0] * _SIMPLER:
            best = (after, lens, fitted)
    if best is None:
        return CalibrationRefused(problem, before, frames=len(frames), stars=stars)
    after, lens, fitted = best
    if not after < before * _BETTER:
        return CalibrationRefused(
            f'the camera in use is not bettered: {before:.3f} px on frames held out with it, '
            f'{after:.3f} px with the best new one ({lens.name})',
            before, after, len(frames), stars,
        )  # fmt: skip
    # the choice is made: the frames held out now add to the result
    try:
        fitted = calibration_lens.fit(frames, fitted.camera, lens)
    except CameraError:
        fitted = best[2]
    final = fitted.camera
    if not any(final.distortion) and final.model != 'equidistant':
        final = dataclasses.replace(final, model='none', distortion=())
    final = dataclasses.replace(final, focal_sigma=float(fitted.sigma[0] / final.fx))
    note = (
        f'{lens.name}: {before:.3f} px before, {after:.3f} px after, on {len(held)} of '
        f'{len(frames)} frames held out; fx {final.fx:.2f} +- {fitted.sigma[0]:.2f} px'
    )
    return dataclasses.replace(
        result,
        camera=final,
        camera_sigma=fitted.sigma,
        residual_before=before,
        residual_after=after,
        notes=(note,),
    )


def _candidates(kind: str, camera: Camera) -> tuple[Lens, ...]:
    kept = Lens(KEPT, camera.model, (), len(camera.distortion), aspect=False)
    if kind == 'quick':
        return (kept,)
    if camera.model == 'equidistant':
        return (kept, *FISHEYE)
    return (kept, *CANDIDATES)


def _spread(frames: Sequence[Frame]) -> list[Frame]:
    """At most ``MOST_FRAMES``, evenly over all."""
    if len(frames) <= MOST_FRAMES:
        return list(frames)
    which = np.linspace(0, len(frames) - 1, MOST_FRAMES).round().astype(int)
    return [frames[i] for i in which]


# -- gyroscope ---------------------------------------------------------------------------------


def _gyro(
    kind: str,
    frames: Sequence[Frame],
    gyro: tuple[Ints, Array],
    result: Calibration,
    settings: Settings,
) -> tuple[Calibration, bool]:
    """Bias, and for ``full`` the mounting where the motion shows it; and whether any was taken."""
    fitted = calibration_lens.with_attitudes(frames, result.camera)
    motion = Motion(
        [frame.stamp for frame in frames], fitted.rotations, fitted.covariances, *gyro,
        settings.gyro_noise,
    )  # fmt: skip
    notes = list(result.notes)
    mounting: Mounting | None = None
    sigma = np.full(3, math.inf)
    if kind == 'full':
        mounting = calibration_mounting.estimate(
            motion, result.camera_to_body, result.gyro_bias, fixed_mounting=False
        )
        if mounting is not None:
            sigma = mounting.sigma
            if float(sigma.max()) > settings.mounting_limit:
                notes.append(_unobservable(sigma, settings.mounting_limit))
                mounting = None
            elif not mounting.after < mounting.before * _BETTER:
                notes.append('the mounting in use is not bettered, and is kept')
                mounting = None
            else:
                notes.append(
                    'camera to body known to '
                    + ', '.join(f'{math.degrees(s):.4f}' for s in sigma)
                    + ' deg about x, y, z'
                )
    if mounting is None:
        mounting = calibration_mounting.estimate(
            motion, result.camera_to_body, result.gyro_bias, fixed_mounting=True
        )
    if mounting is None:
        notes.append(
            'gyroscope: fewer than two turns between frames have readings throughout; is the '
            'inertial sensor running, and are its stamps those of the images` clock?'
        )
        return dataclasses.replace(result, notes=tuple(notes)), False
    result = dataclasses.replace(result, mounting_sigma=sigma)
    worst = float(mounting.gyro_bias_sigma.max())
    if worst > settings.bias_limit or not mounting.after < mounting.before * _BETTER:
        notes.append(
            f'gyroscope bias is not bettered: known to {worst:.2g} rad/s, turns differ by '
            f'{mounting.before:.2g} rad with the old one and by {mounting.after:.2g} rad with a new'
        )
        return dataclasses.replace(result, notes=tuple(notes)), False
    notes.append(f'gyroscope bias known to {worst:.2g} rad/s from {mounting.pairs} turns')
    return dataclasses.replace(
        result,
        camera_to_body=mounting.camera_to_body,
        gyro_bias=mounting.gyro_bias,
        gyro_bias_sigma=mounting.gyro_bias_sigma,
        notes=tuple(notes),
    ), True


def _unobservable(sigma: Array, limit: float) -> str:
    axes = ', '.join(
        axis for axis, value in zip('xyz', sigma.tolist(), strict=True) if value > limit
    )
    known = ', '.join(f'{math.degrees(value):.3g}' for value in sigma.tolist())
    return (
        f'camera to body is not observable about {axes} with this motion (it is known to {known} '
        'deg about x, y, z), and is kept: turn the vehicle about two axes while frames are taken'
    )
