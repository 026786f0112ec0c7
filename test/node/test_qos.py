# SPDX-License-Identifier: Apache-2.0
"""QoS presets, and what happens where two ends do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from node_probes import INPUT, OUTPUT, Probe
from rclpy.parameter import Parameter
from rclpy.qos import QoSCompatibility, qos_check_compatible
from sensor_msgs.msg import Imu

from meta_repo_ros.ros import qos
from meta_repo_ros.ros.host import ProcessorNode


@pytest.mark.parametrize('name', qos.PRESETS)
def test_every_preset_fits_itself(name: str) -> None:
    compatibility, reason = qos_check_compatible(qos.profile(name), qos.profile(name))
    assert compatibility == QoSCompatibility.OK, reason


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no QoS preset 'FAST'; there are SENSOR, STREAM"):
        qos.profile('FAST')


def test_an_override_of_one_topic_changes_no_preset() -> None:
    overridden = qos.profile('STREAM')
    overridden.depth = 7
    assert qos.profile('STREAM').depth == qos.PRESETS['STREAM'].depth == 200


@pytest.mark.parametrize('offered', [True, False])
def test_incompatible_ends_are_diagnosed(graph: Any, *, offered: bool) -> None:
    node = graph.add(ProcessorNode(Probe))
    node.trigger_configure()
    rows = graph.collect(DiagnosticArray, '/diagnostics')
    if offered:  # we offer volatile, a latched subscription asks for more
        graph.node.create_subscription(Imu, OUTPUT.name, print, qos.profile('LATCHED'))
        said = '/imu/data: a subscription asks for an incompatible durability'
    else:  # we ask for reliable, a best-effort publisher offers less
        graph.node.create_publisher(Imu, INPUT.name, qos.profile('SENSOR'))
        said = '/imu/data_raw: a publisher offers an incompatible reliability'
    graph.spin_until(
        lambda: any(said in s.message for m in rows for s in m.status), f'row saying {said}'
    )


def test_a_parameter_file_can_override_qos(graph: Any) -> None:
    override = Parameter(
        f'qos_overrides./{INPUT.name}.subscription.reliability', value='best_effort'
    )
    node = graph.add(ProcessorNode(Probe, parameter_overrides=[override]))
    node.trigger_configure()
    node.trigger_activate()
    publisher = graph.node.create_publisher(Imu, INPUT.name, qos.profile('SENSOR'))
    graph.spin_until(lambda: publisher.get_subscription_count() == 1, 'matched')
    publisher.publish(Imu())
    graph.spin_until(lambda: node.processor.count == 1, 'message')
    assert not node._node_parameters.unknown
