# SPDX-License-Identifier: Apache-2.0
"""What a sensor model is: a plug-in that turns the true state into messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.state import VehicleState

BODY_FRAME = 'base_link'


class Sample(NamedTuple):
    """One message of a sensor.

    Attributes:
        topic: name of one of the sensor's topics.
        message: the message, its header stamped with the time of validity.
        delay: how much later than that it is delivered, ns, >= 0.
    """

    topic: str
    message: Any
    delay: int = 0


@dataclass(frozen=True)
class SensorContext:
    """What a sensor is told about its place in the scenario.

    Attributes:
        name: its name in the scenario.
        rate: how often it is sampled, Hz.
        faults: the faults scheduled for it.
        initial: the state at the start of the scenario.
    """

    name: str
    rate: float
    faults: tuple[Fault, ...]
    initial: VehicleState


class Sensor(ABC):
    """Base of all sensors.

    Class attributes:
        Parameters: frozen dataclass, its fields made by :func:`core.parameters.parameter`.
        topics: what it gives.
        default_rate: Hz, where the scenario gives none.
        faults: types of fault that it knows beyond the generic ones.

    Args:
        parameters: an instance of ``Parameters``.
        context: its place in the scenario.
    """

    Parameters: ClassVar[type]
    topics: ClassVar[tuple[Topic, ...]]
    default_rate: ClassVar[float]
    faults: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Any, context: SensorContext) -> None:
        self.parameters = parameters
        self.context = context

    @abstractmethod
    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure.

        Called ``rate`` times a second, in order, from the first sample after the start on, also
        while an outage hides the result, so that a fault changes no other noise.

        Args:
            state: truth.
            rng: this sensor's own generator; all its randomness comes from here.
        """

    def fault(self, kind: str, time: float) -> Vector | None:
        """Sum of the values of all active faults of type ``kind``, None without any."""
        active = [f.at(time) for f in self.context.faults if f.type == kind and f.active(time)]
        if not active:
            return None
        x, y, z = (sum(axis) for axis in zip(*active, strict=True))
        return (x, y, z)


def stamped(message: Any, stamp: int, frame_id: str = BODY_FRAME) -> Any:
    """``message`` with its header filled in."""
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = frame_id
    return message


def diagonal(x: float, y: float, z: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Row-major 3 x 3 diagonal matrix, as messages have covariances."""
    return np.array((x, 0.0, 0.0, 0.0, y, 0.0, 0.0, 0.0, z))
