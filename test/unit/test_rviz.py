# SPDX-License-Identifier: Apache-2.0
"""The rviz configuration shows what is published, as it is published."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.graph import NODES, node_class
from meta_repo_ros.ros import qos

TYPES = {
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/Odometry': 'nav_msgs/msg/Odometry',
    'rviz_default_plugins/Path': 'nav_msgs/msg/Path',
}
WITHOUT_TOPIC = ('rviz_default_plugins/Grid', 'rviz_default_plugins/TF')


@pytest.fixture(scope='module')
def manager() -> Any:
    text = (config_directory() / 'rviz' / 'meta_repo_ros.rviz').read_text()
    return yaml.safe_load(text)['Visualization Manager']


@pytest.fixture(scope='module')
def published() -> dict[str, Topic]:
    classes = [node_class(node.name) for node in NODES.values() if node.kind == 'processor']
    return {topic.name: topic for each in classes for topic in each.outputs}


def test_every_topic_is_published_with_its_type(manager: Any, published: Any) -> None:
    shown = [d for d in manager['Displays'] if d['Class'] not in WITHOUT_TOPIC]
    assert len(shown) == 7
    for display in shown:
        topic = published[display['Topic']['Value']]
        assert topic.type == TYPES[display['Class']]


def test_every_subscription_matches_what_is_offered(manager: Any, published: Any) -> None:
    for display in manager['Displays']:
        if 'Topic' in display:
            asked, offered = display['Topic'], qos.profile(published[display['Topic']['Value']].qos)
            reliable = asked['Reliability Policy'] == 'Reliable'
            latched = asked['Durability Policy'] == 'Transient Local'
            assert offered.reliability == ReliabilityPolicy.RELIABLE or not reliable
            # also the other way round: what is latched is wanted by a viewer that comes late
            assert latched == (offered.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def test_it_shows_what_users_expect(manager: Any) -> None:
    classes = [display['Class'].rpartition('/')[2] for display in manager['Displays']]
    assert sorted(set(classes)) == ['Grid', 'Image', 'MarkerArray', 'Odometry', 'Path', 'TF']
    colours = [d['Color'] for d in manager['Displays'] if d['Class'].endswith('/Path')]
    assert len(set(colours)) == 3
    assert manager['Global Options']['Fixed Frame'] == 'odom'
    views = {view['Name']: view['Class'] for view in manager['Views']['Saved']}
    assert set(views) == {'Orbit', 'Top down'}
