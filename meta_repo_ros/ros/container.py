# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process and one executor.

``python -m meta_repo_ros.ros.container NODE [NODE...] [--autostart] [--realtime] --ros-args ...``

NODE is a registered name or ``package.module:Class``.

Ends on SIGINT or SIGTERM: active nodes publish their safe outputs, everything is destroyed, the
exit code is 0. Exit code 2: wrong command line. Exit code 1: a node could not be made.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    stop: list[int] = []
    loading = True

    def take(received: int, _frame: object) -> None:
        if loading:
            os._exit(0)  # nothing runs yet that would have to be ended well
        stop.append(received)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, take)
    # imported only now: a signal while rclpy loads ends the process without a traceback, too
    process = importlib.import_module('meta_repo_ros.ros.process')
    loading = False
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog='container', description='Run nodes in one process.')
    parser.add_argument(
        'nodes', nargs='*', metavar='NODE', help='registered name, or package.module:Class'
    )
    parser.add_argument('--list', action='store_true', help='print the node names and end')
    parser.add_argument(
        '--autostart', action='store_true', help='configure and activate without a manager'
    )
    parser.add_argument(
        '--realtime', action='store_true', help='ask the kernel for real-time priority'
    )
    try:
        own = process.without_ros_arguments(arguments)
    except ValueError as error:
        parser.error(str(error))
    options = parser.parse_args(own)
    if options.list:
        print('\n'.join(sorted(process.registry())))
        return 0
    if not options.nodes:
        parser.error('name at least one node; --list shows them')
    if len(options.nodes) > 1 and any(a.startswith('__node:=') for a in arguments):
        parser.error('-r __node:= would give all nodes one name; use -r OLD:__node:=NEW')
    if options.realtime:
        refused = importlib.import_module('meta_repo_ros.ros.priority').take_realtime()
        if refused:
            print(f'container: {refused}', file=sys.stderr)
    factories = [functools.partial(process.make_node, name) for name in options.nodes]
    code: int = process.run(factories, arguments, stop, autostart=options.autostart)
    return code


if __name__ == '__main__':
    exit_code = main()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C comes twice: by the terminal and by launch
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    tasks = sys.modules.get('meta_repo_ros.ros.tasks')
    if tasks is not None and tasks.unfinished():
        os._exit(exit_code)  # a task runs on, and Python must not be taken down under it
    sys.exit(exit_code)
