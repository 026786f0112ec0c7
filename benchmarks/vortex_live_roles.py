# SPDX-License-Identifier: Apache-2.0
"""The processes of :mod:`benchmarks.vortex_live`: source of blocks, bare relay, sink."""

from __future__ import annotations

import argparse
import array
import contextlib
import gc
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from benchmarks.vortex_blocks import (
    BLOCK,
    Flight,
    air_data,
    block_messages,
    descent,
    developed,
    odometry,
    rotor_state,
)
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.msg import AirData, RecoveryCommand, RotorState, SampleBlock
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.executor import DataExecutor
from meta_repo_ros.ros.priority import take_realtime
from meta_repo_ros.vortex_shield.types import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = 'driver'
BARE_IN, BARE_OUT = 'bare/rotor_samples', 'bare/rotor_samples_again'
EVERY = 5
"""The bare lane takes part every so many blocks."""
_STATES = (
    ('odometry', Odometry, 'STREAM', 2),  # each so many blocks
    ('rotor_state', RotorState, 'SENSOR', 5),
    ('air_data', AirData, 'SENSOR', 12),
)
_MATCHED_S = 60.0
_SETTLE_S = 10.0


class Stream:
    """Blocks of a developed ring over and over, and the flight state in it."""

    period = BLOCK

    def __init__(self) -> None:
        self._blocks = block_messages(developed(descent(1.0, 4.0), 2.0))
        craft = ROTORCRAFT['f450']
        self._rotors = craft.rotors
        v_h = craft.hover_induced_velocity()
        # deep in the ring, still moving slowly through the air
        self._flight = Flight(1.0 * v_h, 0.1 * v_h, 300.0, craft.rotor_speed, craft.weight)

    def block(self, number: int, begin: int) -> Any:
        """Block ``number`` that begins at ``begin`` (ns); the message is used again later."""
        message = self._blocks[number % len(self._blocks)]
        set_stamp(message.header.stamp, begin)
        message.sequence = number
        return message

    def state(self, number: int, stamp: int) -> Iterator[tuple[str, Any]]:
        """What of the flight state is due with block ``number``."""
        for topic, _, _, every in _STATES:
            if number % every == 0:
                yield topic, self._make(topic, stamp)

    def _make(self, topic: str, stamp: int) -> Any:
        if topic == 'odometry':
            return odometry(stamp, self._flight)
        if topic == 'air_data':
            return air_data(stamp, self._flight)
        return rotor_state(stamp, self._flight, self._rotors)


def source(path: Path, duration: float) -> None:
    """Publish on exact times; what was sent after the settling time goes to ``path``."""
    node = Node('vortex_source')
    own = node.create_publisher(SampleBlock, f'{OWN}/rotor_samples', qos.profile('STREAM'))
    bare = node.create_publisher(SampleBlock, BARE_IN, qos.profile('STREAM'))
    states = {
        topic: node.create_publisher(kind, f'{OWN}/{topic}', qos.profile(preset))
        for topic, kind, preset, _ in _STATES
    }
    stream = Stream()
    end = time.monotonic() + _MATCHED_S
    while not all(p.get_subscription_count() for p in (own, bare, *states.values())):
        if time.monotonic() > end:
            sys.exit('vortex_live: no subscriber within the time')
        time.sleep(0.05)
    time.sleep(2.0)  # the way back is matched, too
    gc.freeze()
    sequence, published, late = array.array('q'), array.array('q'), array.array('q')
    bare_sequence, bare_published = array.array('q'), array.array('q')
    settled = round(_SETTLE_S * 1e9) // BLOCK
    total = settled + round(duration * 1e9) // BLOCK
    path.with_suffix('.began').touch()
    start, wall = time.monotonic_ns() + BLOCK, time.time_ns() + BLOCK
    for number in range(total):
        # block number ends, and is published, one period after its beginning
        due = start + (number + 1) * BLOCK
        left = due - time.monotonic_ns()
        if left > 0:
            time.sleep(left * 1e-9)
        message = stream.block(number, wall + number * BLOCK)
        now = time.time_ns()
        own.publish(message)
        if number >= settled:
            sequence.append(number)
            published.append(now)
            late.append(time.monotonic_ns() - due)
        for topic, state in stream.state(number, wall + number * BLOCK):
            states[topic].publish(state)
        if number % EVERY == 0:
            _half_a_period_later(due)
            now = time.time_ns()
            bare.publish(message)
            if number >= settled:
                bare_sequence.append(number)
                bare_published.append(now)
    time.sleep(1.0)
    result = {
        'node': {'sequence': list(sequence), 'time': list(published)},
        'bare': {'sequence': list(bare_sequence), 'time': list(bare_published)},
        'late': list(late),
    }
    path.write_text(json.dumps(result), encoding='utf-8')


def _half_a_period_later(due: int) -> None:
    left = due + BLOCK // 2 - time.monotonic_ns()
    if left > 0:
        time.sleep(left * 1e-9)


def relay() -> None:
    """The baseline: a node with one subscription and one publisher, of the same priority."""
    node = Node('vortex_relay')
    publisher = node.create_publisher(SampleBlock, BARE_OUT, qos.profile('STREAM'))
    node.create_subscription(SampleBlock, BARE_IN, publisher.publish, qos.profile('STREAM'))
    rclpy.spin(node)


def sink(path: Path) -> None:
    """Note when commands and returned blocks come, until a signal; then write it to ``path``."""
    node = Node('vortex_sink')
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda received, _frame: stop.append(received))
    seen = {lane: (array.array('q'), array.array('q')) for lane in ('node', 'bare')}
    phases = array.array('b')

    def take(command: RecoveryCommand) -> None:
        now = time.time_ns()
        sequence, arrived = seen['node']
        sequence.append(command.block_sequence)
        arrived.append(now)
        phases.append(command.phase)

    def take_bare(block: SampleBlock) -> None:
        now = time.time_ns()
        sequence, arrived = seen['bare']
        sequence.append(block.sequence)
        arrived.append(now)

    stream = qos.profile('STREAM')
    node.create_subscription(RecoveryCommand, 'recovery_command', take, stream)
    node.create_subscription(SampleBlock, BARE_OUT, take_bare, stream)
    executor = DataExecutor()
    executor.add_node(node)
    while not stop:
        executor.spin_once(timeout_sec=0.25)
    result: dict[str, Any] = {
        lane: {'sequence': list(sequence), 'time': list(arrived)}
        for lane, (sequence, arrived) in seen.items()
    }
    result['phases'] = [Phase(p).name for p in phases]
    path.write_text(json.dumps(result), encoding='utf-8')


def main() -> None:
    """``python -m benchmarks.vortex_live_roles ROLE [FILE]``."""
    parser = argparse.ArgumentParser()
    parser.add_argument('role', choices=('source', 'relay', 'sink'))
    parser.add_argument('file', type=Path, nargs='?', default=Path('vortex_live.json'))
    parser.add_argument('--duration', type=float, default=20.0)
    options = parser.parse_args()
    own = options.role == 'sink'
    take_realtime()  # as a driver and a flight controller have it, and the node between them
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO if own else SignalHandlerOptions.ALL)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        if options.role == 'source':
            source(options.file, options.duration)
        elif options.role == 'relay':
            relay()
        else:
            sink(options.file)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
