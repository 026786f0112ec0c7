# SPDX-License-Identifier: Apache-2.0
"""Blocks of rotor samples: message and block, what is refused, converters, aliasing."""

from __future__ import annotations

import array
import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.converter import Converter, Decimator, alias, effective_band, quantise
from meta_repo_ros.core.sample_message import SampleError, fill, read
from meta_repo_ros.core.samples import Block, ChannelGroup, Kind, Samples
from meta_repo_ros.msg import SampleBlock

START = 1_700_000_000_004_000_000


RANGE = {Kind.PRESSURE: (0.0, 2e5), Kind.FLOW: (0.0, 100.0), Kind.ACOUSTIC: (-200.0, 200.0)}


def group(kind: Kind, rate: float, bits: int, channels: int = 4) -> ChannelGroup:
    stations = np.linspace(0.25, 0.95, channels).astype(np.float32).astype(float)
    band = (20.0 if kind == Kind.ACOUSTIC else 0.0, 0.45 * rate)
    sides = np.resize([1.0, -1.0], channels)
    return ChannelGroup(kind, rate, bits, *RANGE[kind], band, stations, np.zeros(channels), sides)


GROUPS = (
    group(Kind.PRESSURE, 1000.0, 16),
    group(Kind.FLOW, 500.0, 12, 3),
    group(Kind.ACOUSTIC, 2000.0, 24, 2),
)


def block(sequence: int = 7, duration: int = 4_000_000) -> Block:
    rng = np.random.default_rng(sequence)
    groups = []
    for g in GROUPS:
        n = round(g.rate * duration * 1e-9)
        counts = rng.integers(0, g.full_scale, (n, g.channels), np.int32, endpoint=True)
        groups.append(Samples(g, START, counts, np.zeros(g.channels, np.uint8)))
    return Block(sequence, START, duration, tuple(groups))


def message(**changes: Any) -> SampleBlock:
    result = SampleBlock()
    fill(result, block())
    for name, value in changes.items():
        setattr(result, name, value)
    return result


@pytest.mark.parametrize('duration', [2_000_000, 4_000_000, 10_000_000])
def test_a_block_survives_the_message(duration: int) -> None:
    given, sent = block(duration=duration), SampleBlock()
    fill(sent, given)
    received = read(sent)
    assert (received.sequence, received.start, received.duration) == (7, START, duration)
    assert received.end == START + duration
    assert received.notes == ()
    for ours, theirs in zip(given.groups, received.groups, strict=True):
        assert theirs.group.kind == ours.group.kind
        assert theirs.group.band == ours.group.band
        np.testing.assert_array_equal(theirs.group.station_radius, ours.group.station_radius)
        np.testing.assert_array_equal(theirs.group.station_side, ours.group.station_side)
        np.testing.assert_array_equal(theirs.counts, ours.counts)
        assert theirs.end == received.end


def test_fields_of_a_bag_read_alike() -> None:
    sent = message()
    fields = {n: getattr(sent, n) for n in sent.get_fields_and_field_types()}
    arrays = {n: np.array(v) for n, v in fields.items() if isinstance(v, array.array)}
    theirs = read(SimpleNamespace(**{**fields, **arrays}))
    for one, other in zip(read(sent).groups, theirs.groups, strict=True):
        np.testing.assert_array_equal(one.counts, other.counts)
        assert one.group is other.group


def test_a_changed_description_is_another_object() -> None:
    first, same = read(message()), read(message(sequence=8))
    changed = read(message(range_high=[1e5, 100.0, 200.0]))
    assert first.groups[0].group is same.groups[0].group
    assert first.groups[0].group is not changed.groups[0].group
    assert changed.groups[0].group.range_high == 1e5


def test_a_band_above_nyquist_is_not_believed() -> None:
    received = read(message(band_high=[450.0, 225.0, 20000.0]))
    assert received.groups[2].group.band == (20.0, 900.0)
    (note,) = received.notes
    assert '20000 Hz at 2000 Hz' in note
    assert '900 Hz' in note


def too_great() -> array.array[int]:
    counts = message().counts[:]
    counts[4 * 4 + 1] = 4096
    return counts


def negative() -> array.array[int]:
    counts = message().counts[:]
    counts[5] = -1
    return counts


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'duration': 0}, 'duration is 0 us'),
        ({'duration': 5000}, '4 samples at 1000 Hz do not cover the duration of 5000 us'),
        ({'kind': [1, 2, 9]}, 'kind 9 is unknown'),
        ({'kind': []}, 'holds no group'),
        ({'channels': [4, 3, 1]}, 'station_radius has 9 entries for 8 channels'),
        ({'channels': [4, 5, 0]}, r'group 2 \(acoustic\): has no channel'),
        ({'rate': [1000.0, math.nan, 2000.0]}, r'group 1 \(flow\): rate is nan'),
        ({'rate': [1000.0, -500.0, 2000.0]}, 'rate is -500 Hz'),
        ({'rate': [1000.0, 500.0]}, 'rate has 2 entries for 3 groups'),
        ({'bits': [16, 12, 0]}, 'bits is 0'),
        ({'bits': [16, 12, 32]}, 'bits is 32'),
        ({'range_low': [2e5, 0.0, 0.0]}, 'range 200000 to 200000 does not rise'),
        ({'range_high': [math.inf, 100.0, 2.0]}, 'does not rise'),
        ({'band_low': [-1.0, 0.0, 20.0]}, 'band -1 to 450 Hz'),
        (
            {'band_low': [0.0, 0.0, 1500.0], 'band_high': [9.0, 9.0, 2e4]},
            'band from 1500 Hz cannot be had',
        ),
        ({'samples': [4, 2]}, 'samples has 2 entries for 3 groups'),
        ({'samples': [4, 2, 9]}, 'counts has 38 entries'),
        ({'health': [0] * 8}, 'health has 8 entries for 9 channels'),
        ({'health': [3] * 9}, 'health holds 3'),
        ({'station_side': [2] * 9}, 'station_side'),
        ({'station_radius': [math.nan] * 9}, 'station_radius must be'),
        ({'station_azimuth': [math.inf] * 9}, 'station_azimuth must be'),
        ({'counts': too_great()}, 'flow channel 1: count 4096 of sample 0 is beyond a converter'),
        ({'counts': negative()}, 'pressure channel 1: count -1 of sample 1'),
    ],
)
def test_nonsense_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        read(message(**changes))


def test_a_block_without_a_stamp_is_refused() -> None:
    unstamped = message()
    unstamped.header.stamp.sec = unstamped.header.stamp.nanosec = 0
    with pytest.raises(SampleError, match='stamp'):
        read(unstamped)


SOURCE = 48000.0


def tone(frequency: float, rate: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2.0 * math.pi * frequency * np.arange(round(seconds * rate)) / rate)[:, None]


def amplitude(x: np.ndarray, frequency: float, rate: float) -> float:
    """Of a tone in the later part of a signal, by the discrete Fourier transform at it."""
    x = x[len(x) // 2 :, 0] - x[len(x) // 2 :, 0].mean()
    window = np.hanning(len(x))
    at = np.exp(-2j * math.pi * frequency * np.arange(len(x)) / rate)
    return float(2.0 * abs((x * window * at).sum()) / window.sum())


def sampled(frequency: float, *, anti_alias: bool) -> np.ndarray:
    """A tone of 1 Pa at the microphones, as the block carries it."""
    microphones = group(Kind.ACOUSTIC, 2000.0, 24, 1)
    counts = Converter(microphones, SOURCE, anti_alias=anti_alias).push(tone(frequency, SOURCE))
    return microphones.values(counts)


def test_a_tone_of_1500_hz_does_not_appear_at_500_hz() -> None:
    assert alias(1500.0, 2000.0) == 500.0
    good = amplitude(sampled(1500.0, anti_alias=True), 500.0, 2000.0)
    unfiltered = amplitude(sampled(1500.0, anti_alias=False), 500.0, 2000.0)
    assert unfiltered == pytest.approx(1.0, abs=0.01)
    assert 20.0 * math.log10(unfiltered / good) >= 60.0


@pytest.mark.parametrize('frequency', [1100.0, 1250.0, 2400.0, 5000.0 - 350.0, 19000.0 + 250.0])
def test_nothing_above_the_band_folds_into_it(frequency: float) -> None:
    folded = alias(frequency, 2000.0)
    good = amplitude(sampled(frequency, anti_alias=True), folded, 2000.0)
    unfiltered = amplitude(sampled(frequency, anti_alias=False), folded, 2000.0)
    assert 20.0 * math.log10(unfiltered / good) >= 60.0


@pytest.mark.parametrize('frequency', [60.0, 217.0, 500.0, 890.0])
def test_what_is_in_the_band_passes(frequency: float) -> None:
    passed = amplitude(sampled(frequency, anti_alias=True), frequency, 2000.0)
    assert 20.0 * math.log10(passed) == pytest.approx(0.0, abs=0.1)


def test_a_microphone_passes_no_steady_pressure() -> None:
    microphones = group(Kind.ACOUSTIC, 2000.0, 24, 1)
    loud = Converter(microphones, SOURCE).push(np.full((4800, 1), 150.0))
    assert np.abs(microphones.values(loud)).max() < 1e-3


@pytest.mark.parametrize(('kind', 'rate'), [(Kind.PRESSURE, 1000.0), (Kind.FLOW, 500.0)])
def test_pieces_give_what_the_whole_gives(kind: Kind, rate: float) -> None:
    sensors = group(kind, rate, 16, 3)
    signal = 50.0 + np.random.default_rng(1).standard_normal((9600, 3))
    whole = Converter(sensors, SOURCE).push(signal)
    converter = Converter(sensors, SOURCE)
    cuts = [0, 1, 7, 100, 101, 4000, 9599, 9600]
    pieces = [converter.push(signal[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(whole) == round(0.2 * rate)


def test_the_stated_delay_is_that_of_a_slow_signal() -> None:
    decimator = Decimator(SOURCE, 1000.0)
    ramp = np.arange(48000)[:, None] / SOURCE
    late = np.arange(1000)[:, None] / 1000.0 - decimator.push(ramp)
    assert late[-1, 0] == pytest.approx(decimator.delay, rel=0.02)
    assert 0.0 < decimator.delay < 0.005


def test_converters_round_and_clip() -> None:
    pressure = group(Kind.PRESSURE, 1000.0, 16, 1)
    lsb = 2e5 / 65535
    assert pressure.resolution == pytest.approx(3.05, abs=0.01)
    given = np.array([-5.0, 0.4 * lsb, 0.6 * lsb, 101325.0, 2e5, 3e5, math.nan])
    counts = quantise(given, pressure)
    assert counts.tolist() == [0, 0, 1, round(101325 / lsb), 65535, 65535, 0]
    assert counts.dtype == np.int32


def test_the_effective_band_ends_where_the_filter_begins() -> None:
    assert effective_band(2000.0, (20.0, 20000.0)) == (20.0, 900.0)
    assert effective_band(48000.0, (20.0, 20000.0)) == (20.0, 20000.0)
    with pytest.raises(ValueError, match='carries 900 Hz'):
        effective_band(2000.0, (1000.0, 20000.0))
    with pytest.raises(ValueError, match='whole multiple'):
        Decimator(48000.0, 44100.0)
