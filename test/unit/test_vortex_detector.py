# SPDX-License-Identifier: Apache-2.0
"""The detector on streams of a plain sine, which no generator of the project makes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.samples import Block, ChannelGroup, Health, Kind, Recording, Samples
from meta_repo_ros.vortex_shield import calibration as cal
from meta_repo_ros.vortex_shield.detector import (
    Decisions,
    DetectionParameters,
    Detector,
    air_density,
)
from meta_repo_ros.vortex_shield.evidence import NAMES
from meta_repo_ros.vortex_shield.fusion import Fusion
from meta_repo_ros.vortex_shield.levels import Levels, Persistence, Signs
from meta_repo_ros.vortex_shield.types import Detection, FlightState, Level, Voice

CRAFT = ROTORCRAFT['f450']
V_H = CRAFT.hover_induced_velocity()
START = 5_000_000_000
LAYOUT = {
    Kind.PRESSURE: (1000.0, 16, 0.0, 2e5, (0.0, 450.0), 6),
    Kind.FLOW: (500.0, 12, 0.0, 100.0, (0.0, 225.0), 4),
    Kind.ACOUSTIC: (2000.0, 24, -200.0, 200.0, (20.0, 900.0), 2),
}


def flight(
    descent: float,
    *,
    ring: float = 0.0,
    airspeed: float = 0.3,
    seconds: float = 12.0,
    seed: int = 0,
) -> Recording:
    """Hover, then from 5 s a descent (over v_h) with rings (over T/A and v_h) from 6 s."""
    rng = np.random.default_rng(seed)
    loading = CRAFT.weight / CRAFT.disk_area
    groups = []
    for kind, (rate, bits, low, high, band, channels) in LAYOUT.items():
        time = np.arange(round(seconds * rate)) / rate
        side = np.where(np.arange(channels) % 2 == 0, 1, -1)
        layout = ChannelGroup(
            kind, rate, bits, low, high, band, np.linspace(0.3, 0.95, channels), np.zeros(channels),
            side,
        )  # fmt: skip
        grown = ring * np.clip((time - 6.0) / 0.3, 0.0, 1.0)[:, None]
        wave = grown * np.sin(2.0 * np.pi * 2.6 * time[:, None] + np.linspace(0.0, 2.0, channels))
        noise = rng.standard_normal((len(time), channels))
        if kind is Kind.PRESSURE:
            sunk = V_H * descent * np.maximum(time - 5.0, 0.0)[:, None]
            values = 101325.0 + 12.0 * sunk + noise + loading * wave * side
        elif kind is Kind.FLOW:
            values = V_H * (1.0 + wave) + 0.15 * noise
        else:
            values = 0.1 * noise * (1.0 + grown)
        counts = np.clip(np.rint((values - low) / layout.resolution), 0, layout.full_scale)
        groups.append(Samples(layout, START, counts.astype(np.int32), np.zeros(channels, np.uint8)))
    time = np.arange(0.0, seconds, 0.02)
    state = np.column_stack((
        V_H * descent * np.clip((time - 5.0) / 0.5, 0.0, 1.0) + rng.normal(0.0, 0.1, len(time)),
        np.full(len(time), airspeed * V_H), np.full(len(time), 60.0),
        np.full(len(time), CRAFT.rotor_speed), np.full(len(time), CRAFT.weight),
    ))  # fmt: skip
    return Recording(tuple(groups), 5.0 + time, state, {}, name='sine')


def without(recording: Recording, *kinds: Kind) -> Recording:
    groups = tuple(s for s in recording.groups if s.group.kind not in kinds)
    return dataclasses.replace(recording, groups=groups)


def blocks(recording: Recording, milliseconds: int) -> Iterator[tuple[Block, FlightState]]:
    length = milliseconds * 1_000_000
    stamps = np.round(recording.state_time * 1e9).astype(np.int64)
    end = min(s.end for s in recording.groups)
    density = air_density(recording.groups)
    for i, start in enumerate(range(START, end - length + 1, length)):
        groups = []
        for s in recording.groups:
            first, last = (round((t - START) * s.group.rate / 1e9) for t in (start, start + length))
            groups.append(Samples(s.group, start, s.counts[first:last], s.health))
        k = int(np.searchsorted(stamps, start + length, side='right')) - 1
        sink, airspeed, height, speed, thrust = recording.state[k].tolist()
        yield (
            Block(i, start, length, tuple(groups)),
            FlightState(int(stamps[k]), sink, airspeed, height, speed, thrust, density),
        )


def live(recording: Recording, milliseconds: int = 4) -> list[Detection]:
    detector, rows = Detector(CRAFT), []
    for block, state in blocks(recording, milliseconds):
        detector.block(block, state)
        rows += detector.rows
    return rows


def run(recording: Recording) -> Decisions:
    return Detector(CRAFT).run(recording)


@pytest.mark.parametrize('milliseconds', [2, 4, 10])
def test_live_and_offline_decide_the_same(milliseconds: int) -> None:
    recording = flight(1.1, ring=0.3, seconds=8.0)
    offline, rows = run(recording), live(recording, milliseconds)
    assert len(rows) == len(offline) == 2000
    assert [int(r.level) for r in rows] == offline.level.tolist()
    assert [int(r.voices) for r in rows] == offline.voices.tolist()
    assert [r.stamp for r in rows] == offline.stamp.tolist()
    for name in (
        'probability', 'risk', 'evidence', 'time_to_onset', 'normalised_descent',
        'normalised_airspeed', 'hover_induced_velocity',
    ):  # fmt: skip
        np.testing.assert_allclose(
            [getattr(r, name) for r in rows], getattr(offline, name), rtol=1e-6, atol=1e-9
        )


def test_a_ring_is_seen_to_come_and_to_be_there() -> None:
    result = run(flight(1.1, ring=0.3))
    time = result.time - 5.0
    assert result.level[time < 4.5].max() == Level.NONE
    assert time[result.level >= Level.INCIPIENT][0] < 6.3
    assert 6.0 < time[result.level >= Level.DEVELOPED][0] < 7.2
    assert (result.level[time > 8.0] == Level.DEVELOPED).all()
    assert result.probability[-1] > 0.9
    spoke = live(flight(1.1, ring=0.3))[-1]
    assert {'pressure_fluctuation', 'flow_fluctuation'} <= set(spoke.features)
    assert list(spoke.scores) == sorted(spoke.scores, reverse=True)
    assert spoke.voices == Voice.STATE | Voice.PRESSURE | Voice.FLOW | Voice.ACOUSTIC


def test_risk_without_evidence_is_no_developed_ring() -> None:
    result = run(flight(1.1))
    assert result.level[-1] in {Level.MARGIN, Level.INCIPIENT}
    assert result.level.max() < Level.DEVELOPED


@pytest.mark.parametrize(
    ('descent', 'airspeed'), [(0.0, 0.3), (1.1, 2.5), (3.0, 0.3), (0.0, 2.5), (-0.8, 0.3)]
)
def test_evidence_does_not_override_clear_physics(descent: float, airspeed: float) -> None:
    result = run(flight(descent, ring=0.6, airspeed=airspeed))
    settled = result.time - 5.0 > 7.0  # a fast descent passes through the ring on its way
    assert result.level[settled].max() < Level.INCIPIENT


@pytest.mark.parametrize('kind', list(Kind))
def test_a_missing_kind_is_said_and_missed_little(kind: Kind) -> None:
    result = run(without(flight(1.1, ring=0.3), kind))
    assert result.level[-1] == Level.DEVELOPED
    assert kind.name.lower() in result.note


def test_half_the_sensors_failed_is_said_and_missed_little() -> None:
    recording = flight(1.1, ring=0.3)
    groups = []
    for s in recording.groups:
        counts, health = s.counts.copy(), s.health.copy()
        for channel in range(s.group.channels // 2):
            counts[:, channel] = counts[0, channel]
            health[channel] = Health.FAILED
        groups.append(Samples(s.group, s.start, counts, health))
    result = run(dataclasses.replace(recording, groups=tuple(groups)))
    assert result.level[-1] == Level.DEVELOPED
    assert '3 of 6 pressure' in result.note


def test_without_a_state_evidence_decides_alone_and_says_so() -> None:
    recording = dataclasses.replace(
        flight(1.1, ring=0.5), state=np.full((1, 5), np.nan), state_time=np.array([5.0])
    )
    result = run(recording)
    assert result.level[-1] >= Level.INCIPIENT
    assert 'no descent state' in result.note
    assert not (result.voices & Voice.STATE).any()
    assert np.isnan(result.risk).all()
    calm = run(dataclasses.replace(recording, groups=flight(0.0).groups))
    assert calm.level.max() < Level.INCIPIENT


def test_nan_rows_of_the_state_are_bridged() -> None:
    recording = flight(1.1, ring=0.3)
    state = recording.state.copy()
    state[::3] = np.nan
    state[400:420, 1] = np.nan
    result = run(dataclasses.replace(recording, state=state))
    assert result.level[-1] == Level.DEVELOPED
    assert np.isfinite(result.risk[100:]).all()


def test_slow_state_and_streams_that_begin_apart() -> None:
    recording = flight(1.1, ring=0.3)
    flow = recording.groups[1]
    later = Samples(flow.group, flow.start + 1_000_000_000, flow.counts[500:4000], flow.health)
    groups = (recording.groups[0], later)
    result = run(
        dataclasses.replace(
            recording,
            groups=groups,
            state=recording.state[::10],
            state_time=recording.state_time[::10],
        )
    )
    assert result.level[-1] == Level.DEVELOPED
    assert not (result.voices[:200] & Voice.FLOW).any()
    assert (result.voices[300:1900] & Voice.FLOW).all()
    assert not (result.voices[2200:] & Voice.FLOW).any()


def test_lost_repeated_and_old_blocks() -> None:
    detector = Detector(CRAFT)
    taken = list(blocks(flight(1.1, ring=0.3), 4))
    for block, state in taken[:2500]:
        before = detector.block(block, state)
    assert before.level == Level.DEVELOPED
    again = detector.block(*taken[2400])
    assert 'older' in again.note
    assert again.level == before.level
    after = detector.block(*taken[2510])
    assert '40 ms of samples are missing' in after.note
    assert len(detector.rows) == 11  # the lost frames are decided on, from the state
    assert after.level == Level.DEVELOPED
    far, state = taken[2511]
    moved = dataclasses.replace(far, start=far.start + 60_000_000_000)
    assert 'began anew' in detector.block(moved, state).note


def test_no_frame_no_decision() -> None:
    recording = flight(0.0, seconds=1.0)
    detector = Detector(CRAFT)
    first, second = list(blocks(recording, 2))[:2]
    assert detector.block(*first).level == Level.UNKNOWN
    assert detector.block(*second).level != Level.UNKNOWN


def test_density_comes_from_absolute_pressure_alone() -> None:
    groups = flight(0.0, seconds=1.0).groups
    assert air_density(groups) == pytest.approx(1.225, rel=1e-3)
    assert air_density(groups[1:]) == 1.225
    low = groups[0]
    relative = Samples(low.group, 0, low.counts - low.counts.min() + 10, low.health)
    assert air_density((relative,)) == 1.225


def test_thresholds_follow_what_the_user_asks() -> None:
    shipped = cal.shipped()
    by_sensitivity = [Fusion(shipped, s, 0.05).threshold for s in (0.5, 0.7, 0.8, 0.9, 0.97)]
    assert all(a > b for a, b in itertools.pairwise(by_sensitivity))
    by_alarms = [Fusion(shipped, 0.8, f).threshold for f in (0.2, 0.1, 0.05, 0.02, 0.01)]
    assert all(a < b for a, b in itertools.pairwise(by_alarms))
    alone = [Fusion(shipped, 0.8, f).threshold_alone for f in (0.2, 0.05, 0.01)]
    assert alone == sorted(alone)
    assert Fusion(shipped, 0.8, 0.05).notes == ()


def test_an_operating_point_that_cannot_be_held_is_said() -> None:
    curve = cal.Curve((0.0, 1.0, 2.0), (1.0, 0.5, 0.0), (0.9, 0.4, 0.0))
    poor = dataclasses.replace(cal.shipped(), fused=curve)
    detector = Detector(CRAFT, DetectionParameters(0.9, 0.01), poor)
    block, state = next(blocks(flight(0.0, seconds=1.0), 4))
    assert 'cannot both be held' in detector.block(block, state).note


def test_the_score_rises_with_either_voice() -> None:
    fusion = Fusion(cal.shipped(), 0.8, 0.05)
    risks = np.linspace(0.001, 0.999, 50)
    for values in (
        fusion.rows(risks, risks, np.full(50, 0.3)).probability,
        fusion.rows(np.full(50, 0.4), np.full(50, 0.5), np.linspace(-2.0, 3.5, 50)).probability,
    ):
        assert (np.diff(values) >= 0.0).all()
        assert values[-1] > values[0] + 0.1
    for inside, total in ((0.3, 1.0), (math.nan, 2.0), (0.7, math.nan), (math.nan, math.nan)):
        rows = fusion.rows(np.array([inside]), np.array([inside]), np.array([total]))
        probability, evidence, signs = fusion.one(inside, inside, total)
        assert probability == pytest.approx(rows.probability[0], nan_ok=True)
        assert evidence == pytest.approx(rows.evidence[0], nan_ok=True)
        assert [bool(s[0]) for s in rows.signs] == [bool(s) for s in signs]


def test_calibration_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'calibration.json'
    cal.save(cal.shipped(), path)
    assert cal.load(path).digest == cal.shipped().digest
    data = json.loads(path.read_text())
    data['weights'][NAMES[0]] += 0.1
    path.write_text(json.dumps(data))
    with pytest.raises(cal.CalibrationError, match='digest'):
        cal.load(path)
    data['weights'][NAMES[0]] = -0.1
    with pytest.raises(cal.CalibrationError, match='negative'):
        cal.from_mapping(data)
    del data['quiet']
    with pytest.raises(cal.CalibrationError, match='quiet'):
        cal.from_mapping(data)


TIMES = Persistence(rise=3, rise_of=5, deep=4, deep_of=5, fall=10, settle=20)


def walk(levels: Levels, count: int, **signs: bool) -> list[int]:
    given = {'known': True, **signs}
    return levels.run(Signs(*([given.get(name, False)] * count for name in Signs._fields)))


def test_levels_rise_by_m_of_n_and_fall_after_a_time() -> None:
    levels = Levels(TIMES)
    assert walk(levels, 5) == [Level.NONE] * 5
    assert walk(levels, 2, alarm=True, hold=True, near=True) == [Level.MARGIN] * 2
    assert walk(levels, 3) == [Level.MARGIN] * 3
    signs = {'alarm': True, 'hold': True, 'near': True}
    assert walk(levels, 4, **signs)[-1] == Level.INCIPIENT
    assert walk(levels, 50, hold=True, near=True)[-1] == Level.INCIPIENT
    assert walk(levels, 5, **signs, deep=True, proven=True)[-1] == Level.DEVELOPED
    assert walk(levels, 20, **signs)[-1] == Level.DEVELOPED
    assert walk(levels, 1, **signs) == [Level.INCIPIENT]
    fallen = walk(levels, 30)
    assert fallen[:10] == [Level.INCIPIENT] * 10
    assert fallen[10] in {Level.NONE, Level.MARGIN}
    assert fallen[-1] == Level.NONE


def test_a_single_frame_is_no_alarm() -> None:
    levels = Levels(TIMES)
    for _ in range(20):
        assert walk(levels, 1, alarm=True, hold=True, near=True)[-1] < Level.INCIPIENT
        walk(levels, 5)


def test_an_alarm_outlives_silence_for_a_while() -> None:
    levels = Levels(TIMES)
    walk(levels, 5, alarm=True, hold=True, near=True)
    silent = walk(levels, 30, known=False)
    assert silent[0] == Level.INCIPIENT
    assert silent[-1] == Level.UNKNOWN
