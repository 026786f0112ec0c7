# SPDX-License-Identifier: Apache-2.0
"""How strongly each sensor shows what goes on at the rotor: drawn, within wide ranges.

There is no public recording of a rotor's pressure, flow and sound in the vortex ring state, so
that every amplitude here is an assumption, and none of them may matter to who reads the streams:
the ranges are wide and include no response at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, ChannelGroup, Kind
from meta_repo_ros.simulation.wake.shape import WakeShape

BLADE_HARMONICS = 6
_DEAF = 0.12  # share of wakes that a kind does not show


@dataclass(frozen=True)
class Response:
    """Of the sensors of one kind; matrices have a column per channel.

    Attributes:
        gain: of all that the ring does, 0 where this kind does not show it.
        lag: behind the ring, over R / v_h.
        growth: exponent over the ring's intensity.
        ring: (21, c) of the ring's wave forms and its buffet, m = 0, then m = 1 along and across.
        tones: (2 + 2 BLADE_HARMONICS, c) of 1P and of the blade passing.
        modulation: of the blade passing by the thrust fluctuation.
        level: (c,) of what the kind measures on the mean; its meaning is the kind's.
        reversal: (c,) of the flow in the ring; other kinds 0.
        noise: white, of the sensor, unit of the kind.
        turbulence: rms of the wake's own without ring, over that of the kind's scale.
        turbulence_rise: what a full ring adds.
        corner: of the turbulence, Hz.
        offset, scale: (c,) errors of the sensor.
        drift: random walk, unit/sqrt(s); ramp: (c,) unit/s.
        loudness: rise of the low-frequency broadband in a full ring, dB.
    """

    gain: float
    lag: float
    growth: float
    ring: Array
    tones: Array
    modulation: float
    level: Array
    reversal: Array
    noise: float
    turbulence: float
    turbulence_rise: float
    corner: float
    offset: Array
    scale: Array
    drift: float
    ramp: Array
    loudness: float


def draw_responses(
    groups: tuple[ChannelGroup, ...],
    rotorcraft: Rotorcraft,
    shape: WakeShape,
    rng: np.random.Generator,
) -> tuple[Response, ...]:
    """One per group. At least one kind shows the ring."""
    shows = rng.random(len(groups)) >= _DEAF
    if not shows.any():
        shows[int(rng.integers(len(groups)))] = True
    make = {Kind.PRESSURE: _pressure, Kind.FLOW: _flow, Kind.ACOUSTIC: _acoustic}
    return tuple(
        make[group.kind](group, rotorcraft, shape, rng, float(s) * rng.uniform(0.5, 1.3))
        for group, s in zip(groups, shows, strict=True)
    )


def _pressure(
    group: ChannelGroup, craft: Rotorcraft, shape: WakeShape, rng: np.random.Generator, gain: float
) -> Response:
    c = group.channels
    r = group.station_radius
    loading = rng.uniform(0.7, 1.3, c) * (0.4 + 1.2 * r * r) / (0.4 + 0.6)
    axisymmetric = rng.uniform(0.1, 0.6) * rng.uniform(0.7, 1.3, c)
    tilting = rng.uniform(0.0, 0.4) * rng.uniform(0.7, 1.3, c)
    return Response(
        gain=gain,
        lag=rng.uniform(0.0, 2.0),
        growth=shape.growth,
        ring=_ring(group, shape, rng, axisymmetric, tilting),
        tones=_tones(group, craft, rng, rng.uniform(0.02, 0.25), rng.uniform(0.5, 1.5)),
        modulation=rng.uniform(0.0, 1.0),
        level=-0.5 * group.station_side * loading,
        reversal=np.zeros(c),
        noise=rng.uniform(0.5, 4.0),
        turbulence=rng.uniform(0.01, 0.06),
        turbulence_rise=rng.uniform(0.0, 0.15),
        corner=_corner(craft, rng),
        offset=rng.normal(0.0, 40.0, c),
        scale=1.0 + rng.normal(0.0, 0.0003, c),
        drift=rng.uniform(0.0, 0.6),
        ramp=rng.normal(0.0, 0.05, c),
        loudness=0.0,
    )


def _flow(
    group: ChannelGroup, craft: Rotorcraft, shape: WakeShape, rng: np.random.Generator, gain: float
) -> Response:
    c = group.channels
    r = group.station_radius
    power = rng.uniform(0.0, 1.2)
    root = rng.uniform(0.4, 1.8)
    tip = rng.uniform(-0.6, 1.0)
    where = np.clip((r - 0.2) / 0.6, 0.0, 1.0)
    pulse = rng.uniform(0.05, 0.5) * rng.uniform(0.7, 1.3, c)
    return Response(
        gain=gain,
        lag=rng.uniform(0.0, 2.0),
        growth=shape.growth,
        ring=_ring(group, shape, rng, pulse, rng.uniform(0.0, 0.25) * np.ones(c)),
        tones=_tones(group, craft, rng, rng.uniform(0.0, 0.12), rng.uniform(0.8, 1.8)),
        modulation=rng.uniform(0.0, 1.0),
        level=(1.0 + 0.5 * power) * r**power * rng.uniform(0.85, 1.15, c),
        reversal=(root + (tip - root) * where) * rng.uniform(0.8, 1.2, c),
        noise=rng.uniform(0.03, 0.25),
        turbulence=rng.uniform(0.03, 0.12),
        turbulence_rise=rng.uniform(0.05, 0.4),
        corner=_corner(craft, rng),
        offset=rng.normal(0.0, 0.15, c),
        scale=1.0 + rng.normal(0.0, 0.03, c),
        drift=rng.uniform(0.0, 0.01),
        ramp=np.zeros(c),
        loudness=0.0,
    )


def _acoustic(
    group: ChannelGroup, craft: Rotorcraft, shape: WakeShape, rng: np.random.Generator, gain: float
) -> Response:
    c = group.channels
    tone = rng.uniform(0.005, 0.06)
    return Response(
        gain=gain,
        lag=rng.uniform(0.0, 2.0),
        growth=shape.growth,
        ring=np.zeros((21, c)),
        tones=_tones(group, craft, rng, tone, rng.uniform(0.3, 1.2)),
        modulation=rng.uniform(0.0, 0.8),
        level=tone * rng.uniform(0.1, 0.6) * rng.uniform(0.7, 1.3, c),
        reversal=np.zeros(c),
        noise=rng.uniform(0.001, 0.02),
        turbulence=rng.uniform(0.0, 0.4),  # modulation of the broadband at 1P
        turbulence_rise=rng.uniform(0.0, 4.0) * float(rng.random() < 0.5),  # dB, broadband
        corner=rng.uniform(40.0, 120.0),
        offset=np.zeros(c),
        scale=1.0 + rng.normal(0.0, 0.05, c),
        drift=0.0,
        ramp=np.zeros(c),
        loudness=float(rng.random() < 0.75) * rng.uniform(0.0, 10.0),
    )


def _ring(
    group: ChannelGroup,
    shape: WakeShape,
    rng: np.random.Generator,
    axisymmetric: Array,
    tilting: Array,
) -> Array:
    """Coefficients of sin and cos of the ring's phase and its multiples."""
    azimuth = group.station_azimuth
    rough = rng.uniform(0.0, 0.8)  # part of the variance that is no wave
    late = rng.normal(0.0, 0.5, group.channels)  # the ring passes the stations one after another
    rows = []
    for amplitude, phase in (
        (axisymmetric, late),
        (tilting * np.cos(azimuth), late + shape.tilt_phase),
        (tilting * np.sin(azimuth), late + shape.tilt_phase),
    ):
        for k, (a, p) in enumerate(shape.harmonics):
            angle = (k + 1) * phase + p
            wave = amplitude * a * math.sqrt(1.0 - rough)
            rows += [wave * np.cos(angle), wave * np.sin(angle)]
        rows.append(amplitude * math.sqrt(rough))
    return np.array(rows)


def _tones(
    group: ChannelGroup, craft: Rotorcraft, rng: np.random.Generator, level: float, fall: float
) -> Array:
    """Coefficients of sin and cos of 1P and of the blade passing and its harmonics.

    What lies above the effective band the anti-alias filter has taken away; some converters leak.
    """
    turn = craft.rotor_speed / (2.0 * math.pi)
    leak = float(rng.random() < 0.2) * 10.0 ** rng.uniform(-3.0, -2.0)
    low, high = group.band
    rows = []
    for order in (1, *(craft.blades * (m + 1) for m in range(BLADE_HARMONICS))):
        frequency = order * turn
        first = order == 1
        amplitude = (1.0 if first else level * (order / craft.blades) ** -fall) * (
            1.0 if frequency <= high else leak
        )
        amplitude *= frequency**2 / (frequency**2 + low**2)
        phase = -order * group.station_azimuth + rng.uniform(0.0, 2.0 * math.pi)
        near = rng.uniform(0.6, 1.4, group.channels)
        rows += [amplitude * near * np.cos(phase), amplitude * near * np.sin(phase)]
    return np.array(rows)


def _corner(craft: Rotorcraft, rng: np.random.Generator) -> float:
    return float(craft.hover_induced_velocity() / craft.radius * rng.uniform(0.2, 1.5))
