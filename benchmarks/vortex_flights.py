# SPDX-License-Identifier: Apache-2.0
"""Flights into a vortex ring and out of it: JSBSim, its ring, autopilot and wind in the loop.

The vehicle hovers, sinks as commanded into its ring, and is flown out by the recovery, which sees
the flight with the errors of sensors and wind estimate, and commands by setpoints.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_repo_ros.control.processor import to_message
from meta_repo_ros.control.setpoints import Command, Setpoint, Source
from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotorcraft import ROTORCRAFT, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.core.sample_message import read
from meta_repo_ros.core.samples import Block
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.scenario import Initial, Scenario, Turbulence, Wind
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.effect import VortexRing
from meta_repo_ros.simulation.wake.ring import WakeState
from meta_repo_ros.vortex_shield.detector import Detector
from meta_repo_ros.vortex_shield.recovery import Recovery, RecoveryParameters
from meta_repo_ros.vortex_shield.types import (
    Detection,
    FlightState,
    Level,
    Phase,
    RecoveryPlan,
    Voice,
)

SCENARIOS = {'f450': 'vortex_recovery', 'ah1s': 'vortex_recovery_ah1s'}
TILT = math.radians(15.0)
ROTOR_CHANGE = 200.0 * math.pi / 30.0
HEIGHTS = (0.5, 10.0)  # over the kinematic budget, when the recovery begins
ENTRY = (0.05, 0.15)  # g, of the descent
RAMP, SETTLE = 0.1, 0.0  # s
# what the recovery is told is wrong by: constant in a flight, and noise
WIND_ERROR = 1.4  # m/s, each component: 2 m/s together
SINK_ERROR, SINK_NOISE = 0.2, 0.15  # m/s
HEIGHT_ERROR = 0.5  # m
ROTOR_NOISE = 0.5  # rad/s
LATE = {'f450': 3.0, 'ah1s': 12.0}  # s, longest wait of a recovery that begins late
LONGEST = {'f450': 30.0, 'ah1s': 70.0}  # s, of the descent and the recovery


@dataclass
class Flight:
    """What one flight gave.

    Attributes:
        seed: of everything.
        recovered: whether it ended out of the ring by the wake's truth, above the ground; ABORTED
            counts as well, as that ends an exit whose descent is normal again.
        ended: last phase and its reason.
        budget: kinematic: sink rate of the descent commanded times 0.95 v_h over g tan 15 deg, m.
        height: above ground then, m.
        assured: whether the plan said so then.
        predicted, lost: altitude, m.
        duration, predicted_duration: s.
        level, sink, airspeed: of the wake's truth, over v_h, when it began.
        max_sink: m/s.
        height_left: least height above ground, m.
        variant: flown.
        upwind: cosine of the exit against the wind.
        exceeded: limits that were, and by how much.
        tilt: greatest, of the true state, rad.
        rotor_change, rotor_change_after: greatest, of the true mean speed against the beginning,
            rad/s: in the wake, and to the end.
        trace: rows over time, where asked for.
    """

    seed: int
    recovered: bool = False
    ended: str = 'never began'
    budget: float = math.nan
    height: float = math.nan
    assured: bool = False
    predicted: float = math.nan
    predicted_duration: float = math.nan
    lost: float = math.nan
    duration: float = math.nan
    level: int = 0
    sink: float = math.nan
    airspeed: float = math.nan
    max_sink: float = math.nan
    height_left: float = math.nan
    variant: str = ''
    upwind: float = math.nan
    exceeded: dict[str, float] = field(default_factory=dict)
    tilt: float = 0.0
    rotor_change: float = 0.0
    rotor_change_after: float = 0.0
    trace: list[tuple[Any, ...]] = field(default_factory=list)


def plan_flight(name: str, seed: int, *, samples: bool) -> tuple[Scenario, np.random.Generator]:
    """A descent in wind, drawn from a seed."""
    rng = np.random.default_rng((seed, 4500 if name == 'f450' else 1))
    base = find_scenario(SCENARIOS[name])
    v_h = ROTORCRAFT[name].hover_induced_velocity()
    wind = Wind(speed=float(rng.uniform(0.0, 0.9 * v_h)), direction=float(rng.uniform(0.0, 360.0)))
    towards = math.radians(270.0 - wind.direction)
    drift = rng.uniform(0.0, 0.3) * v_h
    way = rng.uniform(0.0, 2.0 * math.pi)
    sink = rng.uniform(0.75, 1.25) * v_h
    across = (
        wind.speed * math.cos(towards) + drift * math.cos(way),
        wind.speed * math.sin(towards) + drift * math.sin(way),
    )
    first = next(m for m in base.manoeuvres if 'velocity' in m.given)
    # entered gently, as nobody drops a rotorcraft into a descent
    down = float(rng.uniform(*ENTRY)) * STANDARD_GRAVITY
    manoeuvres = []
    for step in range(math.ceil(sink / down / RAMP) + 1):
        velocity = (*across, -min(down * step * RAMP, sink))
        values = dataclasses.replace(first.values, at=SETTLE + step * RAMP, velocity=velocity)
        manoeuvres.append(dataclasses.replace(first, values=values))
    scenario = dataclasses.replace(
        base,
        header=dataclasses.replace(base.header, duration=200.0, seed=seed, rate=200),
        initial=Initial(altitude=2000.0, height=1900.0, heading=float(rng.uniform(0.0, 360.0))),
        wind=wind,
        turbulence=Turbulence('milspec', wind_at_6m=max(wind.speed, 1.0), severity=2),
        manoeuvres=tuple(manoeuvres),
        sensors=tuple(s for s in base.sensors if samples and s.name == 'rotor_samples'),
    )
    return scenario, rng


class Sight:
    """The flight as the vehicle knows it: the truth with errors."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self.rotorcraft = ROTORCRAFT[name]
        self._rng = rng
        self._wind = rng.normal(0.0, WIND_ERROR, 2).tolist()
        self._sink = float(rng.normal(0.0, SINK_ERROR))
        self._height = float(rng.normal(0.0, HEIGHT_ERROR))

    def look(self, state: VehicleState, steady: Any, height: float) -> FlightState:
        """State of the flight, with height above a ground of our choice."""
        n = self._rng.standard_normal(4).tolist()
        wind = (steady[0] + self._wind[0], steady[1] + self._wind[1], 0.0)
        air = (state.velocity[0] - wind[0], state.velocity[1] - wind[1])
        density = state.static_pressure / (287.053 * state.temperature)
        return FlightState(
            stamp=state.stamp,
            sink_rate=-state.velocity[2] + self._sink + SINK_NOISE * n[0],
            airspeed=math.hypot(*air),
            height=height + self._height,
            rotor_speed=float(np.mean(state.rotor_speed)) + ROTOR_NOISE * n[1],
            thrust=state.thrust_command,
            density=density,
            sink_sigma=math.hypot(SINK_ERROR, SINK_NOISE),
            airspeed_sigma=WIND_ERROR,
            altitude=state.altitude,
            velocity=state.velocity,
            wind=wind,
            orientation=state.orientation,
            thrust_fraction=self.rotorcraft.thrust_fraction(state.thrust_command, state.collective),
        )


class TruthDetector:
    """Stands in for the detector: the wake's own level, a few frames late."""

    def __init__(self, rotorcraft: Rotorcraft, delay: float = 0.05) -> None:
        self._rotorcraft = rotorcraft
        self._delay = round(delay * 200)
        self._past = [0] * (self._delay + 1)
        self._sequence = 0

    def decide(self, wake: WakeState, stamp: int) -> Detection:
        """Decision of one tick."""
        self._past = [*self._past[1:], wake.level]
        self._sequence += 1
        level = Level(self._past[0] + 1)
        return Detection(
            stamp, self._sequence, stamp - 4_000_000, level,
            probability=float(level >= Level.INCIPIENT), risk=math.nan, evidence=math.nan,
            time_to_onset=math.nan, normalised_descent=wake.normalised_descent,
            normalised_airspeed=wake.normalised_airspeed,
            hover_induced_velocity=wake.hover_induced_velocity, voices=Voice(1),
        )  # fmt: skip


class RealDetector:
    """The detector of the package on the simulated streams."""

    def __init__(self, rotorcraft: Rotorcraft) -> None:
        self._detector = Detector(rotorcraft)
        self._last: Detection | None = None

    def take(self, block: Block, flight: FlightState) -> None:
        """A block of samples."""
        self._last = self._detector.block(block, flight)

    def decide(self, wake: WakeState, stamp: int) -> Detection:
        """The newest decision."""
        if self._last is None:
            return TruthDetector(self._detector.rotorcraft, 0.0).decide(
                dataclasses.replace(wake, level=0), stamp
            )
        return self._last


def fly(
    name: str,
    seed: int,
    *,
    detector: str = 'truth',
    parameters: RecoveryParameters | None = None,
    trace: bool = False,
) -> Flight:
    """One flight.

    Args:
        name: of the aircraft.
        seed: of the descent, wind, errors and ring.
        detector: ``truth`` (the wake's level, 50 ms late) or ``real`` (the package's).
        parameters: of the recovery.
        trace: whether to keep the rows over time.
    """
    scenario, rng = plan_flight(name, seed, samples=detector == 'real')
    craft = ROTORCRAFT[name]
    simulator = Simulator(scenario)
    sight = Sight(name, rng)
    recovery = Recovery(craft, parameters)
    ears: Any = RealDetector(craft) if detector == 'real' else TruthDetector(craft)
    descent = -scenario.manoeuvres[-1].values.velocity[2]
    multiple = float(rng.uniform(*HEIGHTS))
    wait = float(rng.uniform(0.0, LATE[name])) * (seed % 2)
    wind = steady_wind(scenario)
    run = _Run(Flight(seed), craft, trace=trace)
    warned = math.inf
    while simulator.state.time < LONGEST[name]:
        messages = simulator.step()
        state, wake = simulator.state, truth(simulator)
        budget = kinematic_budget(descent, wake.hover_induced_velocity)
        height = multiple * budget if run.ground is None else state.altitude - run.ground
        seen = sight.look(state, wind, height)
        for message in messages:
            if message.topic.name == 'rotor_samples':
                ears.take(read(message.message), seen)
        detection = ears.decide(wake, state.stamp)
        if detection.level >= Level.INCIPIENT:
            warned = min(warned, state.time)
        if state.time < warned + wait:
            detection = dataclasses.replace(detection, level=min(detection.level, Level.MARGIN))
        plan = recovery.update(detection, seen)
        if run.judge(state, wake, plan, level=detection.level, heights=(budget, height), wind=wind):
            break
        command(simulator, craft, plan)
    return run.flight


def steady_wind(scenario: Scenario) -> tuple[float, float, float]:
    """Velocity of the air without turbulence, ENU, m/s."""
    towards = math.radians(270.0 - scenario.wind.direction)
    speed = scenario.wind.speed
    return (speed * math.cos(towards), speed * math.sin(towards), 0.0)


def kinematic_budget(sink: float, hover_induced_velocity: float) -> float:
    """Altitude lost at a sink rate while 15 deg of tilt make 0.95 v_h of airspeed, m."""
    return sink * 0.95 * hover_induced_velocity / (STANDARD_GRAVITY * math.tan(TILT))


def truth(simulator: Simulator) -> WakeState:
    """State of the simulated ring at the last step."""
    effect = simulator._effects[0]  # noqa: SLF001  nothing else may see it
    if not isinstance(effect, VortexRing) or effect.wake is None:
        raise TypeError('the scenario has no vortex_ring as its first effect')
    return effect.wake


def command(simulator: Simulator, craft: Rotorcraft, plan: RecoveryPlan) -> None:
    """Send the plan as the node does."""
    if plan.orientation is None:
        simulator.clear_setpoint()
        return
    speeds = None if plan.rotor_speed is None else (plan.rotor_speed,) * craft.rotors
    wanted = Command(attitude=plan.orientation, thrust=plan.thrust, rotor_speed=speeds)
    setpoint = Setpoint(
        simulator.state.stamp, 100_000_000, Source.RECOVERY, 'vortex_shield', wanted
    )
    left = simulator.set_setpoint(to_message(setpoint))
    if left:
        raise RuntimeError(f'{craft.name} cannot follow {left!r}')


class _Run:
    """Judges a recovery from its beginning on."""

    def __init__(self, flight: Flight, craft: Rotorcraft, *, trace: bool) -> None:
        self.flight, self.craft = flight, craft
        self.ground: float | None = None
        self._keep = trace
        self._start = (0.0, 0.0)  # altitude, time
        self._lowest = math.inf
        self._rotor = math.nan
        self._thrust = math.inf
        self._inside = False

    def judge(
        self,
        state: VehicleState,
        wake: WakeState,
        plan: RecoveryPlan,
        *,
        level: Level,
        heights: tuple[float, float],
        wind: tuple[float, float, float],
    ) -> bool:
        """Follow one tick; whether the flight is over.

        Args:
            state: of the vehicle.
            wake: of the ring.
            plan: of the recovery.
            level: that the recovery was told.
            heights: kinematic budget and height above ground, m.
            wind: steady, ENU, m/s.
        """
        if plan.phase == Phase.EXIT and self.ground is None:
            self._begin(state, wake, plan, heights)
            speed = math.hypot(*wind[:2])
            if speed > 0.5:
                along = wind[0] * math.cos(plan.direction) + wind[1] * math.sin(plan.direction)
                self.flight.upwind = -along / speed
        if self.ground is None:
            return False
        self._check(state, wake, plan, level)
        if plan.phase not in (Phase.COMPLETE, Phase.ABORTED) and not self._crashed(state):
            return False
        self._end(state, wake, plan)
        return True

    def _begin(
        self,
        state: VehicleState,
        wake: WakeState,
        plan: RecoveryPlan,
        heights: tuple[float, float],
    ) -> None:
        """The recovery has begun."""
        flight = self.flight
        budget, height = heights
        self.ground = state.altitude - height
        self._start = (state.altitude, state.time)
        self._rotor = float(np.mean(state.rotor_speed))
        flight.budget, flight.height = budget, height
        flight.assured, flight.predicted = plan.assured, plan.predicted_loss
        flight.predicted_duration = plan.predicted_duration
        flight.level = int(wake.level)
        flight.sink, flight.airspeed = wake.normalised_descent, wake.normalised_airspeed
        flight.variant = plan.variant.name.lower()
        flight.max_sink = -state.velocity[2]

    def _check(
        self, state: VehicleState, wake: WakeState, plan: RecoveryPlan, level: Level
    ) -> None:
        """Limits of the true state and of the setpoint at one tick."""
        flight, g = self.flight, self.ground or 0.0
        self._lowest = min(self._lowest, state.altitude)
        flight.max_sink = max(flight.max_sink, -state.velocity[2])
        tilt = math.acos(min(rotations.rotate(state.orientation, (0.0, 0.0, 1.0))[2], 1.0))
        if tilt <= TILT:
            self._inside = True  # what the mission had tilted before is not the recovery's
        if self._inside:
            flight.tilt = max(flight.tilt, tilt)
        if plan.orientation is not None:
            asked = math.acos(min(rotations.rotate(plan.orientation, (0.0, 0.0, 1.0))[2], 1.0))
            self._exceed('commanded tilt, deg', math.degrees(asked - TILT))
        change = float(np.mean(state.rotor_speed)) - self._rotor
        if plan.phase == Phase.EXIT:
            flight.rotor_change = max(flight.rotor_change, abs(change))
            self._exceed('rotor speed change in the wake, rad/s', abs(change) - ROTOR_CHANGE)
        flight.rotor_change_after = max(flight.rotor_change_after, abs(change))
        asked = abs(plan.rotor_speed_change)
        self._exceed('rotor speed change asked for, rad/s', asked - ROTOR_CHANGE)
        low, high = self.craft.rotor_speed_band
        for speed in state.rotor_speed:
            self._exceed('rotor speed band, rad/s', max(speed - high, low - speed))
        if plan.thrust is not None:
            self._exceed('thrust over its limit', plan.thrust - plan.collective_limit)
            if level == Level.DEVELOPED and wake.normalised_airspeed < 0.5:
                self._exceed('thrust raised deep in the ring', plan.thrust - self._thrust)
            self._thrust = plan.thrust
        if self._keep:
            flight.trace.append(
                (state.time, plan.phase.name, state.altitude - g, -state.velocity[2],
                 wake.normalised_airspeed, math.degrees(tilt), plan.thrust, change, wake.level,
                 wake.intensity, plan.predicted_loss, plan.reason, wake.deficit)
            )  # fmt: skip

    def _exceed(self, name: str, excess: float) -> None:
        if excess > 1e-6:
            self.flight.exceeded[name] = max(self.flight.exceeded.get(name, 0.0), excess)

    def _crashed(self, state: VehicleState) -> bool:
        """Whether the ground is reached."""
        return self.ground is not None and state.altitude <= self.ground

    def _end(self, state: VehicleState, wake: WakeState, plan: RecoveryPlan) -> None:
        """It is over."""
        flight = self.flight
        flight.lost = self._start[0] - self._lowest
        flight.duration = state.time - self._start[1]
        flight.height_left = self._lowest - (self.ground or 0.0)
        crashed = self._crashed(state)
        flight.recovered = (
            plan.phase in (Phase.COMPLETE, Phase.ABORTED) and not crashed and wake.level <= 1
        )
        flight.ended = 'ground' if crashed else f'{plan.phase.name}: {plan.reason}'
