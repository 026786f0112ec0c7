# SPDX-License-Identifier: Apache-2.0
"""The processes of :mod:`benchmarks.hosts`: source, bare relay, idle processor, sink.

The source stamps each message right before it publishes it; the last three digits of the stamp's
nanoseconds are the sequence number modulo 1000, so that a hole is seen whatever lies in between.
All of source, relay and sink are plain rclpy, as a user would write them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rclpy
from geometry_msgs.msg import TwistWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import FluidPressure, Imu, MagneticField, NavSatFix, NavSatStatus

from meta_repo_ros.core.processor import Output, Processor, Topic
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.ros import process, qos
from meta_repo_ros.ros.host import ProcessorNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INPUT = Topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM')
OUTPUT = Topic('imu/data', 'sensor_msgs/msg/Imu', 'STREAM')
_SLOW_HZ = 10


@dataclass(frozen=True)
class NoParameters:
    """None."""


class Idle(Processor):
    """Hands its input on: what remains is the host's own cost."""

    name = 'idle'
    Parameters = NoParameters
    inputs = (INPUT,)
    outputs = (OUTPUT,)

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        """One output per input."""
        del topic, stamp
        return (Output(OUTPUT.name, message),)


def relay() -> None:
    """The baseline: a node with one subscription and one publisher."""
    node = Node('relay')
    publisher = node.create_publisher(Imu, OUTPUT.name, qos.profile(OUTPUT.qos))
    node.create_subscription(Imu, INPUT.name, publisher.publish, qos.profile(INPUT.qos))
    rclpy.spin(node)


def idle(ros: Sequence[str]) -> int:
    """The host around :class:`Idle`, in a container's loop."""
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stop.append(received))
    return process.run([lambda: ProcessorNode(Idle)], ros, stop, autostart=True)


def sink(lanes: Sequence[str]) -> None:
    """Measure arrival minus stamp per lane until a signal comes, then print all as JSON.

    Args:
        lanes: ``namespace:imu`` or ``namespace:odometry``, the topic to take.
    """
    node = Node('sink')
    arrivals: dict[str, tuple[list[int], list[int]]] = {}
    for lane in lanes:
        namespace, _, kind = lane.partition(':')
        arrivals[namespace] = ([], [])
        topic, message_type = ('odometry', Odometry) if kind == 'odometry' else (OUTPUT.name, Imu)
        node.create_subscription(
            message_type,
            f'/{namespace}/{topic}',
            _taker(*arrivals[namespace]),
            qos.profile('STREAM'),
        )
    # rclpy's own handling of SIGTERM sometimes leaves its wait asleep for ever
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda received, _frame: stop.append(received))

    def look() -> None:
        if stop:
            raise SystemExit

    node.create_timer(0.25, look)
    with contextlib.suppress(SystemExit):
        rclpy.spin(node)
    json.dump({lane: {'stamp': s, 'delay': d} for lane, (s, d) in arrivals.items()}, sys.stdout)


def _taker(stamps: list[int], delays: list[int]) -> Callable[[Any], None]:
    def take(message: Any) -> None:
        now = time.time_ns()
        stamp = stamp_ns(message.header.stamp)
        stamps.append(stamp)
        delays.append(now - stamp)

    return take


def source(lanes: Sequence[str], rate: int, duration: float) -> None:
    """Publish a resting vehicle's sensors on every lane, the lanes offset against each other."""
    node = Node('source')
    imus = [
        node.create_publisher(Imu, f'/{lane}/{INPUT.name}', qos.profile(INPUT.qos))
        for lane in lanes
    ]
    slow = [_slow_sensors(node, lane) for lane in lanes]
    end = time.monotonic() + 30
    while not all(publisher.get_subscription_count() for publisher in imus):
        if time.monotonic() > end:
            sys.exit('source: no subscriber within 30 s')
        time.sleep(0.05)
    time.sleep(1.0)  # the way back is matched, too
    message = _imu()
    step = 1.0 / (rate * len(lanes))
    begin = time.monotonic()
    for number in range(int(duration * rate)):
        for index, publisher in enumerate(imus):
            wait = begin + (number * len(lanes) + index) * step - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            stamp = time.time_ns()
            stamp += number % 1000 - stamp % 1000
            set_stamp(message.header.stamp, stamp)
            publisher.publish(message)
            if number % (rate // _SLOW_HZ) == 0:
                slow[index](stamp)
    print(json.dumps({'sent': int(duration * rate)}), flush=True)
    time.sleep(1.0)


def _imu() -> Imu:
    message = Imu()
    message.header.frame_id = 'base_link'
    message.orientation_covariance[0] = -1.0
    message.linear_acceleration.z = 9.80665
    for i in (0, 4, 8):
        message.angular_velocity_covariance[i] = 1e-6
        message.linear_acceleration_covariance[i] = 1e-4
    return message


def _slow_sensors(node: Node, lane: str) -> Callable[[int], None]:
    """What a filter needs to start, at 10 Hz."""
    fix = NavSatFix(latitude=47.0, longitude=8.0, altitude=500.0)
    fix.position_covariance_type = NavSatFix.COVARIANCE_TYPE_DIAGONAL_KNOWN
    fix.status.status = NavSatStatus.STATUS_FIX
    velocity = TwistWithCovarianceStamped()
    field = MagneticField()
    field.magnetic_field.x, field.magnetic_field.z = 21e-6, -43e-6
    pressure = FluidPressure(fluid_pressure=95461.0, variance=9.0)
    for i in (0, 4, 8):
        fix.position_covariance[i] = 4.0
        field.magnetic_field_covariance[i] = 1e-14
    for i in (0, 7, 14):
        velocity.twist.covariance[i] = 0.01
    messages = (
        ('gnss/fix', fix, 'SENSOR'),
        ('gnss/velocity', velocity, 'SENSOR'),
        ('imu/mag', field, 'STREAM'),
        ('baro/pressure', pressure, 'SENSOR'),
    )
    pairs = []
    for topic, message, preset in messages:
        message.header.frame_id = 'base_link'
        publisher = node.create_publisher(type(message), f'/{lane}/{topic}', qos.profile(preset))
        pairs.append((publisher, message))

    def publish(stamp: int) -> None:
        for publisher, message in pairs:
            set_stamp(message.header.stamp, stamp)
            publisher.publish(message)

    return publish


def main() -> None:
    """``python -m benchmarks.host_roles ROLE [LANE...]``."""
    parser = argparse.ArgumentParser()
    parser.add_argument('role', choices=('relay', 'idle', 'sink', 'source'))
    parser.add_argument('lanes', nargs='*')
    parser.add_argument('--rate', type=int, default=200)
    parser.add_argument('--duration', type=float, default=20.0)
    arguments, ros = parser.parse_known_args()
    if arguments.role == 'idle':
        sys.exit(idle(ros))
    own = arguments.role == 'sink'
    rclpy.init(
        args=ros,
        signal_handler_options=SignalHandlerOptions.NO if own else SignalHandlerOptions.ALL,
    )
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        if arguments.role == 'relay':
            relay()
        elif arguments.role == 'sink':
            sink(arguments.lanes)
        else:
            source(arguments.lanes, arguments.rate, arguments.duration)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
