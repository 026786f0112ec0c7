# SPDX-License-Identifier: Apache-2.0
"""Parameters of the attitude filter.

The defaults describe a consumer-grade nine-axis sensor on something that moves to and fro: a hand,
a head, a hovering multirotor. What an aeroplane needs otherwise is in ``docs/attitude_fusion.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from meta_repo_ros.core.parameters import group, parameter


@dataclass(frozen=True)
class Gyroscope:
    """Errors of the rate gyros."""

    noise_density: float = parameter(
        1.0e-4,
        'White noise; a covariance in the message goes before it.',
        unit='rad/s/sqrt(Hz)',
        minimum=0.0,
        maximum=1.0,
    )
    rate_noise: float = parameter(
        0.0025,
        'Random walk of the attitude per turning rate: scale, misalignment and timing errors.',
        unit='1/sqrt(Hz)',
        minimum=0.0,
        maximum=1.0,
    )
    bias_sigma: float = parameter(
        0.01, 'Standard deviation of the bias at start.', unit='rad/s', minimum=0.0, maximum=1.0
    )
    bias_walk: float = parameter(
        2.0e-6, 'Random walk of the bias.', unit='rad/s/sqrt(s)', minimum=0.0, maximum=0.1
    )


@dataclass(frozen=True)
class Accelerometer:
    """Errors of the accelerometers."""

    noise_density: float = parameter(
        0.003,
        'White noise; a covariance in the message goes before it.',
        unit='m/s2/sqrt(Hz)',
        minimum=0.0,
        maximum=10.0,
    )
    acceleration_noise: float = parameter(
        0.005,
        'Random walk of the velocity per linear acceleration: scale and timing errors.',
        unit='1/sqrt(Hz)',
        minimum=0.0,
        maximum=1.0,
    )
    bias_sigma: float = parameter(
        0.02, 'Standard deviation of the bias at start.', unit='m/s2', minimum=0.0, maximum=10.0
    )
    bias_walk: float = parameter(
        1.0e-5, 'Random walk of the bias.', unit='m/s2/sqrt(s)', minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class Velocity:
    """Velocity from GNSS: with it the linear acceleration is known."""

    enabled: bool = parameter(True, 'Whether velocities are used.')
    noise_floor: float = parameter(
        0.1,
        'Least standard deviation taken, whatever the message claims.',
        unit='m/s',
        minimum=0.001,
        maximum=100.0,
    )
    timeout: float = parameter(
        2.0,
        'Without a velocity for so long, it is only bounded (motion).',
        unit='s',
        minimum=0.1,
        maximum=100.0,
    )
    outage_time: float = parameter(
        20.0,
        'Correlation time of the velocity after the last one measured.',
        unit='s',
        minimum=0.001,
        maximum=1000.0,
    )
    recovery_count: int = parameter(
        20, 'Velocities refused in a row after which the next one is taken.', minimum=2
    )


@dataclass(frozen=True)
class Motion:
    """What is known of the motion: velocity returns to its mean, acceleration averages out."""

    velocity_sigma: float = parameter(
        0.3,
        'Standard deviation of the horizontal velocity about its mean.',
        unit='m/s',
        minimum=0.001,
        maximum=1000.0,
    )
    velocity_time: float = parameter(
        0.3, 'Correlation time of that velocity.', unit='s', minimum=0.001, maximum=1000.0
    )
    acceleration_time: float = parameter(
        0.05,
        'Growth of velocity_sigma with the RMS linear acceleration: fast motion is also wide.',
        unit='s',
        minimum=0.0,
        maximum=100.0,
    )
    acceleration_memory: float = parameter(
        1.0, 'Time constant of that RMS.', unit='s', minimum=0.01, maximum=100.0
    )


@dataclass(frozen=True)
class Magnetometer:
    """Heading from the magnetic field, and when not to believe it."""

    enabled: bool = parameter(True, 'Whether the magnetic field is used.')
    noise: float = parameter(
        1.0e-6,
        'White noise per sample and axis; a covariance in the message goes before it.',
        unit='T',
        minimum=1.0e-10,
        maximum=1.0e-4,
    )
    lag: float = parameter(
        0.01,
        'Timing error against the gyros: heading noise per turning rate.',
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    disturbance_sigma: float = parameter(
        0.105,
        'Standard deviation of the local deviation of the field from north.',
        unit='rad',
        minimum=0.0,
        maximum=3.14,
    )
    disturbance_time: float = parameter(
        2.0,
        'Correlation time of that deviation while moving; at rest it does not change.',
        unit='s',
        minimum=0.01,
        maximum=10000.0,
    )
    disturbance_gain: float = parameter(
        0.5,
        'Variance of the deviation added per variance of the field in norm and dip.',
        minimum=0.0,
        maximum=100.0,
    )
    disturbance_memory: float = parameter(
        1.0, 'Time constant of that variance.', unit='s', minimum=0.01, maximum=100.0
    )
    norm_gate: float = parameter(
        0.1, 'Greatest deviation of the norm, relative.', minimum=0.0, maximum=10.0
    )
    dip_gate: float = parameter(
        0.175, 'Greatest deviation of the dip angle.', unit='rad', minimum=0.0, maximum=3.14
    )
    reference_memory: float = parameter(
        20.0,
        'Time constant with which norm and dip of the reference follow an accepted field.',
        unit='s',
        minimum=0.1,
        maximum=100000.0,
    )
    new_reference_time: float = parameter(
        20.0,
        'How long a steady other field must be met in motion to become the reference.',
        unit='s',
        minimum=0.1,
        maximum=100000.0,
    )
    recovery_time: float = parameter(
        10.0,
        'How long heading may be refused in an accepted field before it is taken again.',
        unit='s',
        minimum=0.1,
        maximum=100000.0,
    )
    full_scale: float = parameter(
        4.0e-4,
        'A component this large counts as saturated.',
        unit='T',
        minimum=1.0e-6,
        maximum=1.0,
    )
    declination: float = parameter(
        0.0,
        'East of true north; used while no position is known for the World Magnetic Model.',
        unit='rad',
        minimum=-3.15,
        maximum=3.15,
    )
    world_model: bool = parameter(
        True, 'Declination, norm and dip from the World Magnetic Model where position is known.'
    )


@dataclass(frozen=True)
class Stars:
    """Attitude from star images."""

    enabled: bool = parameter(True, 'Whether star attitudes are used.')
    noise_floor: float = parameter(
        5.0e-5,
        'Least standard deviation taken, whatever the message claims.',
        unit='rad',
        minimum=0.0,
        maximum=1.0,
    )
    gate: float = parameter(
        0.999, 'Probability of the chi-square gate.', minimum=0.5, maximum=0.999999
    )
    recovery_count: int = parameter(
        3, 'Refused star attitudes in a row that agree and so reset the filter.', minimum=2
    )
    false_alarm_limit: float = parameter(
        1.0e-3, 'Greatest probability of a wrong identification taken.', minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class Rest:
    """Detection of rest; bias and velocity are then measured directly."""

    enabled: bool = parameter(
        True,
        'Whether rest is looked for; not on an aeroplane without GNSS: steady flight looks so.',
    )
    rate_deviation: float = parameter(
        0.035, 'Greatest deviation of the rate.', unit='rad/s', minimum=0.0, maximum=10.0
    )
    rate_limit: float = parameter(
        0.035, 'Greatest mean rate.', unit='rad/s', minimum=0.0, maximum=10.0
    )
    acceleration_deviation: float = parameter(
        0.5, 'Greatest deviation of the specific force.', unit='m/s2', minimum=0.0, maximum=100.0
    )
    duration: float = parameter(
        1.5, 'How long all that must hold.', unit='s', minimum=0.01, maximum=1000.0
    )
    speed_limit: float = parameter(
        0.5, 'Greatest speed, where it is measured.', unit='m/s', minimum=0.0, maximum=100.0
    )
    memory: float = parameter(
        0.5, 'Time constant of the means.', unit='s', minimum=0.01, maximum=100.0
    )
    rate_sigma: float = parameter(
        5.0e-4,
        'Standard deviation of the rate at rest, averaged over one second.',
        unit='rad/s',
        minimum=1.0e-8,
        maximum=1.0,
    )
    velocity_sigma: float = parameter(
        0.1, 'Standard deviation of the velocity at rest.', unit='m/s', minimum=1e-6, maximum=10.0
    )


@dataclass(frozen=True)
class Timing:
    """Stamps, delays, gaps."""

    window: float = parameter(
        1.0, 'How late a measurement may come.', unit='s', minimum=0.001, maximum=60.0
    )
    future_tolerance: float = parameter(
        0.2,
        "How far a stamp may lie ahead of the host's clock.",
        unit='s',
        minimum=0.0,
        maximum=3600.0,
    )
    update_interval: float = parameter(
        0.02, 'Time between covariance updates.', unit='s', minimum=0.001, maximum=1.0
    )
    gap: float = parameter(
        0.1, 'Time between IMU samples that counts as a gap.', unit='s', minimum=0.002, maximum=10.0
    )
    gap_rate_sigma: float = parameter(
        0.5, 'Unknown rate during a gap.', unit='rad/s', minimum=0.0, maximum=100.0
    )
    gap_limit: float = parameter(
        1.0, 'Longer gaps: level again from gravity.', unit='s', minimum=0.01, maximum=100.0
    )


@dataclass(frozen=True)
class Position:
    """Where the vehicle is while no position comes in: for Earth rotation, stars, declination."""

    known: bool = parameter(False, 'Whether the three values below hold.')
    latitude: float = parameter(0.0, 'Geodetic.', unit='deg', minimum=-90.0, maximum=90.0)
    longitude: float = parameter(0.0, 'East positive.', unit='deg', minimum=-180.0, maximum=180.0)
    altitude: float = parameter(
        0.0, 'Above the ellipsoid.', unit='m', minimum=-1000.0, maximum=100000.0
    )


@dataclass(frozen=True)
class AttitudeParameters:
    """All parameters of ``attitude_fusion``."""

    gyroscope: Gyroscope = group(Gyroscope)
    accelerometer: Accelerometer = group(Accelerometer)
    motion: Motion = group(Motion)
    velocity: Velocity = group(Velocity)
    magnetometer: Magnetometer = group(Magnetometer)
    stars: Stars = group(Stars)
    rest: Rest = group(Rest)
    timing: Timing = group(Timing)
    position: Position = group(Position)
    gravity: float = parameter(9.81, 'Local gravity.', unit='m/s2', minimum=1.0, maximum=30.0)
