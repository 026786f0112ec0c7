# SPDX-License-Identifier: Apache-2.0
"""Parameters of a live node: described, checked as a whole, changed as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from node_probes import Probe, ProbeParameters
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.srv import DescribeParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter

from meta_repo_ros.core.parameters import describe
from meta_repo_ros.ros.host import ProcessorNode


def _active(graph: Any, **parameters: Any) -> ProcessorNode:
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = graph.add(ProcessorNode(Probe, parameter_overrides=overrides))
    node.trigger_configure()
    node.trigger_activate()
    return node


def _set_all(graph: Any, **values: Any) -> Any:
    request = SetParametersAtomically.Request(
        parameters=[Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
    )
    return graph.call(SetParametersAtomically, 'probe/set_parameters_atomically', request).result


def test_descriptors_say_what_the_dataclass_declares(graph: Any) -> None:
    _active(graph)
    names = list(describe(ProbeParameters))
    request = DescribeParameters.Request(names=names)
    answer = graph.call(DescribeParameters, 'probe/describe_parameters', request)
    described: dict[str, ParameterDescriptor] = {d.name: d for d in answer.descriptors}
    assert list(described) == names
    gain = described['gain']
    assert gain.description == 'Factor. [m]'
    limits = gain.floating_point_range[0]
    assert (limits.from_value, limits.to_value, limits.step) == (0.0, 10.0, 0.0)
    assert described['rate'].read_only
    assert described['rate'].integer_range[0].from_value == 0
    assert described['mode'].additional_constraints == 'one of plain, raise, refuse, break'
    assert described['weights'].type == Parameter.Type.DOUBLE_ARRAY.value


def test_a_good_set_is_taken_as_one(graph: Any) -> None:
    node = _active(graph)
    # each alone would break low <= high or come as an integer
    assert _set_all(graph, low=5, high=6.5, weights=[1.0, 2.0]).successful
    assert node.parameters.low == 5.0
    assert node.parameters.high == 6.5
    assert node.parameters.weights == (1.0, 2.0)
    assert node.processor.parameters is node.parameters
    assert _set_all(graph, weights=[]).successful
    assert node.parameters.weights == ()


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'low': 0.5, 'high': 0.25}, 'low (0.5) must not exceed high (0.25)'),
        ({'low': 0.5, 'gain': 11.0}, 'gain out of range'),
        ({'low': 0.5, 'high': float('nan')}, 'high: must be finite, got nan'),
        ({'low': 0.5, 'mode': 'other'}, 'mode: must be one of plain, raise, refuse, break; got'),
        ({'low': 0.5, 'gain': 'high'}, 'Wrong parameter type'),
        ({'low': 0.5, 'rate': 5}, 'read-only parameter: rate'),
        ({'low': 0.5, 'gain': 7.0}, 'gain 7 cannot be taken in flight'),
    ],
)
def test_a_bad_set_changes_nothing_and_says_why(
    graph: Any, changes: dict[str, Any], reason: str
) -> None:
    node = _active(graph)
    before = node.parameters
    result = _set_all(graph, **changes)
    assert not result.successful
    assert reason in result.reason
    assert node.parameters is before
    assert node.processor.parameters is before
    assert node.get_parameter('low').value == before.low


def test_setting_one_by_one_takes_the_good_ones(graph: Any) -> None:
    node = _active(graph)
    values = {'gain': 2.0, 'high': -1.0}
    request = SetParameters.Request(
        parameters=[Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
    )
    results = graph.call(SetParameters, 'probe/set_parameters', request).results
    assert [r.successful for r in results] == [True, False]
    assert (node.parameters.gain, node.parameters.high) == (2.0, 1.0)


@pytest.mark.parametrize(
    ('start', 'said'),
    [
        ({'gain': 'abc'}, "parameter gain: expected float, got 'abc'"),
        ({'gain': 20.0}, 'parameter gain: must be at most 10.0, got 20.0'),
        ({'low': 3.0}, 'parameter low (3.0) must not exceed high (1.0)'),
    ],
)
def test_bad_start_values_refuse_configure_until_corrected(
    graph: Any, capfd: pytest.CaptureFixture[str], start: dict[str, Any], said: str
) -> None:
    node = _active(graph, **start)
    assert node.state_label == 'unconfigured'
    output = capfd.readouterr()
    assert said in output.out + output.err

    assert _set_all(graph, gain=2.0, low=0.0).successful
    node.trigger_configure()
    assert node.state_label == 'inactive'
    assert node.processor.parameters.gain == 2.0


def test_unknown_start_value_is_reported(graph: Any) -> None:
    node = _active(graph, gian=2.0)
    row = node.statistics.row('active', node._node_parameters)
    assert row.message == 'unknown parameters gian'


def test_parameter_services_can_be_switched_off(graph: Any) -> None:
    node = _active(graph, start_parameter_services=False)
    names = [service.srv_name for service in node.services]
    assert not any('parameter' in name for name in names)
    assert any('change_state' in name for name in names)
    assert not node._node_parameters.unknown
