# SPDX-License-Identifier: Apache-2.0
"""The star navigator live: from image to attitude, and how steady its output is meanwhile.

``python -m benchmarks.starnav_live [--quick] [--json FILE]``

The whole graph flies a Cessna through calm night air with a simulated star camera of 4096 x 4096
pixels of 16 bits at 1 Hz. Everything is measured from outside, by the stamps of the middleware:
from the publication of an image to the receipt of the attitude with its stamp, and between
consecutive publications of the filtered attitude. Once the camera shares a process with the star
navigator, once each has its own; then a bare subscriber takes the same images, which is the
transport. The whole image is searched each time, without the windows of tracking, unless said.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.hosts import cpu_seconds, machine, memory_mb
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.environment import process_environment
from meta_repo_ros.graph import ProcessSpec, system
from meta_repo_ros.run_background import BackgroundRunner

PERIOD_MS = 10.0
SAME_BAR_MS = 400.0
SEPARATE_BAR_MS = 300.0
DATA = 'simulated flight, straight, still air, night; star camera 4096 x 4096 mono16, 20 deg, 1 Hz'
SCENARIO = """
aircraft: c172
description: straight flight by night in still air, star camera of 4096 x 4096 at 1 Hz
duration: 3600.0
seed: 7
start_time: 2026-12-01T19:00:00Z
initial: {latitude: 47.26, longitude: 11.34, altitude: 1800.0, height: 1200.0, heading: 90.0,
          airspeed: 52.0}
manoeuvres:
  - {at: 0.0, altitude: 1800.0, airspeed: 52.0, course: 90.0}
sensors:
  star_camera: {width: 4096, height: 4096, field_of_view: 20.0, frame_rate: 1.0, exposure: 0.1,
                sky: {moon: false}}
"""
_ROOT = Path(__file__).resolve().parents[1]
_PROFILES = 'FASTDDS_DEFAULT_PROFILES_FILE'
_STARTING_S = 60.0
_SETTLED_S = 10.0  # after the first filtered attitude: caches are warm, queues are empty


@dataclass
class Flight:
    """What was seen of one flight; stamps in ns.

    Attributes:
        images: image's stamp -> when it was published.
        arrivals: image's stamp -> when a bare subscriber had it; only between processes.
        updates: image's stamp -> when its attitude was received.
        filtered: (publication, stamp) of each filtered attitude.
        inertial: publication of each inertial sample.
        cores: by process.
        memory: PSS in MB, by process.
        tasks: the row of the star navigator's tasks.
        lost: messages that did not reach the star navigator, as it counts them.
    """

    images: dict[int, int] = field(default_factory=dict)
    arrivals: dict[int, int] = field(default_factory=dict)
    updates: dict[int, int] = field(default_factory=dict)
    filtered: list[tuple[int, int]] = field(default_factory=list)
    inertial: list[int] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    lost: str = ''

    @property
    def latency(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n,) ms from the publication of an image to the receipt of its attitude."""
        common = sorted(self.images.keys() & self.updates.keys())
        return np.array([self.updates[s] - self.images[s] for s in common]) / 1e6

    @property
    def transport(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n,) ms from the publication of an image to a bare subscriber's callback."""
        common = sorted(self.images.keys() & self.arrivals.keys())
        return np.array([self.arrivals[s] - self.images[s] for s in common]) / 1e6


def fly(duration: float, *, separate: bool, settings: Mapping[str, Any]) -> Flight:
    """Fly for ``duration`` (s) after the output has settled.

    Args:
        duration: s.
        separate: whether camera and star navigator have a process each.
        settings: parameters of the star navigator, nested.

    Raises:
        RuntimeError: the graph or its output did not come up, or a process ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        scenario, parameters = Path(folder) / 'calm_night.yaml', Path(folder) / 'parameters.yaml'
        scenario.write_text(SCENARIO, encoding='utf-8')
        given = {'/**/starnav': {'ros__parameters': dict(settings)}}
        parameters.write_text(yaml.safe_dump(given), encoding='utf-8')
        processes = system({'scenario': str(scenario), 'params_file': str(parameters)})
        if separate:
            processes = tuple(p for process in processes for p in _split(process))
        lines: list[str] = []
        with BackgroundRunner(
            processes, on_output=lambda name, line: lines.append(f'{name}: {line}')
        ) as runner:
            watch = _start_watch(duration, images=separate)
            try:
                return _follow(watch, runner, duration)
            except RuntimeError as error:
                raise RuntimeError(f'{error}\n' + '\n'.join(lines[-20:])) from error
            finally:
                watch.kill()
                watch.wait()


def _split(process: ProcessSpec) -> list[ProcessSpec]:
    if len(process.nodes) < 2 or process.name != 'starnav':
        return [process]
    return [replace(process, name=node.type, nodes=(node,)) for node in process.nodes]


def _start_watch(duration: float, *, images: bool) -> subprocess.Popen[str]:
    command = [sys.executable, '-m', 'benchmarks.starnav_live', '--watch', str(duration)]
    environment = process_environment()
    environment.pop('PYTHONSAFEPATH')  # `benchmarks` is found from the root
    return subprocess.Popen(
        command + ['--images'] * images,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _follow(watch: subprocess.Popen[str], runner: BackgroundRunner, duration: float) -> Flight:
    assert watch.stdout is not None  # noqa: S101 (for the type checker)
    if watch.stdout.readline().strip() != 'settled':
        raise RuntimeError(f'no filtered attitude within {_STARTING_S:g} s')
    pids = runner.pids
    before, begin = {n: cpu_seconds(pid) for n, pid in pids.items()}, time.monotonic()
    time.sleep(duration)
    if runner.pids != pids:
        raise RuntimeError('a process ended')
    elapsed = time.monotonic() - begin
    cores = {n: (cpu_seconds(pid) - before[n]) / elapsed for n, pid in pids.items()}
    memory = {n: memory_mb(pid, 'Pss') for n, pid in pids.items()}
    seen = json.loads(watch.stdout.readline())
    watch.wait(30)
    return Flight(
        images=dict(seen['images']),
        arrivals=dict(seen['arrivals']),
        updates=dict(seen['updates']),
        filtered=[(a, b) for a, b in seen['filtered']],
        inertial=seen['inertial'],
        cores=cores,
        memory=memory,
        tasks=seen['tasks'],
        lost=seen['lost'],
    )


# -- the observer, in a process of its own --------------------------------------------------------


def watch(duration: float, *, images: bool) -> None:
    """Observe the graph; prints ``settled``, and after ``duration`` (s) what was seen.

    Args:
        duration: s.
        images: whether to take the images themselves, as a bare subscriber.
    """
    import rclpy  # noqa: PLC0415 (in the observer alone)
    from rclpy.node import Node  # noqa: PLC0415

    from meta_repo_ros.ros.executor import DataExecutor  # noqa: PLC0415

    rclpy.init()
    node = Node('watch')
    seen = _subscribe(node, images=images)
    executor = DataExecutor()
    executor.add_node(node)

    def spin(seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            executor.spin_once(timeout_sec=0.1)
        return bool(until())

    if not spin(_STARTING_S, lambda: seen['filtered']):
        print('nothing', flush=True)
        return
    spin(_SETTLED_S)
    for rows in seen.values():
        rows.clear()
    print('settled', flush=True)
    spin(duration)
    result: dict[str, Any] = dict(seen)
    result['tasks'] = seen['tasks'][-1] if seen['tasks'] else {}
    host = seen['host'][-1] if seen['host'] else {}
    result['lost'] = _listed({k: int(v) for k, v in host.items() if 'messages lost' in k}, 0)
    print(json.dumps(result), flush=True)
    rclpy.shutdown()


class _Seen(dict[str, list[Any]]):
    """What came, by name; the callbacks of the observer's subscriptions."""

    def __init__(self) -> None:
        names = ('images', 'arrivals', 'updates', 'filtered', 'inertial', 'tasks', 'host')
        super().__init__({name: [] for name in names})

    def attitude(self, message: Any, info: Any) -> None:
        """An attitude, of an image or filtered."""
        stamp = stamp_ns(message.header.stamp)
        if message.method == message.METHOD_IMAGE:
            self['updates'].append((stamp, time.time_ns()))
        elif message.method == message.METHOD_FILTERED:
            self['filtered'].append((info['source_timestamp'], stamp))

    def image(self, message: Any, info: Any) -> None:
        """An image, at its bare subscriber."""
        self['arrivals'].append((stamp_ns(message.header.stamp), time.time_ns()))
        self.info(message, info)

    def info(self, message: Any, info: Any) -> None:
        """An image, or what is published right after it, which inside a process costs nothing."""
        self['images'].append((stamp_ns(message.header.stamp), info['source_timestamp']))

    def sample(self, _message: bytes, info: Any) -> None:
        """An inertial sample."""
        self['inertial'].append(info['source_timestamp'])

    def diagnostics(self, message: Any) -> None:
        """Rows of the star navigator's host."""
        for row in message.status:
            node, _, name = row.name.partition(': ')
            if node == 'starnav' and name in {'tasks', 'host'}:
                self[name].append({v.key: v.value for v in row.values})


def _subscribe(node: Any, *, images: bool) -> _Seen:
    from diagnostic_msgs.msg import DiagnosticArray  # noqa: PLC0415
    from sensor_msgs.msg import CameraInfo, Image, Imu  # noqa: PLC0415

    from meta_repo_ros.msg import AttitudeUpdate  # noqa: PLC0415
    from meta_repo_ros.ros import qos  # noqa: PLC0415
    from meta_repo_ros.ros.memory import keep_large_blocks  # noqa: PLC0415

    seen = _Seen()

    def take(kind: Any, topic: str, preset: str, callback: Any, *, raw: bool = False) -> None:
        node.create_subscription(kind, topic, callback, qos.profile(preset), raw=raw)

    take(AttitudeUpdate, 'attitude_update', 'STATE', seen.attitude)
    take(Imu, 'imu/data_raw', 'STREAM', seen.sample, raw=True)
    take(DiagnosticArray, '/diagnostics', 'STATE', seen.diagnostics)
    if images:
        keep_large_blocks()
        take(Image, 'star_camera/image', 'BULK', seen.image)
    else:
        take(CameraInfo, 'star_camera/camera_info', 'BULK', seen.info)
    return seen


# -- figures --------------------------------------------------------------------------------------


def rows(*, quick: bool = False) -> list[dict[str, Any]]:
    """All figures: dicts with figure, value, bar, met, baseline, data."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '98')
    duration = 20.0 if quick else 300.0
    whole = _settings('threshold', tracking=False)
    found = [_hand_over(5 if quick else 50)]
    same = fly(duration, separate=False, settings=whole)
    found += _latency_rows('same process', same, SAME_BAR_MS, quick=quick)
    found += _output_rows('same process', same, quick=quick)
    apart = fly(duration, separate=True, settings=whole)
    transport = float(np.median(apart.transport)) if apart.transport.size else 0.0
    bar = transport + SEPARATE_BAR_MS
    found += _latency_rows('separate processes', apart, bar, quick=quick, baseline=transport)
    found += _output_rows('separate processes', apart, quick=quick)
    for title, settings in (
        ('same process, windows of tracking', _settings('threshold', tracking=True)),
        ('same process, deep_learning', _settings('deep_learning', tracking=False)),
    ):
        flight = fly(min(duration, 60.0), separate=False, settings=settings)
        found += _latency_rows(title, flight, None, quick=quick)
        found += _output_rows(title, flight, quick=quick, bar=None)
    return found


def _settings(method: str, *, tracking: bool) -> dict[str, Any]:
    return {
        'starnav_core': {'processing': {'star_detection_algorithm': method}},
        'identification': {'tracking': tracking},
    }


def _row(
    figure: str,
    value: float,
    bar: float | None,
    *,
    quick: bool,
    baseline: str = '',
    data: Any = DATA,
) -> dict[str, Any]:
    met = None if bar is None or quick else value <= bar
    return {
        'figure': figure,
        'value': round(value, 2),
        'bar': None if bar is None else round(bar, 2),
        'met': met,
        'baseline': baseline,
        'data': data,
    }


def _latency_rows(
    title: str, flight: Flight, bar: float | None, *, quick: bool, baseline: float | None = None
) -> list[dict[str, Any]]:
    latency = flight.latency if flight.latency.size else np.array([np.inf])  # nothing came
    text = '' if baseline is None else f'transport of the image, median {baseline:.1f} ms'
    median, high = np.percentile(latency, [50, 99])
    data = (
        f'{DATA}; {flight.latency.size} of {len(flight.images)} images; median {median:.0f} ms, '
        f'longest {latency.max():.0f} ms; cores {_listed(flight.cores, 2)}; '
        f'PSS in MB {_listed(flight.memory, 0)}; tasks {flight.tasks}'
    )
    figure = f'live, {title}: image to attitude_update, 99th percentile, ms'
    return [_row(figure, float(high), bar, quick=quick, baseline=text, data=data)]


def _output_rows(
    title: str, flight: Flight, *, quick: bool, bar: float | None = 2 * PERIOD_MS
) -> list[dict[str, Any]]:
    published = np.array([when for when, _ in flight.filtered])
    stamps = np.array([stamp for _, stamp in flight.filtered])
    gaps = np.diff(published) / 1e6
    steps = np.diff(stamps) / 1e6
    given = np.diff(np.array(flight.inertial)) / 1e6
    over = int(np.sum(gaps > 2 * PERIOD_MS))
    left_out = int(np.sum(np.round(steps / PERIOD_MS) - 1))
    data = (
        f'{DATA}; {len(published)} outputs; 99.9th percentile {np.percentile(gaps, 99.9):.1f} ms, '
        f'{over} intervals over {2 * PERIOD_MS:g} ms; instants of the output left out: {left_out}; '
        f'messages that did not reach starnav: {flight.lost}'
    )
    text = f'longest interval of the inertial samples that it follows {given.max():.1f} ms'
    figure = f'live, {title}: 100 Hz output, longest interval, ms'
    return [_row(figure, float(gaps.max()), bar, quick=quick, baseline=text, data=data)]


def _listed(values: Mapping[str, float], digits: int) -> str:
    return ', '.join(f'{name} {value:.{digits}f}' for name, value in values.items())


def _hand_over(count: int) -> dict[str, Any]:
    """An image from node to node of one process: by reference, and over DDS."""
    import rclpy  # noqa: PLC0415
    from rclpy.context import Context  # noqa: PLC0415
    from rclpy.node import Node  # noqa: PLC0415
    from sensor_msgs.msg import Image  # noqa: PLC0415

    from meta_repo_ros.core.processor import Topic  # noqa: PLC0415
    from meta_repo_ros.ros import qos  # noqa: PLC0415
    from meta_repo_ros.ros.executor import DataExecutor  # noqa: PLC0415
    from meta_repo_ros.ros.node import ManagedNode  # noqa: PLC0415

    @dataclass(frozen=True)
    class NoParameters:
        """None."""

    topic = Topic('hand_over/image', 'sensor_msgs/msg/Image', 'BULK')
    kept = os.environ.get(_PROFILES)
    os.environ[_PROFILES] = process_environment({}, images=True).get(_PROFILES, '')
    context = Context()
    rclpy.init(context=context)
    executor = DataExecutor(context=context)
    sender, taker = (ManagedNode(n, parameters=NoParameters, context=context) for n in 'ab')
    bare = Node('bare', context=context)
    for node in (sender, taker, bare):
        executor.add_node(node)
    message = Image(height=4096, width=4096, encoding='mono16', step=8192)
    message.data = array.array('B', bytes(4096 * 8192))
    arrived: list[int] = []

    def take(_message: Any) -> None:
        arrived.append(time.perf_counter_ns())

    def measure(publish: Callable[[Any], None]) -> list[float]:
        times = []
        for _ in range(count):
            arrived.clear()
            begin = time.perf_counter_ns()
            publish(message)
            while not arrived and time.perf_counter_ns() - begin < 2_000_000_000:
                executor.spin_once(timeout_sec=0.1)
            times += [(arrived[0] - begin) / 1e6] if arrived else []
        return times

    publisher = sender.advertise(topic)
    taker.subscribe_raw_callback(topic, take)
    by_reference = measure(publisher.publish)
    over_dds = bare.create_publisher(Image, 'dds/image', qos.profile('BULK'))
    bare.create_subscription(Image, 'dds/image', take, qos.profile('BULK'))
    for _ in range(20):
        executor.spin_once(timeout_sec=0.05)
    by_dds = measure(over_dds.publish)
    for node in (sender, taker, bare):
        node.destroy_node()
    executor.shutdown()
    rclpy.shutdown(context=context)
    os.environ.pop(_PROFILES)
    if kept is not None:
        os.environ[_PROFILES] = kept
    if not by_reference:
        raise RuntimeError('no image passed by reference')
    text = f'over DDS {np.median(by_dds):.1f} ms' if by_dds else 'over DDS none arrived'
    return _row(
        'hand-over of a 4096 x 4096 mono16 image inside a process, median, ms',
        float(np.median(by_reference)),
        None,
        quick=False,
        baseline=text,
        data=f'{count} images, publication to callback, nothing else runs',
    )


def main() -> int:
    """Print the figures; 1 where a bar is not reached."""
    parser = argparse.ArgumentParser(description='The star navigator live.')
    parser.add_argument('--quick', action='store_true', help='20 s a flight, no bars')
    parser.add_argument('--json', type=Path, help='file for the figures')
    parser.add_argument('--watch', type=float, help=argparse.SUPPRESS)
    parser.add_argument('--images', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch is not None:
        watch(options.watch, images=options.images)
        return 0
    found = rows(quick=options.quick)
    print(json.dumps(machine()))
    for row in found:
        bar = '' if row['bar'] is None else f', bar {row["bar"]:g}'
        verdict = {True: ', ok', False: ', NOT REACHED', None: ''}[row['met']]
        print(f'{row["figure"]}: {row["value"]:g}{bar}{verdict}; {row["baseline"]}')
        print(f'    {row["data"]}')
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
    return 1 if any(row['met'] is False for row in found) else 0


if __name__ == '__main__':
    sys.exit(main())


__all__: Sequence[str] = ('Flight', 'fly', 'rows')
