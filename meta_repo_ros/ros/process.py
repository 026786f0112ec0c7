# SPDX-License-Identifier: Apache-2.0
"""Makes nodes by name and runs them in this process, in one executor."""

from __future__ import annotations

import contextlib
import difflib
import gc
import importlib
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
_LAST_TURNS = 5


def registry() -> Mapping[str, Any]:
    """All node types by name."""
    graph = importlib.import_module('meta_repo_ros.graph')
    nodes: Mapping[str, Any] = graph.NODES
    return nodes


def without_ros_arguments(arguments: Sequence[str]) -> list[str]:
    """What is left of ``arguments`` without ``--ros-args ...``.

    Raises:
        ValueError: the ROS arguments cannot be parsed, or a parameter file cannot be read.
    """
    try:
        return list(rclpy.utilities.remove_ros_args(['container', *arguments])[1:])
    except (_rclpy.RCLInvalidROSArgsError, _rclpy.UnknownROSArgsError) as error:
        reason, _, _ = str(error).partition(', at /')
        raise ValueError(reason) from None


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
    stop: Sequence[object] = (),
    *,
    autostart: bool = False,
) -> int:
    """Run nodes in this process until ``stop`` is no longer empty; returns the exit code.

    Args:
        factories: make the nodes, each called once.
        arguments: ROS arguments, ``--ros-args ...``.
        stop: filled by a signal handler.
        autostart: configure and activate all of them at once, without a lifecycle manager.
    """
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except (_rclpy.RCLInvalidROSArgsError, _rclpy.UnknownROSArgsError, RCLError) as error:
        return _fail(error)
    executor = DataExecutor()
    nodes: list[ManagedNode] = []
    try:
        for factory in factories:
            if stop:
                return 0
            nodes.append(factory())
            executor.add_node(nodes[-1])
        _start([node for node in nodes if autostart or node.self_starting])
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk it while data flows
        _spin(executor, stop)
    except (ValueError, RCLError) as error:
        return _fail(error)
    except ExternalShutdownException:
        pass
    finally:
        _shut_down(nodes, executor)
        executor.shutdown()
        rclpy.try_shutdown()
        # the middleware removes its shared memory with the last reference to a node's handle
        nodes.clear()
        gc.unfreeze()
        gc.collect()
    return 0


def _fail(error: Exception) -> int:
    print(f'container: {error}', file=sys.stderr)
    return 1


def _spin(executor: DataExecutor, stop: Sequence[object]) -> None:
    while not stop:
        _turn(executor)


def _turn(executor: DataExecutor, timeout: float = 0.1) -> None:
    try:
        executor.spin_once(timeout_sec=timeout)
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


def _shut_down(nodes: Sequence[ManagedNode], executor: DataExecutor) -> None:
    for node in reversed(nodes):
        if node.state_label == 'active':
            node.trigger_deactivate()
    with contextlib.suppress(ExternalShutdownException):
        for _ in range(_LAST_TURNS):  # who waits for the end of a goal is told
            _turn(executor, 0.0)
    for node in reversed(nodes):
        if node.state_label in ('unconfigured', 'inactive', 'active'):
            node.trigger_shutdown()
    for node in reversed(nodes):
        node.destroy_node()
