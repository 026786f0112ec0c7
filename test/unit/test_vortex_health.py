# SPDX-License-Identifier: Apache-2.0
"""Health of channels: each fault is found, quiet channels are not, however blocks are cut."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.converter import quantise
from meta_repo_ros.core.rotorcraft import ROTORCRAFT, Rotorcraft
from meta_repo_ros.core.samples import ChannelGroup, Health, Kind, Samples
from meta_repo_ros.simulation.wake.episodes import episode
from meta_repo_ros.vortex_shield.frames import FRAME, Stream
from meta_repo_ros.vortex_shield.health import ChannelHealth
from meta_repo_ros.vortex_shield.health_rules import HealthParameters, Reason

F450, AH1S = ROTORCRAFT['f450'], ROTORCRAFT['ah1s']
LOADING = F450.weight / F450.disk_area
RATE = {Kind.PRESSURE: 1000.0, Kind.FLOW: 500.0, Kind.ACOUSTIC: 2000.0}
SECONDS = 6.0
FAULT = 2.0  # s, when it begins


def group(kind: Kind, channels: int) -> ChannelGroup:
    bits, low, high = {
        Kind.PRESSURE: (16, 0.0, 2e5),
        Kind.FLOW: (12, 0.0, 100.0),
        Kind.ACOUSTIC: (24, -200.0, 200.0),
    }[kind]
    sides = np.resize([1.0, -1.0], channels)
    turns = np.linspace(0.0, 2.0 * math.pi, channels, endpoint=False)
    stations = np.linspace(0.5, 0.95, channels)
    band = (0.0, 0.45 * RATE[kind])
    return ChannelGroup(kind, RATE[kind], bits, low, high, band, stations, turns, sides)


@functools.cache
def flight(
    kind: Kind, channels: int, ring: float, seconds: float = SECONDS
) -> np.ndarray[Any, Any]:
    """True values (n, c) of hover, or of a ring of this strength, which thrust follows."""
    rng = np.random.default_rng(int(kind) + channels)
    t = np.arange(round(seconds * RATE[kind]))[:, None] / RATE[kind]
    sides = np.resize([1.0, -1.0], channels)
    wave = ring * np.sin(2.0 * math.pi * 2.3 * t) * (1.0 + 0.3 * np.sin(2.0 * math.pi * 0.7 * t))
    noise = rng.standard_normal((len(t), channels))
    if kind is Kind.PRESSURE:
        offset = rng.normal(0.0, 40.0, channels)
        load = -0.5 * sides * LOADING * rng.uniform(0.7, 1.3, channels) * (1.0 + 0.4 * wave)
        tone = 2.0 * np.sin(2.0 * math.pi * 163.0 * t + rng.uniform(0.0, 6.0, channels))
        return 101_325.0 + offset + load + tone + 2.0 * noise
    if kind is Kind.FLOW:
        return np.abs(5.6 * np.linspace(0.5, 1.3, channels) * (1.0 + 0.3 * wave) + 0.3 * noise)
    return 3.0 * np.sin(2.0 * math.pi * 163.0 * t) + 0.3 * noise * (1.0 + ring)


def run(
    kind: Kind,
    counts: np.ndarray[Any, Any],
    *,
    block: float = 250,
    craft: Rotorcraft = F450,
    **parameters: Any,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], ChannelHealth]:
    """Usable (frames, c) and Reason bits of the newest frame after each block of frames."""
    layout = group(kind, counts.shape[1])
    health = ChannelHealth(craft, HealthParameters(**parameters))
    stream = Stream(layout, 0)
    good, reasons = [], []
    step = round(layout.rate * FRAME * 1e-9 * block)
    stated = np.ones(layout.channels, np.bool_)
    for at in range(0, len(counts), step):
        part = counts[at : at + step]
        start = round(at * 1e9 / layout.rate)
        samples = Samples(layout, start, part, np.zeros(layout.channels, np.uint8))
        stream.push(samples, stated)
        first = (start // FRAME) if not good else sum(map(len, good))
        for cut in stream.take(first, samples.end // FRAME):
            good.append(health.judge(layout, cut).good)
            reasons.append(health.reasons[kind])
    return np.concatenate(good), np.array(reasons), health


def quantised(kind: Kind, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return quantise(values, group(kind, values.shape[1]))


def spoilt(kind: Kind, how: str, ring: float = 1.0, channels: int = 6) -> np.ndarray[Any, Any]:
    """Counts in which channel 1 goes wrong at ``FAULT``."""
    values = flight(kind, channels, ring).copy()
    begin = round(FAULT * RATE[kind])
    bad = values[begin:, 1]
    t = np.arange(len(bad)) / RATE[kind]
    if how == 'stuck':
        bad[:] = values[begin, 1]
    elif how == 'dead':
        faint = 0.012 if kind is Kind.FLOW else 1e-3
        bad[:] = bad.mean() + faint * np.random.default_rng(5).standard_normal(len(bad))
    elif how == 'saturated':
        bad[:] = 1e9
    elif how == 'noisy':
        scale = {Kind.PRESSURE: 150.0, Kind.FLOW: 10.0, Kind.ACOUSTIC: 60.0}[kind]
        bad += scale * np.random.default_rng(5).standard_normal(len(bad))
    elif how == 'far':
        bad += 9000.0
    elif how == 'drifting':
        bad += 150.0 * t
    return quantised(kind, values)


@pytest.mark.parametrize('kind', list(Kind))
@pytest.mark.parametrize('ring', [0.0, 1.0])
@pytest.mark.parametrize('channels', [2, 4, 8])
def test_healthy_channels_are_used(kind: Kind, ring: float, channels: int) -> None:
    good, reasons, health = run(kind, quantised(kind, flight(kind, channels, ring)))
    assert good.all()
    assert not reasons.any()
    assert health.notes() == ()
    assert health.left == {kind: (channels, channels)}


@pytest.mark.parametrize('manoeuvre', ['hover', 'fast_entry', 'oblique_exit', 'windmill'])
@pytest.mark.parametrize('craft', [F450, AH1S])
def test_no_channel_of_a_simulated_flight_is_left_out(manoeuvre: str, craft: Rotorcraft) -> None:
    recording = episode(manoeuvre, craft, 16, 30.0)
    health = ChannelHealth(craft)
    for samples in recording.groups:
        stream = Stream(samples.group, samples.start)
        stream.push(samples, np.ones(samples.group.channels, np.bool_))
        for cut in stream.take(0, (samples.end - samples.start) // FRAME):
            assert health.judge(samples.group, cut) is cut


def test_quiet_pressure_channels_that_repeat_their_values_are_used() -> None:
    rng = np.random.default_rng(3)
    values = 101_325.0 + rng.normal(0.0, 40.0, 8) + 0.2 * rng.standard_normal((20_000, 8))
    counts = quantised(Kind.PRESSURE, values)
    still = (np.diff(counts, axis=0) == 0).mean(axis=0)
    assert still.max() == 1.0  # one at least says the same for 20 s
    good, _, _ = run(Kind.PRESSURE, counts)
    assert good.all()


@pytest.mark.parametrize(
    ('kind', 'how', 'reason', 'within'),
    [
        (Kind.PRESSURE, 'stuck', Reason.STUCK, 1.6),
        (Kind.FLOW, 'stuck', Reason.STUCK, 0.9),
        (Kind.ACOUSTIC, 'stuck', Reason.STUCK, 0.6),
        (Kind.FLOW, 'dead', Reason.DEAD, 1.5),
        (Kind.ACOUSTIC, 'dead', Reason.DEAD, 1.5),
        (Kind.PRESSURE, 'saturated', Reason.SATURATED, 0.01),
        (Kind.FLOW, 'saturated', Reason.SATURATED, 0.01),
        (Kind.ACOUSTIC, 'saturated', Reason.SATURATED, 0.01),
        (Kind.PRESSURE, 'noisy', Reason.NOISY, 2.0),
        (Kind.FLOW, 'noisy', Reason.NOISY, 2.0),
        (Kind.ACOUSTIC, 'noisy', Reason.NOISY, 2.0),
        (Kind.PRESSURE, 'far', Reason.IMPLAUSIBLE, 0.01),
    ],
)
def test_a_fault_is_found_in_its_channel_alone(
    kind: Kind, how: str, reason: Reason, within: float
) -> None:
    good, reasons, health = run(kind, spoilt(kind, how))
    begin, found = round(FAULT * 250.0), round((FAULT + within) * 250.0)
    assert good[:begin].all()
    assert not good[found:, 1].any()
    assert np.delete(good, 1, axis=1).all()
    assert reasons[-1, 1] & reason
    assert health.left[kind] == (5, 6)
    (note,) = health.notes()
    assert note.startswith(f'5 of 6 {kind.name.lower()} channels are left')


def test_a_drifting_channel_is_found() -> None:
    values = flight(Kind.PRESSURE, 8, 0.3, 20.0).copy()
    values[:, 4] += 80.0 * np.arange(20_000) / 1000.0
    good, reasons, _ = run(Kind.PRESSURE, quantised(Kind.PRESSURE, values))
    assert not good[-1, 4]
    assert reasons[-1, 4] & Reason.DRIFTING
    assert np.delete(good, 4, axis=1).all()


def test_slow_changes_of_static_pressure_are_no_drift_and_show_what_is_stuck() -> None:
    """A climb of a still rotor's 8 quiet sensors, one of them stuck: 12 Pa for each metre."""
    rng = np.random.default_rng(3)
    climb = -24.0 * np.arange(10_000)[:, None] / 1000.0
    values = 101_325.0 + climb + rng.normal(0.0, 40.0, 8) + 0.2 * rng.standard_normal((10_000, 8))
    values[1000:, 6] = values[1000, 6]
    good, reasons, _ = run(Kind.PRESSURE, quantised(Kind.PRESSURE, values))
    assert np.delete(good, 6, axis=1).all()
    assert not good[1000 // 4 + 600 :, 6].any()
    assert reasons[-1, 6] == Reason.STUCK


def test_two_channels_exchanged_across_the_disk_are_found_once_thrust_changes() -> None:
    values = flight(Kind.PRESSURE, 8, 1.0, 30.0).copy()
    values[:, 5] += values[:, 2].mean() - values[:, 5].mean() + 0.8 * LOADING
    values[:, [2, 5]] = values[:, [5, 2]]
    good, reasons, health = run(Kind.PRESSURE, quantised(Kind.PRESSURE, values))
    assert (np.flatnonzero(reasons[-1]) == [2, 5]).all()
    assert reasons[-1, 2] == Reason.SWAPPED
    assert np.delete(good, [2, 5], axis=1).all()
    assert 'exchanged' in health.notes()[0]


def test_two_channels_exchanged_are_found_by_their_means_on_a_rotor_of_high_loading() -> None:
    rng = np.random.default_rng(1)
    sides = np.resize([1.0, -1.0], 8)
    loading = AH1S.weight / AH1S.disk_area
    means = 95_000.0 - 0.5 * sides * loading + rng.normal(0.0, 40.0, 8)
    healthy = quantised(Kind.PRESSURE, means + 3.0 * rng.standard_normal((40_000, 8)))
    exchanged = healthy.copy()
    exchanged[:, [0, 3]] = healthy[:, [3, 0]]
    assert run(Kind.PRESSURE, healthy, craft=AH1S)[0].all()
    good, reasons, _ = run(Kind.PRESSURE, exchanged, craft=AH1S)
    assert (np.flatnonzero(reasons[-1]) == [0, 3]).all()
    assert reasons[-1, 0] == Reason.SWAPPED
    assert np.delete(good, [0, 3], axis=1).all()
    on_ground = quantised(
        Kind.PRESSURE, means + 0.5 * sides * loading + rng.normal(0, 3, (9999, 8))
    )
    assert run(Kind.PRESSURE, on_ground, craft=AH1S)[0].all()


def test_a_flow_that_reads_nothing_while_it_is_reversed_is_used() -> None:
    """An unsigned sensor on a helicopter, 5 s at a time; one that never comes back is stuck."""
    values = flight(Kind.FLOW, 4, 1.0, 30.0).copy()
    reversed_flow = np.arange(len(values)) % 5000 < 2500
    values[reversed_flow, 0] = 0.0
    good, _, _ = run(Kind.FLOW, quantised(Kind.FLOW, values), craft=AH1S)
    assert good.all()
    values[5000:, 0] = 0.0
    good, reasons, _ = run(Kind.FLOW, quantised(Kind.FLOW, values), craft=AH1S)
    assert not good[-1, 0]
    assert reasons[-1, 0] & Reason.STUCK


def test_a_converter_that_stands_still_is_gone() -> None:
    counts = quantised(Kind.FLOW, flight(Kind.FLOW, 4, 0.0))
    counts[1000:] = counts[1000]
    good, _, health = run(Kind.FLOW, counts)
    assert not good[-1].any()
    assert health.notes() == ('flow is gone: all 4 channels are out (4 stuck)',)


def test_half_the_sensors_failed_is_said() -> None:
    counts = quantised(Kind.PRESSURE, flight(Kind.PRESSURE, 8, 1.0))
    counts[2000:, :4] = counts[2000, :4]
    good, _, health = run(Kind.PRESSURE, counts)
    assert not good[-1, :4].any()
    assert good[:, 4:].all()
    assert health.notes() == ('only 4 of 8 pressure channels are left (4 stuck: channel 0 1 2 3)',)


def test_a_channel_that_recovers_is_used_again() -> None:
    counts = quantised(Kind.ACOUSTIC, flight(Kind.ACOUSTIC, 4, 1.0))
    counts[2000:4000, 1] = counts[2000, 1]
    counts[10, 2] = (1 << 24) - 1
    good, _, _ = run(Kind.ACOUSTIC, counts, recovery_time=1.0)
    assert not good[2:120, 2].any()
    assert good[130:, 2].all()
    assert not good[450:500, 1].any()
    assert good[-1].all()


@pytest.mark.parametrize('kind', list(Kind))
@pytest.mark.parametrize('how', ['none', 'stuck', 'saturated', 'noisy', 'drifting'])
def test_the_verdict_hangs_not_on_the_length_of_blocks(kind: Kind, how: str) -> None:
    counts = spoilt(kind, how)[: round(4.0 * RATE[kind])]
    whole, _, _ = run(kind, counts, block=100_000)
    for block in (0.5, 2.5):
        pieces, _, _ = run(kind, counts, block=block)
        np.testing.assert_array_equal(pieces, whole)


def test_what_the_source_states_counts_too_and_may_be_all() -> None:
    layout = group(Kind.FLOW, 4)
    counts = quantised(Kind.FLOW, flight(Kind.FLOW, 4, 0.0))
    stream, health = Stream(layout, 0), ChannelHealth(F450, HealthParameters(enabled=True))
    stated = np.array([Health.GOOD, Health.FAILED, Health.SUSPECT, Health.GOOD])
    stream.push(Samples(layout, 0, counts, stated.astype(np.uint8)), stated != Health.FAILED)
    (cut,) = stream.take(0, 1000)
    judged = health.judge(layout, cut)
    assert (judged.good == [True, False, True, True]).all()
    assert health.notes() == (
        '3 of 4 flow channels are left (1 failed by their source: channel 1)',
    )
    assert ChannelHealth(F450, HealthParameters(enabled=False)).judge(layout, cut) is cut
