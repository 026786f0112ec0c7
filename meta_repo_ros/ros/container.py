# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process and one executor.

``python -m meta_repo_ros.ros.container NODE [NODE...] [--autostart] --ros-args ...``

NODE is a registered name or ``package.module:Class``.

Ends on SIGINT or SIGTERM: active nodes publish their safe outputs, everything is destroyed, the
exit code is 0. Exit code 2: wrong command line. Exit code 1: a node could not be made.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import gc
import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import rclpy
import rclpy.logging
import rclpy.utilities
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.signals import SignalHandlerOptions

from meta_repo_ros.core.processor import Processor
from meta_repo_ros.ros.executor import DataExecutor
from meta_repo_ros.ros.host import ProcessorNode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meta_repo_ros.ros.node import ManagedNode

RCLError = _rclpy.RCLError


def registry() -> Mapping[str, Any]:
    """All node types by name."""
    graph = importlib.import_module('meta_repo_ros.graph')
    nodes: Mapping[str, Any] = graph.NODES
    return nodes


def make_node(name: str) -> ManagedNode:
    """Make a node in the default context.

    Args:
        name: a registered node's name, or ``package.module:Class`` of any processor or node.

    Raises:
        ValueError: no such node, or it cannot be made here.
    """
    path, node_name = name, None
    if ':' not in name:
        nodes = registry()
        if name not in nodes:
            near = difflib.get_close_matches(name, nodes, n=1)
            hint = f'; did you mean {near[0]!r}?' if near else ''
            raise ValueError(f'unknown node {name!r}{hint} (there are {", ".join(sorted(nodes))})')
        path, node_name = nodes[name].factory, name
    module, _, attribute = path.partition(':')
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f'{name} cannot run here: {error}') from error
    if issubclass(factory, Processor):
        return ProcessorNode(factory, node_name)
    node: ManagedNode = factory(node_name)
    return node


def run(
    factories: Sequence[Callable[[], ManagedNode]],
    arguments: Sequence[str],
    *,
    autostart: bool = False,
) -> int:
    """Run nodes in this process until SIGINT or SIGTERM comes; returns the exit code.

    Args:
        factories: make the nodes, each called once.
        arguments: ROS arguments, ``--ros-args ...``.
        autostart: configure and activate all of them at once, without a lifecycle manager.
    """
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stop.append(received))
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except (_rclpy.RCLInvalidROSArgsError, _rclpy.UnknownROSArgsError, RCLError) as error:
        return _fail(error)
    executor = DataExecutor()
    nodes: list[ManagedNode] = []
    try:
        for factory in factories:
            nodes.append(factory())
            executor.add_node(nodes[-1])
        if autostart:
            _start(nodes)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk it while data flows
        _spin(executor, stop)
    except (ValueError, RCLError) as error:
        return _fail(error)
    except ExternalShutdownException:
        pass
    finally:
        _shut_down(nodes)
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


def _fail(error: Exception) -> int:
    print(f'container: {error}', file=sys.stderr)
    return 1


def _spin(executor: DataExecutor, stop: Sequence[int]) -> None:
    while not stop:
        _turn(executor)


def _turn(executor: DataExecutor) -> None:
    try:
        executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        raise
    except Exception as error:  # noqa: BLE001 (a service's error must not end the process)
        text = f'callback failed: {type(error).__name__}: {error}'
        rclpy.logging.get_logger('container').error(text)


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
    factories = [functools.partial(make_node, name) for name in options.nodes]
    return run(factories, arguments, autostart=options.autostart)


if __name__ == '__main__':
    sys.exit(main())
