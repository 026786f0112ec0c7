# SPDX-License-Identifier: Apache-2.0
"""``meta-repo vortex evaluate`` on files written from the description of the format alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.time import NANOSECONDS, set_stamp
from meta_repo_ros.msg import RecoveryCommand, VortexDetection
from meta_repo_ros.replay.bag_writer import BagWriter

COMMAND = (sys.executable, '-m', 'meta_repo_ros.cli', 'vortex')
# of a rotor that nobody calibrated for; v_h about 7.6 m/s, R / v_h 0.66 s
VEHICLE = {'rotor_radius_m': 5.0, 'rotors': 1, 'mass_kg': 1140.0, 'blades': 2}
SPEED = 42.0
DURATION = 80.0
ONSET, DEVELOPED, OVER = 40.0, 46.0, 70.0


def vortex(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True,
                          check=False)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def write(path: Path, *, ring: bool = True, truth: bool = True) -> None:
    """A helicopter that hovers, sinks into its ring (or stays above it), and flies out of it."""
    rng = np.random.default_rng(11)

    def sink(t: Any) -> Any:
        deepest = 7.5 if ring else 1.0
        return np.interp(t, [25, ONSET, DEVELOPED, 66, OVER], [0.3, 0.55 * deepest, deepest,
                                                                deepest, 0.3])  # fmt: skip

    def strength(t: Any) -> Any:
        shape = np.interp(t, [ONSET, DEVELOPED, 66, OVER], [0.0, 1.0, 1.0, 0.0])
        return shape * ring

    def slow(t: Any, phase: float) -> Any:
        """The ring as some other model may have it: bursts that come every four seconds or so."""
        return strength(t) * (np.abs(np.sin(0.75 * t + 0.4 * np.sin(0.31 * t) + phase)) - 0.6)

    time = {rate: np.arange(round(DURATION * rate)) / rate for rate in (1000, 500, 2000)}
    blades = np.sin(2 * SPEED * time[1000])
    pressure = np.stack([
        96_000.0 + side * (70.0 + 20.0 * blades + 130.0 * slow(time[1000], i))
        + rng.normal(0, 6, len(blades))
        for i, side in enumerate((1, -1, 1, -1))
    ], axis=1)  # fmt: skip
    flow = np.stack([
        np.abs(7.6 - sink(time[500]) * r + 9.0 * slow(time[500], i)
               + rng.normal(0, 0.3 + 1.2 * strength(time[500]), len(time[500])))
        for i, r in enumerate((0.3, 0.6, 0.9))
    ], axis=1)  # fmt: skip
    sound = rng.normal(0, 0.5 + 0.7 * strength(time[2000]))[:, np.newaxis]
    state_time = np.arange(0, DURATION, 0.02)
    noise = rng.normal(0, 0.15, (2, len(state_time)))
    airspeed = np.interp(state_time, [66, OVER], [0.5, 15.0])
    height = 600.0 - np.cumsum(sink(state_time)) * 0.02
    state = np.stack(
        [
            sink(state_time) + noise[0],
            airspeed + noise[1],
            height,
            np.full(len(height), SPEED),
            np.full(len(height), 11180.0),
        ],
        axis=1,
    )
    level = np.select(
        [
            ~np.array(ring),
            state_time < 33,
            state_time < ONSET,
            state_time < DEVELOPED,
            state_time < OVER,
        ],
        [0, 0, 1, 2, 3],
        0,
    )
    arrays = {
        'pressure_raw': np.round(pressure / 200_000.0 * 65535).astype(np.uint16),
        'pressure_rate_hz': 1000.0, 'pressure_range': (0.0, 200_000.0), 'pressure_t0': 0.0,
        'pressure_station_r': [0.4, 0.4, 0.8, 0.8], 'pressure_side': [1, -1, 1, -1],
        'flow_raw': np.round(flow / 100.0 * 4095).astype(np.uint16),
        'flow_rate_hz': 500.0, 'flow_range': (0.0, 100.0), 'flow_t0': 0.0,
        'flow_station_r': [0.3, 0.6, 0.9],
        'acoustic_raw': np.round(sound / 200.0 * 2**23).astype(np.int32),
        'acoustic_rate_hz': 2000.0, 'acoustic_range': (-200.0, 200.0), 'acoustic_t0': 0.0,
        'state_t': state_time, 'state': state, 'vehicle': json.dumps(VEHICLE),
    }  # fmt: skip
    if truth:
        arrays |= {'truth_t': state_time, 'truth_level': level}
    np.savez(path, **arrays)


@pytest.fixture(scope='module')
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, Any]:
    folder = tmp_path_factory.mktemp('streams')
    write(folder / 'ring.npz')
    write(folder / 'calm.npz', ring=False)
    code, output, error = vortex('evaluate', folder, '--json', '--out', folder / 'out')
    assert output, error
    return folder, code, json.loads(output)


def test_a_ring_of_another_make_is_found_and_calm_is_calm(judged: Any) -> None:
    _, code, found = judged
    assert code == 0
    together = found['together']
    assert together['events'] == together['events_detected'] == 1
    assert together['false_alarms'] == 0
    assert together['false_alarms_per_hour_upper_95'] > 0.0
    assert together['onset_delay_s']['median'] < DEVELOPED - ONSET
    assert together['incipient_before_developed'] == 1.0
    assert together['roc_area'] > 0.95
    assert set(together['baselines']) >= {'Vortex Shield', 'fixed sink limit', 'fluctuation only'}
    by_name = {Path(row['file']).stem: row for row in found['files']}
    assert by_name['ring']['highest_level'] == 'DEVELOPED'
    assert by_name['calm']['time_in_level_s']['INCIPIENT'] == 0.0
    assert by_name['ring']['voices'] == ['state', 'pressure', 'flow', 'acoustic']


def test_levels_over_time_are_lines_and_a_picture(judged: Any) -> None:
    folder, _, found = judged
    row = next(row for row in found['files'] if row['file'].endswith('ring.npz'))
    lines = [json.loads(line) for line in Path(row['levels']).read_text().splitlines()]
    times = [line['t'] for line in lines]
    assert times == sorted(times)
    assert times[0] < 0.05
    assert times[-1] > DURATION - 0.1
    developed = [line['t'] for line in lines if line['level'] == 3]
    assert ONSET < min(developed) < DEVELOPED + 7.0
    assert {line['level'] for line in lines if line['t'] < 20.0} == {0}
    said = next(line for line in lines if line['t'] > 55.0)
    assert said['state'] == 'DEVELOPED'
    assert said['truth'] == 3
    assert 0.5 < said['probability'] <= 1.0
    assert said['features']
    assert Path(row['plot']).read_bytes().startswith(b'\x89PNG')
    assert Path(row['plot']).parent == folder / 'out'


def test_without_truth_levels_are_told_and_nothing_is_judged(tmp_path: Path) -> None:
    write(tmp_path / 'flight.npz', truth=False)
    code, output, error = vortex(
        'evaluate', tmp_path / 'flight.npz', '--out', tmp_path / 'out', '--no-plot'
    )
    assert code == 0, error
    assert 'DEVELOPED' in output
    assert 'no truth' in output
    assert 'recall' not in output
    assert (tmp_path / 'out' / 'flight.jsonl').is_file()
    assert not list((tmp_path / 'out').glob('*.png'))


def test_a_bad_file_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    write(tmp_path / 'good.npz')
    with np.load(tmp_path / 'good.npz') as good:
        arrays = {key: good[key] for key in good.files if key != 'flow_rate_hz'}
    np.savez(tmp_path / 'no_rate.npz', **arrays)
    arrays['flow_rate_hz'] = np.array(500.0)
    arrays['vehicle'] = np.array(json.dumps({**VEHICLE, 'mass_kg': 1e9}))
    np.savez(tmp_path / 'heavy.npz', **arrays)
    files = [tmp_path / name for name in ('no_rate.npz', 'good.npz', 'heavy.npz', 'gone.npz')]
    code, output, _ = vortex('evaluate', *files, '--json', '--no-plot', '--out', tmp_path / 'out')
    assert code == 1
    rows = {Path(row['file']).stem: row for row in json.loads(output)['files']}
    assert 'flow_rate_hz is missing' in rows['no_rate']['error']
    assert 'mass' in rows['heavy']['error']
    assert 'no such file' in rows['gone']['error']
    assert rows['good']['events_detected'] == 1


def test_a_flight_is_reported(tmp_path: Path) -> None:
    start = 1_790_000_000 * NANOSECONDS
    kind = 'meta_repo_ros/msg/VortexDetection'
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('uav1/vortex_detection', kind, 'STREAM')
        bag.add_topic('uav1/recovery_command', 'meta_repo_ros/msg/RecoveryCommand', 'STREAM')
        for i in range(500):
            stamp = start + i * 20_000_000
            found = VortexDetection(level=1 + i // 125, probability=i / 500, risk=0.3)
            found.normalised_descent, found.normalised_airspeed = i / 400, 0.2
            set_stamp(found.header.stamp, stamp)
            bag.write('uav1/vortex_detection', stamp, found)
            if i >= 250:
                plan = RecoveryCommand(phase=2, variant=2, reason='out to the left', assured=True)
                set_stamp(plan.header.stamp, stamp)
                bag.write('uav1/recovery_command', stamp, plan)
    code, output, error = vortex('report', tmp_path / 'bag', '--namespace', 'uav1')
    assert code == 0, error
    assert 'DEVELOPED' in output
    page = (tmp_path / 'bag_vortex.html').read_text(encoding='utf-8')
    assert 'out to the left' in page
    assert page.count('<svg') == 2
    code, _, error = vortex('report', tmp_path / 'bag')
    assert code == 1
    assert 'no vortex_detection' in error


def test_wrong_use_is_answered(tmp_path: Path) -> None:
    code, _, error = vortex('evaluate', tmp_path)
    assert code == 1
    assert 'holds no .npz' in error
    code, _, error = vortex('evaluate', 'a.npz', '--sensitivity', '1.5')
    assert code == 2
    assert '--sensitivity' in error
    code, _, error = vortex('report', tmp_path / 'nothing')
    assert code == 1
    assert 'nothing' in error
