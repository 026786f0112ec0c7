# SPDX-License-Identifier: Apache-2.0
"""The rotorcraft of a recording: what it says, and the rotor speed from what it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.core.samples import Array, Kind, Recording, Samples

_TIP_SPEEDS = (40.0, 260.0)  # m/s, of anything that hovers
_THRUST_COEFFICIENT = 0.0065  # over the disk area and tip speed squared, of a hover
_PROMINENCE = 20.0  # of a tone over the median of the spectrum around it
_LONGEST = 1 << 17  # samples that a spectrum is made of


def rotorcraft(recording: Recording) -> Rotorcraft:
    """The vehicle that made a recording.

    The file does not state the rotor speed: it is ``rotor_speed_rad_s`` where the vehicle has it,
    else the median of the state while it sinks slowly, else the strongest tone where blades may
    pass, else that of a usual thrust coefficient. Everything else is nominal.

    Raises:
        RotorcraftError: no such vehicle flies.
    """
    given = recording.rotorcraft
    radius, blades = given['rotor_radius_m'], round(given['blades'])
    rotors, mass = round(given['rotors']), given['mass_kg']
    speed = given.get('rotor_speed_rad_s') or _hover_speed(recording)
    if speed is None:
        speed = blade_passing_speed(recording.groups, radius, blades)
    if speed is None:
        loading = mass * STANDARD_GRAVITY / (max(rotors, 1) * math.pi * radius**2)
        speed = math.sqrt(loading / (_THRUST_COEFFICIENT * SEA_LEVEL_DENSITY)) / radius
    several = rotors > 2
    # many rotors are flown by their speed, one or two by collective at a governed speed
    band = (0.3 * speed, 1.8 * speed) if several else (0.9 * speed, 1.06 * speed)
    return Rotorcraft(
        recording.name or 'recording',
        radius=radius,
        rotors=rotors,
        mass=mass,
        blades=blades,
        rotor_speed=speed,
        rotor_speed_band=band,
        thrust_ratio=2.0 if several else 1.25,
        tilt_time=0.15 if several else 0.5,
        fixed_pitch=several,
    )


def blade_passing_speed(groups: Sequence[Samples], radius: float, blades: int) -> float | None:
    """Rotor speed, rad/s, of the strongest tone where blades may pass; None where none stands out.

    Args:
        groups: streams; sound speaks first, then pressure.
        radius: m.
        blades: per rotor.
    """
    for kind in (Kind.ACOUSTIC, Kind.PRESSURE):
        samples = next((s for s in groups if s.group.kind == kind), None)
        if samples is not None:
            found = _tone(samples, radius, blades)
            if found is not None:
                return found
    return None


def _hover_speed(recording: Recording) -> float | None:
    """Median rotor speed of the slowest third of the sink rates, rad/s."""
    sink, speed = recording.state[:, 0], recording.state[:, 3]
    known = np.isfinite(speed) & (speed > 0)
    if not known.any():
        return None
    rates = np.where(np.isfinite(sink), np.abs(sink), 0.0)[known]
    calm = rates <= np.quantile(rates, 1 / 3)
    return float(np.median(speed[known][calm]))


def _tone(samples: Samples, radius: float, blades: int) -> float | None:
    group = samples.group
    values: Array = group.values(samples.counts[:_LONGEST])
    values = values - values.mean(axis=0)
    power = (np.abs(np.fft.rfft(values * np.hanning(len(values))[:, np.newaxis], axis=0)) ** 2).sum(
        axis=1
    )
    frequency = np.fft.rfftfreq(len(values), 1.0 / group.rate)
    low, high = (blades * tip / (2.0 * math.pi * radius) for tip in _TIP_SPEEDS)
    inside = np.flatnonzero((frequency >= low) & (frequency <= min(high, group.band[1])))
    if len(inside) < 8:
        return None
    best = inside[np.argmax(power[inside])]
    if power[best] <= _PROMINENCE * np.median(power[inside]):
        return None
    return float(2.0 * math.pi * frequency[best] / blades)
