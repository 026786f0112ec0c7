# SPDX-License-Identifier: Apache-2.0
"""The simulated star camera and the calibration: what they cost, how true they are.

``python -m benchmarks.starnav_camera [--quick]``

Everything here is simulated: images are rendered, found and identified as in flight, and what the
calibration makes of them is compared with the camera that they were rendered with.
"""

from __future__ import annotations

import calendar
import json
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.renderer import SkyRenderer
from meta_repo_ros.simulation.sky.settings import StarCameraParameters
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.calibration import Calibration, CalibrationRefused, Settings
from meta_repo_ros.starnav.calibration_run import CalibrationRun
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.detection import detector
from meta_repo_ros.starnav.identification.identifier import Identifier

START = calendar.timegm((2026, 12, 1, 19, 0, 0)) * 10**9
PLACE = (47.26, 11.34, 1800.0)
VELOCITY = (60.0, 0.0, 0.0)
PRESSURE, TEMPERATURE = 81500.0, 276.0
GYRO_HZ = 100
GYRO_NOISE = 2e-5  # rad/s/sqrt(Hz), tactical
BIAS = (0.001, -0.002, 0.0005)  # rad/s
MISALIGNED = (0.004, -0.003, 0.005)  # rad
CAMERA = {
    'distortion_model': 'plumb_bob', 'distortion': (-0.15, 0.05, 3e-4, -2e-4),
    'principal_point': (5.0, -7.0), 'declared_focal_scale': 1.004, 'declare_distortion': False,
    'electronics.hot_pixels': 30, 'exposure': 0.1,
}  # fmt: skip
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """A vehicle that rocks about all axes, on the spot.

    Attributes:
        attitude: ICRS to body at each gyroscope reading, the first at ``START``.
        rate: (n, 3) true turn rates of the intervals between, rad/s.
    """

    attitude: list[Quaternion]
    rate: Floats


def rocking(seconds: int, amplitude: float) -> Motion:
    """Turn rates of ``amplitude`` (rad/s) about all three axes, of different periods."""
    time_ = (np.arange(seconds * GYRO_HZ) + 0.5) / GYRO_HZ
    rate = amplitude * np.stack(
        (np.sin(0.9 * time_), np.cos(0.63 * time_), np.sin(0.41 * time_ + 1.0)), axis=-1
    )
    attitude = [rotations.from_matrix(icrs_to_enu(START, *PLACE[:2]))]
    for step in (-rate / GYRO_HZ).tolist():
        attitude.append(rotations.multiply(rotations.exp(step), attitude[-1]))
    return Motion(attitude, rate)


def exposure(motion: Motion, second: int, duration: float) -> Exposure:
    """The exposure in the middle of ``second``."""
    middle, reach = second * GYRO_HZ, math.ceil(0.5 * duration * GYRO_HZ) + 1
    knots = np.arange(-reach, reach + 1)
    return Exposure(
        START + second * 10**9, second, duration, 1.0, knots / GYRO_HZ,
        np.array([motion.attitude[middle + k] for k in knots]), *PLACE, np.array(VELOCITY),
        PRESSURE, TEMPERATURE,
    )  # fmt: skip


def calibrated(
    seconds: int, size: int, amplitude: float = 0.01
) -> tuple[Calibration | CalibrationRefused, StarCameraParameters]:
    """A full calibration from rendered images, and the camera that they were rendered with."""
    p = from_mapping(StarCameraParameters, {'width': size, 'height': size, **CAMERA})
    motion = rocking(seconds, amplitude)
    renderer, find, stars = SkyRenderer(p, seed=2), detector('threshold'), load(6.5)
    told = Camera(
        size, size, p.declared().fx, p.declared().fy, 0.5 * (size - 1), 0.5 * (size - 1),
        focal_sigma=0.01,
    )  # fmt: skip
    identifier = Identifier(stars, START)
    mounting = rotations.multiply(rotations.exp(MISALIGNED), p.mounting())
    run = CalibrationRun(
        'full', seconds, told, mounting, start=START, settings=Settings(gyro_noise=GYRO_NOISE)
    )
    rng = np.random.default_rng(1)
    noise = GYRO_NOISE * math.sqrt(GYRO_HZ) * rng.standard_normal(motion.rate.shape)
    for k, rate in enumerate((motion.rate + BIAS + noise).tolist()):
        run.add_gyro(START + (k + 1) * (10**9 // GYRO_HZ), tuple(rate))
    for second in range(1, seconds):
        seen = exposure(motion, second, p.exposure)
        centroids = find.detect(renderer.render(seen))
        match = identifier.solve(centroids, told, timeout=5.0)
        if match.solved:
            observer = Observer(seen.stamp, *PLACE, VELOCITY, PRESSURE, TEMPERATURE)
            run.add_frame(seen.stamp, centroids, match, apparent(stars, match.star, observer))
    return run.finish(), p


def model_error(found: Camera, true: Camera) -> Floats:
    """Distances (n,) in pixels over the whole image, but for a turn of the whole."""
    edge = np.linspace(0.0, 1.0, 25)
    grid = np.stack(np.meshgrid(edge * (true.width - 1), edge * (true.height - 1)), axis=-1)
    rays = true.directions(grid.reshape(-1, 2))
    seen = found.directions(grid.reshape(-1, 2))
    u, _, vt = np.linalg.svd(seen.T @ rays)
    turn = u @ np.diag((1.0, 1.0, np.linalg.det(u @ vt))) @ vt
    return np.asarray(np.linalg.norm(seen @ turn - rays, axis=1) / true.pixel_angle)


def _row(figure: str, value: object, data: str, **more: object) -> dict[str, Any]:
    return {'figure': figure, 'value': value, 'bar': None, 'met': None, 'data': data, **more}


def _rendering(*, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for title, extra in (
        ('stars, sky, noise', {}),
        (
            'and clouds, streaks, 2,000 hot pixels',
            {'sky.clouds': 0.5, 'sky.satellites': 2.0, 'sky.aircraft': 1.0,
             'electronics.hot_pixels': 2000},
        ),
    ):  # fmt: skip
        p = from_mapping(StarCameraParameters, {'width': 4096, 'height': 4096, **extra})
        renderer, motion = SkyRenderer(p, seed=1), rocking(30, 1e-3)
        image = renderer.render(exposure(motion, 1, p.exposure))
        spent, copied = [], []
        for second in range(2, 5 if quick else 22):
            begin = time.process_time()
            renderer.render(exposure(motion, second, p.exposure), out=image)
            middle = time.process_time()
            image.copy()
            spent.append(middle - begin)
            copied.append(time.process_time() - middle)
        rows.append(
            _row(
                f'rendering 4096x4096 mono16, {title}: CPU, ms, median',
                round(1e3 * float(np.median(spent)), 1),
                'simulated sky, 20 deg, turning at 1 mrad/s',
                baseline=f'copy of the image: {1e3 * float(np.median(copied)):.1f} ms',
                n=len(spent),
            )
        )
    return rows


def rows(*, quick: bool = False) -> list[dict[str, Any]]:
    """All figures: dicts with figure, value, bar, met, baseline, data."""
    found = _rendering(quick=quick)
    size, seconds = (768, 16) if quick else (2048, 60)
    calibration, p = calibrated(seconds, size)
    data = f'{seconds} rendered images of {size}x{size}, 20 deg, rocking at 0.01 rad/s'
    if isinstance(calibration, CalibrationRefused):
        return [*found, _row('calibration', calibration.reason, data)]
    true = p.camera()
    error = model_error(calibration.camera, true)
    off = rotations.log(
        rotations.multiply(calibration.camera_to_body, rotations.conjugate(p.mounting()))
    )
    degrees = [round(math.degrees(v), 4) for v in off]
    return [
        *found,
        _row(
            'calibration, full: residual on frames held out, px per axis, before -> after',
            [round(calibration.residual_before, 3), round(calibration.residual_after, 3)], data,
            n=calibration.frames, stars=calibration.stars,
        ),
        _row(
            'calibration, full: error of the camera over the image, px, rms and greatest',
            [round(float(np.sqrt(np.mean(error**2))), 4), round(float(error.max()), 4)], data,
            baseline='declared camera: '
            f'{float(np.sqrt(np.mean(model_error(p.declared(), true) ** 2))):.2f} px rms',
        ),
        _row(
            'calibration, full: focal length, error over its standard deviation',
            round((calibration.camera.fx - true.fx) / float(calibration.camera_sigma[0]), 2), data,
        ),
        _row(
            'calibration, full: camera to body about x, y, z, deg, error; standard deviation',
            [degrees, [round(math.degrees(s), 4) for s in calibration.mounting_sigma]], data,
            baseline=f'before: {[round(math.degrees(v), 4) for v in MISALIGNED]}',
            notes=list(calibration.notes),
        ),
        _row(
            'calibration, full: gyroscope bias, rad/s, error; standard deviation',
            [[float(f'{v:.2g}') for v in np.subtract(calibration.gyro_bias, BIAS)],
             [float(f'{v:.2g}') for v in calibration.gyro_bias_sigma]], data,
            baseline=f'before: {list(BIAS)}',
        ),
    ]  # fmt: skip


if __name__ == '__main__':
    print(json.dumps(rows(quick='--quick' in sys.argv), indent=2))
