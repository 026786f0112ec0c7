# SPDX-License-Identifier: Apache-2.0
"""Probability that the rotor descends in its own vortex ring, from the flight state alone.

Coordinates are those of the literature: sink rate and horizontal airspeed over the hover induced
velocity v_h. Nothing there is known well: v_h hangs on mass, the airspeed on the wind, and the
boundary on the criterion of whoever drew it. So the answer is a probability.

The regions are those of :mod:`risk_region`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, Rotorcraft
from meta_repo_ros.vortex_shield.onset_trend import Trend
from meta_repo_ros.vortex_shield.risk_region import (
    DEEP,
    INSIDE,
    MARGIN,
    distance_inside,
    probability,
    probability_of_one,
)

Floats = NDArray[np.float64]

_ROOT_HALF = math.sqrt(0.5)
# of the weight; below, v_h says nothing of the wake that is there; above, the number is wrong
_THRUST = (0.25, 10.0)
_DENSITY = (0.01, 10.0)  # kg/m3, of any air that carries a rotor
_LEAST_SIGMA = 0.02  # m/s
_FAR = 100.0  # v_h; what is beyond is taken as this
_CHUNK = 1 << 15


@dataclass(frozen=True)
class RiskParameters:
    """What is not known of the flight."""

    mass_uncertainty: float = parameter(
        0.15, 'Standard deviation of mass (thrust unknown) over nominal mass.', minimum=0.0,
        maximum=0.5,
    )  # fmt: skip
    thrust_uncertainty: float = parameter(
        0.10, 'Standard deviation of the thrust made over the thrust commanded.', minimum=0.0,
        maximum=0.5,
    )  # fmt: skip
    wind_uncertainty: float = parameter(
        2.5, 'Root mean square error of the horizontal wind, of both components together.',
        unit='m/s', minimum=0.0, maximum=50.0,
    )  # fmt: skip
    sink_uncertainty: float = parameter(
        0.4, 'Standard deviation of the sink rate through the air where none is given.',
        unit='m/s', minimum=0.0, maximum=20.0,
    )  # fmt: skip
    unknown_airspeed: float = parameter(
        0.6, 'Standard deviation of each component of an unknown airspeed, over v_h.',
        minimum=0.05, maximum=10.0,
    )  # fmt: skip
    trend_time: float = parameter(
        0.5, 'Memory of the trend behind the time to onset.', unit='s', minimum=0.02, maximum=30.0
    )
    horizon: float = parameter(
        30.0, 'Times to onset beyond it are infinite.', unit='s', minimum=0.1, maximum=3600.0
    )


class RiskRow(NamedTuple):
    """One instant.

    Attributes:
        inside: probability of the vortex ring state; NaN where the sink rate is unknown, as all
            that hangs on it.
        margin: probability to be near it or inside, >= ``inside``.
        deep: probability of a full ring, <= ``inside``.
        distance: from the nominal boundary, over v_h: positive outside, negative inside.
        depth: 0 at the nominal boundary and outside, 1 in the middle of the region.
        descent: sink rate over v_h.
        airspeed: over v_h; NaN where unknown.
        hover_induced_velocity: v_h, m/s.
    """

    inside: float
    margin: float
    deep: float
    distance: float
    depth: float
    descent: float
    airspeed: float
    hover_induced_velocity: float


@dataclass(frozen=True)
class RiskRows:
    """As :class:`RiskRow`, arrays of the shape of the state."""

    inside: Floats
    margin: Floats
    deep: Floats
    distance: Floats
    depth: Floats
    descent: Floats
    airspeed: Floats
    hover_induced_velocity: Floats

    def row(self, index: int) -> RiskRow:
        """One instant of it."""
        return RiskRow(*(float(getattr(self, item.name)[index]) for item in fields(self)))


class Risk:
    """Of one vehicle.

    Args:
        rotorcraft: whose nominal mass holds where no thrust is known.
        parameters: uncertainties.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: RiskParameters | None = None) -> None:
        self.rotorcraft = rotorcraft
        self.parameters = parameters or RiskParameters()
        self._distance = distance_inside()

    def assess(
        self,
        sink_rate: ArrayLike,
        airspeed: ArrayLike,
        thrust: ArrayLike = math.nan,
        density: ArrayLike = SEA_LEVEL_DENSITY,
        *,
        sink_sigma: ArrayLike = math.nan,
        airspeed_sigma: ArrayLike = math.nan,
    ) -> RiskRows:
        """Risk of many instants; the arguments are broadcast against each other.

        Args:
            sink_rate: through the air, positive down, m/s; NaN: no risk can be told.
            airspeed: horizontal, m/s; NaN: unknown, see ``unknown_airspeed``.
            thrust: of all rotors, N, taken within 0.25 to 10 weights; NaN: the nominal weight and
                ``mass_uncertainty``.
            density: kg/m3; NaN or that of no air: sea level.
            sink_sigma: standard deviation, m/s; NaN: ``sink_uncertainty``.
            airspeed_sigma: of each component, m/s; NaN: from ``wind_uncertainty``.
        """
        s, x, t, rho, s_sigma, x_sigma = np.broadcast_arrays(*(
            np.asarray(value, dtype=np.float64)
            for value in (sink_rate, airspeed, thrust, density, sink_sigma, airspeed_sigma)
        ))  # fmt: skip
        if s.size <= _CHUNK:
            return self._assess(s, x, t, rho, s_sigma, x_sigma)
        # many at a time, but few enough to stay in the cache
        result = RiskRows(*(np.empty(s.size) for _ in fields(RiskRows)))
        flat = [np.ravel(value) for value in (s, x, t, rho, s_sigma, x_sigma)]
        for start in range(0, s.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = self._assess(*(value[part] for value in flat))
            for item in fields(RiskRows):
                getattr(result, item.name)[part] = getattr(rows, item.name)
        return RiskRows(*(getattr(result, item.name).reshape(s.shape) for item in fields(RiskRows)))

    def _assess(self, *state: Floats) -> RiskRows:
        s, x, t, rho, s_sigma, x_sigma = state
        p, craft = self.parameters, self.rotorcraft
        s = np.where(np.isfinite(s), s, np.nan)
        known = np.isfinite(t)
        least, most = (limit * craft.weight for limit in _THRUST)
        force = np.clip(np.where(known, t, craft.weight), least, most)
        rho = np.where((rho >= _DENSITY[0]) & (rho <= _DENSITY[1]), rho, SEA_LEVEL_DENSITY)
        v_h = np.sqrt(force / (2.0 * craft.disk_area * rho))
        scale = 0.5 * np.where(known, p.thrust_uncertainty, p.mass_uncertainty)
        has_speed = np.isfinite(x)
        descent = np.clip(s / v_h, -_FAR, _FAR)
        speed = np.minimum(np.abs(np.where(has_speed, x, 0.0)) / v_h, _FAR)
        per_axis = np.where(np.isfinite(x_sigma), np.abs(x_sigma), self._wind_sigma)
        spread = np.clip(per_axis, _LEAST_SIGMA, _FAR * v_h) / v_h
        spread = np.where(has_speed, spread, p.unknown_airspeed)
        s_sigma = np.where(np.isfinite(s_sigma), np.abs(s_sigma), p.sink_uncertainty)
        variance = np.minimum(s_sigma / v_h, _FAR) ** 2 + (scale * descent) ** 2
        inside, margin, deep = (
            probability(outline, descent, variance, speed, spread, scale=scale)
            for outline in (INSIDE, MARGIN, DEEP)
        )
        distance = self._distance(descent, speed)
        depth = np.clip(-distance / self._distance.deepest, 0.0, 1.0)
        shown = np.where(has_speed, speed, np.nan)
        return RiskRows(inside, margin, deep, distance, depth, descent, shown, v_h)

    def one(
        self,
        sink_rate: float,
        airspeed: float,
        thrust: float = math.nan,
        density: float = SEA_LEVEL_DENSITY,
        *,
        sink_sigma: float = math.nan,
        airspeed_sigma: float = math.nan,
    ) -> RiskRow:
        """Risk of one instant; arguments and numbers as of :meth:`assess`, without its overhead."""
        p, craft = self.parameters, self.rotorcraft
        known = math.isfinite(thrust)
        least, most = _THRUST
        force = thrust if known else craft.weight
        force = min(max(force, least * craft.weight), most * craft.weight)
        rho = density if _DENSITY[0] <= density <= _DENSITY[1] else SEA_LEVEL_DENSITY
        v_h = math.sqrt(force / (2.0 * craft.disk_area * rho))
        has_speed = math.isfinite(airspeed)
        speed = min(abs(airspeed) / v_h, _FAR) if has_speed else 0.0
        shown = speed if has_speed else math.nan
        if not math.isfinite(sink_rate):
            nan = math.nan
            return RiskRow(nan, nan, nan, nan, nan, nan, shown, v_h)
        scale = 0.5 * (p.thrust_uncertainty if known else p.mass_uncertainty)
        descent = min(max(sink_rate / v_h, -_FAR), _FAR)
        per_axis = abs(airspeed_sigma) if math.isfinite(airspeed_sigma) else self._wind_sigma
        spread = min(max(per_axis, _LEAST_SIGMA), _FAR * v_h) / v_h
        spread = spread if has_speed else p.unknown_airspeed
        s_sigma = abs(sink_sigma) if math.isfinite(sink_sigma) else p.sink_uncertainty
        variance = min(s_sigma / v_h, _FAR) ** 2 + (scale * descent) ** 2
        distance = self._distance.one(descent, speed)
        return RiskRow(
            probability_of_one(INSIDE, descent, variance, speed, spread, scale=scale),
            probability_of_one(MARGIN, descent, variance, speed, spread, scale=scale),
            probability_of_one(DEEP, descent, variance, speed, spread, scale=scale),
            distance,
            min(max(-distance / self._distance.deepest, 0.0), 1.0),
            descent,
            shown,
            v_h,
        )

    def trend(self) -> Trend:
        """A new trend for the times to onset of one flight."""
        return Trend(self.parameters.trend_time, self.parameters.horizon)

    @property
    def _wind_sigma(self) -> float:
        return self.parameters.wind_uncertainty * _ROOT_HALF
