# SPDX-License-Identifier: Apache-2.0
"""Effects: forces on the aircraft from outside of its own aerodynamics, as plug-ins.

A scenario names an effect by its registered name or as ``package.module:Class``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotations import Vector, conjugate, rotate
from meta_repo_ros.simulation.state import VehicleState


class Wrench(NamedTuple):
    """Force (N) and moment (N m) at the centre of gravity, body axes x forward y left z up."""

    force: Vector
    moment: Vector = (0.0, 0.0, 0.0)


class Effect(ABC):
    """Base of all effects.

    Class attributes:
        Parameters: frozen dataclass, its fields made by :func:`core.parameters.parameter`.

    Args:
        parameters: an instance of ``Parameters``.
        rng: this effect's own random generator, seeded from the scenario's seed and its name.
    """

    Parameters: ClassVar[type]

    def __init__(self, parameters: Any, rng: np.random.Generator) -> None:
        self.parameters = parameters
        self.rng = rng

    @abstractmethod
    def force(self, state: VehicleState) -> Wrench:
        """Wrench over the coming step; called once per step of the simulator, in order."""


@dataclass(frozen=True)
class ForcePulseParameters:
    """A force that acts for a while."""

    start: float = parameter(0.0, 'When it begins.', unit='s', minimum=0.0)
    duration: float = parameter(1.0, 'How long it acts.', unit='s', minimum=0.0)
    force: tuple[float, ...] = parameter((0.0, 0.0, 0.0), 'Force.', unit='N', size=3)
    moment: tuple[float, ...] = parameter((0.0, 0.0, 0.0), 'Body moment.', unit='N m', size=3)
    frame: str = parameter('body', 'Axes of the force.', choices=('body', 'enu'))


class ForcePulse(Effect):
    """A constant force and moment between two times: a gust, a released load, a push."""

    Parameters = ForcePulseParameters

    def force(self, state: VehicleState) -> Wrench:
        """Wrench over the coming step."""
        p: ForcePulseParameters = self.parameters
        if not p.start <= state.time < p.start + p.duration:
            return Wrench((0.0, 0.0, 0.0))
        force = (p.force[0], p.force[1], p.force[2])
        if p.frame == 'enu':
            force = rotate(conjugate(state.orientation), force)
        return Wrench(force, (p.moment[0], p.moment[1], p.moment[2]))


@dataclass(frozen=True)
class VibrationParameters:
    """Shaking at the speed of the rotors."""

    amplitude: float = parameter(0.01, 'Amplitude over weight.', minimum=0.0)
    order: float = parameter(1.0, 'Multiple of the first rotor`s speed.', minimum=0.1, maximum=16.0)


class Vibration(Effect):
    """A vertical force at a multiple of the rotor speed, as an unbalanced rotor makes.

    Above half the simulator's step rate it folds, as it does in a sampled inertial sensor.
    """

    Parameters = VibrationParameters

    def __init__(self, parameters: VibrationParameters, rng: np.random.Generator) -> None:
        super().__init__(parameters, rng)
        self._phase = float(rng.uniform(0.0, 2.0 * math.pi))
        self._last = 0.0

    def force(self, state: VehicleState) -> Wrench:
        """Wrench over the coming step."""
        p: VibrationParameters = self.parameters
        speed = state.rotor_speed[0] if state.rotor_speed else 0.0
        self._phase += p.order * speed * (state.time - self._last)
        self._last = state.time
        push = p.amplitude * state.mass * 9.80665 * math.sin(self._phase)
        return Wrench((0.0, 0.0, push))


EFFECTS: dict[str, str] = {
    'force_pulse': f'{__name__}:ForcePulse',
    'vibration': f'{__name__}:Vibration',
    'vortex_ring': 'meta_repo_ros.simulation.wake.effect:VortexRing',
}
"""Registered effects as ``package.module:Class``."""
