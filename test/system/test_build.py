# SPDX-License-Identifier: Apache-2.0
"""The package as users build it: colcon with links, a wheel in an empty environment, from C++.

The message types are compiled once, by colcon; the wheel and the C++ package use that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSUMER = Path(__file__).with_name('cpp_consumer')
PACKAGE = 'meta_repo_ros'

pytestmark = pytest.mark.timeout(600)


def succeed(*command: object, **options: object) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        **{'cwd': '/', **options},
    )
    assert result.returncode == 0, f'{command}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}'
    return result.stdout


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what belongs to the package, so that an edit disturbs nobody."""
    folder = tmp_path_factory.mktemp('workspace') / 'src' / PACKAGE
    left_out = shutil.ignore_patterns('.*', '__pycache__', 'build', 'install', 'log', 'runs')
    shutil.copytree(ROOT, folder, ignore=left_out)
    return folder


@pytest.fixture(scope='module')
def environment() -> dict[str, str]:
    """Of a build: the ROS distribution, or the ROS wheels of this virtual environment."""
    result = dict(os.environ, PATH=f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}')
    if 'ROS_DISTRO' not in os.environ:
        result |= {'AMENT_PREFIX_PATH': sys.prefix, 'CMAKE_PREFIX_PATH': sys.prefix}
    return result


def colcon(workspace: Path, environment: dict[str, str], *options: str) -> None:
    python = f'-DPython3_EXECUTABLE={sys.executable}'
    arguments = ['--cmake-args', '-GNinja', '-DBUILD_TESTING=OFF', python]
    succeed('colcon', 'build', *options, *arguments, cwd=workspace, env=environment)


@pytest.fixture(scope='module')
def workspace(source: Path, environment: dict[str, str]) -> Path:
    folder = source.parents[1]
    colcon(folder, environment, '--symlink-install', '--packages-select', PACKAGE)
    return folder


def in_workspace(workspace: Path, environment: dict[str, str], command: str) -> str:
    """Run a command as after ``. install/setup.bash``."""
    script = f'. {workspace}/install/setup.bash && {command}'
    return succeed('bash', '-c', script, env=environment)


def test_colcon_installs_modules_commands_and_links(
    workspace: Path, source: Path, environment: dict[str, str]
) -> None:
    program = (
        'import meta_repo_ros.core.time as t; from meta_repo_ros.msg import Setpoint;'
        'print(t.__file__, Setpoint(sender="a").sender)'
    )
    before = in_workspace(workspace, environment, f"python3 -c '{program}'")
    assert before.split() == [str(before.split()[0]), 'a']
    assert before.startswith(str(workspace / 'install'))
    module = source / PACKAGE / 'core' / 'time.py'
    module.write_text(f'{module.read_text()}\nraise RuntimeError("edited")\n')
    with pytest.raises(AssertionError, match='edited'):
        in_workspace(workspace, environment, f"python3 -c '{program}'")
    shutil.copy(ROOT / PACKAGE / 'core' / 'time.py', module)
    assert 'meta-repo' in in_workspace(workspace, environment, 'meta-repo --version')
    share = workspace / 'install' / PACKAGE / 'share' / PACKAGE
    assert list(share.glob('launch/*.launch.py'))
    assert list(share.glob('config/*.yaml'))
    container = workspace / 'install' / PACKAGE / 'lib' / PACKAGE / 'container'
    assert 'navigation_fusion' in in_workspace(workspace, environment, f'{container} --list')


def test_cpp_package_uses_our_messages(workspace: Path, environment: dict[str, str]) -> None:
    shutil.copytree(CONSUMER, workspace / 'src' / CONSUMER.name)
    prefix = str(workspace / 'install' / PACKAGE)
    path = os.pathsep.join([prefix, environment.get('CMAKE_PREFIX_PATH', '')])
    search = environment | {'CMAKE_PREFIX_PATH': path}
    colcon(workspace, search, '--packages-select', CONSUMER.name)
    program = workspace / 'install' / CONSUMER.name / 'lib' / CONSUMER.name / 'show_setpoint'
    output = in_workspace(workspace, environment, str(program))
    assert 'source: 20' in output
    assert '- 418.9' in output


def test_wheel_works_in_an_environment_of_its_own(
    workspace: Path, source: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    if 'ROS_DISTRO' in os.environ:
        pytest.skip('with a ROS 2 distribution the package is built by colcon')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    shutil.rmtree(source / 'build', ignore_errors=True)
    compiled = environment | {'META_REPO_ROS_BUILD': str(workspace / 'build' / PACKAGE)}
    options = ['--no-deps', '--no-build-isolation', '--wheel-dir', tmp_path]
    succeed(*pip, 'wheel', *options, source, env=compiled)
    (wheel,) = tmp_path.glob('*.whl')
    assert 'linux_x86_64' in wheel.name

    fresh = tmp_path / 'fresh'
    succeed(sys.executable, '-m', 'venv', '--without-pip', fresh)
    succeed(*pip, '--python', fresh / 'bin' / 'python', 'install', '--no-deps', '--no-index', wheel)
    # The libraries are not installed a second time, but found in this environment.
    (packages,) = fresh.glob('lib/python3*/site-packages')
    libraries = next(path for path in sys.path if path.endswith('site-packages'))
    (packages / 'libraries.pth').write_text(f'import site; site.addsitedir({libraries!r})\n')
    search = f'{fresh / "lib"}{os.pathsep}{os.environ.get("LD_LIBRARY_PATH", "")}'
    path = f'{fresh / "bin"}{os.pathsep}{os.environ["PATH"]}'
    clean = {**os.environ, 'PATH': path, 'LD_LIBRARY_PATH': search}
    output = succeed(fresh / 'bin' / 'meta-repo', 'verify', env=clean)
    assert f'({packages / PACKAGE})' in output
    assert str(fresh / 'lib' / PACKAGE / 'container') in output
    container = succeed(fresh / 'lib' / PACKAGE / 'container', '--list', env=clean)
    assert 'navigation_fusion' in container
    assert list(fresh.glob(f'share/{PACKAGE}/launch/*.launch.py'))
    assert list(fresh.glob(f'share/{PACKAGE}/config/*.yaml'))
