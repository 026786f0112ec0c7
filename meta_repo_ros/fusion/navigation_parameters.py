# SPDX-License-Identifier: Apache-2.0
"""Parameters of navigation_fusion."""

from __future__ import annotations

from dataclasses import dataclass

from meta_repo_ros.core.parameters import group, parameter

_ZERO3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class WindowParameters:
    """Delayed and out-of-order measurements."""

    length: float = parameter(
        1.5, 'Measurements older than this are dropped.', unit='s', minimum=0.01, maximum=10.0,
        read_only=True,
    )  # fmt: skip
    snapshot_interval: float = parameter(
        0.05, 'Time between stored filter states.', unit='s', minimum=0.005, maximum=1.0,
        read_only=True,
    )  # fmt: skip


@dataclass(frozen=True)
class ImuParameters:
    """Inertial sensor: noise, initial biases, limits."""

    gyro_noise: float = parameter(
        2e-4, 'Gyroscope noise density.', unit='rad/s/sqrt(Hz)', minimum=0.0
    )
    accel_noise: float = parameter(
        3e-3, 'Accelerometer noise density.', unit='m/s2/sqrt(Hz)', minimum=0.0
    )
    gyro_bias_walk: float = parameter(
        5e-6, 'Random walk of the gyroscope bias.', unit='rad/s2/sqrt(Hz)', minimum=0.0
    )
    accel_bias_walk: float = parameter(
        1e-4, 'Random walk of the accelerometer bias.', unit='m/s3/sqrt(Hz)', minimum=0.0
    )
    gyro_bias_sigma: float = parameter(
        5e-3, 'Standard deviation of the gyroscope bias at start.', unit='rad/s', minimum=1e-9
    )
    accel_bias_sigma: float = parameter(
        0.05, 'Standard deviation of the accelerometer bias at start.', unit='m/s2', minimum=1e-9
    )
    gyro_scale_sigma: float = parameter(
        2e-3, 'Unmodelled scale and misalignment of the gyroscope.', minimum=0.0, maximum=0.2
    )
    accel_scale_sigma: float = parameter(
        2e-3, 'Unmodelled scale and misalignment of the accelerometer.', minimum=0.0, maximum=0.2
    )
    vibration_noise: float = parameter(
        0.0, 'Attitude noise density for each rad/s of vibration about the same axis; 0 = none.',
        unit='sqrt(s)', minimum=0.0, maximum=1.0,
    )  # fmt: skip
    max_rate: float = parameter(
        35.0, 'A faster rotation is refused as faulty.', unit='rad/s', minimum=0.1
    )
    max_force: float = parameter(
        320.0, 'A larger specific force is refused as faulty.', unit='m/s2', minimum=1.0
    )
    interval_mean: bool = parameter(
        True, 'A sample is the mean since the one before; otherwise the value at its stamp.'
    )
    gap_tolerance: float = parameter(
        0.06, 'A longer step between samples is a gap; the covariance grows over it.', unit='s',
        minimum=1e-3, maximum=1.0,
    )  # fmt: skip
    max_gap: float = parameter(
        1.0, 'After a longer gap the filter aligns anew.', unit='s', minimum=0.01, maximum=60.0
    )


@dataclass(frozen=True)
class GnssParameters:
    """GNSS position and velocity."""

    lever_arm: tuple[float, ...] = parameter(
        _ZERO3, 'Antenna from the inertial sensor, body axes.', unit='m', size=3
    )
    position_floor: float = parameter(
        0.1, 'Least standard deviation believed of a position.', unit='m', minimum=1e-3
    )
    velocity_floor: float = parameter(
        0.05, 'Least standard deviation believed of a velocity.', unit='m/s', minimum=1e-3
    )
    time_sigma: float = parameter(
        0.01, 'Standard deviation of the time tags.', unit='s', minimum=0.0, maximum=1.0
    )
    unknown_position_sigma: float = parameter(
        0.0, 'Taken for fixes of unknown covariance; 0 refuses them.', unit='m', minimum=0.0
    )
    unknown_velocity_sigma: float = parameter(
        0.0, 'Taken for velocities of unknown covariance; 0 refuses them.', unit='m/s', minimum=0.0
    )
    outage: float = parameter(
        2.0, 'Without an accepted fix for so long, trust must be regained.', unit='s', minimum=0.1
    )
    reacquire_count: int = parameter(
        5, 'Consistent fixes in a row that regain trust.', minimum=1, maximum=100
    )
    correlation_time: float = parameter(
        1.0, 'Correlation time of the errors, for the drift test.', unit='s', minimum=0.0
    )
    drift_false_alarm: float = parameter(
        1e-9, 'False alarm probability of one drift test.', minimum=1e-15, maximum=0.1
    )
    drift_hold: float = parameter(
        20.0, 'GNSS stays refused for so long after a drift was found.', unit='s', minimum=0.0
    )
    stuck_distance: float = parameter(
        1.0, 'Distance travelled with unchanged fix that shows a stuck receiver.', unit='m',
        minimum=0.01,
    )  # fmt: skip


@dataclass(frozen=True)
class GateParameters:
    """Chi-square gates of all sensors."""

    probability: float = parameter(
        0.999, 'Probability of a good measurement to pass.', minimum=0.5, maximum=0.999999999
    )
    reacquire_probability: float = parameter(
        0.99, 'The same where trust must be regained.', minimum=0.5, maximum=0.999999999
    )
    recovery_after: float = parameter(
        30.0, 'Consistent refused measurements win after this time; 0 = never.', unit='s',
        minimum=0.0,
    )  # fmt: skip
    recovery_count: int = parameter(10, 'And with at least so many.', minimum=2)
    realign_after: float = parameter(
        90.0, 'GNSS refused for so long makes the filter align anew; 0 = never.', unit='s',
        minimum=0.0,
    )  # fmt: skip
    inflation: float = parameter(
        1.2, 'Factor on position and velocity variance per second of refusal.', minimum=1.0,
        maximum=10.0,
    )  # fmt: skip


@dataclass(frozen=True)
class BarometerParameters:
    """Barometer."""

    sigma: float = parameter(
        1.0, 'Least standard deviation of a pressure height.', unit='m', minimum=0.01
    )
    bias_sigma: float = parameter(
        200.0, 'Pressure height against true height at start.', unit='m', minimum=0.1
    )
    bias_walk: float = parameter(
        0.1, 'Random walk of that difference.', unit='m/sqrt(s)', minimum=0.0
    )
    unknown_sigma: float = parameter(
        0.0, 'Taken for pressures of variance 0 (unknown); 0 refuses them.', unit='Pa', minimum=0.0
    )
    period: float = parameter(
        0.2, 'At most one is fused in this time.', unit='s', minimum=0.0, maximum=10.0
    )


@dataclass(frozen=True)
class HeadingParameters:
    """Magnetometer as a compass."""

    use: str = parameter(
        'alignment', 'Where the magnetometer gives heading.',
        choices=('never', 'alignment', 'always'),
    )  # fmt: skip
    sigma: float = parameter(
        0.1, 'Standard deviation of a magnetic heading.', unit='rad', minimum=1e-3, maximum=3.0
    )
    period: float = parameter(
        1.0, 'At most one is fused in this time.', unit='s', minimum=0.0, maximum=100.0
    )


@dataclass(frozen=True)
class AlignmentParameters:
    """Initial alignment: levelling by specific force, heading by star, velocity or magnetometer."""

    duration: float = parameter(
        1.0, 'Shortest time of levelling.', unit='s', minimum=0.1, maximum=60.0
    )
    max_duration: float = parameter(
        5.0, 'Longer than this the measurements are thrown away.', unit='s', minimum=1.0,
        maximum=600.0,
    )  # fmt: skip
    velocity_heading: bool = parameter(
        False, 'Heading from the velocity: only where the body x axis points along the track.'
    )
    min_speed: float = parameter(
        3.0, 'Least speed for that.', unit='m/s', minimum=0.1, maximum=300.0
    )
    sideslip_sigma: float = parameter(
        0.1, 'Standard deviation between track and body x axis.', unit='rad', minimum=1e-3,
        maximum=1.0,
    )  # fmt: skip
    rest: bool = parameter(
        False, 'The vehicle does not rotate where GNSS velocity shows it at rest: a standstill '
        'before the start levels it and gives the gyroscope bias.'
    )  # fmt: skip
    accel_sigma: float = parameter(
        0.1, 'Unknown acceleration while levelling.', unit='m/s2', minimum=1e-3
    )


@dataclass(frozen=True)
class StarParameters:
    """Attitude by stars."""

    time_sigma: float = parameter(
        1e-3, 'Standard deviation of the time tags of images.', unit='s', minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class CelestialParameters:
    """Position by stars."""

    other_inertial_sensor: bool = parameter(
        False, 'Positions on position_update rest on other accelerometers and gyroscopes than '
        'imu/data_raw does, so that nothing counts twice.'
    )  # fmt: skip


@dataclass(frozen=True)
class VehicleParameters:
    """What the vehicle cannot do."""

    constraints: str = parameter(
        'none', 'Motion constraints: none, or those of a car.', choices=('none', 'car'),
        read_only=True,
    )  # fmt: skip
    mount: tuple[float, ...] = parameter(
        _ZERO3, 'Roll, pitch, yaw of the vehicle axes seen from the body axes.', unit='rad', size=3
    )
    reference: tuple[float, ...] = parameter(
        _ZERO3, 'Point that does not slip sideways (rear axle), body axes.', unit='m', size=3
    )
    slip_sigma: float = parameter(
        0.2, 'Standard deviation of sideways and vertical speed.', unit='m/s', minimum=1e-3
    )
    period: float = parameter(
        0.2, 'Time between constraints.', unit='s', minimum=0.01, maximum=10.0
    )
    standstill_rate: float = parameter(
        0.02, 'Greatest rate about the vertical at a standstill.', unit='rad/s', minimum=0.0
    )
    standstill_force: float = parameter(
        0.15, 'Greatest deviation of the horizontal force at a standstill.', unit='m/s2',
        minimum=0.0,
    )  # fmt: skip
    standstill_sigma: float = parameter(
        0.05, 'Standard deviation of the speed at a standstill.', unit='m/s', minimum=1e-4
    )


@dataclass(frozen=True)
class NavigationParameters:
    """All of navigation_fusion."""

    odometry_divider: int = parameter(
        1, 'One odometry message for so many IMU samples.', minimum=1, maximum=1000
    )
    odom_frame: str = parameter('odom', 'Frame of position and attitude.', read_only=True)
    base_frame: str = parameter('base_link', 'Body frame.', read_only=True)
    covariance_interval: float = parameter(
        0.04, 'Time between steps of the covariance.', unit='s', minimum=0.001, maximum=0.5
    )
    usable_sigma: float = parameter(
        50.0, 'Horizontal standard deviation up to which dead reckoning is usable.', unit='m',
        minimum=0.1,
    )  # fmt: skip
    clock_jump: float = parameter(
        5.0, 'IMU stamps that differ by more are a clock jump once they persist.', unit='s',
        minimum=0.5,
    )  # fmt: skip
    window: WindowParameters = group(WindowParameters)
    imu: ImuParameters = group(ImuParameters)
    gnss: GnssParameters = group(GnssParameters)
    gate: GateParameters = group(GateParameters)
    barometer: BarometerParameters = group(BarometerParameters)
    heading: HeadingParameters = group(HeadingParameters)
    alignment: AlignmentParameters = group(AlignmentParameters)
    stars: StarParameters = group(StarParameters)
    celestial: CelestialParameters = group(CelestialParameters)
    vehicle: VehicleParameters = group(VehicleParameters)

    def __post_init__(self) -> None:
        if self.imu.max_gap <= self.imu.gap_tolerance:
            raise ValueError('imu.max_gap must be greater than imu.gap_tolerance')
        if self.alignment.max_duration <= self.alignment.duration:
            raise ValueError('alignment.max_duration must be greater than alignment.duration')
