# SPDX-License-Identifier: Apache-2.0
"""``meta-repo verify``: shows that the installation works, one line for each thing."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIRED = (
    *('rclpy', 'numpy', 'scipy', 'cv2', 'transforms3d', 'yaml', 'rich', 'matplotlib'),
    *('rosbags', 'mcap', 'jsbsim', 'pymap3d', 'erfa', 'pygeomag', 'pyulog'),
)
OPTIONAL = {
    'launch_ros': 'no `ros2 launch`; `meta-repo up` starts the same graph',
    'tf2_msgs': 'no tf; odometry_to_tf stays off',
    'rosbag2_interfaces': 'the bag player offers its own service types',
}


class VerificationError(Exception):
    """What is wrong, and what to do about it."""


@click.command()
@click.option('--timeout', default=20.0, show_default=True, help='Seconds to wait for DDS.')
def command(timeout: float) -> None:
    """Check versions, imports, entry points and a message over DDS between two processes."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ('python', _python),
        ('package', _package),
        ('interfaces', _interfaces),
        *((name, lambda name=name: _module(name)) for name in REQUIRED),
        *((f'{name} (optional)', lambda name=name: _optional(name)) for name in OPTIONAL),
        ('entry points', _entry_points),
        ('dds', lambda: _round_trip(timeout)),
    ]
    failures = [_passes(name, check) for name, check in checks].count(False)
    if failures:
        click.echo(f'{failures} of {len(checks)} failed; scripts/setup-dev.sh repairs what it can')
        raise SystemExit(1)
    click.echo('everything works')


def _passes(name: str, check: Callable[[], str]) -> bool:
    try:
        click.echo(f'ok    {name}: {check()}')
    except Exception as error:  # noqa: BLE001 - whatever an import raises is a finding
        click.echo(f'FAIL  {name}: {error}')
        return False
    return True


def _python() -> str:
    return f'{platform.python_version()} ({sys.executable})'


def _package() -> str:
    package = importlib.import_module('meta_repo_ros')
    return f'{importlib.metadata.version("meta_repo_ros")} ({Path(str(package.__file__)).parent})'


def _interfaces() -> str:
    messages = importlib.import_module('meta_repo_ros.msg')
    services = importlib.import_module('meta_repo_ros.srv')
    types = [vars(module)[name] for module in (messages, services) for name in dir(module)]
    types = [one for one in types if isinstance(one, type)]
    for one in types:
        one.__import_type_support__()
    return f'{len(types)} types with their type support'


def _module(name: str) -> str:
    module = importlib.import_module(name)
    distribution = importlib.metadata.packages_distributions().get(name, [name])[0]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return str(getattr(module, '__version__', 'version unknown'))


def _optional(name: str) -> str:
    return 'present' if importlib.util.find_spec(name) else f'absent: {OPTIONAL[name]}'


def _entry_points() -> str:
    path = shutil.which('meta-repo')
    if not path:
        raise VerificationError('meta-repo is not in PATH; activate the environment')
    package = importlib.import_module('meta_repo_ros')
    prefix = Path(str(package.__file__)).parents[4]  # of lib/pythonX.Y/site-packages/meta_repo_ros
    container = prefix / 'lib' / 'meta_repo_ros' / 'container'
    if not os.access(container, os.X_OK):
        raise VerificationError(f'{container} is missing or not executable; build again')
    return f'{path}, {container}'


def _round_trip(timeout: float) -> str:
    """Send a setpoint to a second process, which sends it back."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from meta_repo_ros.msg import Setpoint

    topic = f'meta_repo_ros_verify_{os.getpid()}'
    answers: list[Any] = []
    program = f'from meta_repo_ros.commands.verify import answer; answer({topic!r}, {timeout})'
    answering = [sys.executable, '-c', program]
    with (
        rclpy.init(),
        subprocess.Popen(answering, cwd='/') as process,  # noqa: S603 - our own program
    ):
        node = rclpy.create_node('meta_repo_ros_verify')
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            publisher = node.create_publisher(Setpoint, f'{topic}/there', 10)
            node.create_subscription(Setpoint, f'{topic}/back', answers.append, 10)
            started = time.monotonic()
            sent = Setpoint(sender='verify', rotor_speed=[418.9, 419.1], altitude=487.0)
            while not answers:
                waited = time.monotonic() - started
                if waited > timeout:
                    raise VerificationError(
                        f'no answer from the other process in {timeout:.0f} s; is multicast on '
                        'the loopback interface blocked (ROS_AUTOMATIC_DISCOVERY_RANGE, firewall)?'
                    )
                publisher.publish(sent)
                executor.spin_once(timeout_sec=0.1)
        finally:
            process.kill()
            executor.shutdown()
            node.destroy_node()
    if answers[0] != sent:
        raise VerificationError(f'the message came back changed: {answers[0]}')
    return f'{rclpy.get_rmw_implementation_identifier()}, Setpoint there and back unchanged'


def answer(topic: str, timeout: float) -> None:
    """Send back what arrives; run in the second process until it is killed or ``timeout`` (s)."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from meta_repo_ros.msg import Setpoint

    with rclpy.init():
        node = rclpy.create_node('meta_repo_ros_verify_answer')
        publisher = node.create_publisher(Setpoint, f'{topic}/back', 10)
        node.create_subscription(Setpoint, f'{topic}/there', publisher.publish, 10)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.5)
