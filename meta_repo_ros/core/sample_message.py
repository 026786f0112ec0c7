# SPDX-License-Identifier: Apache-2.0
"""Between the message ``meta_repo_ros/msg/SampleBlock`` and :class:`core.samples.Block`.

Messages are known by their field names alone. What hardly ever changes from one block to the next,
the description of the channels, is checked once and remembered.
"""

from __future__ import annotations

import array
import functools
import math
from typing import Any

import numpy as np

from meta_repo_ros.core.samples import Array, Block, ChannelGroup, Counts, Health, Kind, Samples
from meta_repo_ros.core.time import NANOSECONDS, set_stamp, stamp_ns

USABLE_BAND = 0.45
"""Share of the sampling rate that an anti-alias filter leaves; the rest folds down."""
LONGEST = 1_000_000  # us, of a block
_RATES = (1.0, 1e6)  # Hz
_BITS = (2, 31)  # counts are int32
_FARTHEST = 4.0  # rotor radii
_KINDS = {kind.value for kind in Kind}
_WORST = max(Health)
_DESCRIPTION = (
    ('kind', 'B'), ('channels', 'H'), ('rate', 'd'), ('bits', 'B'), ('range_low', 'd'),
    ('range_high', 'd'), ('band_low', 'd'), ('band_high', 'd'), ('station_radius', 'f'),
    ('station_azimuth', 'f'), ('station_side', 'b'),
)  # fmt: skip


class SampleError(ValueError):
    """A block that cannot be used; the text says what is wrong in it and what would be right."""


def read(message: Any) -> Block:
    """The checked parts of a ``SampleBlock``.

    Blocks whose channels are described alike share their :class:`ChannelGroup` objects, so that
    a change of the description is seen by ``is``. Counts share the memory of the message.

    Args:
        message: anything with the fields of ``SampleBlock``.

    Returns:
        The block; its notes say what of the description was not believed.

    Raises:
        SampleError: no stamp, an impossible description, arrays of wrong length, counts beyond the
            converter, groups that do not cover the duration.
    """
    start = stamp_ns(message.header.stamp)
    duration = int(message.duration)
    if start <= 0 or not 0 <= message.header.stamp.nanosec < NANOSECONDS:
        raise SampleError('header.stamp is zero or no time: stamp the first sample at its source')
    if not 0 < duration <= LONGEST:
        raise SampleError(f'duration is {duration} us, must be 1 to {LONGEST}')
    groups, notes = _groups(*(_bytes(getattr(message, n), code) for n, code in _DESCRIPTION))
    counts = _values(message.counts, 'i')
    health = _values(message.health, 'B')
    samples = _values(message.samples, 'H').tolist()
    if len(samples) != len(groups):
        raise SampleError(f'samples has {len(samples)} entries for {len(groups)} groups')
    sizes = [n * g.channels for n, g in zip(samples, groups, strict=True)]
    if len(counts) != sum(sizes):
        raise SampleError(f'counts has {len(counts)} entries, samples times channels {sum(sizes)}')
    channels = sum(g.channels for g in groups)
    if len(health) != channels:
        raise SampleError(f'health has {len(health)} entries for {channels} channels')
    parts, at, channel = [], 0, 0
    for group, number, size in zip(groups, samples, sizes, strict=True):
        # as unsigned, a negative count is a great one
        if size and counts[at : at + size].view(np.uint32).max() > group.full_scale:
            raise SampleError(_beyond(group, counts[at : at + size]))
        due = duration * 1e-6 * group.rate
        if abs(number - due) >= 1.0:
            raise SampleError(
                f'{_name(group)}: {number} samples at {group.rate:g} Hz do not cover the '
                f'duration of {duration} us, which takes {due:.4g}'
            )
        part = counts[at : at + size].reshape(number, group.channels)
        parts.append(Samples(group, start, part, health[channel : channel + group.channels]))
        at, channel = at + size, channel + group.channels
    if health.max() > _WORST:
        raise SampleError(f'health holds {health.max()}, must be 0 good, 1 suspect or 2 failed')
    return Block(int(message.sequence), start, duration * 1000, tuple(parts), notes)


def fill(message: Any, block: Block) -> None:
    """Write a block into a ``SampleBlock``; ``header.frame_id`` is left as it is.

    Blocks of the same :class:`ChannelGroup` objects are written fastest.

    Args:
        message: of the class that ``rosidl`` generated.
        block: its groups must be such as :func:`read` takes.
    """
    set_stamp(message.header.stamp, block.start)
    message.sequence = block.sequence
    message.duration = round(block.duration / 1000)
    for name, values in _description(tuple(s.group for s in block.groups)):
        setattr(message, name, values[:])
    message.samples = array.array('H', [len(s.counts) for s in block.groups])
    message.health = _array('B', *(s.health for s in block.groups))
    message.counts = _array('i', *(s.counts for s in block.groups))


@functools.lru_cache(maxsize=64)
def _groups(*fields: bytes) -> tuple[tuple[ChannelGroup, ...], tuple[str, ...]]:
    """The groups that the fields of the description give, and what was not believed."""
    given = {
        name: np.frombuffer(data, code)
        for (name, code), data in zip(_DESCRIPTION, fields, strict=True)
    }
    kinds = given['kind'].tolist()
    if not kinds:
        raise SampleError('the block holds no group: kind is empty')
    channels = given['channels']
    per_channel = int(channels.sum())
    for name, values in given.items():
        wanted = per_channel if name.startswith('station') else len(kinds)
        if len(values) != wanted:
            of = 'channels' if name.startswith('station') else 'groups'
            raise SampleError(f'{name} has {len(values)} entries for {wanted} {of}')
    ends = np.cumsum(channels, dtype=np.int64)
    groups, notes = [], []
    for i, end in enumerate(ends.tolist()):
        part = slice(end - int(channels[i]), end)
        group, note = _group(
            i, {n: (v[part] if 'station' in n else v[i]) for n, v in given.items()}
        )
        groups.append(group)
        notes.extend([note] if note else [])
    return tuple(groups), tuple(notes)


def _group(index: int, given: dict[str, Any]) -> tuple[ChannelGroup, str]:
    kind, rate, bits = int(given['kind']), float(given['rate']), int(given['bits'])
    low, high = float(given['range_low']), float(given['range_high'])
    band = (float(given['band_low']), float(given['band_high']))
    radius, azimuth = (np.array(given[f'station_{n}'], float) for n in ('radius', 'azimuth'))
    side = np.array(given['station_side'], float)
    if kind not in _KINDS:
        raise SampleError(f'group {index}: kind {kind} is unknown, must be 1 to {len(_KINDS)}')
    name = f'group {index} ({Kind(kind).name.lower()})'
    # comparisons that NaN fails
    for sound, reason in (
        (len(radius) > 0, 'has no channel'),
        (_within(rate, *_RATES), f'rate is {rate:g} Hz, must be {_RATES[0]:g} to {_RATES[1]:g}'),
        (_within(bits, *_BITS), f'bits is {bits}, must be {_BITS[0]} to {_BITS[1]}'),
        (-math.inf < low < high < math.inf, f'range {low:g} to {high:g} does not rise'),
        (
            0.0 <= band[0] < band[1] < math.inf,
            f'band {band[0]:g} to {band[1]:g} Hz does not rise from 0 or more',
        ),
        (band[0] < USABLE_BAND * rate, f'band from {band[0]:g} Hz cannot be had at {rate:g} Hz'),
        (
            _within(radius, 0.0, _FARTHEST),
            f'station_radius must be 0 to {_FARTHEST:g}, got {radius.tolist()}',
        ),
        (_within(azimuth, -1e3, 1e3), f'station_azimuth must be rad, got {azimuth.tolist()}'),
        (np.isin(side, (-1.0, 0.0, 1.0)).all(), f'station_side {side.tolist()} is not -1, 0, 1'),
    ):
        if not sound:
            raise SampleError(f'{name}: {reason}')
    note = ''
    if band[1] > 0.5 * rate:
        note = (
            f'{name}: claims a band to {band[1]:g} Hz at {rate:g} Hz; nothing above '
            f'{USABLE_BAND * rate:g} Hz is believed'
        )
        band = (band[0], USABLE_BAND * rate)
    return ChannelGroup(Kind(kind), rate, bits, low, high, band, radius, azimuth, side), note


def _within(values: float | Array, low: float, high: float) -> bool:
    return bool(np.all((values >= low) & (values <= high)))


@functools.lru_cache(maxsize=64)
def _description(groups: tuple[ChannelGroup, ...]) -> tuple[tuple[str, array.array[Any]], ...]:
    """Names and values of the fields that describe the groups."""
    plain: dict[str, list[Any]] = {
        'kind': [int(g.kind) for g in groups],
        'channels': [g.channels for g in groups],
        'rate': [g.rate for g in groups],
        'bits': [g.bits for g in groups],
        'range_low': [g.range_low for g in groups],
        'range_high': [g.range_high for g in groups],
        'band_low': [g.band[0] for g in groups],
        'band_high': [g.band[1] for g in groups],
        'station_radius': [r for g in groups for r in g.station_radius.tolist()],
        'station_azimuth': [a for g in groups for a in g.station_azimuth.tolist()],
        'station_side': [int(s) for g in groups for s in g.station_side.tolist()],
    }
    return tuple((name, array.array(code, plain[name])) for name, code in _DESCRIPTION)


def _array(code: str, *parts: Array | Counts | Any) -> array.array[Any]:
    result = array.array(code)
    for part in parts:
        result.frombytes(np.ascontiguousarray(part, code).tobytes())
    return result


def _bytes(values: Any, code: str) -> bytes:
    if isinstance(values, array.array) and values.typecode == code:
        return values.tobytes()
    return _values(values, code).tobytes()


def _values(values: Any, code: str) -> np.ndarray[Any, Any]:
    """Values of an array field, of ``rosidl``, of a bag, or a list."""
    if isinstance(values, array.array) and values.typecode == code:
        return np.frombuffer(values, code) if values else np.empty(0, code)
    try:
        return np.ascontiguousarray(values, code).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise SampleError(f'an array field holds what is no number: {error}') from error


def _name(group: ChannelGroup) -> str:
    return group.kind.name.lower()


def _beyond(group: ChannelGroup, counts: Counts) -> str:
    counts = counts.reshape(-1, group.channels)
    row, channel = np.argwhere((counts < 0) | (counts > group.full_scale))[0].tolist()
    return (
        f'{_name(group)} channel {channel}: count {counts[row, channel]} of sample {row} is beyond '
        f'a converter of {group.bits} bits, 0 to {group.full_scale}'
    )
