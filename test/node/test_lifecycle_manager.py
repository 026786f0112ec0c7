# SPDX-License-Identifier: Apache-2.0
"""The lifecycle manager with real processes: bring-up, hung and dead processes, recovery."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import TransitionEvent
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from meta_repo_ros.ros.lifecycle_manager import LifecycleManager

if TYPE_CHECKING:
    from collections.abc import Callable


def _manager(graph: Any, *names: str, **parameters: Any) -> LifecycleManager:
    values = {'node_names': list(names), 'bond_timeout': 1.0, **parameters}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    manager = graph.add(LifecycleManager(parameter_overrides=overrides))
    manager.trigger_configure()
    manager.trigger_activate()
    assert manager.state_label == 'active'
    return manager


def _states(manager: LifecycleManager) -> dict[str, str]:
    return {name.lstrip('/'): n.state for name, n in manager._supervision.nodes.items()}


def _transitions(graph: Any, *names: str) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    for name in names:
        graph.node.create_subscription(
            TransitionEvent,
            f'{name}/transition_event',
            lambda m, name=name: seen.append((name, m.goal_state.label)),
            10,
        )
    return seen


def test_ordered_bring_up_pause_and_shutdown(graph: Any, container: Callable[..., Any]) -> None:
    manager = _manager(graph, 'second', 'first', autostart=False)
    seen = _transitions(graph, 'first', 'second')
    container('node_probes:First')
    container('node_probes:Second')
    graph.spin_until(
        lambda: _states(manager) == {'second': 'unconfigured', 'first': 'unconfigured'}, 'both seen'
    )
    assert not graph.call(Trigger, 'lifecycle_manager/is_active').success
    reached = ('inactive', 'active', 'unconfigured', 'finalized')
    for command, order in (
        ('startup', 'second inactive, first inactive, second active, first active'),
        ('pause', 'first inactive, second inactive'),
        ('resume', 'second active, first active'),
        (
            'shutdown',
            ', '.join(
                f'{name} {state}'
                for state in ('inactive', 'unconfigured', 'finalized')
                for name in ('first', 'second')
            ),
        ),
    ):
        seen.clear()
        answer = graph.call(Trigger, f'lifecycle_manager/{command}')
        assert answer.success, answer.message
        graph.spin_until(
            lambda o=order: ', '.join(f'{n} {s}' for n, s in seen if s in reached) == o,
            f'{command} in order',
        )


def test_a_hung_process_is_reported_and_taken_back(
    graph: Any, container: Callable[..., Any]
) -> None:
    manager = _manager(graph, 'first', 'second')
    rows = graph.collect(DiagnosticArray, '/diagnostics')
    program = container('node_probes:First')
    container('node_probes:Second')
    graph.spin_until(lambda: set(_states(manager).values()) == {'active'}, 'both active')

    program.process.send_signal(signal.SIGSTOP)
    graph.spin_until(lambda: manager._supervision.nodes['/first'].lost, 'lost')
    assert _states(manager)['second'] == 'active'
    graph.spin_until(
        lambda: any(
            s.level == DiagnosticStatus.ERROR and s.message == '/first lost'
            for m in rows
            for s in m.status
        ),
        'ERROR row',
    )
    answer = graph.call(Trigger, 'lifecycle_manager/is_active')
    assert not answer.success
    assert '/first lost' in answer.message

    program.process.send_signal(signal.SIGCONT)
    graph.spin_until(lambda: _states(manager)['first'] == 'active', 'back')
    assert graph.call(Trigger, 'lifecycle_manager/is_active').success


def test_a_dead_process_is_brought_up_again_after_respawn(
    graph: Any, container: Callable[..., Any]
) -> None:
    manager = _manager(graph, 'first')
    program = container('node_probes:First')
    graph.spin_until(lambda: _states(manager) == {'first': 'active'}, 'active')
    before = manager._supervision.nodes['/first'].incarnation

    program.stop(signal.SIGKILL)
    graph.spin_until(lambda: manager._supervision.nodes['/first'].lost, 'lost')
    container('node_probes:First')
    graph.spin_until(lambda: _states(manager) == {'first': 'active'}, 'active again')
    assert manager._supervision.nodes['/first'].incarnation != before


def test_a_respawn_faster_than_the_watch_is_noticed(
    graph: Any, container: Callable[..., Any]
) -> None:
    manager = _manager(graph, 'first', bond_timeout=30.0)
    program = container('node_probes:First')
    graph.spin_until(lambda: _states(manager) == {'first': 'active'}, 'active')
    before = manager._supervision.nodes['/first'].incarnation
    program.stop(signal.SIGKILL)
    container('node_probes:First')
    graph.spin_until(
        lambda: (
            manager._supervision.nodes['/first'].incarnation != before
            and _states(manager) == {'first': 'active'}
        ),
        'new process active',
    )


def test_a_refusing_node_does_not_hold_up_the_others(
    graph: Any, container: Callable[..., Any]
) -> None:
    manager = _manager(graph, 'first', 'second')
    refusing = container('node_probes:First', ros=['-p', 'mode:=refuse'])
    container('node_probes:Second')
    graph.spin_until(lambda: _states(manager)['second'] == 'active', 'second active')
    refusing.wait_for('configure refused: mode refuse refuses')
    assert manager._supervision.problems() == ['/first configure refused']


def test_a_name_given_twice_is_refused(graph: Any, capfd: pytest.CaptureFixture[str]) -> None:
    overrides = [Parameter('node_names', value=['first', '/first'])]
    manager = graph.add(LifecycleManager(parameter_overrides=overrides))
    manager.trigger_configure()
    assert manager.state_label == 'unconfigured'
    output = capfd.readouterr()
    assert 'node_names holds a name twice: /first, /first' in output.out + output.err
