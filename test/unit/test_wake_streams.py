# SPDX-License-Identifier: Apache-2.0
"""Simulated streams of the sensors at a rotor, and recordings of whole flights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import signal

from meta_repo_ros.core.converter import quantise
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.samples import Kind, Recording
from meta_repo_ros.simulation.wake.channel_faults import ChannelFault, spoil
from meta_repo_ros.simulation.wake.drive import COLUMNS, Column
from meta_repo_ros.simulation.wake.episodes import KNOT_RATE, START, _dryden, episode
from meta_repo_ros.simulation.wake.fleet import HELD_OUT, vehicle
from meta_repo_ros.simulation.wake.inflow import mean_inflow
from meta_repo_ros.simulation.wake.layout import (
    AcousticConverter,
    FlowConverter,
    PressureConverter,
    lay_out,
)
from meta_repo_ros.simulation.wake.paths import ENCOUNTERS, HARD_NEGATIVES, MANOEUVRES, ORDINARY
from meta_repo_ros.simulation.wake.ring import RotorWake
from meta_repo_ros.simulation.wake.shape import WakeParameters
from meta_repo_ros.simulation.wake.streams import Streams, Whine

F450 = ROTORCRAFT['f450']
V_H = F450.hover_induced_velocity()
CONVERTERS = (
    (Kind.PRESSURE, PressureConverter()),
    (Kind.FLOW, FlowConverter()),
    (Kind.ACOUSTIC, AcousticConverter()),
)
GROUPS = lay_out(CONVERTERS, np.random.default_rng(1))


def _drive(duration: float, step: float, **columns: float) -> Any:
    """Hover without a ring, but for what is given."""
    drive = np.zeros((round(duration / step) + 2, COLUMNS))
    time = np.arange(len(drive)) * step
    for name, value in {
        'RING_STRENGTH': 1.0, 'TILT_COS': 1.0, 'INDUCED': V_H, 'DENSITY': 1.225, 'HEIGHT': 100.0,
        'LOADING': F450.weight / F450.disk_area, 'PRESSURE': 95000.0,
        'ROTOR_PHASE': time * F450.rotor_speed, 'RING_PHASE': time * F450.rotor_speed / 30.0,
        **columns,
    }.items():  # fmt: skip
        drive[:, Column[name]] = value
    return drive


def _streams(seed: int = 1, step: float = 0.004, whine: Whine | None = None) -> Streams:
    shape = RotorWake(F450, WakeParameters(), seed).shape
    return Streams(GROUPS, F450, shape, seed, interval=step, whine=whine)


def _values(streams: Streams, drive: Any, duration: float) -> list[Any]:
    streams.feed(drive)
    return [g.values(c) for g, c in zip(streams.groups, streams.take(duration), strict=True)]


# -- streams ---------------------------------------------------------------------------------------
def test_counts_do_not_depend_on_how_time_is_cut() -> None:
    drive = _drive(1.0, 0.004, INTENSITY=0.8, FLUCTUATION=0.1, DEFICIT=0.2)
    whole = _streams(whine=Whine(1500.0, 1.0))
    whole.feed(drive)
    at_once = whole.take(1.0)
    cut = _streams(whine=Whine(1500.0, 1.0))
    cut.feed(drive[:1])
    blocks = []
    for k in range(250):
        cut.feed(drive[k + 1 : k + 2])
        blocks.append(cut.take(0.004))
    for i, counts in enumerate(at_once):
        pieces = np.concatenate([block[i] for block in blocks])
        assert pieces.dtype == np.int32
        # a rounding error may tip one over
        assert np.abs(pieces - counts).max() <= 1
        assert (pieces != counts).mean() < 1e-3


def test_pressure_is_that_of_the_height_with_half_the_jump_on_each_side() -> None:
    above, below = [], []
    for seed in range(30):
        values = _values(_streams(seed), _drive(2.0, 0.004), 2.0)[0].mean(0)
        side = GROUPS[0].station_side
        above.append(values[side > 0].mean())
        below.append(values[side < 0].mean())
    loading = F450.weight / F450.disk_area
    # single sensors are off by 40 Pa; 120 of them on each side by 4
    assert 0.5 * (np.mean(above) + np.mean(below)) == pytest.approx(95000.0, abs=10.0)
    assert np.mean(below) - np.mean(above) == pytest.approx(loading, abs=0.35 * loading)


def test_the_ring_is_seen_in_the_streams_where_the_response_says_so() -> None:
    quiet, ring = _drive(8.0, 0.01), _drive(8.0, 0.01, INTENSITY=1.0)
    heard = []
    for seed in range(12):
        still, shaken = (_values(_streams(seed, 0.01), d, 8.0) for d in (quiet, ring))
        responses = _streams(seed, 0.01).responses
        assert any(r.gain > 0.0 for r in responses)
        for response, a, b, group in zip(responses, still, shaken, GROUPS, strict=True):
            slow = signal.butter(2, 30.0, fs=group.rate, output='sos')
            rise = (
                signal.sosfilt(slow, b - b.mean(0), axis=0).std()
                / signal.sosfilt(slow, a - a.mean(0), axis=0).std()
            )
            if response.gain == 0.0:
                assert (a == b).all()
            elif group.kind is not Kind.ACOUSTIC:
                heard.append(rise)
    assert min(heard) > 1.0
    assert np.median(heard) > 1.5


def test_flow_turns_round_at_the_root_before_the_tip() -> None:
    roots = []
    for seed in range(30):
        response = _streams(seed).responses[1]
        roots.append(response.reversal[0] - response.reversal[-1])
        assert (response.level > 0.0).all()
    assert np.mean(roots) > 0.5


def test_tones_stand_in_band_and_nowhere_else() -> None:
    rate = GROUPS[2].rate
    passing = F450.blades * F450.rotor_speed / (2.0 * math.pi)
    values = _values(_streams(3, 0.01), _drive(8.0, 0.01), 8.0)[2]
    frequency, power = signal.welch(values[:, 0], rate, nperseg=2000)
    floor = np.median(power)
    strong = frequency[power > 100.0 * floor]
    orders = strong / passing
    assert len(strong)
    assert np.abs(orders - np.rint(orders)).max() < 2.0 / passing * rate / 2000 * 3
    assert strong.max() < GROUPS[2].band[1]


def test_a_whine_above_the_band_is_filtered_or_folds_where_it_must() -> None:
    levels = {}
    for name, whine in {
        'none': None, 'good': Whine(1500.0, 2.0), 'bad': Whine(1500.0, 2.0, anti_alias=False)
    }.items():  # fmt: skip
        values = _values(_streams(3, 0.01, whine), _drive(4.0, 0.01), 4.0)[2]
        frequency, power = signal.welch(values[:, 0], GROUPS[2].rate, nperseg=4000)
        levels[name] = power[np.argmin(np.abs(frequency - 500.0))]
    assert levels['bad'] > 1e2 * levels['none']
    assert levels['good'] < 2.0 * levels['none']


def test_converters_clip_at_their_ends() -> None:
    counts = _streams()
    counts.feed(_drive(0.1, 0.004, PRESSURE=1e6, DESCENT=500.0))
    pressure, flow, _ = counts.take(0.1)
    assert (pressure == GROUPS[0].full_scale).all()
    assert (flow == GROUPS[1].full_scale).all()
    assert (quantise(np.array([math.nan, math.inf, -math.inf]), GROUPS[0]) == [0, 65535, 0]).all()


def test_inflow_is_the_measured_one_in_descent_and_momentum_theory_elsewhere() -> None:
    still = np.zeros(1)
    assert mean_inflow(np.array([1.4]), still) == pytest.approx(2.43)
    climb = mean_inflow(np.array([-2.0]), still)[0]
    assert climb == pytest.approx(1.06 * (math.sqrt(2.0) - 1.0))
    fast = mean_inflow(np.array([0.3]), np.array([3.0]))[0]
    assert fast == pytest.approx(1.06 / math.hypot(3.0, fast - 0.3), rel=0.02)
    assert mean_inflow(np.array([2.6]), np.array([0.3])) < 1.0


@pytest.mark.parametrize('fault', list(ChannelFault))
def test_faults_change_their_channel_alone(fault: ChannelFault) -> None:
    counts = np.arange(40, dtype=np.int32).reshape(5, 8) + 100
    before = counts.copy()
    spoil(counts, GROUPS[0], fault, 2, held=7, drift=(0.0, 305.0))
    touched = {2, 3} if fault is ChannelFault.SWAPPED else {2}
    same = (counts == before).all(0)
    assert set(np.flatnonzero(~same)) == touched
    expected = {
        'stuck': [7] * 5,
        'dead': [0] * 5,
        'saturated': [65535] * 5,
        'drift': list(before[:, 2] + np.array([0, 25, 50, 75, 100])),
        'swapped': list(before[:, 3]),
    }
    assert counts[:, 2].tolist() == expected[fault.value]


# -- episodes --------------------------------------------------------------------------------------
def _level(recording: Recording) -> Any:
    assert recording.truth_level is not None
    return recording.truth_level


def test_an_episode_is_made_again_from_its_seed_alone() -> None:
    first, again, other = (episode('fast_entry', None, s, 12.0) for s in (4, 4, 5))
    for a, b in zip(first.groups, again.groups, strict=True):
        assert (a.counts == b.counts).all()
    assert (first.state == again.state).all()
    assert (_level(first) == _level(again)).all()
    assert first.name != other.name
    assert first.state.shape == (len(first.state_time), 5)
    assert first.state_time[0] == START
    assert all(s.start == round(START * 1e9) for s in first.groups)
    assert [len(s.counts) for s in first.groups] == [12000, 6000, 24000]
    assert np.isfinite(first.state).all()


@pytest.mark.parametrize('kind', sorted(MANOEUVRES))
def test_truth_is_what_the_kind_promises(kind: str) -> None:
    for seed in (0, HELD_OUT + 1):
        highest = _level(episode(kind, None, seed, 70.0)).max()
        if kind in ENCOUNTERS:
            assert highest == 3
        elif kind != 'turbulence':  # severe turbulence may make a ring of its own
            assert highest < 2
    assert set(ORDINARY) | set(ENCOUNTERS) | set(HARD_NEGATIVES) == set(MANOEUVRES)


def test_the_flight_state_is_wrong_by_what_is_promised() -> None:
    airspeed, sink, mass = [], [], []
    for seed in range(20):
        recording = episode('hover', None, seed, 5.0)
        induced = recording.extra['hover_induced_velocity']
        craft = recording.extra['vehicle']
        sink.append(recording.state[:, 0].std())
        airspeed.append(recording.state[:, 1].mean())
        nominal = craft.hover_induced_velocity(1.225)
        mass.append((induced / nominal) ** 2)
    assert 1.0 < np.mean(airspeed) < 6.0
    assert 0.02 < np.mean(sink) < 1.0
    # mass and density
    assert 0.8 < min(mass) < 1.0 < max(mass) < 1.6


def test_gusts_have_their_strength() -> None:
    gusts = _dryden(np.random.default_rng(1), 1_000_000, 1.5, 15.0)
    assert gusts.std(1) == pytest.approx([1.5] * 3, rel=0.06)
    frequency, power = signal.welch(gusts[2], KNOT_RATE, nperseg=100_000)
    # falls with the square of the frequency
    low, high = (power[(frequency > f) & (frequency < 1.2 * f)].mean() for f in (2.0, 8.0))
    assert low / high == pytest.approx(16.0, rel=0.25)


def test_vehicles_span_the_sizes_and_can_fly() -> None:
    fleet = [vehicle(seed) for seed in range(400)]
    radii = np.array([v.radius for v in fleet])
    assert radii.min() < 0.04
    assert radii.max() > 7.0
    assert {'f450', 'ah1s'} <= {v.name for v in fleet}
    induced = np.array([v.hover_induced_velocity() for v in fleet])
    assert 2.0 < induced.min() < induced.max() < 15.0
    assert vehicle(HELD_OUT) == vehicle(HELD_OUT)


def test_dropout_names_what_it_did() -> None:
    seen = 0
    for seed in range(8):
        recording = episode('dropout', None, seed, 10.0)
        faults = recording.extra['faults']
        swapped = {f['kind'] for f in faults if f['fault'] == 'swapped'}
        for fault in faults:
            assert START <= fault['start'] < fault['end'] <= START + 10.0
            if fault['kind'] in swapped or fault['fault'] not in ('stuck', 'dead', 'saturated'):
                continue
            samples = next(s for s in recording.groups if s.group.kind is fault['kind'])
            first, last = (
                round((fault[end] - START) * samples.group.rate) for end in ('start', 'end')
            )
            assert np.ptp(samples.counts[first:last, fault['channel']]) == 0
            seen += 1
    assert seen > 3


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match='slow_entry'):
        episode('looping')
    with pytest.raises(ValueError, match='at least 1 s'):
        episode('hover', F450, 1, 0.1)
