# SPDX-License-Identifier: Apache-2.0
"""Quickly made messages are those of the constructor, and independent."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry

from meta_repo_ros.core.messages import Template


def test_a_template_gives_what_constructor_and_setters_give() -> None:
    prototype = Odometry(child_frame_id='base_link')
    make = Template(prototype, 'header.stamp.sec', 'pose.pose.position.y', 'twist.covariance')
    expected = Odometry(child_frame_id='base_link')
    expected.header.stamp.sec = 7
    expected.pose.pose.position.y = -2.5
    expected.twist.covariance = np.arange(36.0)
    assert make(7, -2.5, np.arange(36.0)) == expected


@pytest.mark.parametrize('kind', [Odometry, DiagnosticArray])
def test_messages_of_a_template_share_nothing(kind: type) -> None:
    prototype = kind()
    make = Template(prototype)
    first, second = make(), make()
    first.header.stamp.sec = prototype.header.stamp.sec = 3
    if kind is Odometry:
        first.pose.covariance[0] = prototype.pose.covariance[1] = 1.0
    else:
        first.status.append('x')
    assert second == make() == kind()


@pytest.mark.parametrize('name', ['pose.pose', 'pose.pose.position.w', 'header'])
def test_a_template_refuses_what_is_no_plain_field(name: str) -> None:
    with pytest.raises(ValueError, match=f'no plain field {name} in Odometry'):
        Template(Odometry(), name)
