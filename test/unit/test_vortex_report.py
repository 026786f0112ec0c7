# SPDX-License-Identifier: Apache-2.0
"""A report shows the rotor wake where a bag holds detections, and nothing of it where not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.reporting import report, wake_section
from meta_repo_ros.reporting.recorded import collect
from meta_repo_ros.vortex_shield.inflow import johnson_boundary

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


def header(stamp: int) -> SimpleNamespace:
    sec, nanosec = divmod(stamp, SECOND)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))


def detection(stamp: int, level: int) -> SimpleNamespace:
    deep = level >= 3
    return SimpleNamespace(
        header=header(stamp), level=level, probability=level / 5, risk=0.5, evidence=float('nan'),
        normalised_descent=level / 4, normalised_airspeed=0.1,
        features=['flow_fluctuation'] if deep else [], feature_scores=[4.5] if deep else [],
    )  # fmt: skip


def command(stamp: int, phase: int) -> SimpleNamespace:
    return SimpleNamespace(
        header=header(stamp), phase=phase, variant=2, tilt=np.radians(15.0),
        predicted_altitude_loss=11.5, predicted_duration=2.0, height_available=40.0, assured=True,
        reason='lateral exit <upwind>',
    )  # fmt: skip


def flight(namespace: str = '') -> list[tuple[str, str, int, Any]]:
    """Ten seconds: margin from 4 s, incipient from 5 s, developed from 6 s, out of it at 8 s."""
    rows: list[tuple[str, str, int, Any]] = []

    def add(name: str, stamp: int, message: Any) -> None:
        rows.append((f'{namespace}/{name}', f'meta_repo_ros/msg/{name}', stamp, message))

    for i in range(2500):
        t = i * 0.004
        stamp = START + i * 4_000_000
        level = int(np.searchsorted([4, 5, 6, 8], t, side='right'))
        add('vortex_detection', stamp, detection(stamp, (1, 2, 3, 4, 1)[level]))
        if 5.0 <= t <= 9.0:
            add('recovery_command', stamp, command(stamp, 2 if t < 7 else 3 if t < 9 else 4))
        if i % 5 == 0:
            add('ground_truth/wake', stamp, detection(stamp, (1, 1, 2, 4, 1)[level]))
            add('rotor_state', stamp, SimpleNamespace(header=header(stamp), speed=[500.0, 520.0]))
            add(
                'air_data', stamp, SimpleNamespace(header=header(stamp), height_above_ground=50 - t)
            )
    return rows


def test_the_wake_of_a_flight() -> None:
    wake = collect(flight()).wake
    assert wake is not None
    assert len(wake.time) == 2500
    assert wake.time[1] == pytest.approx(0.004, abs=1e-9)
    assert wake.time[wake.level == 3][0] == pytest.approx(5.0)
    assert wake.rotor_speed == pytest.approx(510.0)
    assert wake.height[-1] == pytest.approx(40.0, abs=0.1)
    assert wake.truth_time[wake.truth_level == 4][0] == pytest.approx(6.0)
    loud = wake.features['flow_fluctuation']
    assert loud[wake.level >= 3] == pytest.approx(4.5)
    assert not loud[wake.level < 3].any()
    assert [plan[:3] for plan in wake.plans] == [
        ('5.000', 'exit', 'Vuichard'), ('7.000', 'climb out', 'Vuichard'),
        ('9.000', 'complete', 'Vuichard'),
    ]  # fmt: skip


def test_the_report_shows_it_against_the_boundary() -> None:
    recording = collect(flight())
    facts = report.Facts('Flight', boundary=johnson_boundary)
    text = report.page(recording, report.judge(recording), facts)
    shown = (
        *('Rotor wake', 'DEVELOPED', 'Descent state', 'Phase of the recovery', 'Rotor speed'),
        *('Height above ground', 'flow fluctuation', 'lateral exit &lt;upwind&gt;', 'boundary'),
    )
    for words in shown:
        assert words in text
    assert 'http' not in text
    wake = recording.wake
    assert wake is not None
    bounded = wake_section.with_boundary(wake, johnson_boundary)
    assert bounded.onset == pytest.approx(0.45, abs=0.01)
    assert bounded.end == pytest.approx(1.5, abs=0.02)


def test_another_vehicle_and_a_flight_without_detections() -> None:
    rows = flight('/uav2')
    assert collect(rows).wake is None
    assert collect(rows, 'uav2').wake is not None
    recording = collect([row for row in flight() if row[0] != '/vortex_detection'])
    assert recording.wake is None
    assert 'Rotor wake' not in report.page(recording, report.judge(recording), report.Facts('x'))
