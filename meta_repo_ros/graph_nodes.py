# SPDX-License-Identifier: Apache-2.0
"""Tables of the graph: the nodes that the package ships, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class NodeType:
    """A node that the package ships.

    Attributes:
        name: node name, also the name of its parameter file.
        factory: ``package.module:Class``.
        subsystem: what it belongs to, one of ``SUBSYSTEMS``.
        kind: 'processor' (wrapped by the live host) or 'node' (a lifecycle node itself).
        requires: module without which the node is left out.
        shared: whether one serves all vehicles.
    """

    name: str
    factory: str
    subsystem: str
    kind: str = 'processor'
    requires: str = ''
    shared: bool = False


NODES: Mapping[str, NodeType] = MappingProxyType(
    {
        node.name: node
        for node in (
            NodeType(
                'navigation_fusion',
                'meta_repo_ros.fusion.navigation_processor:NavigationFusion',
                'navigation',
            ),
            NodeType(
                'attitude_fusion',
                'meta_repo_ros.fusion.attitude_processor:AttitudeFusion',
                'navigation',
            ),
            NodeType('starnav', 'meta_repo_ros.starnav.processor:StarNav', 'starnav'),
            NodeType(
                'vortex_shield',
                'meta_repo_ros.vortex_shield.processor:VortexShield',
                'vortex_shield',
            ),
            NodeType(
                'odometry_to_tf',
                'meta_repo_ros.ros.odometry_to_tf:OdometryToTf',
                'visualization',
                kind='node',
                requires='tf2_msgs',
            ),
            NodeType(
                'setpoint_arbiter', 'meta_repo_ros.control.processor:SetpointArbiter', 'control'
            ),
            NodeType(
                'track_visualizer',
                'meta_repo_ros.visualization.processor:TrackVisualizer',
                'visualization',
            ),
            NodeType('star_camera', 'meta_repo_ros.simulation.sky_camera:SkyCamera', 'starnav'),
            NodeType(
                'bag_recorder',
                'meta_repo_ros.ros.bag_recorder:BagRecorder',
                'recording',
                kind='node',
                shared=True,
            ),
            NodeType(
                'flight_simulator',
                'meta_repo_ros.ros.flight_simulator:FlightSimulator',
                'simulation',
                kind='node',
            ),
            NodeType(
                'bag_player',
                'meta_repo_ros.ros.bag_player:BagPlayer',
                'replay',
                kind='node',
                shared=True,
            ),
            NodeType(
                'lifecycle_manager',
                'meta_repo_ros.ros.lifecycle_manager:LifecycleManager',
                'supervision',
                kind='node',
            ),
        )
    }
)
"""All nodes by name. Their order is the order of bring-up: who produces input comes last."""

SUBSYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        'simulation': 'a simulated flight: sensors, ground truth, /clock',
        'replay': 'a bag in place of the sensors, with /clock',
        'navigation': 'navigation and attitude fusion',
        'starnav': 'the star navigator, with the simulated star camera where one is flown',
        'vortex_shield': 'the vortex ring state seen coming, and the way out of it',
        'control': 'the setpoint arbiter',
        'visualization': 'tracks and markers for rviz2, tf where tf2_msgs is installed',
        'supervision': 'the lifecycle manager: ordered bring-up, dead and hung nodes',
        'recording': 'the bag recorder',
    }
)

PROFILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        'stand_alone': ('navigation', 'supervision'),
        'modular': (
            *('navigation', 'starnav', 'vortex_shield', 'control', 'visualization', 'supervision'),
        ),
        'full': (
            *('simulation', 'navigation', 'starnav', 'vortex_shield', 'control', 'visualization'),
            'supervision',
        ),
        'cloud': (
            *('simulation', 'navigation', 'starnav', 'vortex_shield', 'control', 'supervision'),
        ),
        'hybrid': ('navigation', 'starnav', 'vortex_shield', 'control', 'supervision'),
    }
)
"""Subsystems of each profile.

stand_alone: navigation alone, beside a system of the user's own. modular: everything but the
source of sensor data, which drivers give. full: everything, with the simulator. cloud: everything
on a server without a screen. hybrid: the half that flies on board; pictures and records are made
on the ground. ``bag`` puts a bag player in the place of the simulator in any of them. Where there
is no star camera, the star navigator is left out; where there are no rotor samples, Vortex Shield.
"""

PROCESSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        'simulation': ('flight_simulator',),
        'replay': ('bag_player',),
        'navigation': ('navigation_fusion', 'attitude_fusion', 'odometry_to_tf'),
        'starnav': ('starnav', 'star_camera'),  # images pass by reference
        'vortex_shield': ('vortex_shield',),  # 250 blocks a second, and a command within 10 ms
        'control': ('setpoint_arbiter', 'track_visualizer'),
        'supervision': ('lifecycle_manager',),
        'recording': ('bag_recorder',),
    }
)
"""Nodes that share a process, by its name."""

REALTIME = ('vortex_shield',)
"""Processes whose answer is waited for: they ask for real-time priority."""
