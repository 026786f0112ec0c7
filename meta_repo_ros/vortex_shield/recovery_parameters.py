# SPDX-License-Identifier: Apache-2.0
"""Limits and settings of the recovery, SI units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from meta_repo_ros.core.parameters import parameter


@dataclass(frozen=True)
class RecoverySettings:
    """How the recovery decides and flies, within its limits."""

    fly_from: str = parameter(
        'incipient', 'Level from which the recovery is flown; below it is only planned.',
        choices=('incipient', 'developed', 'never'),
    )  # fmt: skip
    persistence: float = parameter(
        0.05, 'How long INCIPIENT must last before it is flown; DEVELOPED is flown at once.',
        unit='s', minimum=0.0, maximum=10.0,
    )  # fmt: skip
    clear_time: float = parameter(
        0.5, 'How long the level must be below INCIPIENT to take the warning as over.',
        unit='s', minimum=0.0, maximum=30.0,
    )  # fmt: skip
    return_time: float = parameter(
        3.0, 'After an end: if the level is back within this time it is flown at once.',
        unit='s', minimum=0.0, maximum=60.0,
    )  # fmt: skip
    tilt_reserve: float = parameter(
        0.05, 'Part of the greatest tilt that is not commanded: attitude loops overshoot.',
        minimum=0.0, maximum=0.5,
    )  # fmt: skip
    rotor_reserve: float = parameter(
        0.15, 'Part of the greatest change of rotor speed that is not commanded.',
        minimum=0.0, maximum=0.9,
    )  # fmt: skip
    hold_airspeed: float = parameter(
        0.5, 'Airspeed over v_h below which thrust does not rise deep in the ring.',
        minimum=0.5, maximum=1.5,
    )  # fmt: skip
    exit_airspeed: float = parameter(
        0.75,
        'Airspeed over v_h that, surely reached, leaves a full ring behind.',
        minimum=0.6,
        maximum=2.0,
    )
    deep_descent: float = parameter(
        0.8, 'Sink rate over v_h from which INCIPIENT is taken for deep in the ring.',
        minimum=0.4, maximum=2.0,
    )  # fmt: skip
    end_sink: float = parameter(
        0.1, 'Sink rate over v_h at which the recovery ends.', minimum=0.02, maximum=0.5
    )
    climb_acceleration: float = parameter(
        5.0, 'Greatest upward acceleration asked for.', unit='m/s2', minimum=0.2, maximum=20.0
    )
    sink_gain: float = parameter(
        1.5, 'Upward acceleration asked for per sink rate.', unit='1/s', minimum=0.1, maximum=10.0
    )
    sink_integral: float = parameter(
        0.3, 'The same per integral of the sink rate.', unit='1/s2', minimum=0.0, maximum=10.0
    )
    thrust_rise: float = parameter(
        2.0, 'Fastest change of thrust over weight.', unit='1/s', minimum=0.05, maximum=20.0
    )
    forward_lag: float = parameter(
        1.4, 'Time to pitch over time to roll; rotorcraft with several rotors have 1.',
        minimum=1.0, maximum=5.0,
    )  # fmt: skip
    ring_deficit: float = parameter(
        0.22, 'Thrust lost in the full ring over thrust.', minimum=0.0, maximum=0.9
    )
    ring_deficit_adverse: float = parameter(
        0.33, 'The same in the bad case that an assured recovery must bear.',
        minimum=0.0, maximum=0.95,
    )  # fmt: skip
    sink_uncertainty: float = parameter(
        0.5, 'Standard deviation of the sink rate where none is given.', unit='m/s', minimum=0.0
    )
    airspeed_uncertainty: float = parameter(
        1.0, 'Standard deviation of the airspeed where none is given.', unit='m/s', minimum=0.0
    )
    upwind_preference: float = parameter(
        0.2, 'Part of the altitude that an exit upwind may cost more than one across the wind.',
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    state_age: float = parameter(
        0.3, 'Older flight states are not used.', unit='s', minimum=0.01, maximum=10.0
    )
    blind_time: float = parameter(
        3.0, 'How long an exit goes on without flight state.', unit='s', minimum=0.0, maximum=60.0
    )
    longest: float = parameter(
        10.0, 'An exit that takes longer than this times v_h over g and tilt is given up.',
        minimum=2.0, maximum=100.0,
    )  # fmt: skip
    lowest_height: float = parameter(
        2.0, 'Height over rotor radius below which no tilt is commanded.', minimum=0.0,
        maximum=100.0,
    )  # fmt: skip


@dataclass(frozen=True)
class RecoveryParameters:
    """What a recovery may do.

    Attributes:
        max_tilt: of the rotor disk from level, rad.
        max_rotor_speed_change: against the speed when the recovery began, rad/s; the vehicle's
            band limits it further.
        safety_margin: height available over height needed from which it is called assured.
        settings: the rest.

    Raises:
        ValueError: a limit that is none.
    """

    max_tilt: float = math.radians(15.0)
    max_rotor_speed_change: float = 200.0 * math.pi / 30.0
    safety_margin: float = 2.0
    settings: RecoverySettings = field(default_factory=RecoverySettings)

    def __post_init__(self) -> None:
        if not 0.0 < self.max_tilt < math.radians(60.0):
            raise ValueError(f'max_tilt is {math.degrees(self.max_tilt):g} deg, must be 0 to 60')
        if not 0.0 <= self.max_rotor_speed_change < math.inf:
            raise ValueError(
                f'max_rotor_speed_change is {self.max_rotor_speed_change} rad/s, must not be '
                'negative'
            )
        if not 1.0 <= self.safety_margin < math.inf:
            raise ValueError(f'safety_margin is {self.safety_margin}, must be at least 1')
