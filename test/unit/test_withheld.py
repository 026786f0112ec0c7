# SPDX-License-Identifier: Apache-2.0
"""Outages withhold what lies in them, and nothing else."""

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from meta_repo_ros.core.processor import Processor, Topic
from meta_repo_ros.replay.withheld import OutagePlan, Withheld

SECOND = 1_000_000_000


class Listener(Processor):
    """Keeps what it is given."""

    name: ClassVar[str] = 'listener'
    Parameters: ClassVar[type] = SimpleNamespace
    inputs: ClassVar[tuple[Topic, ...]] = (
        Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
    )

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.heard: list[tuple[str, int]] = []

    def on_message(self, topic: str, message: Any, stamp: int) -> tuple[()]:
        del stamp
        self.heard.append((topic, message.header.stamp.sec))
        return ()


def test_outages_lie_wholly_between_first_and_last_fix() -> None:
    # the drive of 549 s holds eleven of them, wherever the first one is
    for text, first in (('45:15', 1045), ('45:15:60', 1060)):
        phases = OutagePlan.parse(text).phases(1000 * SECOND, 1549 * SECOND)
        assert len(phases) == 11
        assert phases[0] == (first * SECOND, (first + 15) * SECOND)
        assert phases[-1] == ((first + 450) * SECOND, (first + 465) * SECOND)
    assert OutagePlan.parse('45:15').phases(0, 59 * SECOND) == ()


@pytest.mark.parametrize(
    'text', ['45', 'a:b', '15:45', '45:0', '45:-1', 'inf:15', '1:2:3', '45:15:x', '45:15:-1']
)
def test_senseless_plans_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match='LENGTH'):
        OutagePlan.parse(text)


def test_only_gnss_inside_the_phase_is_withheld() -> None:
    listener = Listener(SimpleNamespace())
    withheld = Withheld(listener, [(10 * SECOND, 20 * SECOND)])
    for topic in ('gnss/fix', 'gnss/velocity', 'imu/data_raw'):
        for sec in (9, 10, 20, 21):
            header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=0))
            # it is the stamp that counts, not the time of receipt
            withheld.on_message(topic, SimpleNamespace(header=header), 15 * SECOND)
    assert [sec for topic, sec in listener.heard if topic == 'gnss/fix'] == [9, 21]
    assert [sec for topic, sec in listener.heard if topic == 'gnss/velocity'] == [9, 21]
    assert [sec for topic, sec in listener.heard if topic == 'imu/data_raw'] == [9, 10, 20, 21]
    assert withheld.withheld == 4
    assert withheld.inputs == Listener.inputs
    assert withheld.name == 'listener'


def test_a_topic_can_be_withheld_altogether() -> None:
    withheld = Withheld(Listener(SimpleNamespace()), topics=['gnss/fix'])
    assert withheld.inputs == ()
    assert Listener.inputs
    assert Withheld(Listener(SimpleNamespace()), topics=['imu/mag']).inputs == Listener.inputs
