# SPDX-License-Identifier: Apache-2.0
"""The simulator: a vehicle, its autopilot, its sensors; steps in, stamped messages out.

It holds no clock and no rclpy. One step is one tick of the scenario's rate; the messages that it
returns are those delivered since the step before, each with its time of delivery, in order.
"""

from __future__ import annotations

import copy
import heapq
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from meta_repo_ros.control.setpoints import Command, Field, Setpoint, check_age, parse
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns, set_stamp
from meta_repo_ros.simulation.effects import Effect
from meta_repo_ros.simulation.mission import Mission
from meta_repo_ros.simulation.scenario import Scenario, SensorSpec
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.vehicle import Vehicle, find_aircraft

_FUTURE_TOLERANCE_NS = 100_000_000


class Message(NamedTuple):
    """One delivered message: time of delivery (ns), its topic, the message."""

    stamp: int
    topic: Topic
    message: Any


class _Fitted(NamedTuple):
    """A sensor in its place."""

    spec: SensorSpec
    sensor: Sensor
    rng: np.random.Generator
    every: int  # ticks
    last: list[Sequence[Sample]]  # the newest readings, for a frozen sensor


class Simulator:
    """Flies one scenario.

    Args:
        scenario: what to fly.
        seed: instead of the scenario's own.

    Attributes:
        topics: everything that it can give, without repetition.
        state: true state after the last step.

    Raises:
        simulation.vehicle.VehicleError: the aircraft does not exist or cannot start so.
    """

    def __init__(self, scenario: Scenario, seed: int | None = None) -> None:
        self.scenario = scenario
        self.seed = scenario.header.seed if seed is None else seed
        aircraft = find_aircraft(scenario.header.aircraft)
        self._vehicle = Vehicle(
            aircraft,
            scenario.initial,
            scenario.wind,
            scenario.turbulence,
            tick_rate=scenario.header.rate,
            seed=int(self._generator('turbulence').integers(1, 2**31 - 1)),
            start=scenario.start,
        )
        self.state: VehicleState = self._vehicle.state
        self._autopilot = aircraft.autopilot(self._vehicle.trim)
        self._mission = Mission(
            scenario.manoeuvres, hovers=aircraft.hover > 0.0, approach=aircraft.approach
        )
        self._dt = 1.0 / scenario.header.rate
        self._ticks = 0
        self._setpoint: Setpoint | None = None
        self._queue: list[tuple[int, int, int, Topic, Any]] = []
        self._sequence = 0
        self._effects: list[Effect] = [
            spec.cls(spec.parameters, self._generator(f'effect {spec.name}'))
            for spec in scenario.effects
        ]
        self._sensors = [self._fit(spec) for spec in scenario.sensors]
        self._topics: dict[str, tuple[int, Topic]] = {}
        for fitted in self._sensors:
            for topic in fitted.sensor.topics:
                self._topics.setdefault(topic.name, (len(self._topics), topic))
        self.topics: tuple[Topic, ...] = tuple(topic for _, topic in self._topics.values())

    @property
    def step_ns(self) -> int:
        """Length of a step, ns."""
        return NANOSECONDS // self.scenario.header.rate

    @property
    def end(self) -> int:
        """Stamp at which the scenario ends, ns."""
        return self.scenario.start + seconds_ns(self.scenario.header.duration)

    @property
    def finished(self) -> bool:
        """Whether the scenario's duration has been flown."""
        return self.state.stamp >= self.end

    @property
    def commanded_by(self) -> str:
        """Who commands: ``scenario``, or source and sender of the setpoint in force."""
        held = self._setpoint
        return f'{held.source.name.lower()}: {held.sender}' if held else 'scenario'

    def set_setpoint(self, message: Any) -> Field:
        """Take a ``Setpoint`` message; it is flown until it expires, then the scenario goes on.

        Returns:
            What of it this aircraft's autopilot cannot follow and so ignores.

        Raises:
            control.setpoints.SetpointError: refused, with the reason.
        """
        setpoint = parse(message)
        check_age(setpoint, self.state.stamp, _FUTURE_TOLERANCE_NS)
        self._setpoint = setpoint
        return setpoint.command.fields & ~self._autopilot.supported

    def clear_setpoint(self) -> None:
        """Forget the setpoint: the scenario flies."""
        self._setpoint = None

    def step(self) -> list[Message]:
        """Fly one step; the messages delivered until its end, in order of delivery."""
        actuators = self._autopilot.control(self.state, self._command(), self._dt)
        wrenches = [effect.force(self.state) for effect in self._effects]
        self.state = self._vehicle.step(actuators, wrenches)
        self._ticks += 1
        for fitted in self._sensors:
            if self._ticks % fitted.every == 0:
                self._measure(fitted)
        return self._due(self.state.stamp)

    def run(self, until: int | None = None) -> Iterator[Message]:
        """Step until ``until`` (ns), or to the end of the scenario, giving message by message."""
        end = self.end if until is None else until
        while self.state.stamp < end:
            yield from self.step()

    def _command(self) -> Command:
        # the mission keeps time also while somebody else commands
        mission = self._mission.command(self.state)
        held = self._setpoint
        if held is not None and held.expires <= self.state.stamp:
            self._setpoint = held = None
        return mission if held is None else held.command

    def _measure(self, fitted: _Fitted) -> None:
        samples = fitted.sensor.sample(self.state, fitted.rng)
        frozen = False
        for fault in fitted.sensor.context.faults:
            if fault.active(self.state.time):
                if fault.type == 'outage':
                    return
                frozen = frozen or fault.type == 'freeze'
        if frozen and fitted.last:
            samples = [self._again(old) for old in fitted.last[0]]
        elif not frozen:
            fitted.last[:] = [samples]
        for sample in samples:
            rank, topic = self._topics[sample.topic]
            self._sequence += 1
            item = (self.state.stamp + sample.delay, rank, self._sequence, topic, sample.message)
            heapq.heappush(self._queue, item)

    def _again(self, old: Sample) -> Sample:
        message = copy.deepcopy(old.message)
        set_stamp(message.header.stamp, self.state.stamp)
        return old._replace(message=message)

    def _due(self, stamp: int) -> list[Message]:
        messages = []
        while self._queue and self._queue[0][0] <= stamp:
            delivery, _, _, topic, message = heapq.heappop(self._queue)
            messages.append(Message(delivery, topic, message))
        return messages

    def _fit(self, spec: SensorSpec) -> _Fitted:
        faults = tuple(f for f in self.scenario.faults if f.sensor == spec.name)
        context = SensorContext(spec.name, spec.rate, faults, self.state)
        return _Fitted(
            spec,
            spec.cls(spec.parameters, context),
            self._generator(f'sensor {spec.name}'),
            round(self.scenario.header.rate / spec.rate),
            [],
        )

    def _generator(self, name: str) -> np.random.Generator:
        """A generator of its own for each name, so that adding one changes no other."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()),))
        return np.random.default_rng(sequence)
