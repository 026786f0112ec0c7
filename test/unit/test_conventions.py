# SPDX-License-Identifier: Apache-2.0
"""Files agree with each other and with the conventions of ROS 2 packages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

ROOT = Path(__file__).parents[2]
FILES = subprocess.run(
    ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.splitlines()
# imported name: name on PyPI, rosdep key (None: rosdep has none, see requirements-ros.txt)
LIBRARIES = {
    'apsw': ('apsw', None),
    'astropy_iers_data': ('astropy-iers-data', None),
    'click': ('click', 'python3-click'),
    'cv2': ('opencv-python-headless', 'python3-opencv'),
    'erfa': ('pyerfa', None),
    'jsbsim': ('jsbsim', None),
    'matplotlib': ('matplotlib', 'python3-matplotlib'),
    'mcap': ('mcap', None),
    'numpy': ('numpy', 'python3-numpy'),
    'pygeomag': ('pygeomag', None),
    'pymap3d': ('pymap3d', 'python3-pymap3d'),
    'pyulog': ('pyulog', None),
    'rich': ('rich', 'python3-rich'),
    'rosbags': ('rosbags', None),
    'scipy': ('scipy', 'python3-scipy'),
    'yaml': ('pyyaml', 'python3-yaml'),
    'zstandard': ('zstandard', None),
}


def files(*suffixes: str) -> list[Path]:
    if not FILES:
        pytest.skip('not a git checkout')
    return [ROOT / name for name in FILES if name.endswith(suffixes) and (ROOT / name).is_file()]


def requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding='utf-8').splitlines()
    return {re.split(r'[=<>]', line)[0] for line in lines if re.match('[a-z]', line)}


def pins() -> set[str]:
    text = (ROOT / 'requirements.txt').read_text(encoding='utf-8')
    return set(re.findall(r'^([a-z0-9-]+)==', text, re.MULTILINE))


def imported(folder: str) -> set[str]:
    """Top-level names that a folder's modules import when they run."""
    result = set()
    for path in (ROOT / folder).rglob('*.py'):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        checked = [
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING'
            for inner in ast.walk(node)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                result |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node not in checked:
                result.add(node.module.split('.')[0])
    return result - set(sys.stdlib_module_names)


def is_ros(name: str) -> bool:
    return name.startswith(('rclpy', 'launch', 'ament_')) or name.endswith(
        ('_msgs', '_srvs', '_interfaces')
    )


def test_package_xml_is_valid_and_complete() -> None:
    warnings: list[str] = []
    package = parse_package(str(ROOT / 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert package.package_format == 3
    assert package.get_build_type() == 'ament_cmake'
    assert package.member_of_groups[0].name == 'rosidl_interface_packages'
    assert [one.file for one in package.licenses] == ['LICENSE']
    assert (ROOT / 'LICENSE').is_file()


def test_every_import_is_declared() -> None:
    package = parse_package(str(ROOT / 'package.xml'))
    declared = {one.name for one in package.exec_depends}
    names = imported('meta_repo_ros') | imported('launch')
    libraries = {name for name in names if not is_ros(name)} - {'meta_repo_ros', '__future__'}
    assert libraries <= set(LIBRARIES), 'new library: declare it and add it to this table'
    assert {name for name in names if is_ros(name)} <= declared
    for name in libraries:
        on_pypi, key = LIBRARIES[name]
        assert on_pypi in requirements('requirements.in')
        assert key in declared if key else on_pypi in requirements('requirements-ros.txt')
    for name in ('rclpy', 'python3-numpy', 'python3-transforms3d', 'python3-opencv', 'launch'):
        assert name in declared
    assert 'python3-pytest' in {one.name for one in package.test_depends}


def test_lock_pins_what_is_asked_for_with_hashes_and_names_no_host() -> None:
    asked = requirements('requirements.in') | requirements('requirements-dev.in')
    assert asked - {'-r requirements'} <= pins()
    text = (ROOT / 'requirements.txt').read_text(encoding='utf-8')
    for block in re.split(r'\n(?=[a-z])', text)[1:]:
        assert '--hash=sha256:' in block, block.splitlines()[0]
    for name in ('requirements.in', 'requirements-dev.in', 'requirements-ros.txt'):
        text += (ROOT / name).read_text(encoding='utf-8')
    assert not re.search(r'://|--(extra-)?index-url|--find-links', text)


def test_versions_agree() -> None:
    version = parse_package(str(ROOT / 'package.xml')).version
    assert f'version = "{version}"' in (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    changelog = (ROOT / 'CHANGELOG.rst').read_text(encoding='utf-8')
    assert re.search(rf'^{re.escape(version)} \(', changelog, re.MULTILINE)


def test_every_python_file_names_its_licence() -> None:
    for path in files('.py'):
        first = path.read_text(encoding='utf-8').splitlines()[:1]
        assert first == ['# SPDX-License-Identifier: Apache-2.0'], path


def test_scripts_can_be_started() -> None:
    for path in files('.sh', '.ci/run'):
        text = path.read_text(encoding='utf-8')
        assert 'SPDX-License-Identifier: Apache-2.0' in text, path
        assert text.startswith('#!') == os.access(path, os.X_OK), path
        checked = subprocess.run(['bash', '-n', path], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_no_machine_paths() -> None:
    for path in files(
        '.py', '.md', '.rst', '.sh', '.yaml', '.toml', '.xml', '.txt', '.msg', '.srv'
    ):
        if path != Path(__file__):
            text = path.read_text(encoding='utf-8')
            assert not re.search(r'(?<![\w.])/(work|root|home/\w+)/', text), path
