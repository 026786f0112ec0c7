# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process and one executor.

``python -m meta_repo_ros.ros.container NODE [NODE...] [--autostart] --ros-args ...``

Ends on SIGINT or SIGTERM: active nodes publish their safe outputs, everything is destroyed, the
exit code is 0. Exit code 2: wrong command line. Exit code 1: a node could not be made.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import rclpy
import rclpy.utilities
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from meta_repo_ros.ros.host import ProcessorNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meta_repo_ros.ros.node import ManagedNode


def registry() -> Mapping[str, Any]:
    """All node types by name."""
    graph = importlib.import_module('meta_repo_ros.graph')
    nodes: Mapping[str, Any] = graph.NODES
    return nodes


def make_node(name: str) -> ManagedNode:
    """Make the node ``name`` of the registry in the default context.

    Raises:
        ValueError: no such node, or it cannot be made here.
    """
    nodes = registry()
    if name not in nodes:
        near = difflib.get_close_matches(name, nodes, n=1)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        raise ValueError(f'unknown node {name!r}{hint} (there are {", ".join(sorted(nodes))})')
    module, _, attribute = nodes[name].factory.partition(':')
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ValueError(f'{name} cannot run here: {error}') from error
    if nodes[name].kind == 'processor':
        return ProcessorNode(factory, name)
    node: ManagedNode = factory(name)
    return node


def run(names: Sequence[str], arguments: Sequence[str], *, autostart: bool = False) -> int:
    """Run the nodes until a signal comes; returns the exit code.

    Args:
        names: registered node names.
        arguments: ROS arguments, ``--ros-args ...``.
        autostart: configure and activate all of them at once, without a lifecycle manager.
    """
    rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stop.append(received))
    executor = SingleThreadedExecutor()
    nodes: list[ManagedNode] = []
    try:
        for name in names:
            nodes.append(make_node(name))
            executor.add_node(nodes[-1])
        if autostart:
            _start(nodes)
        while not stop:
            executor.spin_once(timeout_sec=0.1)
    except ValueError as error:
        print(f'container: {error}', file=sys.stderr)
        return 1
    except ExternalShutdownException:
        pass
    finally:
        _shut_down(nodes)
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


def _start(nodes: Sequence[ManagedNode]) -> None:
    for node in nodes:
        node.trigger_configure()
        if node.state_label == 'inactive':
            node.trigger_activate()


def _shut_down(nodes: Sequence[ManagedNode]) -> None:
    for node in reversed(nodes):
        if node.state_label in ('unconfigured', 'inactive', 'active'):
            node.trigger_shutdown()
    for node in reversed(nodes):
        node.destroy_node()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own = rclpy.utilities.remove_ros_args(['container', *arguments])[1:]
    parser = argparse.ArgumentParser(prog='container', description='Run nodes in one process.')
    parser.add_argument('nodes', nargs='*', metavar='NODE', help='registered node name')
    parser.add_argument('--list', action='store_true', help='print the node names and end')
    parser.add_argument(
        '--autostart', action='store_true', help='configure and activate without a manager'
    )
    options = parser.parse_args(own)
    if options.list:
        print('\n'.join(sorted(registry())))
        return 0
    if not options.nodes:
        parser.error('name at least one node; --list shows them')
    if len(options.nodes) > 1 and any(a.startswith('__node:=') for a in arguments):
        parser.error('-r __node:= would give all nodes one name; use -r OLD:__node:=NEW')
    return run(options.nodes, arguments, autostart=options.autostart)


if __name__ == '__main__':
    sys.exit(main())
