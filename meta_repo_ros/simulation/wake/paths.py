# SPDX-License-Identifier: Apache-2.0
"""Flights in the plane of descent and airspeed: what an episode is made to fly.

Everything is over the hover induced velocity v_h; rates are 1/s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from meta_repo_ros.simulation.wake.shape import WakeShape


@dataclass
class Path:
    """Corners of a flight, straight in between.

    Attributes:
        rng: what draws it.
        shape: of the wake that is flown through.
        pace: change of velocity that this vehicle makes in a second, over v_h.
        unit: shortest time that says something of this wake, s: half a ring period at least.
        time, descent, airspeed, load: of the corners; load is thrust over weight less 1.
        height: at the lowest point, over the radius.
        turbulence: rms of the gusts, m/s.
        induced: v_h, m/s.
        imbalance: further 1P force over thrust.
        dropout: whether sensors fail.
    """

    rng: np.random.Generator
    shape: WakeShape
    pace: float
    unit: float
    height: float = 50.0
    turbulence: float = 0.3
    induced: float = 5.0
    imbalance: float = 0.0
    dropout: bool = False
    time: list[float] = field(default_factory=lambda: [0.0])
    descent: list[float] = field(default_factory=lambda: [0.0])
    airspeed: list[float] = field(default_factory=lambda: [0.0])
    load: list[float] = field(default_factory=lambda: [0.0])

    @property
    def end(self) -> float:
        """Time of the last corner, s."""
        return self.time[-1]

    def to(self, descent: float, airspeed: float, hurry: float = 1.0, load: float = 0.0) -> Path:
        """Go there at ``hurry`` times the vehicle's pace."""
        change = abs(descent - self.descent[-1]) + abs(airspeed - self.airspeed[-1])
        return self._corner(max(change / (self.pace * hurry), 0.3), descent, airspeed, load)

    def stay(self, low: float, high: float) -> Path:
        """Stay for a time, s, drawn from a range."""
        return self._corner(
            self.draw(low, high), self.descent[-1], self.airspeed[-1], self.load[-1]
        )

    def draw(self, low: float, high: float) -> float:
        """A number from a range."""
        return float(self.rng.uniform(low, high))

    def _corner(self, duration: float, descent: float, airspeed: float, load: float) -> Path:
        self.time.append(self.end + duration)
        self.descent.append(descent)
        self.airspeed.append(airspeed)
        self.load.append(load)
        return self


def hover(p: Path) -> None:
    """Hover, drifting a little."""
    p.to(p.draw(-0.1, 0.1), p.draw(0.0, 0.3)).stay(5.0, 15.0)


def climb(p: Path) -> None:
    """Vertical and oblique climbs."""
    p.to(p.draw(-1.0, -0.2), p.draw(0.0, 1.5)).stay(5.0, 15.0)
    p.to(0.0, p.draw(0.0, 0.5)).stay(2.0, 5.0)


def cruise(p: Path) -> None:
    """Forward flight with shallow climbs and descents."""
    p.to(p.draw(-0.3, 0.3), p.draw(1.5, 3.0)).stay(5.0, 15.0)


def shallow_descent(p: Path) -> None:
    """Slow vertical descents, short of any ring."""
    p.to(p.draw(0.05, p.shape.onset - 0.2), p.draw(0.0, 0.4), 0.5).stay(5.0, 15.0)
    p.to(0.0, 0.0).stay(2.0, 5.0)


def brush(p: Path) -> None:
    """Descents that come near the ring and turn back."""
    p.turbulence = min(p.turbulence, 0.03 * p.induced)
    p.to(p.shape.onset + p.draw(-0.1, 0.0), p.draw(0.0, 0.3), 0.3).stay(1.0, 4.0)
    p.to(p.draw(-0.2, 0.1), 0.0).stay(3.0, 8.0)


def slow_entry(p: Path) -> None:
    """Descent that grows slowly until the ring has formed."""
    p.to(p.draw(0.0, 0.2), p.draw(0.0, 0.2)).stay(4.0, 8.0)
    p.to(p.draw(0.95, 1.45), p.draw(0.0, 0.3), p.draw(0.15, 0.4))
    _dwell(p)
    p.to(0.0, p.draw(1.3, 1.8)).stay(1.0, 3.0)


def fast_entry(p: Path) -> None:
    """Descent into the ring as fast as the vehicle can."""
    p.to(p.draw(-0.3, 0.2), p.draw(0.0, 0.2)).stay(4.0, 8.0)
    p.to(p.draw(0.95, 1.5), p.draw(0.0, 0.3), p.draw(0.8, 2.0))
    _dwell(p)
    p.to(p.draw(-0.2, 0.1), p.draw(0.0, 1.5)).stay(2.0, 4.0)


def steep_approach(p: Path) -> None:
    """Forward flight that is slowed down while the sink rate stays."""
    p.to(0.0, p.draw(1.5, 2.0)).stay(3.0, 5.0)
    p.to(p.draw(0.95, 1.35), p.draw(1.4, 1.8)).stay(1.0, 3.0)
    p.to(p.descent[-1], p.draw(0.0, 0.35), p.draw(0.4, 1.0))
    _dwell(p)
    p.to(0.0, p.draw(1.2, 1.8)).stay(1.0, 3.0)


def oblique_exit(p: Path) -> None:
    """Ring left sideways at nearly the same sink rate."""
    p.to(0.1, p.draw(0.0, 0.2)).stay(4.0, 8.0)
    p.to(p.draw(1.0, 1.4), p.draw(0.0, 0.3), p.draw(0.3, 1.2))
    _dwell(p)
    p.to(p.descent[-1], p.draw(1.5, 2.0), p.draw(0.5, 1.0)).stay(2.0, 5.0)
    p.to(0.0, p.draw(1.2, 1.8)).stay(1.0, 3.0)
    p.to(0.0, 0.0)


def recovery(p: Path) -> None:
    """Ring left at once, as a recovery would."""
    p.to(0.1, p.draw(0.0, 0.2)).stay(4.0, 8.0)
    p.to(p.draw(1.0, 1.4), p.draw(0.0, 0.2), p.draw(0.4, 1.5)).stay(2.0 * p.unit, 3.0 * p.unit)
    p.to(p.descent[-1] + p.draw(-0.2, 0.2), p.draw(0.9, 1.3), 1.0)
    p.to(p.draw(-0.4, 0.0), p.draw(1.0, 1.6), 1.5, load=p.draw(0.05, 0.2)).stay(2.0, 5.0)


def turbulence(p: Path) -> None:
    """Everyday flight in light to severe turbulence."""
    if p.end == 0.0:
        # what is severe for a helicopter throws a small one about beyond flying
        p.turbulence = min(p.draw(0.75, 2.6), 0.35 * p.induced)
    step = (hover, cruise, climb, shallow_descent)[int(p.rng.integers(4))]
    step(p)


def flare(p: Path) -> None:
    """Approach and aggressive flare, with more than the weight on the rotor."""
    p.height = p.draw(1.0, 6.0)
    p.to(p.draw(0.3, 0.8), p.draw(1.4, 2.2)).stay(3.0, 8.0)
    p.to(p.draw(0.0, 0.15), p.draw(0.9, 1.1), p.draw(1.0, 2.0), load=p.draw(0.15, 0.5))
    p.to(p.draw(-0.05, 0.1), p.draw(0.0, 0.4), p.draw(1.0, 2.0), load=p.draw(0.1, 0.3))
    p.to(0.0, 0.0).stay(2.0, 5.0)
    p.to(-p.draw(0.2, 0.6), p.draw(0.8, 1.5)).stay(3.0, 6.0)


def ground_effect(p: Path) -> None:
    """Taking off, hovering and landing within a rotor diameter of the ground."""
    p.height = p.draw(0.0, 1.0)
    p.to(p.draw(-0.05, 0.05), p.draw(0.0, 0.3)).stay(4.0, 10.0)
    p.to(-0.1, 0.0).stay(1.0, 2.0)
    p.to(0.1, 0.0).stay(1.0, 2.0)


def forward_descent(p: Path) -> None:
    """Sinking as fast as into a ring, at an airspeed that lets none form."""
    p.to(p.draw(0.0, 0.2), p.draw(1.6, 2.2)).stay(2.0, 5.0)
    p.to(p.draw(0.6, 1.5), p.draw(1.35, 2.4)).stay(6.0, 15.0)


def windmill(p: Path) -> None:
    """Autorotation deeper than any ring, entered and left in forward flight."""
    p.to(0.0, p.draw(1.7, 2.2)).stay(2.0, 5.0)
    p.to(p.draw(2.3, 2.8), p.draw(1.5, 2.0)).stay(1.0, 3.0)
    p.to(p.draw(2.3, 2.7), p.draw(0.2, 0.8)).stay(5.0, 12.0)
    p.to(p.descent[-1], p.draw(1.6, 2.0)).stay(1.0, 2.0)


def imbalance(p: Path) -> None:
    """Blades out of balance or out of track."""
    if p.end == 0.0:
        p.imbalance = p.draw(0.03, 0.15)
    (hover, cruise, shallow_descent)[int(p.rng.integers(3))](p)


def dropout(p: Path) -> None:
    """Sensors that stick, die, saturate, drift or repeat themselves in harmless flight."""
    p.dropout = True
    (hover, cruise, forward_descent)[int(p.rng.integers(3))](p)
    # the sink rate goes before the airspeed, or there would be a ring
    p.to(0.0, p.airspeed[-1])


def _dwell(p: Path) -> None:
    p.stay(3.0 * p.unit, 6.0 * p.unit)


Manoeuvre = Callable[[Path], None]

ORDINARY: dict[str, Manoeuvre] = {
    f.__name__: f for f in (hover, climb, cruise, shallow_descent, brush)
}
"""Flights without a ring."""
ENCOUNTERS: dict[str, Manoeuvre] = {
    f.__name__: f for f in (slow_entry, fast_entry, steep_approach, oblique_exit, recovery)
}
"""Flights through a ring."""
HARD_NEGATIVES: dict[str, Manoeuvre] = {
    f.__name__: f
    for f in (turbulence, flare, ground_effect, forward_descent, windmill, imbalance, dropout)
}
"""Flights without a ring that look like one to somebody."""
MANOEUVRES: dict[str, Manoeuvre] = {**ORDINARY, **ENCOUNTERS, **HARD_NEGATIVES}
