# SPDX-License-Identifier: Apache-2.0
"""How one vehicle's wake behaves: drawn from ranges, because no two measurements agree.

The ranges span what the published boundaries, thrust deficits and shedding periods span; see
docs/rotor_wake.md for the source of each and for what is assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.parameters import parameter


@dataclass(frozen=True)
class WakeParameters:
    """Ranges from which a wake is drawn; two equal ends fix a value.

    Velocities are over the hover induced velocity v_h, times over R / v_h.
    """

    onset: tuple[float, ...] = parameter(
        (0.35, 0.65), 'Descent at which a ring begins, over v_h.', minimum=0.0, size=2
    )
    peak: tuple[float, ...] = parameter(
        (1.1, 1.35), 'Descent of the greatest thrust deficit, over v_h.', minimum=0.0, size=2
    )
    end: tuple[float, ...] = parameter(
        (1.5, 1.9), 'Descent at which the ring is blown away upwards, over v_h.', minimum=0.0,
        size=2,
    )  # fmt: skip
    airspeed_limit: tuple[float, ...] = parameter(
        (0.6, 1.0), 'Airspeed in the plane of the disk that blows it away, over v_h.',
        minimum=0.05, size=2,
    )  # fmt: skip
    hysteresis: tuple[float, ...] = parameter(
        (0.15, 0.25), 'How much more airspeed a formed ring stands, fraction.', minimum=0.0, size=2
    )
    formation: tuple[float, ...] = parameter(
        (3.0, 10.0), 'Time constant of formation, over R / v_h.', minimum=0.1, size=2
    )
    collapse: tuple[float, ...] = parameter(
        (1.0, 3.0), 'Time constant of collapse, over R / v_h.', minimum=0.1, size=2
    )
    deficit: tuple[float, ...] = parameter(
        (0.10, 0.33), 'Greatest mean loss of thrust, fraction.', minimum=0.0, maximum=0.9, size=2
    )
    fluctuation: tuple[float, ...] = parameter(
        (0.06, 0.22), 'Greatest rms of the thrust, fraction.', minimum=0.0, maximum=0.5, size=2
    )
    moment: tuple[float, ...] = parameter(
        (0.02, 0.10), 'rms of the roll and pitch moment over thrust times radius.', minimum=0.0,
        maximum=0.5, size=2,
    )  # fmt: skip
    period: tuple[float, ...] = parameter(
        (20.0, 50.0), 'Revolutions between two rings.', minimum=2.0, size=2
    )
    salt: int = parameter(0, 'Draws another wake for the same seed.', minimum=0)

    def __post_init__(self) -> None:
        for name in RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f'{name}: {low:g} to {high:g} is no range, give the lower first')
        if self.onset[1] >= self.peak[0] or self.peak[1] >= self.end[0]:
            raise ValueError('the ranges of onset, peak and end must follow one another')


RANGES = (
    'onset', 'peak', 'end', 'airspeed_limit', 'hysteresis', 'formation', 'collapse', 'deficit',
    'fluctuation', 'moment', 'period',
)  # fmt: skip


@dataclass(frozen=True)
class WakeShape:
    """One wake: values of the names in :class:`WakeParameters`, and the rest of its form.

    Attributes:
        rise: width of the onset, over v_h.
        fall: width of the end, over v_h.
        softness: part of the airspeed limit over which the ring weakens.
        width: of the peak of the deficit, over v_h.
        period: mean number of revolutions between two rings.
        wander: standard deviation of the logarithm of the period.
        irregularity: standard deviation of the logarithm of a ring's strength.
        buffet: part of the variance of the thrust that is broadband.
        buffet_time: correlation time of that, over the ring period.
        growth: exponent of the fluctuation over the intensity.
        harmonics: amplitudes and phases (rad) of the ring's wave form; its rms is 1.
        tilt_phase: phase of the m = 1 mode against m = 0, rad.
        imbalance: 1P force over thrust without a ring.
        one_per_rev: 1P force over thrust added by a full ring.
    """

    onset: float
    peak: float
    end: float
    airspeed_limit: float
    hysteresis: float
    formation: float
    collapse: float
    deficit: float
    fluctuation: float
    moment: float
    period: float
    rise: float
    fall: float
    softness: float
    width: float
    wander: float
    irregularity: float
    buffet: float
    buffet_time: float
    growth: float
    harmonics: tuple[tuple[float, float], ...]
    tilt_phase: float
    imbalance: float
    one_per_rev: float

    def wave(self, phase: float) -> float:
        """The ring's wave form at one phase (rad)."""
        return sum(a * math.sin((k + 1) * phase + p) for k, (a, p) in enumerate(self.harmonics))


def draw_shape(parameters: WakeParameters, rng: np.random.Generator) -> WakeShape:
    """A wake within the ranges."""
    values = {name: float(rng.uniform(*getattr(parameters, name))) for name in RANGES}
    amplitudes = np.array((1.0, rng.uniform(0.15, 0.55), rng.uniform(0.05, 0.3)))
    amplitudes *= math.sqrt(2.0) / np.linalg.norm(amplitudes)
    phases = rng.uniform(-math.pi, math.pi, 3)
    return WakeShape(
        **values,
        rise=float(rng.uniform(0.12, 0.4)),
        fall=float(rng.uniform(0.15, 0.4)),
        softness=float(rng.uniform(0.25, 0.55)),
        width=float(rng.uniform(0.4, 0.8)),
        wander=float(rng.uniform(0.05, 0.25)),
        irregularity=float(rng.uniform(0.1, 0.4)),
        buffet=float(rng.uniform(0.2, 0.6)),
        buffet_time=float(rng.uniform(0.05, 0.3)),
        growth=float(rng.uniform(1.0, 1.7)),
        harmonics=tuple(zip(amplitudes.tolist(), phases.tolist(), strict=True)),
        tilt_phase=float(rng.uniform(-math.pi, math.pi)),
        imbalance=float(rng.uniform(0.0, 0.01)),
        one_per_rev=float(rng.choice((0.0, 1.0), p=(0.3, 0.7)) * rng.uniform(0.0, 0.08)),
    )
