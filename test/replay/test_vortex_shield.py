# SPDX-License-Identifier: Apache-2.0
"""A recovery flown in the loop, recorded, replayed: the same bytes, a warning, an end in safety."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from meta_repo_ros.control.processor import SetpointArbiter
from meta_repo_ros.control.setpoints import SetpointError
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.navigation_processor import NavigationFusion
from meta_repo_ros.replay import offline
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.vortex_shield.processor import VortexShield
from meta_repo_ros.vortex_shield.types import Level, Phase

if TYPE_CHECKING:
    from pathlib import Path

DURATION = 23.0
GIVEN = ('odometry', 'odometry/origin', 'setpoint')


@dataclass
class Flown:
    """A flight in the closed loop, seconds since its beginning.

    Attributes:
        bag: what the simulator gave, with the odometry.
        height: (time, height above ground, climb rate) of the truth.
        commanded: times at which a recovery commanded the autopilot.
        steepest: greatest tilt while it did, rad.
    """

    bag: Path
    height: list[tuple[float, float, float]] = field(default_factory=list)
    commanded: list[float] = field(default_factory=list)
    steepest: float = 0.0


def processor(cls: Any) -> Any:
    return cls(from_mapping(cls.Parameters, {}))


@pytest.fixture(scope='module')
def flown(tmp_path_factory: pytest.TempPathFactory) -> Flown:
    """The shipped scenario, with navigation, Vortex Shield and the arbiter in the loop."""
    result = Flown(tmp_path_factory.mktemp('ring') / 'bag')
    simulator = Simulator(find_scenario('vortex_recovery').with_duration(DURATION))
    host = offline.Host([processor(c) for c in (NavigationFusion, VortexShield, SetpointArbiter)])
    begin = simulator.state.stamp
    with BagWriter(result.bag) as writer:
        for topic in simulator.topics:
            writer.add_topic(topic.name, topic.type, topic.qos)
        for name in GIVEN:
            writer.add_topic(name, *host.outputs[f'/{name}'])
        while not simulator.finished:
            for message in simulator.step():
                writer.write(message.topic.name, message.stamp, message.message)
                events = host.advance(message.stamp)
                events += host.feed(message.stamp, f'/{message.topic.name}', message.message)
                for event in events:
                    if event.topic.lstrip('/') in GIVEN:
                        writer.write(event.topic, event.stamp, event.data)
                    if event.topic == '/setpoint':
                        fly(simulator, event.message)
            state = simulator.state
            time = (state.stamp - begin) / NANOSECONDS
            result.height.append((time, state.height_above_ground, state.velocity[2]))
            if simulator.commanded_by.startswith('recovery'):
                result.commanded.append(time)
                x, y = state.orientation[1], state.orientation[2]
                tilt = 2.0 * math.asin(min(math.hypot(x, y), 1.0))
                result.steepest = max(result.steepest, tilt)
    return result


def fly(simulator: Simulator, setpoint: Any) -> None:
    try:
        simulator.set_setpoint(setpoint)
    except SetpointError as error:
        pytest.fail(f'the simulator refused what the arbiter gave: {error}')


def test_the_vehicle_is_flown_out_of_its_ring(flown: Flown) -> None:
    assert flown.commanded, 'no recovery was flown'
    assert flown.steepest < math.radians(18.0), '15 deg, with the overshoot of the autopilot'
    begin, end = flown.commanded[0], flown.commanded[-1]
    assert end < DURATION - 1.0, 'it ended'
    lowest = min(height for _, height, _ in flown.height)
    assert lowest > 20.0
    before = next(height for time, height, _ in flown.height if time >= begin)
    assert before - lowest < 40.0
    sinks = [-climb for time, _, climb in flown.height if time >= end]
    assert sinks[0] < 1.5, 'handed back when the descent had ended'


def test_a_bag_gives_the_same_bytes_with_a_warning_before_the_ring(
    flown: Flown, tmp_path: Path
) -> None:
    first = offline.run(flown.bag, [processor(VortexShield)])
    second = offline.run(
        flown.bag, [processor(VortexShield)], tmp_path / 'out', include_inputs=True
    )
    assert first.raw_digest == second.raw_digest
    assert first.counts_out['/vortex_detection'] == first.counts_in['/rotor_samples'] > 4500
    assert first.counts_out['/setpoint/request'] > 20
    developed = warned = math.inf
    phases: list[int] = []
    with BagReader(tmp_path / 'out') as reader:
        for stamp, topic, _, message in reader.messages():
            if topic == '/ground_truth/wake' and message.level == Level.DEVELOPED:
                developed = min(developed, stamp)
            elif topic == '/vortex_detection' and message.level >= Level.INCIPIENT:
                warned = min(warned, stamp)
            elif topic == '/recovery_command' and (not phases or phases[-1] != message.phase):
                phases.append(message.phase)
    assert warned < math.inf
    assert warned < developed
    assert phases[0] == Phase.PREPARE
    assert Phase.EXIT in phases
    assert Phase.COMPLETE in phases
