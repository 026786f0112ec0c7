# SPDX-License-Identifier: Apache-2.0
"""Frames, filters and features against what they must be, however the streams are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.samples import ChannelGroup, Health, Kind, Samples
from meta_repo_ros.vortex_shield.features import FEATURES, KINDS, Features
from meta_repo_ros.vortex_shield.filters import Window, band_pass, smoother
from meta_repo_ros.vortex_shield.frames import FRAME, Stream

CRAFT = ROTORCRAFT['f450']
NAMES = [name for name, _ in FEATURES]
RING = 3.0  # Hz: one in 27 revolutions


def group(kind: Kind, channels: int = 6, rate: float | None = None) -> ChannelGroup:
    rates = {Kind.PRESSURE: 1000.0, Kind.FLOW: 500.0, Kind.ACOUSTIC: 2000.0}
    ranges = {Kind.PRESSURE: (0.0, 2e5), Kind.FLOW: (0.0, 100.0), Kind.ACOUSTIC: (-200.0, 200.0)}
    rate = rate or rates[kind]
    side = np.where(np.arange(channels) % 2 == 0, 1, -1)
    return ChannelGroup(
        kind, rate, 24, *ranges[kind], (0.0, 0.45 * rate), np.linspace(0.3, 0.95, channels),
        np.zeros(channels), side,
    )  # fmt: skip


def samples(layout: ChannelGroup, values: np.ndarray, start: int = 0) -> Samples:
    counts = np.rint((values - layout.range_low) / layout.resolution).astype(np.int32)
    return Samples(layout, start, counts, np.zeros(layout.channels, np.uint8))


def pressure(seconds: float, ring: float = 0.0, sink: float = 0.0, seed: int = 0) -> Samples:
    layout = group(Kind.PRESSURE)
    time = np.arange(round(seconds * 1000)) / 1000.0
    rng = np.random.default_rng(seed)
    values = 1e5 + 12.0 * sink * time[:, None] + rng.normal(0.0, 0.5, (len(time), 6))
    phase = np.linspace(0.0, 2.0 * np.pi, 6, endpoint=False)
    values += ring * np.sin(2.0 * np.pi * RING * time[:, None] + phase)
    return samples(layout, values)


def energy(streams: list[Samples], name: str, good: dict | None = None) -> float:
    until = max(s.end for s in streams)
    rows = Features(CRAFT).push(streams, until, good)
    return float(rows.energy[-1, NAMES.index(name)])


def cut(s: Samples, first: int, last: int) -> Samples:
    return Samples(s.group, s.start + round(first * 1e9 / s.group.rate), s.counts[first:last],
                   s.health)  # fmt: skip


@pytest.mark.parametrize('milliseconds', [2, 4, 10, 37])
def test_rows_are_the_same_however_the_stream_is_cut(milliseconds: int) -> None:
    whole = pressure(2.0, ring=20.0)
    at_once = Features(CRAFT).push([whole], whole.end)
    features, parts = Features(CRAFT), []
    for first in range(0, 2000, milliseconds):
        piece = cut(whole, first, min(first + milliseconds, 2000))
        parts.append(features.push([piece], piece.end))
    energies = np.concatenate([p.energy for p in parts])
    assert len(energies) == 500
    np.testing.assert_allclose(energies, at_once.energy, rtol=1e-7, atol=1e-7)
    assert [e for p in parts for e in p.end] == at_once.end.tolist()


def test_a_ring_shows_its_own_energy_over_disk_loading() -> None:
    loading = CRAFT.weight / CRAFT.disk_area
    amplitude = 0.3 * loading
    found = energy([pressure(6.0, ring=amplitude)], 'pressure_fluctuation')
    # sines all around the disk, less the loudest one and what the band takes
    assert 0.7 < np.exp(found) / (0.5 * 0.3**2) < 0.9


def test_a_steady_descent_is_no_fluctuation() -> None:
    still = energy([pressure(4.0)], 'pressure_fluctuation')
    sinking = energy([pressure(4.0, sink=8.0)], 'pressure_fluctuation')
    assert sinking == pytest.approx(still, abs=0.3)
    jump = [energy([pressure(4.0, sink=s)], 'thrust_fluctuation') for s in (0.0, 8.0)]
    assert jump[1] == pytest.approx(jump[0], abs=0.5)


def test_energy_rises_with_the_ring_and_falls_within_its_period() -> None:
    loud = pressure(4.0, ring=30.0)
    quiet = pressure(4.0, seed=1)
    both = Samples(loud.group, 0, np.concatenate([loud.counts, quiet.counts]), loud.health)
    column = Features(CRAFT).push([both], both.end).energy[:, 0]
    before, during, after = column[990], column[250:1000].min(), column[1350]
    assert during > column[-1] + 4.0
    assert before == pytest.approx(column[500], abs=0.5)
    assert after < during - 3.0  # 1.4 s are 114 revolutions


def test_the_loudest_of_many_channels_does_not_speak_for_all() -> None:
    layout = group(Kind.FLOW, 6)
    rng = np.random.default_rng(3)
    values = 6.0 + rng.normal(0.0, 0.1, (2000, 6))
    quiet = energy([samples(layout, values)], 'flow_fluctuation')
    values[:, 2] += 2.0 * np.sin(2.0 * np.pi * RING * np.arange(2000) / 500.0)
    assert energy([samples(layout, values)], 'flow_fluctuation') == pytest.approx(quiet, abs=0.8)


def test_a_failed_channel_is_left_out() -> None:
    s = pressure(3.0)
    counts = s.counts.copy()
    rng = np.random.default_rng(0)
    counts[:, 1] = rng.integers(0, s.group.full_scale, len(counts))
    health = s.health.copy()
    health[1] = Health.FAILED
    spoilt = Samples(s.group, 0, counts, health)
    clean = energy([s], 'pressure_fluctuation')
    assert energy([spoilt], 'pressure_fluctuation') == pytest.approx(clean, abs=0.3)
    mask = {Kind.PRESSURE: np.array([True, False, True, True, True, True])}
    assert energy([spoilt], 'pressure_fluctuation', mask) == pytest.approx(clean, abs=0.3)


def test_what_is_missing_is_said_and_held() -> None:
    s = pressure(3.0, ring=20.0)
    features = Features(CRAFT)
    before = features.push([cut(s, 0, 1000)], 1_000_000_000)
    gap = features.push([], 1_100_000_000)
    after = features.push([cut(s, 1100, 3000)], s.end)
    index = KINDS.index(Kind.PRESSURE)
    assert before.usable[:, index].all()
    assert not gap.usable.any()
    assert len(gap) == 25
    np.testing.assert_allclose(gap.energy[:, 0], before.energy[-1, 0], atol=1.0)
    assert after.usable[:, index].all()
    # filters begin at rest where the stream goes on: no step is seen
    assert np.abs(np.diff(after.energy[:, 0])).max() < 1.0


def test_streams_may_begin_and_end_apart() -> None:
    flow = samples(group(Kind.FLOW), np.full((500, 6), 6.0), start=500_000_000)
    rows = Features(CRAFT).push([pressure(1.0), flow], flow.end)
    usable = rows.usable
    assert len(rows) == 375
    assert usable[:250, KINDS.index(Kind.PRESSURE)].all()
    assert not usable[250:, KINDS.index(Kind.PRESSURE)].any()
    assert not usable[:125, KINDS.index(Kind.FLOW)].any()
    assert usable[125:, KINDS.index(Kind.FLOW)].all()


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([60.0, 100.0, 250.0, 333.0, 1000.0, 1024.0, 1333.0]),
    pieces=st.lists(st.integers(1, 40), min_size=3, max_size=12),
)
def test_every_frame_gets_its_samples_at_any_rate(rate: float, pieces: list[int]) -> None:
    layout = group(Kind.PRESSURE, 1, rate)
    stream = Stream(layout, 0)
    count = sum(pieces)
    values = np.arange(count, dtype=np.int32)[:, None]
    at, done, seen = 0, 0, {}
    for size in pieces:
        start = round(at * 1e9 / rate)
        stream.push(Samples(layout, start, values[at : at + size], np.zeros(1, np.uint8)),
                    np.array([True]))  # fmt: skip
        at += size
        last = round(at * 1e9 / rate) // FRAME
        for c in stream.take(done, last):
            means = c.mean(c.values)[:, 0]
            seen.update(zip(range(c.first, c.last), means.tolist(), strict=True))
        done = max(done, last)
    low, step = layout.range_low, layout.resolution
    for frame, mean in seen.items():
        inside = [
            j for j in range(count) if frame * FRAME <= j * 1e9 / rate + 1e-3 < (frame + 1) * FRAME
        ]
        if inside:
            assert mean == pytest.approx(low + step * np.mean(inside), abs=step * 1e-3)
    if rate >= 250.0:
        assert sorted(seen) == list(range(done))


def test_band_pass_lets_a_ring_through_and_nothing_steady() -> None:
    rate = 250.0
    time = np.arange(5000) / rate
    band = band_pass(1.3, 16.0, rate)
    through = band.run(np.sin(2.0 * np.pi * 4.0 * time)[:, None])
    assert np.std(through[2500:]) == pytest.approx(np.sqrt(0.5), rel=0.1)
    ramp = band_pass(1.3, 16.0, rate).run((1e5 + 60.0 * time)[:, None])
    assert np.abs(ramp[2500:]).max() < 1e-3


def test_smoother_and_window_step_as_they_run() -> None:
    x = np.random.default_rng(5).random((300, 2))
    smooth = smoother(20.0)
    state, steps = np.zeros(2), []
    for row in x:
        state = smooth.run(row[None], state)[0]
        steps.append(state)
    np.testing.assert_allclose(steps, smooth.run(x, np.zeros(2)), rtol=1e-10)
    single, whole = Window(7, np.zeros(2)), Window(7, np.zeros(2))
    one_by_one = np.concatenate([single.run(row[None]) for row in x])
    np.testing.assert_allclose(one_by_one, whole.run(x), rtol=1e-9)
    np.testing.assert_allclose(one_by_one[-1], x[-7:].mean(axis=0), rtol=1e-9)
