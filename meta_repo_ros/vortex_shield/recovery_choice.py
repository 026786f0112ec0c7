# SPDX-License-Identifier: Apache-2.0
"""Which way out of the vortex ring: sideways (Vuichard) or forward, compared by altitude lost."""

from __future__ import annotations

import math
from typing import NamedTuple

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery_parameters import RecoveryParameters
from meta_repo_ros.vortex_shield.recovery_prediction import (
    NEVER,
    Prediction,
    Start,
    Way,
    predict,
    ring_shape,
    upflow,
)
from meta_repo_ros.vortex_shield.types import FlightState, Variant

SURE = 2.5  # standard deviations that an airspeed must be above what it is needed for
_CALM = 0.5  # m/s, wind that is none
_WINDY = 0.25  # wind over v_h from which the preference is full
_CLEAR = 0.72  # airspeed over v_h at which the ring is mostly gone
_SLOW = 0.5  # the inflow of a large rotor builds up behind its collective
_AFTER = 1.5  # thrust over weight that autopilots take to stop a descent


class Situation(NamedTuple):
    """What a choice is made from.

    Attributes:
        sink, airspeed: through the air, m/s.
        sink_sigma, airspeed_sigma: m/s.
        air: horizontal velocity through the air, ENU east and north, m/s; None where unknown.
        wind: horizontal, east and north, m/s; None where unknown.
        orientation: body to ENU.
        lift: upward force over weight: what the sink rate's change tells.
        thrust: commanded, over weight; NaN where unknown.
        most: greatest thrust over weight that may be commanded.
        density: kg/m3.
        hover_induced_velocity: m/s.
        deep: whether thrust must not rise yet.
    """

    sink: float
    airspeed: float
    sink_sigma: float
    airspeed_sigma: float
    air: tuple[float, float] | None
    wind: tuple[float, float] | None
    orientation: Quaternion
    lift: float
    thrust: float
    most: float
    density: float
    hover_induced_velocity: float
    deep: bool


class Choice(NamedTuple):
    """A way out.

    Attributes:
        variant: which manoeuvre.
        direction: horizontal, counter-clockwise from east, rad.
        prediction: of what it costs.
        adverse: the same in a bad case.
        why: for people.
    """

    variant: Variant
    direction: float
    prediction: Prediction
    adverse: Prediction
    why: str


def air_velocity(flight: FlightState) -> tuple[float, float] | None:
    """Horizontal velocity through the air, east and north, m/s; None where its way is unknown."""
    if flight.velocity is None or flight.wind is None:
        return None
    east = flight.velocity[0] - flight.wind[0]
    north = flight.velocity[1] - flight.wind[1]
    if not math.isfinite(east + north):
        return None
    # the airspeed is the better measure of its size
    size = math.hypot(east, north)
    if math.isfinite(flight.airspeed) and size > 1e-6:
        scale = flight.airspeed / size
        return (east * scale, north * scale)
    return (east, north)


def attitude(heading: float, direction: float, tilt: float) -> Quaternion:
    """Body to ENU with this heading and the disk tilted towards a direction, rad."""
    axis: Vector = (-math.sin(direction) * tilt, math.cos(direction) * tilt, 0.0)
    half = 0.5 * heading
    return rotations.multiply(rotations.exp(axis), (math.cos(half), 0.0, 0.0, math.sin(half)))


def tilt_towards(orientation: Quaternion, direction: float) -> float:
    """Tilt of the body's z axis towards a horizontal direction, rad, signed."""
    x, y, z = rotations.rotate(orientation, (0.0, 0.0, 1.0))
    return math.atan2(x * math.cos(direction) + y * math.sin(direction), z)


class Chooser:
    """Compares the ways out of one rotorcraft.

    Args:
        rotorcraft: which.
        parameters: limits and settings.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: RecoveryParameters) -> None:
        self._rotorcraft = rotorcraft
        self._parameters = parameters

    def choose(self, situation: Situation) -> Choice:
        """The way that costs least, with a preference for upwind."""
        heading = rotations.yaw(situation.orientation)
        # in a draw right, where the tail rotor of a rotor that turns counter-clockwise pushes
        ways = (
            (Variant.VUICHARD, 'right', heading - 0.5 * math.pi),
            (Variant.VUICHARD, 'left', heading + 0.5 * math.pi),
            (Variant.FORWARD, 'forward', heading),
        )
        found = [self.predict(situation, variant, way) for variant, _, way in ways]
        preference = self._parameters.settings.upwind_preference
        costs = [
            prediction.loss * (1.0 - preference * self._upwind(situation, way[2]))
            for way, prediction in zip(ways, found, strict=True)
        ]
        best = min(range(len(ways)), key=costs.__getitem__)
        (variant, name, direction), prediction = ways[best], found[best]
        adverse = self.predict(situation, variant, direction, adverse=True)
        others = ', '.join(
            f'{ways[i][1]} {found[i].loss:.1f} m' for i in range(len(ways)) if i != best
        )
        why = f'{name}{_upwind_text(self._upwind(situation, direction))}: '
        why += f'{prediction.loss:.1f} m, {others}'
        direction = math.remainder(direction, 2.0 * math.pi)
        return Choice(variant, direction, prediction, adverse, why)

    def predict(
        self, situation: Situation, variant: Variant, direction: float, *, adverse: bool = False
    ) -> Prediction:
        """Cost of one way.

        Args:
            situation: where it begins.
            variant: which manoeuvre.
            direction: of the exit, rad.
            adverse: with all that is uncertain at a bad value at once: sink rate and airspeed by
                one standard deviation, the ring's thrust deficit, half more lag, thrust held
                although the ring is not full yet.
        """
        s, p, craft = self._parameters.settings, self._parameters, self._rotorcraft
        v_h = situation.hover_induced_velocity
        if not math.isfinite(situation.sink + v_h) or v_h <= 0.0:
            return NEVER
        along, across = self._components(situation, direction)
        sink, ring = situation.sink, s.ring_deficit
        lag = craft.tilt_time
        if variant == Variant.FORWARD and craft.rotors == 1:
            lag *= s.forward_lag
        if adverse:
            sink += situation.sink_sigma
            along -= situation.airspeed_sigma
            ring = s.ring_deficit_adverse
            lag *= 1.5
        model = ring * ring_shape(sink / v_h, math.hypot(along, across) / v_h)
        speed = math.hypot(along, across)
        bonus = craft.heave_damping / STANDARD_GRAVITY * upflow(sink, speed, v_h)
        thrust, deficit, most = situation.thrust, model, situation.most
        if not math.isfinite(thrust):
            thrust = situation.lift / (1.0 - model) - bonus
        elif thrust + bonus > 0.1:
            deficit = max(0.0, min(1.0 - situation.lift / (thrust + bonus), 0.6))
            # it is lighter, or its rotors are better, than nominal
            better = max(1.0, min(situation.lift / (thrust + bonus), 1.3))
            thrust, most = better * thrust, better * most
        if adverse:
            deficit = max(deficit, model)
        # an airspeed counts as reached once it surely is
        slowest = s.hold_airspeed * v_h + situation.airspeed_sigma
        clear = max(_CLEAR * v_h, slowest)
        raise_from = min(s.hold_airspeed * v_h + SURE * situation.airspeed_sigma, clear)
        rise = s.thrust_rise * (1.0 if craft.fixed_pitch else _SLOW)
        start = Start(
            sink, along, across, tilt_towards(situation.orientation, direction),
            max(0.2, min(thrust, most)), deficit,
        )  # fmt: skip
        mass = craft.mass
        return predict(
            start,
            Way(
                v_h, p.max_tilt * (1.0 - s.tilt_reserve), lag,
                0.5 * situation.density * craft.drag_area / mass, most,
                clear, max(most, min(craft.thrust_ratio, _AFTER)),
                raise_from if situation.deep or adverse else -1.0, rise, s.sink_gain,
                s.climb_acceleration, s.end_sink * v_h, ring, craft.heave_damping,
            ),
        )  # fmt: skip

    def _components(self, situation: Situation, direction: float) -> tuple[float, float]:
        air = situation.air
        if air is None:
            # some airspeed of unknown direction helps nobody
            return 0.0, 0.0
        # of several ways the one that an error flatters looks best: believe only what stands out
        square = air[0] * air[0] + air[1] * air[1]
        belief = square / max(square + 2.0 * situation.airspeed_sigma**2, 1e-9)
        cosine, sine = belief * math.cos(direction), belief * math.sin(direction)
        return air[0] * cosine + air[1] * sine, air[1] * cosine - air[0] * sine

    def _upwind(self, situation: Situation, direction: float) -> float:
        """1 against a wind of some strength, -1 with it; 0 where there is none or it is unknown."""
        if situation.wind is None:
            return 0.0
        east, north = situation.wind
        size = math.hypot(east, north)
        if size < _CALM:
            return 0.0
        strength = max(size, _WINDY * situation.hover_induced_velocity)
        return -(east * math.cos(direction) + north * math.sin(direction)) / strength


def _upwind_text(value: float) -> str:
    return ' upwind' if value > 0.5 else ' downwind' if value < -0.5 else ''
