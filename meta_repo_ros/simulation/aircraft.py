# SPDX-License-Identifier: Apache-2.0
"""The aircraft that scenarios can name: a JSBSim model, its actuators and its autopilot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from meta_repo_ros.control.autopilot import Autopilot
from meta_repo_ros.control.fixed_wing import FixedWingAutopilot
from meta_repo_ros.control.multirotor import MultirotorAutopilot
from meta_repo_ros.control.rotorcraft import RotorcraftAutopilot


@dataclass(frozen=True)
class Trim:
    """Where trimmed flight left the controls.

    Attributes:
        throttle: 0 to 1.
        pitch: rad, nose up positive.
        roll: rad, right positive.
        controls: positions of all actuators, in their order; empty where not known.
    """

    throttle: float
    pitch: float
    roll: float = 0.0
    controls: tuple[float, ...] = ()


@dataclass(frozen=True)
class Aircraft:
    """One aircraft.

    Attributes:
        model: name of the model among JSBSim's aircraft.
        actuators: JSBSim properties that take the autopilot's output, in its order.
        signs: factor of each actuator; JSBSim counts elevator and rudder the other way.
        autopilot: makes the autopilot from the trim.
        step_rate: steps of the flight dynamics, Hz.
        trimmed: whether JSBSim can trim it in flight.
        hover: throttle at which rotors are spun up before the start; 0 for aeroplanes.
        rotors: number of rotors or propellers.
        thrust: commanded thrust, N, of the actuators' positions; None where they command none.
        removed: subsystems of the JSBSim model left out: its own sensors, which would only draw
            random numbers.
        properties: further properties to set before the start.
        running: properties that start the engines once the initial state is set.
        rotor_speed: property of an engine that tells the speed of its rotor, rpm.
        collective: property that tells the collective, rad; None for fixed pitch.
        controls: positions of the actuators while rotors spin up; all at ``hover`` if empty.
        spin_up: how long rotors take from rest to the speed of a hover, s.
        settle: how long the autopilot hovers before the start, s, for what JSBSim cannot trim; the
            flight then starts with the attitude and the controls that this found.
        approach: speed towards a waypoint over the distance to it, 1/s, as it can brake.
    """

    model: str
    actuators: tuple[str, ...]
    signs: tuple[float, ...]
    autopilot: Callable[[Trim], Autopilot]
    step_rate: int
    trimmed: bool
    hover: float
    rotors: int
    thrust: Callable[[Sequence[float]], float] | None = None
    removed: tuple[str, ...] = ()
    properties: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, float] = field(default_factory=lambda: {'propulsion/set-running': -1.0})
    rotor_speed: str = 'propeller-rpm'
    collective: str | None = None
    controls: tuple[float, ...] = ()
    spin_up: float = 1.5
    settle: float = 0.0
    approach: float = 0.4


AIRCRAFT: Mapping[str, Aircraft] = MappingProxyType({
    'c172': Aircraft(
        model='c172p',
        actuators=(
            'fcs/aileron-cmd-norm',
            'fcs/elevator-cmd-norm',
            'fcs/rudder-cmd-norm',
            'fcs/throttle-cmd-norm',
        ),
        signs=(1.0, -1.0, -1.0, 1.0),
        autopilot=lambda trim: FixedWingAutopilot(trim.throttle, trim.pitch),
        step_rate=200,
        trimmed=True,
        hover=0.0,
        rotors=1,
        properties={'fcs/mixture-cmd-norm': 0.87},
    ),
    'f450': Aircraft(
        model='F450',
        actuators=(
            'fcs/cmdFR_ext_nd', 'fcs/cmdAL_ext_nd', 'fcs/cmdFL_ext_nd', 'fcs/cmdAR_ext_nd',
        ),
        signs=(1.0, 1.0, 1.0, 1.0),
        autopilot=lambda _: MultirotorAutopilot(),
        step_rate=400,
        trimmed=False,
        hover=0.42,
        rotors=4,
        thrust=lambda throttles: sum(15.5 * t**1.74 for t in throttles),
        removed=('SensorImu.xml', 'SensorBaro.xml', 'SensorGps.xml'),
        # read by the model's own yaw loop, which stays switched off
        properties={'sensor/imu/gyroZ_rps': 0.0},
    ),
    'ah1s': Aircraft(
        model='ah1s',
        actuators=(
            'fcs/collective-cmd-norm',
            'fcs/aileron-cmd-norm',
            'fcs/elevator-cmd-norm',
            'fcs/rudder-cmd-norm',
            'fcs/nominal-rpm',
        ),
        # forward stick and left pedal are positive in this model; its governor counts in rpm
        signs=(1.0, 1.0, -1.0, -1.0, 30.0 / math.pi),
        autopilot=lambda trim: RotorcraftAutopilot(trim.controls, trim.roll, trim.pitch),
        step_rate=200,
        trimmed=False,
        hover=0.6,
        rotors=1,
        # no thrust: a blade pitch gives half of it or all of it, as the air comes
        # as in its own flight test: controls as they are given, and the governor in charge
        properties={
            'fcs/adj/collective-profile': 0.0,
            'fcs/adj/center-sensitivity': 1.0,
            'fcs/rpm-governor-active-norm': 1.0,
        },
        running={'propulsion/engine[0]/set-running': 1.0, 'propulsion/engine[1]/set-running': 1.0},
        rotor_speed='rotor-rpm',
        collective='propulsion/engine/collective-ctrl-rad',
        # from its flight test
        controls=(0.6, 0.19, 0.156, -0.39, 324.0 * math.pi / 30.0),
        spin_up=6.0,
        settle=20.0,
        approach=0.12,
    ),
})  # fmt: skip
"""Aircraft by the name that scenarios use (case does not matter)."""
