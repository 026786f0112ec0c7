# SPDX-License-Identifier: Apache-2.0
"""Streams of any origin in one NumPy file (.npz), and back; docs/vortex_shield.md lists the keys.

A file says neither how many bits its converters have nor whether sound is stored signed. The rules,
each told in ``Recording.extra['notes']`` where it was needed:

* ``<kind>_bits`` holds where it is given; else pressure has 16 bits, flow 12, sound 24, as the
  interface document says.
* Flow has 16 bits where a count is above 4095, or where 12 bits would mean more than five times
  the hover induced velocity in the median and 16 bits would not.
* Sound alternates about zero. With a range from below to above zero its counts are offset binary
  where their median lies in the upper three quarters of the scale, else two's complement, of which
  0 is the middle of the range. Counts beyond 24 bits are 24 bits in the upper part of 32.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, STANDARD_GRAVITY
from meta_repo_ros.core.samples import (
    Array,
    ChannelGroup,
    Counts,
    Health,
    Healths,
    Kind,
    Recording,
    Samples,
)
from meta_repo_ros.core.time import NANOSECONDS

BITS = {Kind.PRESSURE: 16, Kind.FLOW: 12, Kind.ACOUSTIC: 24}
NAMES = {Kind.PRESSURE: 'pressure', Kind.FLOW: 'flow', Kind.ACOUSTIC: 'acoustic'}
STATE_COLUMNS = ('sink rate m/s', 'forward airspeed m/s', 'height m', 'rotor speed rad/s',
                 'thrust command N')  # fmt: skip
VEHICLE_KEYS = ('rotor_radius_m', 'rotors', 'mass_kg', 'blades')
_LOWEST_SOUND = 20.0  # Hz
_BAND = 0.45  # of the rate: what a real anti-alias filter leaves
_SHORTEST = 0.02  # s
_FLOW_LIMIT = 5.0  # hover induced velocities
_SUFFIXES = ('raw', 'rate_hz', 'range', 't0', 'bits', 'station_r', 'side', 'azimuth', 'health')
_KNOWN = frozenset(
    {f'{name}_{suffix}' for name in NAMES.values() for suffix in _SUFFIXES}
    | {'state_t', 'state', 'vehicle', 'truth_t', 'truth_level'}
)


class StreamFileError(ValueError):
    """A file that cannot be used; the text says which key, what is wrong, what would be right."""


@dataclass
class _File:
    """Arrays of one file by key, and what was assumed about them."""

    path: Path
    arrays: Mapping[str, Any]
    notes: list[str]

    def error(self, key: str, text: str) -> StreamFileError:
        return StreamFileError(f'{self.path}: {key} {text}')

    def array(self, key: str) -> Any:
        """The array of a key that must be there."""
        if key not in self.arrays:
            raise self.error(key, 'is missing')
        try:
            return np.asarray(self.arrays[key])
        except ValueError as error:
            raise self.error(
                key, f'cannot be read ({error}); objects are not loaded, store plain arrays or text'
            ) from error
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise self.error(key, f'cannot be read: {error}') from error

    def numbers(self, key: str) -> Array:
        """Floating point numbers of a key, any shape."""
        values = self.array(key)
        if values.dtype.kind not in 'buif':
            raise self.error(key, f'holds {values.dtype}, must be numbers')
        return np.asarray(values, np.float64)

    def scalar(self, key: str, default: float | None = None) -> float:
        """One finite number, as a scalar or an array of one."""
        if default is not None and key not in self.arrays:
            return default
        values = self.numbers(key)
        if values.size != 1 or not np.isfinite(values).all():
            raise self.error(key, f'has shape {values.shape}, must be one finite number')
        return float(values.reshape(()))


def read(path: Path | str) -> Recording:
    """The streams, the state and, where there is one, the truth of a file.

    Raises:
        StreamFileError: not such a file, a key that is missing or cannot be.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as content:
            return _recording(_File(path, content, []))
    except FileNotFoundError as error:
        raise StreamFileError(f'{path}: no such file') from error
    except StreamFileError:
        raise
    except (AttributeError, TypeError) as error:
        raise StreamFileError(
            f'{path}: one array without a name; store keys with numpy.savez'
        ) from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise StreamFileError(f'{path}: not a NumPy .npz file ({error})') from error


def write(path: Path | str, recording: Recording) -> None:
    """Store a recording so that :func:`read` gives the same again (stations to float64).

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, Any] = {'vehicle': np.array(json.dumps(dict(recording.rotorcraft)))}
    for samples in recording.groups:
        group, name = samples.group, NAMES[samples.group.kind]
        signed = group.kind == Kind.ACOUSTIC and group.range_low < 0.0 < group.range_high
        counts = samples.counts - (1 << (group.bits - 1)) if signed else samples.counts
        arrays |= {
            f'{name}_raw': counts.astype(np.int32 if group.kind == Kind.ACOUSTIC else np.uint16),
            f'{name}_rate_hz': np.array(group.rate),
            f'{name}_range': np.array([group.range_low, group.range_high]),
            f'{name}_t0': np.array(samples.start / NANOSECONDS),
            f'{name}_bits': np.array(group.bits),
            f'{name}_station_r': group.station_radius,
            f'{name}_side': group.station_side,
            f'{name}_azimuth': group.station_azimuth,
            f'{name}_health': samples.health,
        }
    if len(recording.state_time):
        arrays |= {'state_t': recording.state_time, 'state': recording.state}
    if recording.truth_time is not None and recording.truth_level is not None:
        level = np.asarray(recording.truth_level).astype(np.int8)
        arrays |= {'truth_t': recording.truth_time, 'truth_level': level}
    np.savez(path, **arrays)


def _recording(file: _File) -> Recording:
    vehicle = _vehicle(file)
    groups = tuple(_samples(file, kind, vehicle) for kind in NAMES if _has(file, kind))
    if not groups:
        keys = ', '.join(f'{name}_raw' for name in NAMES.values())
        raise StreamFileError(f'{file.path}: holds none of {keys}; nothing to look at')
    longest = max(len(samples.counts) / samples.group.rate for samples in groups)
    if longest < _SHORTEST:
        raise StreamFileError(
            f'{file.path}: its streams last {longest * 1e3:.3g} ms, must be {_SHORTEST * 1e3:g} ms '
            'or more'
        )
    missing = [name for kind, name in NAMES.items() if not _has(file, kind)]
    if missing:
        file.notes.append(f'no {" and no ".join(missing)}')
    state_time, state = _state(file)
    truth_time, truth_level = _truth(file)
    starts = [samples.start for samples in groups]
    if len(state_time):
        begin, end = min(starts) / NANOSECONDS, max(s.end for s in groups) / NANOSECONDS
        if state_time[-1] < begin or state_time[0] > end:
            file.notes.append(
                f'state_t ({state_time[0]:.3f} to {state_time[-1]:.3f} s) and the streams '
                f'({begin:.3f} to {end:.3f} s) share no time'
            )
    unused = sorted(set(file.arrays) - _KNOWN)
    if unused:
        file.notes.append(f'not used: {", ".join(unused)}')
    return Recording(
        groups=groups,
        state_time=state_time,
        state=state,
        rotorcraft=vehicle,
        truth_time=truth_time,
        truth_level=truth_level,
        name=file.path.stem,
        extra={'notes': tuple(file.notes)},
    )


def _has(file: _File, kind: Kind) -> bool:
    return f'{NAMES[kind]}_raw' in file.arrays


def _vehicle(file: _File) -> dict[str, float]:
    content = file.array('vehicle')
    wanted = f'must be JSON text with {", ".join(VEHICLE_KEYS)}'
    if content.dtype.kind == 'u' and content.dtype.itemsize == 1:
        text: Any = content.tobytes()
    elif content.dtype.kind in 'US' and content.size == 1:
        text = content.reshape(()).item()
    else:
        raise file.error('vehicle', f'holds {content.dtype} of shape {content.shape}, {wanted}')
    try:
        values = json.loads(text)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are
        raise file.error('vehicle', f'is not JSON ({error}); it {wanted}') from error
    if not isinstance(values, dict):
        raise file.error('vehicle', f'is a JSON {type(values).__name__}, {wanted}')
    for key in VEHICLE_KEYS:
        value = values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise file.error('vehicle', f'has no number {key!r}; it {wanted}')
        if not (np.isfinite(value) and value > 0):
            raise file.error('vehicle', f'says {key} {value}, must be above 0')
        if key in {'rotors', 'blades'} and value != round(value):
            raise file.error('vehicle', f'says {key} {value}, must be a whole number')
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _samples(file: _File, kind: Kind, vehicle: Mapping[str, float]) -> Samples:
    name = NAMES[kind]
    rate = file.scalar(f'{name}_rate_hz')
    if rate <= 0:
        raise file.error(f'{name}_rate_hz', f'is {rate:g}, must be above 0 Hz')
    limits = file.numbers(f'{name}_range').reshape(-1)
    if limits.shape != (2,) or not np.isfinite(limits).all() or limits[0] >= limits[1]:
        shown = np.array2string(limits, precision=4, threshold=4)
        raise file.error(f'{name}_range', f'is {shown}, must be (low, high) with low below high')
    low, high = map(float, limits)
    counts = _counts(file, f'{name}_raw', f'{name}_station_r')
    bits, scaled = _scaled(file, kind, counts, (low, high), vehicle)
    channels = scaled.shape[1]
    group = ChannelGroup(
        kind=kind,
        rate=rate,
        bits=bits,
        range_low=low,
        range_high=high,
        band=(_LOWEST_SOUND if kind == Kind.ACOUSTIC else 0.0, _BAND * rate),
        station_radius=_station(file, f'{name}_station_r', channels, np.nan),
        station_azimuth=_station(file, f'{name}_azimuth', channels, np.nan),
        station_side=np.sign(_station(file, f'{name}_side', channels, 0.0)),
    )
    if kind != Kind.ACOUSTIC and f'{name}_station_r' not in file.arrays:
        file.notes.append(f'{name}_station_r is missing: where the {name} sensors sit is unknown')
    start = round(file.scalar(f'{name}_t0', 0.0) * NANOSECONDS)
    health = _station(file, f'{name}_health', channels, float(Health.GOOD))
    return Samples(group, start, scaled, _healths(health))


def _healths(values: Array) -> Healths:
    return np.clip(values, Health.GOOD, Health.FAILED).astype(np.uint8)


def _counts(file: _File, key: str, stations: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(n, sensors), whole numbers."""
    values = file.array(key)
    if values.dtype.kind == 'f':
        if not np.isfinite(values).all() or (values != np.round(values)).any():
            raise file.error(key, 'holds numbers that are not whole; it must be raw counts')
    elif values.dtype.kind not in 'ui':
        raise file.error(key, f'holds {values.dtype}, must be raw counts (integers)')
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.shape[1] == 0:
        raise file.error(key, f'has shape {values.shape}, must be (samples, sensors)')
    if len(values) == 0:
        raise file.error(key, 'is empty')
    expected = np.size(file.arrays[stations]) if stations in file.arrays else 0
    if values.shape[1] != expected == values.shape[0]:
        file.notes.append(f'{key} is (sensors, samples): turned')
        values = values.T
    if values.shape[1] > 512:
        raise file.error(key, f'has {values.shape[1]} columns; it must be (samples, sensors)')
    return np.asarray(values, np.int64)


def _station(file: _File, key: str, channels: int, missing: float) -> Array:
    if key not in file.arrays:
        return np.full(channels, missing)
    values = file.numbers(key).reshape(-1)
    if len(values) == 1:
        values = np.repeat(values, channels)
    if len(values) != channels:
        raise file.error(key, f'has {len(values)} entries for {channels} sensors')
    return values


def _scaled(
    file: _File,
    kind: Kind,
    counts: np.ndarray[Any, np.dtype[np.int64]],
    limits: tuple[float, float],
    vehicle: Mapping[str, float],
) -> tuple[int, Counts]:
    """Bits of the converter, and counts from 0 (low end) to 2^bits - 1 (high end)."""
    name = NAMES[kind]
    key = f'{name}_raw'
    given = f'{name}_bits' in file.arrays
    bits = round(file.scalar(f'{name}_bits', float(BITS[kind])))
    if not 4 <= bits <= 32:
        raise file.error(f'{name}_bits', f'is {bits}, must be 4 to 32')
    least, most = int(counts.min()), int(counts.max())
    if kind == Kind.FLOW and not given:
        bits = _flow_bits(file, counts, limits, vehicle)
    if kind == Kind.ACOUSTIC:
        wide = 1 << (bits if least >= 0 else bits - 1)
        if bits > 24 or (not given and (most >= wide or least < -wide)):
            # the wave keeps its shape; what is lost is below the noise of any microphone
            file.notes.append(f'{key} is taken as 24 bits in the upper part of 32')
            bits, counts = 24, counts >> (bits - 24 if bits > 24 else 8)
            least, most = int(counts.min()), int(counts.max())
        middle = 1 << (bits - 1)
        alternates = limits[0] < 0.0 < limits[1]
        if least < 0 or (alternates and float(np.median(counts)) < middle / 2):
            if least < 0 and not alternates:
                file.notes.append(f'{key} holds negative counts: 0 is the middle of the range')
            counts = counts + middle
            least, most = least + middle, most + middle
    if least < 0 or most >= 1 << bits:
        raise file.error(
            key, f'holds counts from {least} to {most}, must be 0 to {(1 << bits) - 1} ({bits} bit)'
        )
    return bits, counts.astype(np.int32)


def _flow_bits(
    file: _File,
    counts: np.ndarray[Any, np.dtype[np.int64]],
    limits: tuple[float, float],
    vehicle: Mapping[str, float],
) -> int:
    low, high = limits
    if counts.max() > 4095:
        file.notes.append('flow_raw goes above 4095: taken as 16 bit')
        return 16
    area = vehicle['rotors'] * np.pi * vehicle['rotor_radius_m'] ** 2
    hover = np.sqrt(vehicle['mass_kg'] * STANDARD_GRAVITY / (2.0 * SEA_LEVEL_DENSITY * area))
    middle = float(np.median(counts))
    speeds = {bits: abs(low + (high - low) * middle / ((1 << bits) - 1)) for bits in (12, 16)}
    if low >= 0.0 and speeds[12] > _FLOW_LIMIT * hover > speeds[16]:
        file.notes.append(
            f'flow_raw taken as 16 bit: with 12 bit its median would be {speeds[12]:.0f} m/s, '
            f'{speeds[12] / hover:.0f} times the hover induced velocity; flow_bits would say'
        )
        return 16
    return 12


def _state(file: _File) -> tuple[Array, Array]:
    if 'state' not in file.arrays and 'state_t' not in file.arrays:
        file.notes.append('no state: evidence of the streams alone')
        return np.empty(0), np.empty((0, 5))
    time, state = file.numbers('state_t').reshape(-1), file.numbers('state')
    columns = ', '.join(STATE_COLUMNS)
    if state.ndim == 1 and state.size == 5 and len(time) == 1:
        state = state[np.newaxis]
    if state.ndim == 2 and state.shape == (5, len(time)) and len(time) != 5:
        file.notes.append('state is (columns, instants): turned')
        state = state.T
    if state.ndim != 2 or state.shape != (len(time), 5):
        raise file.error(
            'state', f'has shape {state.shape}, must be ({len(time)}, 5) for state_t: {columns}'
        )
    known = np.isfinite(time)
    if not known.all():
        file.notes.append(f'{int((~known).sum())} rows of state have no time: left out')
        time, state = time[known], state[known]
    if len(time) == 0:
        file.notes.append('state is empty: evidence of the streams alone')
    if (np.diff(time) <= 0).any():
        file.notes.append('state_t does not rise throughout: sorted, the last of equal times kept')
        order = np.argsort(time, kind='stable')
        time, state = time[order], state[order]
        last = np.append(np.diff(time) > 0, True)
        time, state = time[last], state[last]
    state = np.where(np.isfinite(state), state, np.nan)
    gaps = [STATE_COLUMNS[i] for i in range(5) if np.isnan(state[:, i]).any()]
    if gaps:
        file.notes.append(f'state has NaN in {", ".join(gaps)}')
    return time, state


def _truth(file: _File) -> tuple[Array | None, Array | None]:
    if 'truth_t' not in file.arrays and 'truth_level' not in file.arrays:
        return None, None
    time = file.numbers('truth_t').reshape(-1)
    level = file.numbers('truth_level').reshape(-1)
    if len(time) != len(level):
        raise file.error('truth_level', f'has {len(level)} entries for {len(time)} in truth_t')
    if len(time) == 0:
        return None, None
    if not np.isin(level, (0.0, 1.0, 2.0, 3.0)).all():
        raise file.error(
            'truth_level', 'must be 0 none, 1 margin, 2 incipient or 3 developed throughout'
        )
    if not np.isfinite(time).all() or (np.diff(time) < 0).any():
        raise file.error('truth_t', 'must be finite and rise')
    return time, level
