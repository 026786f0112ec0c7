# SPDX-License-Identifier: Apache-2.0
"""Who commands: priorities, validity, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.control.arbiter import Arbiter
from meta_repo_ros.control.processor import (
    SetpointArbiter,
    SetpointArbiterParameters,
    to_message,
)
from meta_repo_ros.control.setpoints import Command, Field, Setpoint, SetpointError, Source, parse
from meta_repo_ros.core.processor import Level

S = 10**9
NOW = 1000 * S
TOLERANCE = S // 10


def _setpoint(
    source: Source = Source.MISSION, stamp: int = NOW, validity: int = S, sender: str = 'a'
) -> Setpoint:
    return Setpoint(stamp, validity, source, sender, Command(altitude=float(stamp % 97)))


def _arbiter() -> Arbiter:
    return Arbiter(TOLERANCE, 60 * S)


# -- rules -----------------------------------------------------------------------------------------
def test_higher_priority_takes_over_and_hands_back() -> None:
    arbiter = _arbiter()
    for source, validity in (
        (Source.OPERATOR, 5 * S), (Source.MISSION, 9 * S), (Source.RECOVERY, S),
        (Source.TRAFFIC, 3 * S),
    ):  # fmt: skip
        arbiter.offer(_setpoint(source, validity=validity, sender=source.name), NOW)

    def commanding(after: int) -> str:
        active = arbiter.active(NOW + after)
        return active.sender if active else 'nobody'

    assert commanding(0) == 'RECOVERY'
    assert commanding(S - 1) == 'RECOVERY'
    assert commanding(S) == 'TRAFFIC'
    assert commanding(3 * S) == 'OPERATOR'
    assert commanding(5 * S) == 'MISSION'
    assert commanding(9 * S) == 'nobody'


def test_first_of_equal_priority_holds_until_it_expires() -> None:
    arbiter = _arbiter()
    arbiter.offer(_setpoint(sender='a'), NOW)
    with pytest.raises(SetpointError, match=r"'a' holds mission for 0\.500 s more"):
        arbiter.offer(_setpoint(sender='b', stamp=NOW + S // 2), NOW + S // 2)
    newer = _setpoint(sender='a', stamp=NOW + S // 2)
    arbiter.offer(newer, NOW + S // 2)
    assert arbiter.active(NOW + S // 2) is newer
    with pytest.raises(SetpointError, match='older than the one in force'):
        arbiter.offer(_setpoint(sender='a', stamp=NOW), NOW + S // 2)
    later = NOW + 3 * S // 2
    arbiter.offer(_setpoint(sender='b', stamp=later), later)
    assert arbiter.active(later).sender == 'b'  # type: ignore[union-attr]
    assert arbiter.refused == {'priority held': 1, 'out of order': 1}


@pytest.mark.parametrize(
    ('setpoint', 'words'),
    [
        (_setpoint(stamp=NOW - 2 * S), r'expired 1\.000 s ago'),
        (_setpoint(stamp=NOW - S), 'expired'),
        (_setpoint(stamp=NOW + S), r'1\.000 s ahead of the clock'),
        (_setpoint(validity=61 * S), 'valid for 61'),
    ],
)
def test_stale_future_and_endless_setpoints_are_refused(setpoint: Setpoint, words: str) -> None:
    arbiter = _arbiter()
    with pytest.raises(SetpointError, match=words):
        arbiter.offer(setpoint, NOW)
    assert arbiter.active(NOW) is None
    assert sum(arbiter.refused.values()) == 1


_OFFERS = st.lists(
    st.tuples(
        st.sampled_from(Source),
        st.sampled_from('abc'),
        st.integers(-3 * S, S),  # stamp against the clock
        st.integers(1, 3 * S),  # validity
        st.integers(0, S),  # time until the next offer
    ),
    max_size=40,
)


@given(_OFFERS)
def test_never_stale_and_never_below_a_live_one(offers: list[tuple[Any, ...]]) -> None:
    arbiter, now, taken = _arbiter(), NOW, []
    for source, sender, offset, validity, wait in offers:
        setpoint = _setpoint(source, now + offset, validity, sender)
        try:
            arbiter.offer(setpoint, now)
            # the newest of a source is the only one of it that counts
            taken = [s for s in taken if s.source is not source] + [setpoint]
        except SetpointError:
            pass
        for moment in (now, now + wait):
            active = arbiter.active(moment)
            live = [s for s in taken if s.expires > moment]
            if not live:
                assert active is None
                continue
            assert active in live
            assert active.expires > moment
            assert active.stamp <= moment + TOLERANCE
            assert active.source == max(s.source for s in live)
        now += wait


# -- messages --------------------------------------------------------------------------------------
FULL = Command(
    attitude=(math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)),
    body_rate=(0.1, 0.2, 0.3),
    thrust=0.5,
    rotor_speed=(1.0, 2.0),
    collective=0.1,
    altitude=100.0,
    airspeed=20.0,
    course=-1.0,
    velocity=(1.0, 2.0, 3.0),
)


def test_message_and_setpoint_are_one() -> None:
    setpoint = Setpoint(NOW + 5, S + 7, Source.TRAFFIC, 'avoid', FULL)
    message = to_message(setpoint)
    assert message.fields == sum(Field)
    parsed = parse(message)
    assert parsed.command.attitude == pytest.approx(FULL.attitude)
    assert parsed == Setpoint(
        NOW + 5, S + 7, Source.TRAFFIC, 'avoid',
        Command(**{**_fields(FULL), 'attitude': parsed.command.attitude}),
    )  # fmt: skip


def _fields(command: Command) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__slots__}


def _message(**changes: Any) -> Any:
    message = to_message(Setpoint(NOW, S, Source.OPERATOR, 'pilot', FULL))
    for name, value in changes.items():
        *path, last = name.split('__')
        target = message
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    return message


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'source': 0}, 'source 0 is unknown; known are 10 MISSION'),
        ({'source': 11}, 'source 11 is unknown'),
        ({'header__stamp__sec': 0, 'header__stamp__nanosec': 0}, 'stamp is zero'),
        ({'validity__sec': 0, 'validity__nanosec': 0}, 'validity must be positive'),
        ({'validity__sec': -3}, 'validity must be positive'),
        ({'fields': 0}, 'nothing is commanded'),
        ({'fields': 1 << 12}, 'unknown bits 0x1000'),
        ({'thrust': math.nan}, 'thrust is nan'),
        ({'thrust': 1.5}, r'thrust is 1\.5, allowed is 0\.0 to 1\.0'),
        ({'airspeed': -1.0}, 'airspeed is -1'),
        ({'altitude': math.inf}, 'altitude is inf'),
        ({'velocity__y': math.nan}, r'velocity\.y is nan'),
        ({'orientation__w': 0.5}, 'orientation has norm'),
        ({'orientation__x': math.nan}, r'orientation\.x is nan'),
        ({'rotor_speed': []}, 'rotor_speed has 0 values'),
        ({'rotor_speed': [-1.0]}, r'rotor_speed\[0\] is -1'),
    ],
)
def test_malformed_messages_are_refused_with_the_reason(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SetpointError, match=words):
        parse(_message(**changes))
    # through the processor: no exception, nothing out, counted and shown
    arbiter = SetpointArbiter(SetpointArbiterParameters())
    assert arbiter.on_message('setpoint/request', _message(**changes), NOW) == ()
    row = arbiter.diagnostics(NOW)[0]
    assert row.level is Level.WARN
    assert row.values['refused'] == 1
    assert str(row.values['last_refusal']).startswith("'pilot': ")
    assert arbiter.diagnostics(NOW)[0].level is Level.OK


def test_values_that_are_not_commanded_are_not_looked_at() -> None:
    assert parse(_message(fields=int(Field.ALTITUDE), thrust=math.nan)).command == Command(
        altitude=100.0
    )


# -- processor -------------------------------------------------------------------------------------
def _request(source: Source, sender: str, stamp: int, validity: int = S) -> Any:
    return to_message(Setpoint(stamp, validity, source, sender, Command(altitude=10.0)))


def test_processor_publishes_changes_at_once_and_repeats_the_winner() -> None:
    arbiter = SetpointArbiter(SetpointArbiterParameters())
    assert arbiter.timer_period_ns == 20_000_000
    assert arbiter.on_timer(NOW) == ()
    (out,) = arbiter.on_message('setpoint/request', _request(Source.OPERATOR, 'pilot', NOW), NOW)
    assert (out.topic, out.message.sender) == ('setpoint', 'pilot')
    # lower priority is kept, and not published
    mission = _request(Source.MISSION, 'plan', NOW, 2 * S)
    assert arbiter.on_message('setpoint/request', mission, NOW) == ()
    assert arbiter.diagnostics(NOW)[0].values['waiting'] == 'mission: plan'
    (again,) = arbiter.on_timer(NOW + S // 2)
    assert again.message == out.message
    (back,) = arbiter.on_timer(NOW + S)
    assert back.message.sender == 'plan'
    assert arbiter.on_timer(NOW + 2 * S) == ()
    assert arbiter.diagnostics(NOW + 2 * S)[0].message == 'nobody commands'


def test_processor_forgets_on_reset_and_on_deactivation() -> None:
    arbiter = SetpointArbiter(SetpointArbiterParameters())
    arbiter.on_message('setpoint/request', _request(Source.OPERATOR, 'pilot', NOW), NOW)
    arbiter.reset(NOW - 10 * S)
    assert arbiter.on_timer(NOW) == ()
    arbiter.on_message('setpoint/request', _request(Source.OPERATOR, 'pilot', NOW), NOW)
    assert arbiter.safe_outputs(NOW) == ()
    assert arbiter.on_timer(NOW) == ()


def test_tolerance_and_longest_validity_can_change() -> None:
    arbiter = SetpointArbiter(SetpointArbiterParameters())
    early = _request(Source.OPERATOR, 'pilot', NOW + S // 2)
    assert arbiter.on_message('setpoint/request', early, NOW) == ()
    arbiter.set_parameters(SetpointArbiterParameters(future_tolerance=1.0, max_validity=0.5))
    assert arbiter.on_message('setpoint/request', early, NOW) == ()
    assert 'valid for 1.0 s' in str(arbiter.diagnostics(NOW)[0].values['last_refusal'])
    arbiter.set_parameters(SetpointArbiterParameters(future_tolerance=1.0))
    assert len(arbiter.on_message('setpoint/request', early, NOW)) == 1
