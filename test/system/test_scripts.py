# SPDX-License-Identifier: Apache-2.0
"""The set-up script says what is missing and notices what changed; the others start."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / 'scripts'


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )


@pytest.fixture
def setup_dev(tmp_path: Path) -> ModuleType:
    """The set-up program, in a project of its own that has been set up."""
    project = tmp_path / 'project'
    for name in ('scripts', 'msg', 'srv', 'cmake'):
        shutil.copytree(ROOT / name, project / name)
    for name in ('CMakeLists.txt', 'package.xml', 'requirements.txt'):
        shutil.copy(ROOT / name, project / name)
    (project / 'meta_repo_ros' / 'core').mkdir(parents=True)
    spec = importlib.util.spec_from_file_location('setup_dev', project / 'scripts/setup_dev.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Built:
    """A finished build: its record, and what it installed."""

    def __init__(self, setup_dev: ModuleType) -> None:
        self.setup_dev = setup_dev
        self.root: Path = setup_dev.ROOT
        self.package: Path = setup_dev.site_packages() / 'meta_repo_ros'
        self.library = self.root / '.venv' / 'lib' / 'libmeta_repo_ros.so'
        self.manifest = self.root / 'install_manifest.txt'
        self.package.mkdir(parents=True)
        self.library.touch()
        self.manifest.write_text(f'{self.library}\n')
        (self.package / 'core').symlink_to(self.root / 'meta_repo_ros' / 'core')
        self.state = {'build': self.fingerprint()}

    def fingerprint(self) -> str:
        names = ('CMakeLists.txt', 'package.xml', 'cmake', 'msg', 'srv')
        result: str = self.setup_dev.digest(*(self.root / name for name in names))
        return result

    def fault(self) -> str:
        result: str = self.setup_dev.build_fault(
            self.state, self.fingerprint(), self.package, self.manifest
        )
        return result


@pytest.fixture
def built(setup_dev: ModuleType) -> Built:
    return Built(setup_dev)


def test_nothing_to_do_after_a_build(built: Built) -> None:
    assert built.fault() == ''


@pytest.mark.parametrize('name', ['msg/AirData.msg', 'srv/Seek.srv', 'CMakeLists.txt'])
def test_change_is_noticed(built: Built, name: str) -> None:
    path = built.root / name
    path.write_text(path.read_text() + '\n')
    assert 'changed' in built.fault()


def test_new_and_removed_messages_are_noticed(built: Built) -> None:
    (built.root / 'msg' / 'AirData.msg').rename(built.root / 'msg' / 'AirDatum.msg')
    assert 'changed' in built.fault()


def test_deleted_library_is_noticed(built: Built) -> None:
    built.library.unlink()
    assert built.fault() == f'{built.library} is gone'


def test_new_and_removed_modules_are_noticed(built: Built) -> None:
    module = built.root / 'meta_repo_ros' / 'fusion'
    module.mkdir()
    assert 'fusion does not lead to the source' in built.fault()
    (built.package / 'fusion').symlink_to(module)
    assert built.fault() == ''
    module.rmdir()
    assert 'fusion does not lead to the source' in built.fault()


def test_moved_and_foreign_environments_are_made_anew(built: Built) -> None:
    fault = built.setup_dev.environment_fault
    venv = built.setup_dev.VENV
    (venv / 'bin').mkdir()
    (venv / 'bin' / 'python').symlink_to(sys.executable)
    version = '.'.join(map(str, sys.version_info[:3]))
    (venv / 'pyvenv.cfg').write_text(f'home = /usr/bin\nversion = {version}\n')
    state = {'place': str(venv), 'kind': 'the ROS 2 wheels'}
    assert fault(state, 'the ROS 2 wheels') == ''
    assert 'was made at' in fault(state | {'place': '/elsewhere/.venv'}, 'the ROS 2 wheels')
    assert 'was made for' in fault(state, 'ROS 2 jazzy')
    (venv / 'pyvenv.cfg').write_text('home = /usr/bin\nversion = 3.9.2\n')
    assert 'Python 3.9.2' in fault(state, 'the ROS 2 wheels')


def test_package_without_its_compiled_file_is_noticed(built: Built) -> None:
    record = built.setup_dev.site_packages() / 'thing-1.0.dist-info' / 'RECORD'
    record.parent.mkdir()
    record.write_text('thing/core.so,sha256=x,1\nthing/__init__.py,sha256=x,1\n')
    assert built.setup_dev.damaged_packages() == [record.parent]
    (record.parents[1] / 'thing').mkdir()
    (record.parents[1] / 'thing' / 'core.so').touch()
    assert built.setup_dev.damaged_packages() == []


def test_changed_lock_file_is_noticed(
    built: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = built.root / 'requirements.txt'
    state = {'packages': built.setup_dev.digest(lock), 'distributions': []}
    built.setup_dev.install_packages(state, '')
    assert 'nothing to do' in capsys.readouterr().out
    lock.write_text('# nothing but a comment\n')
    installed: list[object] = []
    monkeypatch.setattr(built.setup_dev, 'call', lambda *arguments: installed.append(arguments))
    built.setup_dev.install_packages(state, '')
    assert installed
    assert state['packages'] == built.setup_dev.digest(lock)


def test_failing_step_shows_its_end_and_a_hint(setup_dev: ModuleType) -> None:
    command = [sys.executable, '-c', 'print("no route to the index"); raise SystemExit(1)']
    with pytest.raises(setup_dev.SetupError, match=r'(?s)no route to the index.*check the network'):
        setup_dev.call('installing', command, 'check the network')


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with the commands of every Linux and nothing else."""
    for name in ('bash', 'dirname', 'env'):
        path = shutil.which(name)
        assert path is not None
        (tmp_path / name).symlink_to(path)
    return tmp_path


def test_missing_and_wrong_python_are_said(bare_path: Path) -> None:
    script = SCRIPTS / 'setup-dev.sh'
    result = run(script, PATH=str(bare_path))
    assert result.returncode == 1
    assert 'no Python 3.10 to 3.14' in result.stderr
    assert 'apt install python3' in result.stderr
    wrong = bare_path / 'python3'
    wrong.write_text('#!/bin/sh\nexit 1\n')  # as an old Python ends the version check
    wrong.chmod(0o755)
    result = run(script, PATH=str(bare_path), PYTHON=str(wrong))
    assert result.returncode == 1
    assert f'in PYTHON={wrong}' in result.stderr


def test_missing_compiler_is_said(bare_path: Path, tmp_path: Path) -> None:
    project = tmp_path / 'project'
    shutil.copytree(SCRIPTS, project / 'scripts')
    result = run(project / 'scripts/setup-dev.sh', PATH=str(bare_path), PYTHON=sys.executable)
    assert result.returncode == 1
    assert 'a C++ compiler' in result.stderr
    assert 'apt install' in result.stderr
    assert 'build-essential' in result.stderr


def test_missing_headers_and_venv_module_are_said(
    setup_dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup_dev.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    monkeypatch.setattr(setup_dev.importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(setup_dev.SetupError, match='the venv module and the Python headers'):
        setup_dev.check_machine('')


def test_sourced_ros_is_used(setup_dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = setup_dev.ROOT / 'opt' / 'ros'
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix))
    assert setup_dev.ros_distribution() == '', 'a prefix without rclpy is no ROS 2'
    (prefix / 'share' / 'rclpy').mkdir(parents=True)
    assert setup_dev.ros_distribution() == 'jazzy'


def verify(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return run('meta-repo', 'verify', *options, **{**os.environ, 'PATH': path, **environment})


def test_verification_passes_here() -> None:
    result = verify()
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert all(line.startswith('ok    ') for line in lines[:-1])
    assert lines[-1] == 'everything works'
    assert any('Setpoint there and back unchanged' in line for line in lines)


def test_verification_fails_without_the_other_process() -> None:
    result = verify('--timeout', '1', ROS_AUTOMATIC_DISCOVERY_RANGE='OFF')
    assert result.returncode == 1
    assert 'FAIL  dds: no answer from the other process' in result.stdout
