# SPDX-License-Identifier: Apache-2.0
"""Parameters of the attitude filter, and the grades of gyroscopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from meta_repo_ros.core.parameters import group, parameter


class GyroNoise(NamedTuple):
    """Errors of a gyroscope, standard deviations and square roots of densities.

    Attributes:
        angle_random_walk: rad/sqrt(s).
        bias_walk: rad/s/sqrt(s).
        bias_sigma: of the bias at start, rad/s.
        scale_sigma: of scale errors and of misalignments, 1.
    """

    angle_random_walk: float
    bias_walk: float
    bias_sigma: float
    scale_sigma: float


GRADES: Mapping[str, GyroNoise] = MappingProxyType({
    'navigation': GyroNoise(5.8e-7, 1.0e-9, 4.8e-8, 1.0e-5),
    'tactical': GyroNoise(2.91e-5, 1.5e-7, 4.85e-5, 3.0e-4),
    'industrial': GyroNoise(1.5e-4, 3.0e-6, 5.0e-3, 1.0e-3),
    'consumer': GyroNoise(3.0e-4, 1.0e-5, 2.0e-2, 1.0e-2),
})  # fmt: skip
"""Typical errors by grade: angle random walk 0.002, 0.1, 0.5, 1 deg/sqrt(h); bias at start 0.01 and
10 deg/h, 0.3 and 1 deg/s; scale 10, 300, 1000, 10000 ppm."""


@dataclass(frozen=True)
class GyroParameters:
    """Errors of the gyroscope: by grade, or number by number."""

    grade: str = parameter(
        'industrial', 'Typical errors by grade; custom: those below.',
        choices=('custom', *GRADES),
    )  # fmt: skip
    angle_random_walk: float = parameter(
        1.5e-4, 'White noise of the rate (custom).', unit='rad/sqrt(s)', minimum=0.0
    )
    bias_walk: float = parameter(
        3.0e-6, 'Random walk of the bias (custom).', unit='rad/s/sqrt(s)', minimum=0.0
    )
    bias_sigma: float = parameter(
        5.0e-3, 'Standard deviation of the bias at start (custom).', unit='rad/s', minimum=1e-9
    )
    scale_sigma: float = parameter(
        1.0e-3, 'Scale errors and misalignments (custom).', unit='1', minimum=0.0, maximum=0.2
    )
    max_rate: float = parameter(
        35.0, 'A faster rotation is refused as faulty.', unit='rad/s', minimum=0.1
    )

    @property
    def noise(self) -> GyroNoise:
        """What the filter takes."""
        if self.grade in GRADES:
            return GRADES[self.grade]
        return GyroNoise(self.angle_random_walk, self.bias_walk, self.bias_sigma, self.scale_sigma)


@dataclass(frozen=True)
class FilterParameters:
    """The attitude filter."""

    gyro: GyroParameters = group(GyroParameters)
    interval_mean: bool = parameter(
        True, 'A rate is the mean since the sample before; otherwise the value at its stamp.'
    )
    window: float = parameter(
        12.0, 'Images whose exposure was longer ago are dropped.', unit='s', minimum=0.1,
        maximum=120.0, read_only=True,
    )  # fmt: skip
    snapshot_interval: float = parameter(
        0.25, 'Time between stored states.', unit='s', minimum=0.01, maximum=10.0, read_only=True
    )
    covariance_interval: float = parameter(
        0.02, 'Time between steps of the covariance.', unit='s', minimum=0.001, maximum=0.5
    )
    gap_tolerance: float = parameter(
        0.06, 'A longer step between samples is a gap; the covariance grows over it.', unit='s',
        minimum=1e-3, maximum=1.0,
    )  # fmt: skip
    max_gap: float = parameter(
        1.0, 'After a longer gap an image must give the attitude anew.', unit='s', minimum=0.01,
        maximum=60.0,
    )  # fmt: skip
    clock_jump: float = parameter(
        5.0, 'Gyroscope stamps that differ by more are a clock jump once they persist.', unit='s',
        minimum=0.5,
    )  # fmt: skip
    gate_probability: float = parameter(
        0.9999, 'Probability of a good image to pass the gate.', minimum=0.5, maximum=0.999999999
    )
    recovery_count: int = parameter(
        3, 'Refused images in a row that agree with each other reset the filter.', minimum=2
    )
    recovery_after: float = parameter(
        1.0, 'And over at least this time; 0 = never.', unit='s', minimum=0.0
    )
    image_sigma_floor: float = parameter(
        1.0e-6, 'Added to the error of each image about each axis: what calibration left.',
        unit='rad', minimum=0.0, maximum=0.01,
    )  # fmt: skip
    false_alarm_limit: float = parameter(
        1e-4, 'An image with a greater probability of a wrong identification is not fused.',
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    max_sigma: float = parameter(
        0.0175, 'Attitudes with a greater standard deviation are not published.', unit='rad',
        minimum=1e-6, maximum=3.0,
    )  # fmt: skip
