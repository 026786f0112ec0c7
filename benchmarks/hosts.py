# SPDX-License-Identifier: Apache-2.0
"""Latency, cost and memory of the live host, each beside a baseline of the same run.

``python -m benchmarks.hosts [--duration S] [--json FILE] [--only NAME]``

Latency: from the source's stamp to the arrival in a third process, 200 Hz ``sensor_msgs/Imu``.
The baseline is a bare rclpy node that subscribes and publishes the same message (two hops). All
lanes run at the same time, in turn within each period, so that load falls on all of them alike.
The full run takes ``--duration 600``; the default is a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import processor
from meta_repo_ros.environment import process_environment
from meta_repo_ros.graph import NODES, NodeSpec, ProcessSpec, argv, system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATE = 200
"""Hz, of every lane."""
_ROOT = Path(__file__).resolve().parents[1]
_FUSION = 'navigation_fusion'
_SETTLE_S = 10.0


@dataclass(frozen=True)
class Lane:
    """One way from source to sink, in a namespace of its own.

    Attributes:
        name: namespace.
        command: what runs in the middle.
        kind: 'imu' or 'odometry', what the sink takes.
        role: whether ``command`` is a role of :mod:`benchmarks.host_roles`.
    """

    name: str
    command: tuple[str, ...]
    kind: str = 'imu'
    role: bool = False


@dataclass(frozen=True)
class Latency:
    """What the sink saw of one lane; times in microseconds."""

    received: int
    gaps: int
    median: float
    p90: float
    p99: float
    worst: float


@dataclass
class Check:
    """One figure against its bar."""

    name: str
    value: float
    bar: float | None
    unit: str = ''
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool | None:
        """Whether the bar holds; None where there is none."""
        return None if self.bar is None else self.value <= self.bar

    def line(self) -> str:
        """For people."""
        bar = '' if self.bar is None else f'  bar {self.bar:g}{self.unit}'
        verdict = {True: '  ok', False: '  NOT REACHED', None: ''}[self.passed]
        return f'{self.name}: {self.value:.3g}{self.unit}{bar}{verdict}'


def role_command(role: str, *arguments: str, namespace: str = '') -> tuple[str, ...]:
    """Command line of a role of :mod:`benchmarks.host_roles`."""
    line = [sys.executable, '-m', 'benchmarks.host_roles', role, *arguments]
    return (*line, '--ros-args', '-r', f'__ns:=/{namespace}') if namespace else tuple(line)


def measure(lanes: Sequence[Lane], duration: float) -> dict[str, Latency]:
    """Run all lanes at once for ``duration`` (s); what the sink saw, by lane.

    Raises:
        RuntimeError: a process failed.
    """
    programs = [_start(lane.command, role=lane.role) for lane in lanes]
    takes = [f'{lane.name}:{lane.kind}' for lane in lanes]
    sink = _start(role_command('sink', *takes), role=True, output=True)
    try:
        names = [lane.name for lane in lanes]
        options = ('--rate', str(RATE), '--duration', str(duration))
        source = _start(role_command('source', *names, *options), role=True, output=True)
        text, _ = source.communicate(timeout=duration + 90)
        if source.returncode != 0:
            raise RuntimeError(f'the source failed; {", ".join(names)} may not have started')
        sink.send_signal(signal.SIGTERM)
        seen, _ = sink.communicate(timeout=60)
    finally:
        for program in (*programs, sink):
            if program.poll() is None:
                program.send_signal(signal.SIGINT)
        for program in (*programs, sink):
            _reap(program)
    sent = json.loads(text)['sent']
    data = json.loads(seen[seen.index('{') :])
    return {name: _latency(data[name], sent) for name in names}


def _latency(lane: dict[str, list[int]], sent: int) -> Latency:
    if not lane['delay']:
        raise RuntimeError('a lane gave no output')
    delay = np.array(lane['delay']) / 1e3
    stamp = np.array(lane['stamp'])
    # whole thousands from the time since the first output, the rest from the stamp itself
    elapsed = (stamp - stamp[0]) * 1e-9 * RATE
    remainder = (stamp - stamp[0]) % 1000
    index = np.round((elapsed - remainder) / 1000).astype(int) * 1000 + remainder
    last = index.max() + (sent - 1 - stamp[index.argmax()]) % 1000
    # after the first output (a filter has to align before) nothing may be missing, to the end
    gaps = int(last + 1 - len(set(index.tolist())))
    median, p90, p99 = np.percentile(delay, (50, 90, 99))
    return Latency(len(delay), gaps, float(median), float(p90), float(p99), float(delay.max()))


def _start(command: Sequence[str], *, role: bool, output: bool = False) -> subprocess.Popen[str]:
    environment = process_environment()
    if role:  # `benchmarks` is found from the root; it takes the root off the path itself
        environment.pop('PYTHONSAFEPATH')
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE if output else sys.stderr,
    )


def _reap(program: subprocess.Popen[str]) -> None:
    try:
        program.wait(10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


# -- the figures ----------------------------------------------------------------------------------


def _baseline() -> Lane:
    return Lane('bare', role_command('relay', namespace='bare'), role=True)


def _fusion_process() -> ProcessSpec:
    for process in system({'profile': 'full'}):
        if any(node.type == _FUSION for node in process.nodes):
            return replace(process, autostart=True, use_sim_time=False)
    raise RuntimeError(f'no process of the full profile holds {_FUSION}')


def _fusion_lane(name: str, nodes: Sequence[NodeSpec], process: ProcessSpec) -> Lane:
    spec = replace(process, nodes=tuple(nodes), namespace=f'/{name}')
    return Lane(name, argv(spec), 'odometry')


def idle_host(duration: float) -> list[Check]:
    """(a) A processor that does nothing."""
    idle = Lane('idle', role_command('idle', namespace='idle'), role=True)
    seen = measure([_baseline(), idle], duration)
    return _ratios('idle processor', seen['bare'], seen['idle'], 1.3)


def fusion(duration: float) -> list[Check]:
    """(b) navigation_fusion, alone in its process."""
    lane = _fusion_lane('fusion', [NodeSpec(_FUSION)], _fusion_process())
    seen = measure([_baseline(), lane], duration)
    return _ratios(_FUSION, seen['bare'], seen['fusion'], 2.5)


def neighbours(duration: float) -> list[Check]:
    """(c) navigation_fusion alone, and with its shipped neighbours idle and at work."""
    process = _fusion_process()
    idle = [node if node.type == _FUSION else _deaf(node) for node in process.nodes]
    alone = _fusion_lane('alone', [NodeSpec(_FUSION)], process)
    title = f'latency of {_FUSION} added by {", ".join(n.type for n in process.nodes[1:])}'
    checks = []
    for name, nodes, bar in (('idle', idle, 20.0), ('at_work', process.nodes, None)):
        seen = measure([alone, _fusion_lane(name, nodes, process)], min(duration, 120.0))
        added = (seen[name].median / seen['alone'].median - 1) * 100
        details = {lane: vars(latency) for lane, latency in seen.items()}
        checks.append(Check(f'{title}, {name.replace("_", " ")}', added, bar, ' %', details))
    return checks


def demo(duration: float) -> list[Check]:
    """(d) The whole graph of the demonstration, without the recorder."""
    from meta_repo_ros.run_background import BackgroundRunner  # noqa: PLC0415 (needs asyncio)

    lines: list[str] = []
    with BackgroundRunner(
        system({'profile': 'full'}), on_output=lambda name, line: lines.append(f'{name}: {line}')
    ) as runner:
        time.sleep(_SETTLE_S)
        pids = runner.pids
        before, begin = {pid: cpu_seconds(pid) for pid in pids.values()}, time.monotonic()
        time.sleep(min(duration, 40.0))
        elapsed = time.monotonic() - begin
        if runner.pids != pids:
            raise RuntimeError('a process ended:\n' + '\n'.join(lines[-20:]))
        cores = {n: (cpu_seconds(p) - before[p]) / elapsed for n, p in pids.items()}
        pss = {n: memory_mb(p, 'Pss') for n, p in pids.items()}
        rss = {n: memory_mb(p, 'Rss') for n, p in pids.items()}
        bare = _start(role_command('relay', namespace='bare'), role=True)
        time.sleep(2.0)  # beside the graph, so that it shares the same pages
        pss['(one bare rclpy process)'] = memory_mb(bare.pid, 'Pss')
        rss['(one bare rclpy process)'] = memory_mb(bare.pid, 'Rss')
        bare.kill()
        bare.wait()
    return [
        Check('demo profile, cores', sum(cores.values()), 1.5, '', cores),
        Check('demo profile, memory (PSS)', sum(pss[n] for n in pids), 700.0, ' MB', pss),
        Check('demo profile, RSS (shared pages counted each time)', sum(rss[n] for n in pids),
              None, ' MB', rss),
    ]  # fmt: skip


def _deaf(node: NodeSpec) -> NodeSpec:
    """``node`` with its inputs remapped to where nothing is published."""
    import importlib  # noqa: PLC0415

    module, _, name = NODES[node.type].factory.partition(':')
    inputs = getattr(getattr(importlib.import_module(module), name), 'inputs', ())
    silent = {topic.name: f'silence/{topic.name}' for topic in inputs}
    return replace(node, remaps={**node.remaps, **silent})


def _ratios(name: str, base: Latency, candidate: Latency, bar: float) -> list[Check]:
    details = {'bare rclpy': vars(base), name: vars(candidate)}
    return [
        Check(f'{name}, median latency over bare rclpy', candidate.median / base.median, bar, ' x',
              details),
        Check(f'{name}, p99 over bare rclpy', candidate.p99 / base.p99, None, ' x'),
        Check(f'{name}, messages missing', candidate.gaps, 0.0),
        Check('bare rclpy, messages missing', base.gaps, None),
    ]  # fmt: skip


def cpu_seconds(pid: int) -> float:
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mb(pid: int, kind: str) -> float:
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith(f'{kind}:'):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'/proc/{pid}/smaps_rollup has no {kind}')


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        'processor': processor(),
        'cores': len(os.sched_getaffinity(0)),
        'load before': os.getloadavg()[0],
        'kernel': platform.release(),
        'python': platform.python_version(),
    }


FIGURES: dict[str, Callable[[float], list[Check]]] = {
    'idle': idle_host,
    'fusion': fusion,
    'neighbours': neighbours,
    'demo': demo,
}


def main() -> int:
    """Print the figures; 1 where a bar is not reached."""
    parser = argparse.ArgumentParser(description='Cost of the live host against bare rclpy.')
    parser.add_argument('--duration', type=float, default=20.0, help='seconds per figure')
    parser.add_argument('--json', type=Path, help='file for the figures')
    parser.add_argument('--only', choices=FIGURES, action='append', help='one figure (repeatable)')
    parser.add_argument('--domain', type=int, default=99, help='ROS_DOMAIN_ID of the run')
    options = parser.parse_args()
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(options.domain)
    result: dict[str, Any] = {'machine': machine(), 'duration': options.duration, 'figures': []}
    print(json.dumps(result['machine']))
    good = True
    for name in options.only or FIGURES:
        for check in FIGURES[name](options.duration):
            print(check.line(), flush=True)
            for key, value in check.details.items():
                print(f'    {key}: {_short(value)}')
            result['figures'].append({**vars(check), 'passed': check.passed})
            good = good and check.passed is not False
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + '\n')
    return 0 if good else 1


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{key} {_short(number)}' for key, number in value.items())
    return f'{value:.4g}' if isinstance(value, float) else str(value)


if __name__ == '__main__':
    sys.exit(main())
