# SPDX-License-Identifier: Apache-2.0
"""The node ``flight_simulator``: flies a scenario by the wall clock and publishes ``/clock``.

It is the source of time, so its own timer runs on the steady clock whatever ``use_sim_time``
says. Deactivated it stands still, and so does ``/clock``; activated again it goes on where it
was. Cleanup forgets the flight.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock as RclClock
from rclpy.clock_type import ClockType
from rosgraph_msgs.msg import Clock

from meta_repo_ros.control.setpoints import SetpointError
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level, Topic
from meta_repo_ros.core.time import NANOSECONDS, set_stamp
from meta_repo_ros.ros import clock, qos
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.start_gate import StartGate
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.vehicle import VehicleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.publisher import Publisher

_CLOCK_RATE = 50  # Hz of simulated time
_MAX_TURN_NS = 20_000_000  # longest time spent in steps before the executor turns again
_SLIP_NS = 250_000_000  # further behind than this, the schedule gives way
_FAST_PERIOD_NS = 1_000_000
_SETPOINT = Topic('setpoint', 'meta_repo_ros/msg/Setpoint', 'COMMAND')


@dataclass(frozen=True)
class FlightSimulatorParameters:
    """Parameters of the flight simulator."""

    scenario: str = parameter(
        'demo', 'Shipped name or YAML file of the scenario.', read_only=True
    )  # fmt: skip
    seed: int = parameter(
        -1, 'Seed instead of the scenario`s own; -1 for that one.', minimum=-1, read_only=True
    )
    rate: float = parameter(
        1.0, 'Simulated over real time; 0 for as fast as it can.', minimum=0.0, maximum=100.0
    )
    publish_clock: bool = parameter(
        default=True, description='Whether it is the source of /clock.', read_only=True
    )
    at_end: str = parameter(
        'continue',
        'After the scenario`s duration: fly on, stop, or end the process.',
        choices=('continue', 'stop', 'exit'),
    )
    wait_for_nodes: tuple[str, ...] = parameter(
        (), 'Nodes of this vehicle that must listen before the flight begins.', read_only=True
    )
    wait_timeout: float = parameter(
        10.0, 'Fly nevertheless after this time; 0 to wait for ever.', unit='s', minimum=0.0,
        read_only=True,
    )  # fmt: skip


class FlightSimulator(ManagedNode):
    """Sensors, ground truth and ``/clock`` of a simulated flight; takes ``setpoint``."""

    name = 'flight_simulator'
    Parameters = FlightSimulatorParameters

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self.simulator: Simulator | None = None
        self._outputs: dict[str, Publisher[Any]] = {}
        self._clock_publisher: Publisher[Any] | None = None
        self._clock_every = 1
        self._steps = 0
        self._anchor = (0, 0)  # steady time and simulated stamp that belong together, ns
        self._slipped = 0  # ns of schedule given up
        self._slipped_before = 0
        self._ended = ''  # why it does not step any more
        self._failed = False
        self._refused = 0
        self._last_refusal = ''
        self._ignored = ''
        self._last_report = (0, 0)
        self._timer: Any = None
        self._gate: StartGate | None = None

    # -- transitions ----------------------------------------------------------------------------

    def configure(self) -> None:
        """Load the scenario, start the flight dynamics, make publishers and subscription."""
        p: FlightSimulatorParameters = self.parameters
        scenario = find_scenario(p.scenario)
        try:
            self.simulator = Simulator(scenario, None if p.seed < 0 else p.seed)
        except VehicleError as error:
            raise ValueError(f'scenario {p.scenario!r}: {error}') from error
        self._outputs = {topic.name: self.advertise(topic) for topic in self.simulator.topics}
        self._clock_publisher = (
            self.create_publisher(Clock, clock.TOPIC, qos.CLOCK) if p.publish_clock else None
        )
        if self._clock_publisher is not None:
            self._own_publishers.append(self._clock_publisher)
        self._clock_every = max(1, scenario.header.rate // _CLOCK_RATE)
        self._steps, self._slipped, self._slipped_before = 0, 0, 0
        self._ended, self._failed = '', False
        self._refused, self._last_refusal, self._ignored = 0, '', ''
        self.listen(_SETPOINT, self._on_setpoint)
        self._make_timer()

    def activate(self) -> None:
        """Go on from where the flight stands, once those listen for whom it has to wait."""
        p: FlightSimulatorParameters = self.parameters
        self._gate = StartGate(self, self._outputs.values(), p.wait_for_nodes, p.wait_timeout)
        if self.simulator is not None:
            self._set_anchor(self.simulator)
            self._last_report = self._anchor

    def deactivate(self) -> None:
        """Stand still; whoever commanded has to command anew."""
        if self.simulator is not None:
            self.simulator.clear_setpoint()

    def cleanup(self) -> None:
        """Forget the flight."""
        self.simulator, self._timer = None, None
        self._outputs, self._clock_publisher = {}, None

    def apply_parameters(self, parameters: FlightSimulatorParameters) -> None:
        """A new rate holds from the next step on."""
        del parameters  # not yet in force: the anchor is set when it is
        self._anchor = (0, 0)

    # -- flight ---------------------------------------------------------------------------------

    def _make_timer(self) -> None:
        p: FlightSimulatorParameters = self.parameters
        assert self.simulator is not None  # noqa: S101 (configure has just made it)
        period = int(self.simulator.step_ns / p.rate) if p.rate > 0.0 else _FAST_PERIOD_NS
        self._timer = self.every(
            max(period, _FAST_PERIOD_NS),
            self._fly,
            clock=RclClock(clock_type=ClockType.STEADY_TIME),
        )

    def _set_anchor(self, simulator: Simulator) -> None:
        self._anchor = (time.monotonic_ns(), simulator.state.stamp)

    def _fly(self) -> None:
        """Take the steps that are due by now."""
        simulator = self.simulator
        if simulator is None or self._ended:
            return
        if self._gate is not None and not self._gate.is_open:
            self._tick(simulator)
            self._set_anchor(simulator)
            if not self._gate.check():
                return
        if not self._anchor[0]:
            self._set_anchor(simulator)
        began = time.monotonic_ns()
        due = self._due(began)
        while simulator.state.stamp + simulator.step_ns <= due:
            if not self._advance(simulator):
                return
            if time.monotonic_ns() - began > _MAX_TURN_NS:
                break
        behind = due - simulator.state.stamp
        if self.parameters.rate > 0.0 and behind > _SLIP_NS * self.parameters.rate:
            self._slipped += behind
            self._set_anchor(simulator)

    def _due(self, now: int) -> int:
        """Stamp that the flight should have reached at the steady time ``now``, ns."""
        rate = self.parameters.rate
        real, simulated = self._anchor
        if rate == 0.0:
            return simulated + 10**18
        return simulated + int((now - real) * rate)

    def _advance(self, simulator: Simulator) -> bool:
        """One step and its messages; False where the flight has ended."""
        if simulator.finished and self.parameters.at_end != 'continue':
            self._end(f'scenario finished after {simulator.state.time:.3f} s')
            return False
        try:
            messages = simulator.step()
        except VehicleError as error:
            self._failed = True
            self._end(f'the flight cannot go on: {error}')
            return False
        if self._steps % self._clock_every == 0:
            self._tick(simulator)
        self._steps += 1
        for message in messages:
            self._outputs[message.topic.name].publish(message.message)
        return True

    def _tick(self, simulator: Simulator) -> None:
        if self._clock_publisher is not None:
            tick = Clock()
            set_stamp(tick.clock, simulator.state.stamp)
            self._clock_publisher.publish(tick)

    def _end(self, reason: str) -> None:
        self._ended = reason
        log = self.get_logger()
        (log.error if self._failed else log.info)(reason)
        if self.parameters.at_end == 'exit':
            self.context.try_shutdown()

    def _on_setpoint(self, message: Any) -> None:
        if self.simulator is None:
            return
        try:
            ignored = self.simulator.set_setpoint(message)
        except SetpointError as error:
            self._refused += 1
            self._last_refusal = f'{message.sender!r}: {error}'
            return
        self._ignored = ', '.join(
            str(field.name).lower() for field in type(ignored) if field & ignored
        )

    # -- diagnostics ----------------------------------------------------------------------------

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """How far the flight is, who commands, whether it keeps up."""
        del stamp
        simulator = self.simulator
        if simulator is None:
            return ()
        now, state = time.monotonic_ns(), simulator.state
        real, simulated = now - self._last_report[0], state.stamp - self._last_report[1]
        achieved = simulated / real if real > 0 else 0.0
        self._last_report = (now, state.stamp)
        slipped = self._slipped - self._slipped_before
        self._slipped_before = self._slipped
        header = simulator.scenario.header
        values: dict[str, str | int | float | bool] = {
            'scenario': header.name,
            'aircraft': header.aircraft,
            'seed': simulator.seed,
            'time_s': round(state.time, 3),
            'duration_s': header.duration,
            'rate_wanted': self.parameters.rate,
            'rate_achieved': round(achieved, 3),
            'schedule_given_up_s': self._slipped / NANOSECONDS,
            'commanded_by': simulator.commanded_by,
            'setpoints_refused': self._refused,
            'last_refusal': self._last_refusal,
            'setpoint_fields_ignored': self._ignored,
        }
        level, text = Level.OK, f'flying {header.name}, commanded by {simulator.commanded_by}'
        if self._ended:
            level, text = (Level.ERROR if self._failed else Level.OK), self._ended
        elif not self.active:
            text = f'stands still at {state.time:.3f} s'
        elif slipped:
            level = Level.WARN
            text = (
                f'behind schedule: {slipped / NANOSECONDS:.3f} s given up since the last report, '
                f'flying at {achieved:.2f} times real time instead of {self.parameters.rate}'
            )
        return (Diagnostic('flight', level, text, values),)
