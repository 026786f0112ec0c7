# SPDX-License-Identifier: Apache-2.0
"""The report says what the messages say, in one file that needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meta_repo_ros.reporting import report
from meta_repo_ros.reporting.recorded import Recording, collect

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def header(stamp: int) -> SimpleNamespace:
    sec, nanosec = divmod(stamp, SECOND)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))


def quaternion(rotation: Rotation) -> SimpleNamespace:
    return SimpleNamespace(**dict(zip('xyzw', rotation.as_quat(), strict=True)))


def vector(values: Any) -> SimpleNamespace:
    return SimpleNamespace(**dict(zip('xyz', map(float, values), strict=True)))


def odometry(stamp: int, position: Any, turn: Rotation, speed: Any, sigma: float) -> Any:
    spread = np.diag([sigma**2] * 3 + [np.deg2rad(1.0) ** 2] * 3).ravel()
    pose = SimpleNamespace(position=vector(position), orientation=quaternion(turn))
    twist = SimpleNamespace(linear=vector(turn.inv().apply(speed)))
    return SimpleNamespace(
        header=header(stamp),
        pose=SimpleNamespace(pose=pose, covariance=spread),
        twist=SimpleNamespace(twist=twist, covariance=np.diag([0.01] * 6).ravel()),
    )


def place(altitude: float) -> SimpleNamespace:
    return SimpleNamespace(latitude=47.0, longitude=8.0, altitude=altitude)


def flight(namespace: str = '') -> list[tuple[str, str, int, Any]]:
    """Ten seconds eastwards; 2 m too far north, 30 m higher origin, 1 deg wrong heading."""
    odometry_type = 'nav_msgs/msg/Odometry'
    fix_type = 'sensor_msgs/msg/NavSatFix'
    rows: list[tuple[str, str, int, Any]] = [
        ('ground_truth/origin', fix_type, START, place(400)),
        ('odometry/origin', fix_type, START, place(430)),
    ]
    for i in range(101):
        stamp, time = START + i * SECOND // 10, i / 10
        truth = Rotation.from_euler('ZYX', [20 + time, 5, 10], degrees=True)
        found = Rotation.from_euler('Z', 1, degrees=True) * truth
        speed = (20, 0, 0)
        rows += [
            ('ground_truth/odometry', odometry_type, stamp,
             odometry(stamp, (20 * time, 0, 50), truth, speed, 0.0)),
            ('odometry', odometry_type, stamp + 1000,
             odometry(stamp, (20 * time, 2, 20), found, speed, 2.0)),
        ]  # fmt: skip
        if i % 10 == 0:
            values = [
                SimpleNamespace(key='nis_last', value=f'{1 + i / 100}'),
                SimpleNamespace(key='nis_expected', value='2'),
            ]
            status = SimpleNamespace(
                name='navigation_fusion: gnss', level=b'\x01' if i == 30 else b'\x00',
                message='jump' if i == 30 else 'fused', values=values,
            )  # fmt: skip
            message = SimpleNamespace(header=header(stamp), status=[status])
            rows.append(('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', stamp, message))
    return [
        (topic if topic.startswith('/') else f'{namespace}/{topic}', *row) for topic, *row in rows
    ]


@pytest.fixture(scope='module')
def recording() -> Recording:
    return collect(flight())


def test_errors_of_a_flight_are_the_ones_built_in(recording: Recording) -> None:
    rows = {row.quantity: row.statistics for row in report.error_rows(report.judge(recording))}
    assert rows['position, horizontal'].rms == pytest.approx(2.0, abs=1e-3)
    assert rows['position, vertical'].rms == pytest.approx(0.0, abs=1e-3)
    assert rows['velocity'].rms == pytest.approx(0.0, abs=1e-9)
    assert rows['attitude of odometry, total'].rms == pytest.approx(1.0)
    assert rows['attitude of odometry, heading'].rms == pytest.approx(1.0)
    assert rows['attitude of odometry, inclination'].rms == pytest.approx(0.0, abs=1e-5)


def test_one_vehicle_is_judged_by_its_own_topics() -> None:
    mixed = [*flight('/uav1'), *flight('/uav2')]
    judged = report.judge(collect(mixed, namespace='/uav1'))
    assert judged.navigation is not None
    assert len(judged.navigation.stamps) == 101
    assert report.judge(collect(mixed)).navigation is None


def test_streams_and_statuses_are_counted(recording: Recording) -> None:
    streams = {stream.topic: stream for stream in recording.streams}
    assert streams['odometry'].count == 101
    assert streams['odometry'].rate == pytest.approx(10.0)
    assert streams['odometry'].longest_gap == pytest.approx(0.1, abs=1e-6)
    (status,) = recording.statuses
    assert (status.level, status.message, status.last_message) == (1, 'jump', 'fused')
    innovations = recording.innovations['gnss']
    np.testing.assert_allclose(innovations.nis, np.arange(1, 2.05, 0.1))
    assert innovations.dimension == 2


def test_movement_decides_what_of_an_attitude_trial_is_scored() -> None:
    rows: list[tuple[str, str, int, Any]] = []
    for i in range(100):
        stamp = START + i * SECOND // 100
        turn = Rotation.from_euler('ZYX', [i, 0, 0], degrees=True)
        wrong = Rotation.from_euler('X', 3 if i >= 50 else 20, degrees=True) * turn
        if i in (0, 50):
            rows.append(
                ('/ground_truth/movement', 'std_msgs/msg/Bool', stamp, SimpleNamespace(data=i > 0))
            )
        truth = SimpleNamespace(header=header(stamp), quaternion=quaternion(turn))
        estimate = SimpleNamespace(
            header=header(stamp), orientation=quaternion(wrong),
            orientation_covariance=np.diag([1e-3] * 3).ravel(),
        )  # fmt: skip
        rows.append(('/ground_truth/attitude', 'geometry_msgs/msg/QuaternionStamped', stamp, truth))
        rows.append(('/imu/data', 'sensor_msgs/msg/Imu', stamp, estimate))
    found = {row.quantity: row.statistics for row in report.error_rows(report.judge(collect(rows)))}
    assert found['attitude of imu/data, total'].count == 50
    assert found['attitude of imu/data, inclination'].rms == pytest.approx(3.0)


def test_empty_recording_says_that_there_is_nothing_to_compare() -> None:
    recording = collect([])
    text = report.page(recording, report.judge(recording), report.Facts('Nothing'))
    assert 'no truth, or no estimate' in text


class _Page(HTMLParser):
    """Collects tags, references and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ''

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == 'id':
                self.ids.append(value or '')
            if name in {'href', 'src', 'xlink:href'}:
                self.references.append(value or '')

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_whole_and_stands_alone(recording: Recording, tmp_path: Path) -> None:
    facts = report.Facts(
        'Flight <1>',
        bag='runs/bag',
        digest='sha256:0123',
        latency=np.linspace(1, 5, 100),
        configuration={'navigation_fusion': {'gnss.gate': 13.8}},
        notes=['simulated'],
    )
    path = report.write(tmp_path / 'sub' / 'report.html', recording, report.judge(recording), facts)
    text = path.read_text(encoding='utf-8')
    page = _Page()
    page.feed(text)
    for wanted in ('Flight <1>', 'sha256:0123', 'gnss.gate', '13.8', 'simulated', 'odometry'):
        assert wanted in page.text
    assert page.tags.count('svg') == 7
    assert 'script' not in page.tags
    assert not re.search(r'https?://|@import', text)
    assert all(reference.startswith('#') for reference in page.references)
    # the pictures share one page: no identifier twice, none missing
    assert len(page.ids) == len(set(page.ids))
    assert {r[1:] for r in page.references} <= set(page.ids)
    assert set(re.findall(r'url\(#([^)]*)\)', text)) <= set(page.ids)
    assert not re.search(r'#0\d0[0-9a-f]0[0-9a-f]', text), 'a placeholder colour was left'


def test_unwritable_place_is_an_error(recording: Recording, tmp_path: Path) -> None:
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.raises(OSError, match='file'):
        report.write(blocked / 'r.html', recording, report.judge(recording), report.Facts('x'))
