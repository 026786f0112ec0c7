# SPDX-License-Identifier: Apache-2.0
"""The vortex ring's hand on the aircraft: lost and shaking thrust, and moments.

JSBSim's rotors know no ring: the inflow of its helicopter rotor is Glauert's, its propellers'
tables end at an advance ratio of 0. What the ring takes is therefore a force from outside, along
the shaft and in proportion to the thrust that JSBSim has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.simulation.effects import Effect, Wrench
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.vehicle import VehicleError
from meta_repo_ros.simulation.wake.ring import RotorWake, WakeState, wake_seed
from meta_repo_ros.simulation.wake.shape import WakeParameters

# the AH-1S has two blades on a teetering hub, which passes on little of a moment on the disk
_HUB = {'ah1s': 0.3}


@dataclass(frozen=True)
class VortexRingParameters:
    """Of the ring and of what it does."""

    rotorcraft: str = parameter('f450', 'Whose rotors.', choices=tuple(ROTORCRAFT))
    strength: float = parameter(
        1.0, 'Factor of all forces and moments; 0: the ring is there and does nothing.',
        minimum=0.0, maximum=3.0,
    )  # fmt: skip
    wake: WakeParameters = group(WakeParameters)


class VortexRing(Effect):
    """Forces and moments of a vortex ring around the rotor.

    Its twin in the sensor ``rotor_samples`` steps through the same ring where both have the same
    ``wake``.

    Attributes:
        wake: state of the ring at the last step; None before the first.
    """

    Parameters = VortexRingParameters

    def __init__(self, parameters: VortexRingParameters, rng: np.random.Generator) -> None:
        super().__init__(parameters, rng)
        rotorcraft = ROTORCRAFT[parameters.rotorcraft]
        self.wake: WakeState | None = None
        self._arm = rotorcraft.radius * _HUB.get(parameters.rotorcraft, 1.0)
        self._rotors = rotorcraft.rotors
        self._ring = RotorWake(rotorcraft, parameters.wake, wake_seed(rng))

    def force(self, state: VehicleState) -> Wrench:
        """Wrench over the coming step.

        Raises:
            VehicleError: the aircraft is another one.
        """
        if len(state.rotor_speed) != self._rotors:
            raise VehicleError(
                f'effect vortex_ring is for {self.parameters.rotorcraft} with {self._rotors} '
                f'rotor(s), this aircraft has {len(state.rotor_speed)}: correct its rotorcraft'
            )
        wake = self.wake = self._ring.advance(state)
        thrust = self.parameters.strength * state.thrust
        lift = thrust * (wake.thrust_factor - 1.0 + wake.one_per_rev)
        torque = thrust * self._arm
        return Wrench((0.0, 0.0, lift), (torque * wake.roll, torque * wake.pitch, 0.0))
