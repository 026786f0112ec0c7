# SPDX-License-Identifier: Apache-2.0
"""The aircraft that scenarios can name: a JSBSim model, its actuators and its autopilot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from meta_repo_ros.control.autopilot import Autopilot
from meta_repo_ros.control.fixed_wing import FixedWingAutopilot
from meta_repo_ros.control.multirotor import MultirotorAutopilot


@dataclass(frozen=True)
class Trim:
    """Where trimmed flight left the controls.

    Attributes:
        throttle: 0 to 1.
        pitch: rad, nose up positive.
    """

    throttle: float
    pitch: float


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
})  # fmt: skip
"""Aircraft by the name that scenarios use (case does not matter)."""
