# SPDX-License-Identifier: Apache-2.0
"""A recording as the messages that the node vortex_shield takes: sample blocks and flight state."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from nav_msgs.msg import Odometry

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.sample_message import fill
from meta_repo_ros.core.samples import Block, Recording, Samples
from meta_repo_ros.core.time import NANOSECONDS, set_stamp
from meta_repo_ros.msg import AirData, RotorState, SampleBlock
from meta_repo_ros.simulation.wake.episodes import episode

BLOCK = 4_000_000
"""Length of a block, ns."""
DEVELOPED = 3
"""Of ``truth_level``."""


class Flight(NamedTuple):
    """One row of a recording's state: SI units, NaN where unknown; ``speed`` is the rotor's."""

    sink: float
    airspeed: float
    height: float
    speed: float
    thrust: float


def blocks(recording: Recording, length: int = BLOCK) -> list[Block]:
    """Consecutive blocks of ``length`` (ns) over the time that all groups cover."""
    begin = max(s.start for s in recording.groups)
    end = min(s.end for s in recording.groups)
    cut = []
    for number in range((end - begin) // length):
        start = begin + number * length
        groups = tuple(stretch(s, start, start + length) for s in recording.groups)
        cut.append(Block(number, start, length, groups))
    return cut


def block_messages(recording: Recording, length: int = BLOCK) -> list[Any]:
    """``SampleBlock`` of each block, stamped on the time axis of the recording."""
    found = []
    for block in blocks(recording, length):
        message = SampleBlock()
        fill(message, block)
        message.header.frame_id = 'rotor_hub'
        found.append(message)
    return found


def states(recording: Recording) -> Iterator[tuple[int, Flight]]:
    """Stamp (ns) and state of each row."""
    for time, row in zip(recording.state_time.tolist(), recording.state.tolist(), strict=True):
        yield round(time * NANOSECONDS), Flight(*row)


def developed(recording: Recording, longest: float = 3.0) -> Recording:
    """The longest stretch of a developed ring, cut to at most ``longest`` (s).

    Raises:
        ValueError: no truth, or no developed ring in it.
    """
    if recording.truth_time is None or recording.truth_level is None:
        raise ValueError(f'{recording.name}: there is no truth')
    inside = np.concatenate([[0], recording.truth_level >= DEVELOPED, [0]]).astype(int)
    begins, ends = np.flatnonzero(np.diff(inside) > 0), np.flatnonzero(np.diff(inside) < 0)
    if not len(begins):
        raise ValueError(f'{recording.name}: no ring develops')
    at = int(np.argmax(ends - begins))
    first = round(float(recording.truth_time[begins[at]]) * NANOSECONDS)
    last = round(float(recording.truth_time[ends[at] - 1]) * NANOSECONDS)
    # whole blocks, so that the last is followed by the first
    length = min(last - first, round(longest * NANOSECONDS)) // BLOCK * BLOCK
    groups = tuple(stretch(s, first, first + length) for s in recording.groups)
    return Recording(groups, recording.state_time, recording.state, recording.rotorcraft)


def descent(before: float, after: float) -> Recording:
    """A quadrotor sinks into its ring, which has developed ``before`` s after the beginning.

    The wind is known well: the flight state beside the streams shows the airspeed to be small.

    Args:
        before: s, at most 5.
        after: s.
    """
    whole = episode('fast_entry', ROTORCRAFT['f450'], seed=3, duration=14.0)
    if whole.truth_time is None or whole.truth_level is None:
        raise ValueError('the episode has no truth')
    begins = float(whole.truth_time[np.argmax(whole.truth_level == DEVELOPED)])
    start, stop = (round((begins + t) * NANOSECONDS) for t in (-before, after))
    near = (whole.state_time >= begins - before) & (whole.state_time <= begins + after)
    state = whole.state[near].copy()
    state[:, 1] = np.minimum(state[:, 1], 0.8)
    return dataclasses.replace(
        whole,
        groups=tuple(stretch(s, start, stop) for s in whole.groups),
        state_time=whole.state_time[near],
        state=state,
    )


def odometry(stamp: int, flight: Flight, altitude: float = 100.0) -> Any:
    """``Odometry`` of a level vehicle that flies east, in still air; its covariance is unknown."""
    message = Odometry()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id, message.child_frame_id = 'odom', 'base_link'
    message.pose.pose.position.z = altitude
    message.pose.pose.orientation.w = 1.0
    linear = message.twist.twist.linear
    linear.x, linear.z = float(flight.airspeed), -float(flight.sink)
    return message


def air_data(stamp: int, flight: Flight) -> Any:
    """``AirData`` in still air."""
    message = AirData()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = 'base_link'
    message.true_airspeed = math.hypot(flight.sink, flight.airspeed)
    message.airspeed_variance = 0.25
    message.angle_of_attack = message.sideslip = math.nan
    message.static_pressure, message.temperature = 101325.0, 288.15
    message.height_above_ground, message.height_variance = float(flight.height), 0.09
    return message


def rotor_state(stamp: int, flight: Flight, rotors: int) -> Any:
    """``RotorState`` of equal rotors."""
    message = RotorState()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = 'base_link'
    message.speed = [float(flight.speed)] * rotors
    message.thrust_command = float(flight.thrust)
    message.collective = math.nan
    return message


def timeline(
    recording: Recording, rotors: int, messages: Sequence[Any] | None = None
) -> list[tuple[int, str, Any]]:
    """All messages in the order in which they come: receive time (ns), topic, message.

    A block is there at its end, the state at its own time.
    """
    rows: list[tuple[int, str, Any]] = []
    found = block_messages(recording) if messages is None else messages
    for message in found:
        stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
        rows.append((stamp + message.duration * 1000, 'rotor_samples', message))
    for stamp, flight in states(recording):
        rows.append((stamp, 'odometry', odometry(stamp, flight)))
        rows.append((stamp, 'air_data', air_data(stamp, flight)))
        rows.append((stamp, 'rotor_state', rotor_state(stamp, flight, rotors)))
    rows.sort(key=lambda row: row[0])
    return rows


def stretch(samples: Samples, start: int, stop: int) -> Samples:
    """Samples whose stamps (ns) are ``start`` or later and before ``stop``."""
    rate, own = samples.group.rate, samples.start
    first, last = (math.ceil((t - own) * rate / NANOSECONDS - 1e-6) for t in (start, stop))
    return Samples(samples.group, start, samples.counts[first:last], samples.health)
