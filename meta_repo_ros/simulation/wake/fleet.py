# SPDX-License-Identifier: Apache-2.0
"""Rotorcraft that could exist, from a palm-sized quadrotor to a helicopter of 16 m."""

from __future__ import annotations

import math

import numpy as np

from meta_repo_ros.core.rotorcraft import ROTORCRAFT, STANDARD_GRAVITY, Rotorcraft

HELD_OUT = 1_000_000
"""Seeds from here on are for judging: nothing is to be calibrated on them."""

_VEHICLE_KEY = 0x5645


def vehicle(seed: int) -> Rotorcraft:
    """The rotorcraft of a seed: one in five is one that flies in JSBSim, the others are drawn.

    Disk loading and tip speed are drawn for the size, mass and rotor speed follow from them.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_VEHICLE_KEY,)))
    if rng.random() < 0.2:
        return ROTORCRAFT[str(rng.choice(('f450', 'ah1s')))]
    if rng.random() < 0.55:
        return _multirotor(rng, f'multirotor {seed}')
    return _helicopter(rng, f'helicopter {seed}')


def _multirotor(rng: np.random.Generator, name: str) -> Rotorcraft:
    radius = _log_uniform(rng, 0.03, 0.45)
    rotors = int(rng.choice((4, 6, 8), p=(0.7, 0.2, 0.1)))
    # small ones are light for their disk: about 30 N/m2 at 3 cm, 50 to 150 above 10 cm
    loading = _log_uniform(rng, 40.0, 150.0) * min(1.0, (radius / 0.1) ** 0.5)
    speed = _log_uniform(rng, 55.0, 110.0) * math.sqrt(loading / 80.0) / radius
    return Rotorcraft(
        name,
        radius=radius,
        rotors=rotors,
        mass=loading * rotors * math.pi * radius**2 / STANDARD_GRAVITY,
        blades=int(rng.choice((2, 3), p=(0.75, 0.25))),
        rotor_speed=speed,
        rotor_speed_band=(0.3 * speed, 1.7 * speed),
        thrust_ratio=float(rng.uniform(1.6, 3.0)),
        drag_area=0.1 * rotors * radius**2,
        tilt_time=0.05 + radius,
        fixed_pitch=True,
    )


def _helicopter(rng: np.random.Generator, name: str) -> Rotorcraft:
    radius = _log_uniform(rng, 0.8, 8.0)
    # models of 2 m to transports
    loading = _log_uniform(rng, 0.7, 1.4) * 150.0 * (radius / 5.0) ** 0.7
    tip = rng.uniform(0.85, 1.1) * (130.0 + 80.0 * min(1.0, (radius - 0.8) / 4.0))
    speed = tip / radius
    return Rotorcraft(
        name,
        radius=radius,
        rotors=1,
        mass=loading * math.pi * radius**2 / STANDARD_GRAVITY,
        blades=int(rng.choice((2, 3, 4, 5), p=(0.4, 0.2, 0.3, 0.1))),
        rotor_speed=speed,
        rotor_speed_band=(0.9 * speed, 1.05 * speed),
        thrust_ratio=float(rng.uniform(1.15, 1.5)),
        drag_area=0.02 * radius**2,
        tilt_time=0.1 + 0.06 * radius,
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())
