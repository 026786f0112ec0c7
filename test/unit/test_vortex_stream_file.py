# SPDX-License-Identifier: Apache-2.0
"""A stream file gives what was stored; what is wrong in one is said by key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.samples import ChannelGroup, Kind, Recording, Samples
from meta_repo_ros.vortex_shield import recorded_vehicle, stream_file

VEHICLE = {'rotor_radius_m': 0.12, 'rotors': 4, 'mass_kg': 1.4, 'blades': 2}
RANGES = {'pressure': (0.0, 200_000.0), 'flow': (0.0, 100.0), 'acoustic': (-200.0, 200.0)}


def content(**changes: Any) -> dict[str, Any]:
    """One second of all kinds, straight from the description of the format."""
    rng = np.random.default_rng(3)
    arrays = {
        'pressure_raw': rng.integers(33_000, 33_100, (1000, 4)).astype(np.uint16),
        'pressure_rate_hz': np.array(1000.0),
        'pressure_range': np.array(RANGES['pressure']),
        'pressure_t0': np.array(5.0),
        'pressure_station_r': np.array([0.3, 0.6, 0.8, 0.95]),
        'pressure_side': np.array([1, -1, 1, -1]),
        'flow_raw': rng.integers(150, 260, (500, 2)).astype(np.uint16),
        'flow_rate_hz': np.array(500.0),
        'flow_range': np.array(RANGES['flow']),
        'flow_t0': np.array(5.0),
        'flow_station_r': np.array([0.3, 0.9]),
        'acoustic_raw': rng.integers(-9000, 9000, (2000, 1)).astype(np.int32),
        'acoustic_rate_hz': np.array(2000.0),
        'acoustic_range': np.array(RANGES['acoustic']),
        'acoustic_t0': np.array(5.001),
        'state_t': np.linspace(5.0, 6.0, 51),
        'state': np.tile([2.0, 0.5, 40.0, 510.0, 13.7], (51, 1)),
        'vehicle': np.array(json.dumps(VEHICLE)),
        'truth_t': np.linspace(5.0, 6.0, 11),
        'truth_level': np.array([0] * 5 + [1] * 2 + [2] * 2 + [3] * 2, np.uint8),
        **changes,
    }
    return {key: value for key, value in arrays.items() if value is not None}


def read(folder: Path, **changes: Any) -> Recording:
    np.savez(folder / 'flight.npz', **content(**changes))
    return stream_file.read(folder / 'flight.npz')


def group(recording: Recording, kind: Kind) -> Samples:
    return next(s for s in recording.groups if s.group.kind == kind)


def notes(recording: Recording) -> str:
    return '; '.join(recording.extra['notes'])


def test_everything_is_there(tmp_path: Path) -> None:
    recording = read(tmp_path)
    given = content()
    pressure = group(recording, Kind.PRESSURE)
    assert pressure.start == 5_000_000_000
    assert (pressure.counts == given['pressure_raw']).all()
    assert pressure.group.bits == 16
    assert pressure.group.station_side.tolist() == [1, -1, 1, -1]
    assert group(recording, Kind.FLOW).group.bits == 12
    sound = group(recording, Kind.ACOUSTIC)
    assert sound.start == 5_001_000_000
    assert sound.group.band == (20.0, 900.0)
    # two's complement: a count of c is c parts of 2^23 of the range, 0 in its middle
    expected = given['acoustic_raw'] / 2**23 * 200.0
    assert sound.group.values(sound.counts) == pytest.approx(expected, abs=2e-5)
    assert recording.state.shape == (51, 5)
    assert recording.truth_level is not None
    assert recording.truth_level.tolist() == given['truth_level'].tolist()
    assert recording.rotorcraft == VEHICLE
    assert not recording.extra['notes']
    assert recorded_vehicle.rotorcraft(recording).rotor_speed == pytest.approx(510.0)


@pytest.mark.parametrize(
    'vehicle',
    [
        np.array(json.dumps(VEHICLE).encode()),
        np.array([json.dumps(VEHICLE)]),
        np.frombuffer(json.dumps(VEHICLE).encode(), np.uint8),
    ],
    ids=['bytes', 'one entry', 'uint8'],
)
def test_text_of_the_vehicle_in_any_wrapping(tmp_path: Path, vehicle: Any) -> None:
    assert read(tmp_path, vehicle=vehicle).rotorcraft == VEHICLE


def test_other_types_and_shapes_of_the_same(tmp_path: Path) -> None:
    given = content()
    recording = read(
        tmp_path,
        pressure_raw=given['pressure_raw'].astype(np.int64).T,
        pressure_rate_hz=1000,
        pressure_t0=None,
        flow_raw=given['flow_raw'][:, 0].astype(float),
        flow_station_r=0.3,
        state=given['state'].astype(np.float32).T,
    )
    pressure = group(recording, Kind.PRESSURE)
    assert pressure.start == 0
    assert (pressure.counts == given['pressure_raw']).all()
    assert group(recording, Kind.FLOW).counts.shape == (500, 1)
    assert recording.state == pytest.approx(given['state'], rel=1e-6)
    assert 'turned' in notes(recording)


@pytest.mark.parametrize('kind', ['pressure', 'flow', 'acoustic'])
def test_any_kind_may_be_missing_and_it_is_said(tmp_path: Path, kind: str) -> None:
    gone = {key: None for key in content() if key.startswith(kind)}
    recording = read(tmp_path, **gone)
    assert len(recording.groups) == 2
    assert f'no {kind}' in notes(recording)


def test_state_and_truth_may_be_missing(tmp_path: Path) -> None:
    keys = ('state', 'state_t', 'truth_t', 'truth_level')
    recording = read(tmp_path, **dict.fromkeys(keys))
    assert recording.state.shape == (0, 5)
    assert recording.truth_time is None
    assert 'no state' in notes(recording)


def test_sound_of_any_storage_is_the_same_sound(tmp_path: Path) -> None:
    signed = content()['acoustic_raw'] * 10
    expected = signed / 2**23 * 200.0
    for counts in (signed + 2**23, signed * 256):
        sound = group(read(tmp_path, acoustic_raw=counts.astype(np.int32)), Kind.ACOUSTIC)
        assert sound.group.values(sound.counts) == pytest.approx(expected, abs=5e-5)
    quiet = np.zeros((2000, 1), np.int32)
    sound = group(read(tmp_path, acoustic_raw=quiet), Kind.ACOUSTIC)
    assert sound.group.values(sound.counts) == pytest.approx(0.0, abs=5e-5)


def test_bits_of_flow(tmp_path: Path) -> None:
    counts = content()['flow_raw']
    assert group(read(tmp_path, flow_raw=counts * 16), Kind.FLOW).group.bits == 16
    # 60 m/s through a rotor that needs 6 to hover: those are not 12 bits
    found = read(tmp_path, flow_raw=counts * 0 + 2500)
    assert group(found, Kind.FLOW).group.bits == 16
    assert 'flow_bits' in notes(found)
    told = read(tmp_path, flow_raw=counts * 0 + 2500, flow_bits=12)
    assert group(told, Kind.FLOW).group.bits == 12


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'pressure_rate_hz': None}, 'pressure_rate_hz is missing'),
        ({'flow_rate_hz': -500.0}, 'flow_rate_hz is -500'),
        ({'flow_rate_hz': np.nan}, 'flow_rate_hz .* one finite number'),
        ({'pressure_range': np.array([5.0, 5.0])}, 'pressure_range .* low below high'),
        ({'flow_range': np.array([0.0, 50.0, 100.0])}, 'flow_range'),
        ({'pressure_station_r': np.ones(3)}, 'pressure_station_r has 3 entries for 4 sensors'),
        ({'pressure_raw': np.zeros((0, 4), np.uint16)}, 'pressure_raw is empty'),
        ({'pressure_raw': np.full((9, 4), 0.5)}, 'pressure_raw .* not whole'),
        ({'pressure_raw': np.full((9, 4), -3)}, 'pressure_raw holds counts from -3 to -3, must'),
        ({'pressure_raw': np.zeros((9, 4, 2), np.uint16)}, r'pressure_raw has shape \(9, 4, 2\)'),
        ({'pressure_raw': np.array([['a']])}, 'pressure_raw holds <U1'),
        ({'state': np.zeros((51, 4))}, r'state has shape \(51, 4\), must be \(51, 5\).*thrust'),
        ({'state_t': None}, 'state_t is missing'),
        ({'vehicle': None}, 'vehicle is missing'),
        ({'vehicle': np.array('{')}, 'vehicle is not JSON'),
        ({'vehicle': np.array('[1]')}, 'vehicle is a JSON list'),
        ({'vehicle': np.array('{"rotors": 4}')}, "vehicle has no number 'rotor_radius_m'"),
        ({'vehicle': np.array(json.dumps({**VEHICLE, 'mass_kg': -1}))}, 'mass_kg -1'),
        (
            {'vehicle': np.array(json.dumps({**VEHICLE, 'blades': 2.5}))},
            'blades 2.5, must be a whole',
        ),
        ({'truth_level': None}, 'truth_level is missing'),
        ({'truth_level': np.arange(11)}, 'truth_level must be 0 none'),
        ({'truth_t': np.linspace(6, 5, 11)}, 'truth_t must be finite and rise'),
        ({'vehicle': np.array(VEHICLE, dtype=object)}, 'vehicle .* objects are not loaded'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(stream_file.StreamFileError, match=words) as error:
        read(tmp_path, **changes)
    assert 'flight.npz' in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / 'empty.npz').touch()
    (tmp_path / 'text.npz').write_text('time,level\n')
    np.save(tmp_path / 'array.npy', np.zeros(3))
    np.savez(tmp_path / 'other.npz', vehicle=np.array(json.dumps(VEHICLE)), image=np.zeros(3))
    np.savez(tmp_path / 'cut.npz', **content())
    whole = (tmp_path / 'cut.npz').read_bytes()
    (tmp_path / 'cut.npz').write_bytes(whole[: len(whole) // 2])
    for name in ('gone.npz', 'empty.npz', 'text.npz', 'array.npy', 'other.npz', 'cut.npz'):
        with pytest.raises(stream_file.StreamFileError, match=re.escape(name)):
            stream_file.read(tmp_path / name)


def test_state_out_of_order_and_unknown(tmp_path: Path) -> None:
    state = content()['state']
    state[3, 0] = np.inf
    time = content()['state_t'][::-1].copy()
    time[7] = np.nan
    found = read(tmp_path, state=state, state_t=time)
    assert (np.diff(found.state_time) > 0).all()
    assert len(found.state_time) == 50
    assert np.isnan(found.state[:, 0]).sum() == 1
    assert 'sorted' in notes(found)
    assert 'NaN in sink rate' in notes(found)
    assert 'share no time' in notes(read(tmp_path, state_t=content()['state_t'] + 100.0))


def test_streams_too_short_for_a_decision(tmp_path: Path) -> None:
    given = content()
    cut = {f'{kind}_raw': given[f'{kind}_raw'][:4] for kind in RANGES}
    with pytest.raises(stream_file.StreamFileError, match='last 8 ms, must be 20 ms'):
        read(tmp_path, **cut)


def test_keys_that_nobody_knows_are_named(tmp_path: Path) -> None:
    assert 'not used: presure_t0' in notes(read(tmp_path, presure_t0=1.0))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    first = read(tmp_path)
    stream_file.write(tmp_path / 'again.npz', first)
    second = stream_file.read(tmp_path / 'again.npz')
    for one, other in zip(first.groups, second.groups, strict=True):
        assert one.start == other.start
        assert (one.counts == other.counts).all()
        for key in ('rate', 'bits', 'range_low', 'range_high', 'band'):
            assert getattr(one.group, key) == getattr(other.group, key)
        assert np.array_equal(one.group.station_radius, other.group.station_radius, equal_nan=True)
    assert np.array_equal(first.state, second.state)
    assert np.array_equal(np.array(first.truth_level), np.array(second.truth_level))


def test_rotor_speed_from_the_tone_of_the_blades() -> None:
    time = np.arange(20_000) / 2000.0
    tone = 1e5 * np.sin(2 * np.pi * 162.3 * time) + np.random.default_rng(1).normal(0, 2e4, 20_000)
    counts = (tone + 2**23).astype(np.int32)[:, np.newaxis]
    unknown = np.full(1, np.nan)
    microphone = ChannelGroup(
        Kind.ACOUSTIC, 2000.0, 24, -200.0, 200.0, (20.0, 900.0), unknown, unknown, np.zeros(1)
    )
    samples = Samples(microphone, 0, counts, np.zeros(1, np.uint8))
    recording = Recording((samples,), np.empty(0), np.empty((0, 5)), dict(VEHICLE))
    found = recorded_vehicle.rotorcraft(recording).rotor_speed
    assert found == pytest.approx(2 * np.pi * 162.3 / 2, rel=0.002)
    noise = Samples(microphone, 0, counts * 0, np.zeros(1, np.uint8))
    assert recorded_vehicle.blade_passing_speed([noise], 0.12, 2) is None
