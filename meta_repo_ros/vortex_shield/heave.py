# SPDX-License-Identifier: Apache-2.0
"""Vertical motion of a rotorcraft whose collective (or rotor speed) is held: one dimension.

By blade element theory the thrust at a fixed collective falls linearly with the flow through the
disk, U = Vz + v. Steady descent is where the thrust is the weight, so the collective fixes U, not
the sink rate. From hover (U = 1 v_h) down to the vortex ring U falls as the sink rate rises: each
collective has one sink rate and the motion is damped. At the onset of the ring U has a least value,
0.85 v_h at a sink rate of 0.45 v_h by Johnson's inflow. Lower the collective by a hair there and no
steady descent is near any more: the rotor falls through the whole ring, where U rises with the sink
rate (negative damping), until U is 0.85 v_h again on the far side, at 1.73 v_h. That jump, almost
fourfold, is what a pilot meets as the vortex ring state; raising the collective afterwards comes
back only past the other edge, so there is hysteresis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY
from meta_repo_ros.vortex_shield import inflow

Floats = NDArray[np.float64]
Inflow = Callable[[Floats], Floats]

_SINKS = np.linspace(-0.5, 3.0, 7001)  # over v_h


@dataclass(frozen=True)
class Flight:
    """Of the plant.

    Attributes:
        time: (n,) s.
        sink: (n,) m/s, positive down.
        through: (n,) flow through the disk that the collective asks for, over v_h.
    """

    time: Floats
    sink: Floats
    through: Floats


class HeavePlant:
    """Sink rate under a held collective.

    T / W = 1 + gain (U_c - U(V)) with U_c set by the collective; the mass follows from v_h.

    Args:
        v_h: hover induced velocity, m/s.
        gain: loss of thrust over weight for a flow of v_h; by blade element theory
            solidity * lift slope / (8 v_h / tip speed), about 1 on helicopters and quadrotors.
        model: induced velocity over v_h from the sink rate over v_h.

    Raises:
        ValueError: not positive.
    """

    def __init__(self, v_h: float, gain: float = 1.0, model: Inflow = inflow.johnson) -> None:
        if not (math.isfinite(v_h) and v_h > 0.0 and math.isfinite(gain) and gain > 0.0):
            raise ValueError(f'v_h and gain must be positive, got {v_h} m/s and {gain}')
        self.v_h = v_h
        self.gain = gain
        self._flow: Floats = model(_SINKS) - _SINKS

    def flow(self, sink: Floats | float) -> Floats:
        """Through the disk over v_h, downward, at ``sink`` over v_h."""
        return np.asarray(np.interp(sink, _SINKS, self._flow))

    def equilibria(self, through: float) -> tuple[tuple[float, bool], ...]:
        """Steady sink rates over v_h, rising, each with whether it is stable.

        Args:
            through: flow that the collective asks for, over v_h; 1 is hover.
        """
        off = self._flow - through
        at = np.flatnonzero((off[:-1] > 0.0) != (off[1:] > 0.0))
        share = off[at] / (off[at] - off[at + 1])
        sinks = _SINKS[at] + share * (_SINKS[at + 1] - _SINKS[at])
        return tuple(zip(sinks.tolist(), (off[at] > 0.0).tolist(), strict=True))

    def jump(self) -> tuple[float, float] | None:
        """Sink rates over v_h before and after the fold that a slow descent meets, None without."""
        start = int(np.searchsorted(_SINKS, 0.0))
        rising = np.flatnonzero(np.diff(self._flow[start:]) > 0.0)
        if not rising.size:
            return None
        fold = start + int(rising[0])
        after = [
            sink for sink, stable in self.equilibria(float(self._flow[fold]) - 1e-9)
            if stable and sink > _SINKS[fold]
        ]  # fmt: skip
        return (float(_SINKS[fold]), after[0]) if after else None

    def fly(self, through: Floats, step: float, sink: float = 0.0) -> Flight:
        """Integrate (classical Runge-Kutta) under a history of the collective.

        Args:
            through: (n,) flow that the collective asks for over v_h, held over each step.
            step: s.
            sink: at the beginning, m/s.
        """
        rate = STANDARD_GRAVITY * self.gain / self.v_h

        def fall(state: float, asked: float) -> float:
            return -rate * (asked - float(self.flow(state)))

        states: list[float] = [sink / self.v_h]
        for asked in through.tolist():
            s = states[-1]
            a = fall(s, asked)
            b = fall(s + 0.5 * step * a, asked)
            c = fall(s + 0.5 * step * b, asked)
            d = fall(s + step * c, asked)
            states.append(s + step * (a + 2.0 * b + 2.0 * c + d) / 6.0)
        time: Floats = step * np.arange(1, len(states), dtype=np.float64)
        return Flight(time, np.array(states[1:]) * self.v_h, np.asarray(through))
