# SPDX-License-Identifier: Apache-2.0
"""Recordings of others become bags with standard messages, units, axes and times."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from rosbags.highlevel import AnyReader

from meta_repo_ros.commands.bag import command
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.importers import RecordingError
from meta_repo_ros.replay.importers.broad import EPOCH_NS, read_trial
from meta_repo_ros.replay.importers.convert import import_recording
from meta_repo_ros.replay.importers.drive import Outage, read_drive

if TYPE_CHECKING:
    from pathlib import Path

TRIAL = '18_undisturbed_fast_translation_with_breaks_B.mat'


def messages(path: Path, topic: str, count: int | None = None) -> list[tuple[int, Any]]:
    with BagReader(path) as bag:
        rows = ((stamp, message) for stamp, _, _, message in bag.messages({topic}))
        return list(itertools.islice(rows, count))


def xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]


def test_broad_trial(recordings: Path, tmp_path: Path) -> None:
    source = recordings / 'attitude_broad' / TRIAL
    trial = read_trial(source)
    result = import_recording(source, tmp_path / 'bag', latency_s={'imu/mag': 0.01})
    assert result.counts['imu/data_raw'] == result.counts['imu/mag'] == 53124
    known = int(np.isfinite(trial.attitude).all(axis=1).sum())
    assert result.counts['ground_truth/attitude'] == known
    received, field = messages(tmp_path / 'bag', '/imu/mag', 1)[0]
    assert received - stamp_ns(field.header.stamp) == 10_000_000
    assert 20e-6 < np.linalg.norm(xyz(field.magnetic_field)) < 70e-6
    rows = messages(tmp_path / 'bag', '/imu/data_raw', 3)
    assert stamp_ns(rows[0][1].header.stamp) == EPOCH_NS
    assert stamp_ns(rows[1][1].header.stamp) - EPOCH_NS == 3_500_000
    assert rows[0][1].linear_acceleration.z == pytest.approx(9.81, abs=0.1)
    assert rows[0][1].orientation_covariance[0] == -1.0
    # The scored phase, sample by sample, as the trial has it.
    changes = messages(tmp_path / 'bag', '/ground_truth/movement')
    times = np.array([stamp for stamp, _ in changes])
    moving = np.array([message.data for _, message in changes])
    assert (moving[np.searchsorted(times, trial.stamps, 'right') - 1] == trial.movement).all()


def test_truth_of_broad_takes_gravity_up(recordings: Path) -> None:
    trial = read_trial(recordings / 'attitude_broad' / TRIAL)
    still = ~trial.movement & np.isfinite(trial.attitude).all(axis=1)
    x, y, z, w = trial.attitude[still].T
    up = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)
    along = (trial.specific_force[still] * up).sum(axis=1)
    assert np.median(along) == pytest.approx(9.81, abs=0.05)


def test_drive(recordings: Path, tmp_path: Path) -> None:
    source = recordings / 'gnss_imu'
    drive = read_drive(source)
    outage = Outage(start=60.0, length=15.0, period=45.0, count=11)
    result = import_recording(source, tmp_path / 'bag', outage=outage, namespace='uav1')
    assert result.counts['uav1/imu/data_raw'] == 54860
    assert result.counts['uav1/ground_truth/odometry'] == 2197
    assert result.counts['uav1/gnss/fix'] == result.counts['uav1/gnss/velocity'] == 2197 - 11 * 60
    begin = drive.gnss_time[0]
    for _, fix in messages(tmp_path / 'bag', '/uav1/gnss/fix'):
        since = (stamp_ns(fix.header.stamp) - begin) * 1e-9 - 60.0
        assert not 0 <= since % 45.0 < 15.0 or not 0 <= since < 11 * 45.0
    _, first = messages(tmp_path / 'bag', '/uav1/gnss/fix', 1)[0]
    # 19:34:18.499 GPS time is 18 s more than UTC.
    assert stamp_ns(first.header.stamp) == 1_752_003_240_499_000_000
    assert first.latitude == pytest.approx(40.0966268)
    assert first.position_covariance[0] == pytest.approx(0.0098995**2, rel=1e-4)
    truth = [message for _, message in messages(tmp_path / 'bag', '/uav1/ground_truth/odometry')]
    path = np.array([xyz(message.pose.pose.position) for message in truth])
    speed = np.array([xyz(message.twist.twist.linear) for message in truth])
    # Position is the integral of velocity.
    moved = np.cumsum((speed[1:] + speed[:-1]) / 2 * 0.25, axis=0)
    assert np.abs(path[1:] - path[0] - moved).max() < 3.0


def test_axes_and_time_of_the_drive_agree_with_its_solution(recordings: Path) -> None:
    """Turning left is a positive rate about z up; speeding up is positive along x forward."""
    drive = read_drive(recordings / 'gnss_imu')
    t = drive.gnss_time * 1e-9
    speed = np.hypot(*drive.velocity[:, :2].T)
    heading = np.unwrap(np.arctan2(drive.velocity[:, 1], drive.velocity[:, 0]))
    imu = drive.imu_time * 1e-9

    def change(values: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        total = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(imu))])
        return np.interp(t[2:], imu, total) - np.interp(t[:-2], imu, total)

    moving = speed[1:-1] > 4.0
    turned = change(drive.angular_rate[:, 2])[moving]
    gained = change(drive.specific_force[:, 0])[moving]
    assert np.corrcoef(turned, (heading[2:] - heading[:-2])[moving])[0, 1] > 0.995
    assert np.corrcoef(gained, (speed[2:] - speed[:-2])[moving])[0, 1] > 0.85
    assert drive.specific_force[:300, 2].mean() == pytest.approx(9.8, abs=0.1)
    assert (np.diff(drive.imu_time) > 0).all()


def test_px4_log(recordings: Path, tmp_path: Path) -> None:
    result = import_recording(recordings / 'px4' / 'sample_log_small.ulg', tmp_path / 'bag')
    assert result.counts == {
        'imu/data_raw': 1298, 'imu/mag': 319, 'baro/pressure': 120,
        'gnss/fix': 32, 'gnss/velocity': 32, 'reference/attitude': 1298,
    }  # fmt: skip
    _, sample = messages(tmp_path / 'bag', '/imu/data_raw', 1)[0]
    assert sample.linear_acceleration.z == pytest.approx(9.63, abs=0.1)
    _, fix = messages(tmp_path / 'bag', '/gnss/fix', 1)[0]
    assert (fix.latitude, fix.longitude) == pytest.approx((63.4170622, 10.4082151))
    assert fix.altitude == pytest.approx(106.766)
    assert stamp_ns(fix.header.stamp) // 10**9 == 1_618_986_658
    _, reference = messages(tmp_path / 'bag', '/reference/attitude', 1)[0]
    q = reference.quaternion
    # Level on the ground: body up is world up; heading 13.9 deg from north is 76.1 from east.
    assert 1 - 2 * (q.x**2 + q.y**2) > 0.999
    yaw = np.degrees(np.arctan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y**2 + q.z**2)))
    assert yaw == pytest.approx(90 - np.degrees(2 * np.arctan2(0.1208285, 0.9926282)), abs=0.2)


def test_imported_bags_open_with_rosbags_and_repeat(recordings: Path, tmp_path: Path) -> None:
    source = recordings / 'px4' / 'sample_log_small.ulg'
    contents = []
    for folder in ('a', 'b'):
        target = tmp_path / folder / 'bag'
        arguments = ['import', str(source), '-o', str(target), '--compression', 'lz4']
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        contents.append({file.name: file.read_bytes() for file in target.iterdir()})
    assert contents[0] == contents[1]
    with AnyReader([tmp_path / 'a' / 'bag']) as bag:
        read = sum(1 for c, _, raw in bag.messages() if bag.deserialize(raw, c.msgtype))
    assert read == 1298 * 2 + 319 + 120 + 64


@pytest.mark.parametrize(
    ('name', 'content', 'reason'),
    [
        ('x.mat', b'not matlab', 'not a MATLAB file'),
        ('x.ulg', b'not px4', 'not a PX4 log'),
        ('x.pos', b'% GPST\n2025/07/08 x\n', 'found none'),
        ('x.txt', b'', 'not a recording known here'),
    ],
)
def test_what_is_no_recording(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=reason):
        import_recording(tmp_path / name, tmp_path / 'bag')
    assert not (tmp_path / 'bag').exists()


@pytest.mark.parametrize(
    ('file', 'content', 'reason'),
    [
        ('solution.pos', '2025/07/08 19:34:18.499 a b\n', r'solution\.pos:1: not a line'),
        ('solution.pos', '% GPST\n', 'expected latitude'),
        ('imu.csv', '1,2,3\n', 'seven'),
        ('imu.csv', '0,0,1,0,0,0,5\n0,0,1,0,0,0,5\n', 'does not always advance'),
        ('imu.csv.tag', 'no tags', 'not a time tag file'),
    ],
)
def test_broken_drives_are_named(
    recordings: Path, tmp_path: Path, file: str, content: str, reason: str
) -> None:
    drive = recordings / 'gnss_imu'
    solution = (drive / 'gnss_1934_sf.pos').read_text().splitlines(keepends=True)[:4]
    (tmp_path / 'solution.pos').write_text(''.join(solution))
    samples = (drive / 'imu_1934.csv').read_text().splitlines(keepends=True)[:40]
    (tmp_path / 'imu.csv').write_text(''.join(samples))
    (tmp_path / 'imu.csv.tag').write_bytes((drive / 'imu_1934.csv.tag').read_bytes()[:2000])
    assert len(read_drive(tmp_path).imu_time) == 40
    (tmp_path / file).write_text(content)
    with pytest.raises(RecordingError, match=reason):
        read_drive(tmp_path)


def test_what_a_recording_does_not_take_is_refused(recordings: Path, tmp_path: Path) -> None:
    log = recordings / 'px4' / 'sample_log_small.ulg'
    with pytest.raises(RecordingError, match='holds receive times'):
        import_recording(log, tmp_path / 'bag', latency_s={'gnss/fix': 0.2})
    with pytest.raises(RecordingError, match='outages are for'):
        import_recording(log, tmp_path / 'bag', outage=Outage(0.0, 1.0, 2.0, 3))


@pytest.mark.parametrize('text', ['60,15,45', '60,15,10,3', 'a,b,c,d', '0,1,2,1.5'])
def test_wrong_outages_are_refused(recordings: Path, tmp_path: Path, text: str) -> None:
    arguments = ['import', str(recordings / 'gnss_imu'), '-o', str(tmp_path / 'bag')]
    done = CliRunner().invoke(command, [*arguments, '--outage', text])
    assert done.exit_code == 2
    assert 'expected' in done.output
