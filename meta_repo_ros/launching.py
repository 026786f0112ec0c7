# SPDX-License-Identifier: Apache-2.0
"""Turns the graph into a launch description; needs the ``launch`` package of a ROS 2 install.

A process becomes one ``ExecuteProcess`` with the command line of :func:`meta_repo_ros.graph.argv`:
the nodes of a process share it, which ``launch_ros.actions.Node`` (one name, one namespace) cannot
say. What an including launch file sets with ``PushRosNamespace``, ``SetParameter`` and ``SetRemap``
is honoured as by that action.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from meta_repo_ros.arguments import ARGUMENTS, Argument
from meta_repo_ros.environment import process_environment
from meta_repo_ros.graph import ProcessSpec, argv, system

COMMON = (
    'vehicles',
    'namespace',
    'use_sim_time',
    'params_file',
    'log_level',
    'autostart',
    'respawn',
)
"""Arguments of every launch file."""
OWN = {
    'simulation': ('scenario',),
    'starnav': ('star_camera', 'scenario'),
    'visualization': ('rviz',),
    'recording': ('bag_path',),
    'supervision': ('profile', 'record', 'scenario', 'starnav', 'star_camera', 'bag'),
}
"""What the launch file of one subsystem takes besides."""


def description(
    subsystems: Collection[str] | None = None,
    *,
    arguments: Collection[str] | None = None,
    required: Collection[str] = (),
) -> LaunchDescription:
    """The launch description of the graph, or of a part of it.

    Args:
        subsystems: as for :func:`meta_repo_ros.graph.system`.
        arguments: names of the arguments that this launch file takes, all by default.
        required: names of arguments that must be given.
    """
    taken = [item for item in ARGUMENTS if arguments is None or item.name in arguments]
    start = partial(_start, subsystems=subsystems, names=[item.name for item in taken])
    declared = [declaration(item, required=item.name in required) for item in taken]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def subsystem(name: str) -> LaunchDescription:
    """The launch description of one subsystem, with the arguments that matter to it."""
    return description((name,), arguments=(*COMMON, *OWN.get(name, ())))


def declaration(argument: Argument, *, required: bool = False) -> DeclareLaunchArgument:
    """The launch declaration of a graph argument."""
    return DeclareLaunchArgument(
        argument.name,
        default_value=None if required else argument.default,
        description=argument.description,
        choices=list(argument.choices) or None,
    )


def action(process: ProcessSpec, context: LaunchContext) -> ExecuteProcess:
    """The launch action that runs ``process``."""
    shutdown = Shutdown(reason=f'{process.name} has ended')
    present = context.environment
    environment = process_environment(present, images=process.images)
    return ExecuteProcess(
        cmd=[*argv(process), *_surroundings(context)],
        name=process.name.replace('/', '.'),
        additional_env={k: v for k, v in environment.items() if present.get(k) != v},
        output='both',
        respawn=process.respawn,
        respawn_delay=process.respawn_delay,
        on_exit=[shutdown] if process.required else None,
    )


def _start(
    context: LaunchContext, *, subsystems: Collection[str] | None, names: Collection[str]
) -> list[LaunchDescriptionEntity]:
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    pushed = context.launch_configurations.get('ros_namespace', '')
    values['namespace'] = f'{pushed}/{values.get("namespace", "")}'
    return [action(process, context) for process in system(values, subsystems)]


def _surroundings(context: LaunchContext) -> list[str]:
    """ROS arguments from ``SetParameter``, ``SetParametersFromFile`` and ``SetRemap`` around us."""
    line: list[str] = []
    for given in context.launch_configurations.get('global_params', ()):
        if isinstance(given, tuple):
            name, value = given
            text = str(value).lower() if isinstance(value, bool) else str(value)
            line += ['-p', f'{name}:={text}']
        else:
            line += ['--params-file', str(given)]
    for source, target in context.launch_configurations.get('ros_remaps', ()):
        line += ['-r', f'{source}:={target}']
    return line
