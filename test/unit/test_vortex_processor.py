# SPDX-License-Identifier: Apache-2.0
"""The node vortex_shield with real messages: a flight into the ring and out, and bad input."""

from __future__ import annotations

import copy
import importlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meta_repo_ros.control.arbiter import Arbiter
from meta_repo_ros.control.setpoints import Field, Source, parse
from meta_repo_ros.core.parameters import from_mapping, updated
from meta_repo_ros.core.processor import Diagnostic
from meta_repo_ros.core.processor import Level as Status
from meta_repo_ros.core.samples import Recording
from meta_repo_ros.core.time import NANOSECONDS, set_stamp, stamp_ns
from meta_repo_ros.vortex_shield.parameters import VortexShieldParameters
from meta_repo_ros.vortex_shield.processor import (
    AIR,
    COMMAND,
    DETECTION,
    MARKERS,
    ODOMETRY,
    REQUEST,
    ROTORS,
    SAMPLES,
    VALIDITY,
    VortexShield,
)
from meta_repo_ros.vortex_shield.types import Level, Phase, Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MS = 1_000_000
Timeline = list[tuple[int, str, Any]]


@pytest.fixture(scope='module')
def vortex_blocks() -> Iterator[Any]:
    """``benchmarks/vortex_blocks.py``; the folder itself is not on the path of tests."""
    before = list(sys.path)
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    yield importlib.import_module('benchmarks.vortex_blocks')
    sys.path[:] = before


@pytest.fixture(scope='module')
def recording(vortex_blocks: Any) -> Recording:
    """A quadrotor sinks into its ring, which is there 3 s after the beginning."""
    found: Recording = vortex_blocks.descent(3.0, 3.0)
    return found


@pytest.fixture(scope='module')
def flight(vortex_blocks: Any, recording: Recording) -> Timeline:
    """All messages of that flight, in order."""
    rows: Timeline = vortex_blocks.timeline(recording, 4)
    return rows


@pytest.fixture
def quiet(flight: Timeline) -> list[Any]:
    """Copies of the first blocks, before anything happens."""
    return copy.deepcopy([m for _, topic, m in flight if topic == SAMPLES][:60])


def node(**values: Any) -> VortexShield:
    return VortexShield(from_mapping(VortexShieldParameters, values))


def end(message: Any) -> int:
    """When a block is received: right at its end."""
    return stamp_ns(message.header.stamp) + int(message.duration) * 1000


def feed(processor: VortexShield, blocks: list[Any]) -> list[Any]:
    """The detections that blocks give."""
    outputs = [o for m in blocks for o in processor.on_message(SAMPLES, m, end(m))]
    return [o.message for o in outputs if o.topic == DETECTION]


def row(processor: VortexShield, name: str, stamp: int) -> Diagnostic:
    return next(d for d in processor.diagnostics(stamp) if d.name == name)


# -- a flight --------------------------------------------------------------------------------------
@pytest.fixture(scope='module')
def flown(flight: Timeline) -> dict[str, list[tuple[int, Any]]]:
    """Outputs of the flight by topic, with the time of the input that caused them."""
    processor = node()
    found: dict[str, list[tuple[int, Any]]] = {DETECTION: [], COMMAND: [], REQUEST: []}
    for stamp, topic, message in flight:
        outputs = processor.on_message(topic, message, stamp)
        if outputs and outputs[-1].topic == DETECTION and len(outputs) > 1:
            assert outputs[0].topic == COMMAND, 'somebody waits for it'
        for output in outputs:
            found[output.topic].append((stamp, output.message))
    return found


def test_every_block_gives_one_decision(flight: Timeline, flown: Any) -> None:
    given = [m for _, topic, m in flight if topic == SAMPLES]
    decided = [m for _, m in flown[DETECTION]]
    assert [m.block_sequence for m in decided] == [m.sequence for m in given]
    assert {m.header.frame_id for m in decided} == {'rotor_hub'}
    assert [stamp_ns(m.oldest_sample) for m in decided] == [stamp_ns(m.header.stamp) for m in given]
    assert decided[300].level == Level.NONE
    late = decided[-1]
    assert late.voices == Voice.STATE | Voice.PRESSURE | Voice.FLOW | Voice.ACOUSTIC
    assert late.note == ''
    assert late.probability > decided[300].probability
    assert len(late.features) == len(late.feature_scores)


def test_a_ring_is_warned_of_and_left(recording: Recording, flown: Any) -> None:
    assert recording.truth_time is not None
    assert recording.truth_level is not None
    begins = recording.truth_time[np.argmax(recording.truth_level == 3)]
    warned = next(t for t, m in flown[DETECTION] if m.level >= Level.INCIPIENT)
    assert -1.5 < warned * 1e-9 - begins < 0.0, 'before it has developed'
    commands = [m for _, m in flown[COMMAND]]
    assert commands[0].phase == Phase.PREPARE
    phases = [m.phase for m in commands]
    assert Phase.EXIT in phases
    assert phases.index(Phase.EXIT) > 0
    limit = math.radians(15.0)
    assert all(0.0 <= m.tilt <= limit + 1e-9 for m in commands)
    active = [m for m in commands if m.phase in {Phase.PREPARE, Phase.EXIT, Phase.CLIMB_OUT}]
    steps = np.diff([m.block_sequence for m in active])
    assert (steps == 1).mean() > 0.99, 'one with each block while it lives'
    assert all(m.header.frame_id == 'base_link' and m.reason for m in active)


def test_what_is_flown_is_a_setpoint_that_the_arbiter_takes(flown: Any) -> None:
    requests = flown[REQUEST]
    assert requests
    arbiter = Arbiter(100 * MS, 60 * NANOSECONDS)
    for stamp, message in requests:
        setpoint = parse(message)
        arbiter.offer(setpoint, stamp)
        assert arbiter.active(stamp) is setpoint
        assert setpoint.source is Source.RECOVERY
        assert setpoint.command.fields & Field.ATTITUDE
        assert setpoint.validity == round(VALIDITY * NANOSECONDS)
        assert message.header.frame_id == 'odom'
    gaps = np.diff([stamp for stamp, _ in requests])
    assert np.median(gaps) == 20 * MS
    first = requests[0][0]
    assert any(t == first and m.phase == Phase.EXIT for t, m in flown[COMMAND]), 'at once'


def test_the_same_flight_in_other_blocks_gives_the_same_levels(
    vortex_blocks: Any, recording: Recording, flown: Any
) -> None:
    processor = node()
    messages = vortex_blocks.block_messages(recording, 12 * MS)
    levels = {}
    for stamp, topic, message in vortex_blocks.timeline(recording, 4, messages):
        for output in processor.on_message(topic, message, stamp):
            if output.topic == DETECTION:
                levels[stamp_ns(output.message.header.stamp)] = output.message.level
    fine = {stamp_ns(m.header.stamp): m.level for _, m in flown[DETECTION]}
    assert np.mean([fine[stamp] == level for stamp, level in levels.items()]) > 0.99


# -- order of blocks -------------------------------------------------------------------------------
def test_a_missing_block_is_told_and_counted(quiet: list[Any]) -> None:
    processor = node()
    decided = feed(processor, [*quiet[:20], *quiet[23:40]])
    assert len(decided) == 37
    assert '3 blocks are missing' in decided[20].note
    assert 'missing' not in decided[21].note
    report = row(processor, 'streams', end(quiet[39]))
    assert report.level is Status.WARN
    assert report.values['missing'] == 3
    assert row(processor, 'streams', end(quiet[39])).level is Status.OK, 'told once'


@pytest.mark.parametrize(('index', 'counter'), [(19, 'repeated'), (15, 'late')])
def test_a_block_that_came_before_is_left_out(quiet: list[Any], index: int, counter: str) -> None:
    processor = node()
    first = feed(processor, quiet[:20])
    assert feed(processor, [quiet[index]]) == []
    assert row(processor, 'streams', end(quiet[19])).values[counter] == 1
    follower = feed(processor, quiet[20:21])
    assert follower[0].block_sequence == first[-1].block_sequence + 1
    undisturbed = feed(node(), quiet[:21])[-1]
    assert follower[0].probability == undisturbed.probability


def test_stamps_that_go_back_begin_anew(quiet: list[Any]) -> None:
    processor = node()
    feed(processor, quiet[:20])
    for message in quiet[20:30]:
        set_stamp(message.header.stamp, stamp_ns(message.header.stamp) - 8 * NANOSECONDS)
    assert len(feed(processor, quiet[20:30])) == 10
    assert row(processor, 'streams', end(quiet[29])).values['restarts'] == 1


# -- what is in a block ----------------------------------------------------------------------------
def test_rates_that_disagree_with_the_configuration(quiet: list[Any]) -> None:
    given = {'vortex_shield.sensors.pressure.sampling_rate': 2000.0}
    decided = feed(node(**given), quiet[:20])
    assert len(decided) == 20, 'the source knows its rate'
    assert 'pressure: blocks hold 1000 Hz, configured are 2000 Hz' in decided[-1].note
    strict = node(**{
        'strict': True, 'vortex_shield.sensors.acoustic.range': '20-800 Hz', **given,
    })  # fmt: skip
    assert feed(strict, quiet[:20]) == []
    report = row(strict, 'streams', end(quiet[19]))
    assert report.level is Status.ERROR
    assert 'configured are 2000 Hz' in report.message


def _shorter(m: Any) -> None:
    m.counts = m.counts[:-1]


def _no_number(m: Any) -> None:
    m.rate[0] = math.nan


DAMAGE: dict[str, Callable[[Any], None]] = {
    'no stamp': lambda m: set_stamp(m.header.stamp, 0),
    'no duration': lambda m: setattr(m, 'duration', 0),
    'counts too short': _shorter,
    'no counts': lambda m: setattr(m, 'counts', []),
    'rate not a number': _no_number,
    'rate zero': lambda m: m.rate.__setitem__(0, 0.0),
    'unknown kind': lambda m: m.kind.__setitem__(0, 9),
    'no bits': lambda m: m.bits.__setitem__(0, 0),
    'range that falls': lambda m: m.range_high.__setitem__(0, -1e6),
    'count beyond the converter': lambda m: m.counts.__setitem__(0, 1 << 20),
    'negative count': lambda m: m.counts.__setitem__(0, -1),
    'unknown health': lambda m: m.health.__setitem__(0, 7),
    'samples that do not cover it': lambda m: m.samples.__setitem__(0, 40),
    'no groups': lambda m: setattr(m, 'kind', []),
}


@pytest.mark.parametrize('damage', DAMAGE.values(), ids=DAMAGE)
def test_a_malformed_block_is_refused_and_the_next_one_used(
    quiet: list[Any], damage: Callable[[Any], None]
) -> None:
    processor = node()
    feed(processor, quiet[:5])
    damage(quiet[5])
    assert processor.on_message(SAMPLES, quiet[5], end(quiet[4])) == ()
    assert processor.refused[SAMPLES].total() == 1
    assert processor.last_refusal.startswith('rotor_samples: ')
    assert len(feed(processor, quiet[6:8])) == 2
    assert row(processor, 'streams', end(quiet[7])).level is Status.WARN


def test_failed_channels_are_told(quiet: list[Any]) -> None:
    for message in quiet:
        message.health[0] = 2
    processor = node()
    note = feed(processor, quiet[:30])[-1].note
    assert 'pressure channels' in note
    report = row(processor, 'streams', end(quiet[29]))
    assert report.level is Status.WARN
    assert '1 pressure channels not used' in report.message


# -- flight state ----------------------------------------------------------------------------------
def test_without_any_state_the_streams_alone_decide_and_it_says_so(flight: Timeline) -> None:
    processor = node()
    blocks = [m for _, topic, m in flight if topic == SAMPLES]
    last = feed(processor, blocks)[-1]
    assert math.isnan(last.risk)
    assert math.isfinite(last.probability)
    assert not last.voices & Voice.STATE
    assert 'no odometry' in last.note
    assert 'evidence of the streams alone' in last.note
    assert row(processor, 'flight state', end(blocks[-1])).level is Status.WARN


def test_state_that_is_no_number_is_refused(flight: Timeline) -> None:
    processor = node()
    for stamp, topic, message in flight[:1500]:
        given = message
        if topic != SAMPLES:
            given = copy.deepcopy(message)
            if topic == ODOMETRY:
                given.twist.twist.linear.z = math.nan
            elif topic == AIR:
                given.true_airspeed = given.static_pressure = given.height_above_ground = math.nan
                given.wind.x = math.nan
            else:
                given.speed = [math.nan] * 4
                given.thrust_command = math.nan
        processor.on_message(topic, given, stamp)
    assert processor.refused[ODOMETRY]['not finite'] > 100
    assert processor.refused[AIR]['nothing measured'] > 100
    assert processor.refused[ROTORS]['nothing measured'] > 100
    detection = processor.shield.detection
    assert detection is not None
    assert math.isnan(detection.risk)
    assert math.isfinite(detection.probability)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda m: set_stamp(m.header.stamp, 0), 'no stamp'),
        (lambda m: setattr(m, 'child_frame_id', 'camera'), 'wrong frame'),
        (lambda m: setattr(m.pose.pose.orientation, 'w', 0.5), 'not a unit quaternion'),
        (lambda m: setattr(m.twist.twist.linear, 'x', 1e4), 'out of range'),
        (lambda m: m.twist.covariance.__setitem__(14, -1.0), 'bad covariance'),
        (lambda m: m.twist.covariance.__setitem__(0, math.nan), 'bad covariance'),
        (lambda m: setattr(m.pose.pose.position, 'z', math.inf), 'not finite'),
    ],
)
def test_odometry_that_cannot_be_is_refused(
    flight: Timeline, change: Callable[[Any], None], reason: str
) -> None:
    message = copy.deepcopy(next(m for _, topic, m in flight if topic == ODOMETRY))
    change(message)
    processor = node()
    assert processor.on_message(ODOMETRY, message, 0) == ()
    assert processor.refused[ODOMETRY] == {reason: 1}
    report = row(processor, 'flight state', 0)
    assert (report.level, report.message) == (Status.WARN, f'odometry: {reason}')


def test_state_that_stops_is_not_used_any_longer(flight: Timeline) -> None:
    processor = node()
    begin = flight[0][0]
    for stamp, topic, message in flight:
        if topic == SAMPLES or stamp < begin + NANOSECONDS:
            processor.on_message(topic, message, stamp)
        detection = processor.shield.detection
        if topic == SAMPLES and detection is not None and stamp > begin + NANOSECONDS // 5:
            if stamp < begin + NANOSECONDS:
                assert detection.voices & Voice.STATE
            elif stamp > begin + 2 * NANOSECONDS:
                break
    assert processor.states.note.startswith('odometry is 1.0 s old')
    assert detection is not None
    assert not detection.voices & Voice.STATE


# -- life of the node ------------------------------------------------------------------------------
def fly_until_exit(processor: VortexShield, flight: Timeline) -> int:
    for stamp, topic, message in flight:
        processor.on_message(topic, message, stamp)
        if processor.shield.plan is not None and processor.shield.plan.phase is Phase.EXIT:
            return stamp
    raise AssertionError('no recovery was flown')


def test_a_node_that_is_deactivated_says_that_its_recovery_ended(flight: Timeline) -> None:
    processor = node()
    stamp = fly_until_exit(processor, flight)
    (output,) = processor.safe_outputs(stamp)
    assert output.topic == COMMAND
    assert output.message.phase == Phase.ABORTED
    assert 'deactivated' in output.message.reason
    assert output.message.tilt == 0.0
    assert processor.safe_outputs(stamp) == ()


def test_after_a_reset_the_flight_begins_anew(flight: Timeline, quiet: list[Any]) -> None:
    processor = node()
    fresh = [copy.copy(vars(Recorded(m))) for m in feed(node(), quiet)]
    fly_until_exit(processor, flight)
    processor.reset(0)
    assert [vars(Recorded(m)) for m in feed(processor, quiet)] == fresh


class Recorded:
    """What of a detection must be the same."""

    def __init__(self, message: Any) -> None:
        self.sequence, self.level = message.block_sequence, message.level
        self.probability, self.note = message.probability, message.note


def test_a_new_parameter_changes_what_it_is_for_and_no_more(flight: Timeline) -> None:
    processor = node()
    stamp = fly_until_exit(processor, flight)
    shield = processor.shield
    detector, recovery, intake = shield.detector, shield.recovery, shield.intake
    before = processor.parameters
    processor.set_parameters(updated(before, {'vortex_shield.recovery.safety_margin': 3.0}))
    assert shield.recovery is not recovery
    assert (shield.detector, shield.intake) == (detector, intake)
    processor.set_parameters(
        updated(processor.parameters, {'vortex_shield.detection.sensitivity': 0.9})
    )
    assert shield.detector is not detector
    blocks = row(processor, 'streams', stamp).values['blocks']
    processor.set_parameters(updated(processor.parameters, {'streams.restart_gap': 2.0}))
    assert shield.intake is not intake
    assert row(processor, 'streams', stamp).values['blocks'] == blocks


def test_at_rest_all_is_well_and_silence_is_not(quiet: list[Any]) -> None:
    processor = node()
    assert all(d.level is Status.OK for d in processor.diagnostics(0))
    feed(processor, quiet)
    last = end(quiet[-1])
    assert row(processor, 'streams', last).level is Status.OK
    silent = row(processor, 'streams', last + NANOSECONDS)
    assert (silent.level, silent.message) == (Status.ERROR, 'no block for 1.0 s')


def test_markers_show_level_ring_and_way_out(flight: Timeline) -> None:
    processor = node()
    (output,) = processor.on_timer(1)
    assert output.topic == MARKERS
    assert [m.ns for m in output.message.markers] == ['rotor_disk', 'level']
    stamp = fly_until_exit(processor, flight)
    (output,) = processor.on_timer(stamp)
    by_name = {m.ns: m for m in output.message.markers}
    assert set(by_name) == {'rotor_disk', 'level', 'ring', 'escape'}
    assert all(m.header.frame_id == 'base_link' for m in by_name.values())
    assert 'EXIT' in by_name['level'].text
    plan = processor.shield.plan
    assert plan is not None
    tip = by_name['escape'].points[1]
    # level, heading east: body axes are those of the earth
    assert math.atan2(tip.y, tip.x) == pytest.approx(plan.direction)
    ring = by_name['ring'].points
    assert (ring[0].x, ring[0].y) == pytest.approx((ring[-1].x, ring[-1].y))
    assert processor.timer_period_ns == 200 * MS
