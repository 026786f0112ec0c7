# SPDX-License-Identifier: Apache-2.0
"""Transitions of a node through its lifecycle services."""

from __future__ import annotations

from typing import Any

import pytest
from lifecycle_msgs.srv import ChangeState, GetState
from node_probes import OUTPUT, Probe
from rclpy.parameter import Parameter

from meta_repo_ros.ros.host import ProcessorNode
from meta_repo_ros.ros.supervision import Step


def _change(graph: Any, step: Step) -> bool:
    request = ChangeState.Request()
    request.transition.id = int(step)
    return graph.call(ChangeState, 'probe/change_state', request).success


def _state(graph: Any) -> str:
    return graph.call(GetState, 'probe/get_state').current_state.label


def _publishers(graph: Any) -> int:
    return len(graph.node.get_publishers_info_by_topic(f'/{OUTPUT.name}'))


def test_a_whole_life(graph: Any) -> None:
    graph.add(ProcessorNode(Probe))
    assert _state(graph) == 'unconfigured'
    for step, state, publishers in (
        (Step.CONFIGURE, 'inactive', 1),
        (Step.ACTIVATE, 'active', 1),
        (Step.DEACTIVATE, 'inactive', 1),
        (Step.CLEANUP, 'unconfigured', 0),
        (Step.CONFIGURE, 'inactive', 1),
        (Step.ACTIVATE, 'active', 1),
    ):
        assert _change(graph, step)
        assert _state(graph) == state
        graph.spin_until(lambda n=publishers: _publishers(graph) == n, f'publishers when {state}')


@pytest.mark.parametrize(
    ('mode', 'said'),
    [
        ('refuse', 'configure refused: mode refuse refuses'),
        ('break', 'configure failed: KeyError'),
    ],
)
def test_failed_configure_leaves_nothing_behind(
    graph: Any, capfd: pytest.CaptureFixture[str], mode: str, said: str
) -> None:
    node = graph.add(ProcessorNode(Probe, parameter_overrides=[Parameter('mode', value=mode)]))
    assert not _change(graph, Step.CONFIGURE)
    assert _state(graph) == 'unconfigured'
    output = capfd.readouterr()
    assert said in output.out + output.err
    assert 'Traceback' not in output.out + output.err

    assert node.set_parameters([Parameter('mode', value='plain')])[0].successful
    assert _change(graph, Step.CONFIGURE)
    graph.spin_until(lambda: _publishers(graph) == 1, 'one publisher')


def test_impossible_transition_is_refused(graph: Any) -> None:
    graph.add(ProcessorNode(Probe))
    assert not _change(graph, Step.ACTIVATE)
    assert _state(graph) == 'unconfigured'
