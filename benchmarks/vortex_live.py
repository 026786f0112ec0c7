# SPDX-License-Identifier: Apache-2.0
"""Vortex Shield live: from the oldest sample of a block to the recovery command that it causes.

``python -m benchmarks.vortex_live [--quick] [--json FILE]``

The whole graph but the star camera flies a simulated F450. A vehicle cannot stay in its ring for
ten minutes; so the node vortex_shield alone listens to a driver in place of the simulator's
sensors: a process that publishes blocks of 4 ms on exact times of the steady clock, the streams of
a generated developed ring over and over, with the flight state of a descent in it. A recovery is
active in each of them; its setpoints go to the driver's namespace, so that the simulated vehicle
stays in the air. The simulator's own blocks are made and published all the while.

The oldest sample is one block older than the publication of its block. Another process receives the
commands. Beside it, every fifth time, the same block goes to a bare rclpy node that publishes it
again: two hops of the same payload, to the same receiver.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.hosts import cpu_seconds, machine
from meta_repo_ros.environment import process_environment
from meta_repo_ros.graph import ProcessSpec, system
from meta_repo_ros.run_background import BackgroundRunner

BAR_MS = 10.0
PROCESSING_BAR_MS = 0.5
SCENARIO = """
aircraft: f450
description: a quadrotor holds its place in wind, with the sensors of its rotors
duration: 7200.0
seed: 7
start_time: 2026-06-21T21:30:00Z
initial: {latitude: 47.26, longitude: 11.34, altitude: 740.0, height: 140.0, heading: 70.0}
wind: {speed: 3.0, direction: 250.0}
turbulence: {model: milspec, wind_at_6m: 3.0, severity: 2}
manoeuvres:
  - {at: 0.0, waypoint: [0.0, 0.0, 0.0]}
sensors:
  rotor_samples: {rotorcraft: f450}
"""
DATA = (
    'generated streams of a developed ring of an F450, repeated, by a driver in place of the '
    "simulator's sensors; the whole graph but the star camera flies beside it"
)
_ROOT = Path(__file__).resolve().parents[1]
_INPUTS = ('rotor_samples', 'odometry', 'air_data', 'rotor_state')
_OWN = 'driver'
_SETTLE_S = 10.0
_STARTING_S = 90.0


@dataclass(frozen=True)
class Lane:
    """What came back of one lane.

    Attributes:
        sent: blocks published while it was measured.
        missing: of those, blocks without an answer.
        latency: (n,) ms from the publication of a block to the callback with its answer.
    """

    sent: int
    missing: int
    latency: np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Attributes:
        node: blocks in, recovery commands out.
        bare: blocks in, the same out.
        phases: commands by phase.
        lateness: (n,) ms, publication after the time at which it was due.
        cores: by process.
    """

    node: Lane
    bare: Lane
    phases: Mapping[str, int]
    lateness: np.ndarray[Any, np.dtype[np.float64]]
    cores: Mapping[str, float]


def fly(duration: float) -> Run:
    """Measure for ``duration`` (s) after the graph has settled.

    Raises:
        RuntimeError: the graph or its output did not come up, or a process ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        scenario, parameters = path / 'hover.yaml', path / 'parameters.yaml'
        scenario.write_text(SCENARIO, encoding='utf-8')
        given = {'/**/vortex_shield': {'ros__parameters': {'recovery': {'longest': 100.0}}}}
        parameters.write_text(yaml.safe_dump(given), encoding='utf-8')
        processes = _graph(scenario, parameters)
        lines: list[str] = []
        with BackgroundRunner(
            processes, on_output=lambda name, line: lines.append(f'{name}: {line}')
        ) as runner:
            try:
                return _measure(path, duration, runner)
            except RuntimeError as error:
                raise RuntimeError(f'{error}\n' + '\n'.join(lines[-20:])) from error


def _graph(scenario: Path, parameters: Path) -> tuple[ProcessSpec, ...]:
    """The whole graph; vortex_shield listens to the driver."""
    arguments = {
        'scenario': str(scenario), 'params_file': str(parameters), 'respawn': 'false',
        'starnav': 'true', 'star_camera': 'false', 'vortex_shield': 'true',
    }  # fmt: skip
    remaps = {name: f'{_OWN}/{name}' for name in (*_INPUTS, 'setpoint/request')}
    return tuple(
        replace(
            process,
            nodes=tuple(
                replace(node, remaps=remaps) if node.type == 'vortex_shield' else node
                for node in process.nodes
            ),
        )
        for process in system(arguments)
    )


def _measure(folder: Path, duration: float, runner: BackgroundRunner) -> Run:
    files = {role: folder / f'{role}.json' for role in ('source', 'sink')}
    own = [
        _start('sink', str(files['sink'])),
        _start('relay'),
        _start('source', str(files['source']), '--duration', str(duration)),
    ]
    sink, _, source = own
    try:
        end = time.monotonic() + _STARTING_S
        while not files['source'].with_suffix('.began').exists():
            if time.monotonic() > end or source.poll() is not None:
                raise RuntimeError('the driver did not find its subscribers')
            time.sleep(0.2)
        time.sleep(_SETTLE_S)
        pids = runner.pids
        before, begin = {n: cpu_seconds(p) for n, p in pids.items()}, time.monotonic()
        if source.wait(duration + 60.0) != 0:
            raise RuntimeError('the driver failed')
        if runner.pids != pids:
            raise RuntimeError('a process ended')
        elapsed = time.monotonic() - begin
        cores = {n: (cpu_seconds(p) - before[n]) / elapsed for n, p in pids.items()}
        sink.send_signal(signal.SIGTERM)
        sink.wait(30)
    finally:
        for program in own:
            if program.poll() is None:
                program.kill()
            program.wait()
    sent = json.loads(files['source'].read_text())
    seen = json.loads(files['sink'].read_text())
    due = np.array(sent['late']) / 1e6
    phases = np.unique(seen['phases'], return_counts=True)
    return Run(
        node=_lane(sent['node'], seen['node']),
        bare=_lane(sent['bare'], seen['bare']),
        phases={str(k): int(n) for k, n in zip(*phases, strict=True)},
        lateness=due,
        cores=cores,
    )


def _start(role: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = process_environment()
    environment.pop('PYTHONSAFEPATH')  # `benchmarks` is found from the root
    line = [sys.executable, '-m', 'benchmarks.vortex_live_roles', role, *arguments]
    return subprocess.Popen(line, cwd=_ROOT, env=environment)


def _lane(sent: dict[str, list[int]], seen: dict[str, list[int]]) -> Lane:
    """By sequence: when it went, and when it came back for the first time."""
    published = dict(zip(sent['sequence'], sent['time'], strict=True))
    arrived: dict[int, int] = {}
    for sequence, when in zip(seen['sequence'], seen['time'], strict=True):
        arrived.setdefault(sequence, when)
    common = [s for s in published if s in arrived]
    latency = np.array([arrived[s] - published[s] for s in common]) / 1e6
    return Lane(len(published), len(published) - len(common), latency)


# -- one block in process --------------------------------------------------------------------------


def processing(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Time of one block in the processor and of a raw baseline, ms; recovery active throughout."""
    from benchmarks.vortex_live_roles import Stream  # noqa: PLC0415 (imports messages)
    from meta_repo_ros.core.parameters import from_mapping  # noqa: PLC0415
    from meta_repo_ros.vortex_shield.parameters import VortexShieldParameters  # noqa: PLC0415
    from meta_repo_ros.vortex_shield.processor import COMMAND, SAMPLES, VortexShield  # noqa: PLC0415

    node = VortexShield(from_mapping(VortexShieldParameters, {'recovery.longest': 100.0}))
    stream = Stream()
    taken, raw = np.empty(count), np.empty(count)
    active = 0
    warm = 500
    for number in range(-warm, count):
        begin = 1_000_000_000_000 + (number + warm) * stream.period
        for topic, message in stream.state(number + warm, begin):
            node.on_message(topic, message, begin)
        message = stream.block(number + warm, begin)
        start = time.perf_counter_ns()
        outputs = node.on_message(SAMPLES, message, begin + stream.period)
        middle = time.perf_counter_ns()
        counts = np.frombuffer(message.counts, np.int32)
        np.fft.rfft(counts.astype(np.float64))
        done = time.perf_counter_ns()
        if number >= 0:
            taken[number], raw[number] = (middle - start) / 1e6, (done - middle) / 1e6
            active += outputs[0].topic == COMMAND
    if active != count:
        raise RuntimeError(f'a recovery was active in {active} of {count} blocks only')
    return taken, raw


# -- figures ---------------------------------------------------------------------------------------


def rows(*, quick: bool = False) -> list[dict[str, Any]]:
    """All figures: dicts with figure, value, bar, met, baseline, data."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '97')
    taken, raw = processing(1000 if quick else 10_000)
    found = [
        _row(
            'live: processing of one block in process, median, ms',
            float(np.median(taken)),
            PROCESSING_BAR_MS,
            quick=quick,
            baseline=f'counts to floats and one FFT of them: {np.median(raw):.3f} ms',
            data=f'{len(taken)} blocks of 4 ms of a generated developed ring, recovery active in '
            f'each; 99th percentile {np.percentile(taken, 99):.2f} ms',
        )
    ]
    run = fly(20.0 if quick else 600.0)
    return found + _end_to_end(run, quick=quick)


def _end_to_end(run: Run, *, quick: bool) -> list[dict[str, Any]]:
    block = 4.0
    node = run.node.latency if run.node.latency.size else np.array([np.inf])
    bare = run.bare.latency if run.bare.latency.size else np.array([np.inf])
    median, high, most = np.percentile(node, [50, 99, 99.9])
    late = float(np.percentile(run.lateness, 99))
    data = (
        f'{DATA}; driver, receiver and ping-pong ask for real-time priority as the node does; '
        f'{run.node.sent} blocks; of the 99th percentile {block:g} ms are the block itself;'
        f' median {median + block:.2f} ms, 99.9th percentile {most + block:.2f} ms, longest '
        f'{node.max() + block:.1f} ms; commands by phase {dict(run.phases)}; the driver published '
        f'up to {late:.2f} ms late (99th percentile); cores '
        + ', '.join(f'{name} {value:.2f}' for name, value in run.cores.items())
    )
    text = (
        f'bare rclpy ping-pong of the same payload, two hops, from publication: median '
        f'{np.median(bare):.2f} ms, 99th percentile {np.percentile(bare, 99):.2f} ms; the node, '
        f'from publication: median {median:.2f} ms, 99th percentile {high:.2f} ms'
    )
    return [
        _row(
            'live: oldest sample of a block to recovery_command in another process, '
            '99th percentile, ms',
            float(high) + block, BAR_MS, quick=quick, baseline=text, data=data,
        ),
        _row(
            'live: blocks without a recovery_command',
            run.node.missing, 0, quick=quick,
            baseline=f'of the bare ping-pong {run.bare.missing} of {run.bare.sent} did not return',
            data=f'{run.node.sent} blocks',
        ),
    ]  # fmt: skip


def _row(
    figure: str, value: float, bar: float, *, quick: bool, baseline: str, data: str
) -> dict[str, Any]:
    return {
        'figure': figure,
        'value': round(value, 3),
        'bar': bar,
        'met': None if quick else bool(value <= bar),
        'baseline': baseline,
        'data': data,
    }


def main() -> int:
    """Print the figures; 1 where a bar is not reached."""
    parser = argparse.ArgumentParser(description='Vortex Shield live.')
    parser.add_argument('--quick', action='store_true', help='20 s in place of 10 min, no bars')
    parser.add_argument('--json', type=Path, help='file for the figures')
    options = parser.parse_args()
    print(json.dumps(machine()))
    found = rows(quick=options.quick)
    for row in found:
        verdict = {True: ', ok', False: ', NOT REACHED', None: ''}[row['met']]
        print(f'{row["figure"]}: {row["value"]:g}, bar {row["bar"]:g}{verdict}; {row["baseline"]}')
        print(f'    {row["data"]}')
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
    return 1 if any(row['met'] is False for row in found) else 0


if __name__ == '__main__':
    sys.exit(main())


__all__: Sequence[str] = ('Run', 'fly', 'processing', 'rows')
