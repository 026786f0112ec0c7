# SPDX-License-Identifier: Apache-2.0
"""Satellites and aircraft: lines through the image, those of aircraft with flashes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from meta_repo_ros.simulation.sky.settings import Sky
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.types import Array

_FLASH = 0.05  # s
_FLASH_GAIN = 10.0 ** (0.4 * 3.0)
_LONGEST = 20000  # points of a line


class Streak(NamedTuple):
    """One line: pixels passed (k, 2), light at each over that of magnitude 0 in the exposure."""

    track: Array
    light: Array
    kind: str


def streaks(
    sky: Sky, camera: Camera, duration: float, sigma: float, rng: np.random.Generator
) -> list[Streak]:
    """What crosses the image during one exposure; the next one has others."""
    result = []
    for kind, mean, magnitude, rate in (
        ('satellite', sky.satellites, sky.satellite_magnitude, sky.satellite_rate),
        ('aircraft', sky.aircraft, sky.aircraft_magnitude, sky.aircraft_rate),
    ):
        for _ in range(int(rng.poisson(mean))):
            middle = rng.uniform((0.0, 0.0), (camera.width, camera.height))
            angle = rng.uniform(0.0, 2.0 * math.pi)
            brightness = 10.0 ** (-0.4 * (magnitude + rng.standard_normal()))
            phase = rng.uniform(0.0, sky.strobe_period)
            speed = math.radians(rate) / camera.pixel_angle * rng.uniform(0.6, 1.4)
            length = speed * duration
            n = int(np.clip(length / (0.5 * sigma), 1, _LONGEST)) + 1
            at = (np.arange(n) + 0.5) / n - 0.5
            heading = np.array((math.cos(angle), math.sin(angle)))
            light = np.full(n, brightness / n)
            if kind == 'aircraft':
                time = (at + 0.5) * duration + phase
                light[time % sky.strobe_period < _FLASH] *= _FLASH_GAIN
            result.append(Streak(middle + length * at[:, np.newaxis] * heading, light, kind))
    return result
