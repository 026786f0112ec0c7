# SPDX-License-Identifier: Apache-2.0
"""The lifecycle manager's decisions, without ROS."""

from __future__ import annotations

from meta_repo_ros.ros.supervision import Step, Supervision, Target

S = 1_000_000_000


def _supervision(*names: str, reconnect: bool = True) -> Supervision:
    return Supervision(
        names,
        bond_timeout_ns=4 * S,
        service_timeout_ns=10 * S,
        respawn_ns=10 * S,
        reconnect=reconnect,
        now_ns=0,
    )


def _do(supervision: Supervision, target: Target, now: int) -> tuple[str, Step] | None:
    step = supervision.next_step(target, now)
    if step is not None:
        call = supervision.begin(*step, now)
        assert supervision.next_step(target, now) is None  # one at a time
        assert supervision.finish(call, success=True, now_ns=now) == ''
    return step


def test_configure_all_before_activate_any() -> None:
    supervision = _supervision('a', 'b')
    supervision.beat('1.1', {'a': 'unconfigured', 'b': 'unconfigured'}, 0)
    steps = [_do(supervision, Target.ACTIVE, 0) for _ in range(5)]
    assert steps == [
        ('a', Step.CONFIGURE),
        ('b', Step.CONFIGURE),
        ('a', Step.ACTIVATE),
        ('b', Step.ACTIVATE),
        None,
    ]
    assert supervision.reached(Target.ACTIVE)
    assert supervision.settled(Target.ACTIVE, 0)


def test_an_absent_node_holds_up_the_ones_after_it_for_a_while() -> None:
    supervision = _supervision('a', 'b')
    supervision.beat('1.1', {'b': 'unconfigured'}, 0)
    assert supervision.next_step(Target.ACTIVE, 9 * S) is None
    assert not supervision.settled(Target.ACTIVE, 9 * S)
    assert supervision.next_step(Target.ACTIVE, 11 * S) == ('b', Step.CONFIGURE)
    assert supervision.problems() == ['a not seen']


def test_a_stale_heartbeat_does_not_undo_a_transition() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    assert _do(supervision, Target.ACTIVE, 0) == ('a', Step.CONFIGURE)
    supervision.beat('1.1', {'a': 'unconfigured'}, S // 10)
    assert supervision.nodes['a'].state == 'inactive'
    assert supervision.next_step(Target.ACTIVE, S // 10) == ('a', Step.ACTIVATE)


def test_what_somebody_else_does_is_left_alone_until_the_next_command() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    assert _do(supervision, Target.ACTIVE, 0) == ('a', Step.CONFIGURE)
    assert _do(supervision, Target.ACTIVE, 0) == ('a', Step.ACTIVATE)
    assert len(supervision.beat('1.1', {'a': 'inactive'}, S)) == 1
    assert supervision.beat('1.1', {'a': 'inactive'}, 2 * S) == []
    assert supervision.next_step(Target.ACTIVE, 2 * S) is None
    assert supervision.changed_by_hand() == ['a']
    supervision.retry()
    assert supervision.next_step(Target.ACTIVE, 2 * S) == ('a', Step.ACTIVATE)
    # a new process is not what somebody else did
    supervision.beat('1.1', {'a': 'active'}, 3 * S)
    supervision.beat('2.2', {'a': 'unconfigured'}, 4 * S)
    assert supervision.next_step(Target.ACTIVE, 4 * S) == ('a', Step.CONFIGURE)


def test_lost_after_the_timeout_and_not_before() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'active'}, 0)
    assert supervision.check(4 * S) == []
    assert len(supervision.check(4 * S + 1)) == 1
    assert supervision.nodes['a'].lost
    assert supervision.check(5 * S) == []  # said once


def test_a_slow_transition_has_more_time() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    supervision.begin('a', Step.CONFIGURE, 0)
    assert supervision.check(9 * S) == []
    assert len(supervision.check(11 * S)) == 1
    assert supervision.call is None


def test_a_call_that_got_lost_is_repeated() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    supervision.begin('a', Step.CONFIGURE, 0)
    for quarter in range(1, 7):
        supervision.beat('1.1', {'a': 'unconfigured'}, quarter * S // 4)
    supervision.check(6 * S // 4)
    assert supervision.next_step(Target.ACTIVE, 6 * S // 4) == ('a', Step.CONFIGURE)


def test_an_earlier_process_of_the_same_name_is_not_listened_to() -> None:
    supervision = _supervision('a')
    supervision.beat('1.2', {'a': 'unconfigured'}, 0)
    supervision.beat('9.1', {'a': 'active'}, 1)
    assert supervision.nodes['a'].state == 'unconfigured'
    assert supervision.nodes['a'].incarnation == '1.2'


def test_nobody_is_lost_because_the_manager_slept() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'active'}, 0)
    supervision.shift(60 * S)
    assert supervision.check(61 * S) == []


def test_a_refusal_is_tried_again_only_when_asked() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    call = supervision.begin('a', Step.CONFIGURE, 0)
    assert 'configure refused' in supervision.finish(call, success=False, now_ns=0)
    assert supervision.next_step(Target.ACTIVE, 0) is None
    supervision.retry()
    assert supervision.next_step(Target.ACTIVE, 0) == ('a', Step.CONFIGURE)


def test_a_repeated_call_that_is_refused_after_the_first_was_obeyed_is_no_refusal() -> None:
    supervision = _supervision('a')
    supervision.beat('1.1', {'a': 'unconfigured'}, 0)
    first = supervision.begin('a', Step.CONFIGURE, 0)
    second = supervision.begin('a', Step.CONFIGURE, S)
    assert supervision.finish(first, success=True, now_ns=S) == ''
    assert supervision.finish(second, success=False, now_ns=S) == ''
    assert supervision.next_step(Target.ACTIVE, S) == ('a', Step.ACTIVATE)
    # and where the answer to the first one never came
    third = supervision.begin('a', Step.ACTIVATE, 2 * S)
    assert supervision.finish(third, success=False, now_ns=2 * S) != ''
    supervision.beat('1.1', {'a': 'active'}, 3 * S)
    assert supervision.problems() == []


def test_without_reconnection_a_node_that_comes_back_is_left_out_until_asked() -> None:
    supervision = _supervision('a', reconnect=False)
    supervision.beat('1.1', {'a': 'active'}, 0)
    supervision.check(5 * S)
    supervision.beat('2.2', {'a': 'unconfigured'}, 6 * S)
    assert supervision.next_step(Target.ACTIVE, 6 * S) is None
    assert supervision.problems() == ['a came back and is left out']
    supervision.retry()
    assert supervision.next_step(Target.ACTIVE, 6 * S) == ('a', Step.CONFIGURE)
