# SPDX-License-Identifier: Apache-2.0
"""The node vortex_shield live: sample blocks over DDS give a detection each, and a way out."""

from __future__ import annotations

import copy
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from nav_msgs.msg import Odometry
from visualization_msgs.msg import MarkerArray

from meta_repo_ros.control.setpoints import Source, parse
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.msg import (
    AirData,
    RecoveryCommand,
    RotorState,
    SampleBlock,
    Setpoint,
    VortexDetection,
)
from meta_repo_ros.ros.host import ProcessorNode
from meta_repo_ros.vortex_shield.processor import (
    AIR,
    COMMAND,
    DETECTION,
    MARKERS,
    ODOMETRY,
    REQUEST,
    ROTORS,
    SAMPLES,
    VortexShield,
)
from meta_repo_ros.vortex_shield.types import Level, Phase, Voice

TYPES = {SAMPLES: SampleBlock, AIR: AirData, ROTORS: RotorState, ODOMETRY: Odometry}
AT_ONCE = 25  # blocks that are under way together; the queue of a stream is longer


@pytest.fixture(scope='module')
def flight() -> list[tuple[int, str, Any]]:
    """Messages of a descent into the ring: receive time, topic, message."""
    before = list(sys.path)
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    blocks = importlib.import_module('benchmarks.vortex_blocks')
    sys.path[:] = before
    rows: list[tuple[int, str, Any]] = blocks.timeline(blocks.descent(2.0, 1.5), 4)
    return rows


@pytest.fixture
def node(graph: Any) -> ProcessorNode:
    node: ProcessorNode = graph.add(ProcessorNode(VortexShield))
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'active'
    return node


class Driver:
    """Publishes a flight and waits until each part of it was taken."""

    def __init__(self, graph: Any, node: ProcessorNode) -> None:
        self.graph, self.processor = graph, node.processor
        self.publish = {
            topic: graph.publisher(kind, topic, 'SENSOR' if topic in {AIR, ROTORS} else 'STREAM')
            for topic, kind in TYPES.items()
        }
        self.detections = graph.collect(VortexDetection, DETECTION, 'STREAM')
        self.commands = graph.collect(RecoveryCommand, COMMAND, 'STREAM')
        self.requests = graph.collect(Setpoint, REQUEST, 'EVENT')
        outputs = [
            p for p in node._own_publishers if p.topic_name.endswith((DETECTION, COMMAND, REQUEST))
        ]
        assert len(outputs) == 3
        graph.spin_until(lambda: all(p.get_subscription_count() for p in outputs), 'outputs')

    def fly(self, rows: list[tuple[int, str, Any]], *, decided: int | None = None) -> None:
        """Publish all; ``decided`` detections are expected of it, one a block by default."""
        expected = len(self.detections)
        sent = 0
        for _, topic, message in rows:
            self.publish[topic].publish(message)
            if topic == SAMPLES:
                sent += 1
                expected += 1
            if decided is None and sent % AT_ONCE == 0:
                self.wait(expected)
        self.wait(expected if decided is None else expected - sent + decided)

    def wait(self, count: int) -> None:
        self.graph.spin_until(lambda: len(self.detections) >= count, f'{count} detections')


def test_blocks_give_detections_without_a_gap_and_a_recovery(
    graph: Any, node: ProcessorNode, flight: list[tuple[int, str, Any]]
) -> None:
    driver = Driver(graph, node)
    markers = graph.collect(MarkerArray, MARKERS, 'STATE')
    driver.fly(flight)
    blocks = [m for _, topic, m in flight if topic == SAMPLES]
    assert [m.block_sequence for m in driver.detections] == [m.sequence for m in blocks]
    assert [stamp_ns(m.oldest_sample) for m in driver.detections] == [
        stamp_ns(m.header.stamp) for m in blocks
    ]
    assert driver.detections[100].level < Level.INCIPIENT
    levels = [m.level for m in driver.detections]
    assert max(levels) == Level.DEVELOPED
    phases = [m.phase for m in driver.commands]
    assert phases[0] == Phase.PREPARE
    assert Phase.EXIT in phases
    sequence = [m.block_sequence for m in driver.commands]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    graph.spin_until(lambda: driver.requests, 'setpoint')
    assert {parse(m).source for m in driver.requests} == {Source.RECOVERY}
    graph.spin_until(lambda: markers and len(markers[-1].markers) == 4, 'markers of the ring')
    assert node.trigger_deactivate()
    graph.spin_until(lambda: driver.commands[-1].phase == Phase.ABORTED, 'end of the recovery')


def test_the_node_survives_bad_blocks_and_says_what_was_wrong(
    graph: Any, node: ProcessorNode, flight: list[tuple[int, str, Any]]
) -> None:
    driver = Driver(graph, node)
    blocks = [row for row in flight if row[1] == SAMPLES][:40]
    driver.fly(blocks[:10])
    broken = copy.deepcopy([row[2] for row in blocks[10:14]])
    set_stamp(broken[0].header.stamp, 0)
    broken[1].counts = broken[1].counts[:-1]
    broken[2].kind = []
    broken[3].rate[0] = float('nan')
    rows = [(0, SAMPLES, message) for message in broken]
    repeated, late = blocks[9], blocks[5]
    driver.fly([*rows, repeated, late, *blocks[14:40]], decided=26)
    assert [m.block_sequence for m in driver.detections] == [*range(10), *range(14, 40)]
    assert '4 blocks are missing' in driver.detections[10].note
    last = driver.detections[-1]
    assert not last.voices & Voice.STATE
    assert 'no odometry' in last.note
    assert not driver.commands
    values = {d.name: d.values for d in node.processor.diagnostics(0)}['streams']
    assert (values['malformed'], values['repeated'], values['late']) == (4, 1, 1)
    assert values['missing'] == 4
