# SPDX-License-Identifier: Apache-2.0
"""Makes the development environment, and keeps it up to date; started by setup-dev.sh.

Three steps, each done again only when what it is made from has changed or what it made is damaged:
the virtual environment, its packages, and the build of the message types. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
BUILD = ROOT / 'build'
LOG = BUILD / 'setup.log'
STATE = VENV / 'setup-state.json'
PACKAGE = 'meta_repo_ros'


class SetupError(Exception):
    """What is wrong, and what to do about it."""


def say(text: str) -> None:
    print(f'setup: {text}', flush=True)


def ros_distribution() -> str:
    """The sourced ROS 2 distribution, or nothing."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    sourced = [prefix for prefix in prefixes if prefix and Path(prefix) != VENV]
    has_rclpy = any(Path(prefix, 'share', 'rclpy').is_dir() for prefix in sourced)
    return os.environ.get('ROS_DISTRO', '') if has_rclpy else ''


def digest(*paths: Path, also: str = '') -> str:
    """Of the names and contents of files, and of all files in folders."""
    result = hashlib.sha256(also.encode())
    for path in paths:
        files = sorted(path.rglob('*')) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                result.update(f'{file.relative_to(ROOT)}\0'.encode())
                result.update(file.read_bytes())
    return result.hexdigest()


def call(what: str, command: list[object], hint: str, **extra: str) -> None:
    """Run a command with its output in the log; on failure show the end of it and a hint."""
    say(f'{what} ...')
    started = time.monotonic()
    environment = dict(os.environ)
    if not ros_distribution():
        environment.pop('PYTHONPATH', None)
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open('a', encoding='utf-8') as log:
        offset = log.tell()
        log.write(f'$ {" ".join(map(str, command))}\n')
        log.flush()
        result = subprocess.run(
            [str(part) for part in command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment | extra,
            cwd=ROOT,
            check=False,
        )
    if result.returncode:
        output = LOG.read_bytes()[offset:].decode(errors='replace').splitlines()
        shown = [line for line in output if not line.startswith(('WARNING: ', 'Ignoring '))][-15:]
        raise SetupError('\n'.join([f'{what}: failed', *shown, hint, f'all of it: {LOG}']))
    say(f'{what}: done in {time.monotonic() - started:.0f} s')


def check_machine(distribution: str) -> None:
    """Everything that only the user can install, reported at once."""
    if not distribution and (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        raise SetupError(
            'the ROS 2 wheels exist for Linux on x86-64 only\n'
            '  install ROS 2 and source its setup.bash first, then run this again'
        )
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    missing = []
    if not importlib.util.find_spec('ensurepip'):
        missing.append(('the venv module', f'python{version}-venv'))
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        missing.append(('the Python headers', f'python{version}-dev'))
    if not any(shutil.which(name) for name in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        missing.append(('a C++ compiler', 'build-essential'))
    if distribution and not shutil.which('colcon'):
        missing.append(('colcon', 'python3-colcon-common-extensions'))
    if missing:
        things = ' and '.join(thing for thing, _ in missing)
        packages = ' '.join(package for _, package in missing)
        raise SetupError(
            f'missing for {sys.executable}: {things}\n'
            f'  on Debian and Ubuntu: sudo apt install {packages}\n'
            '  or name another Python: PYTHON=/path/to/python3.11 scripts/setup-dev.sh'
        )


def environment_fault(state: dict[str, object], kind: str) -> str:
    """Why the virtual environment must be made anew; empty if it need not."""
    if not PYTHON.exists():
        return 'none yet' if not VENV.exists() else 'its Python is gone'
    config = (VENV / 'pyvenv.cfg').read_text(encoding='utf-8')
    values = dict(line.split(' = ', 1) for line in config.splitlines() if ' = ' in line)
    wanted = [str(part) for part in sys.version_info[:2]]
    if values.get('version', '').split('.')[:2] != wanted:
        return f'it has Python {values.get("version")}, not {".".join(wanted)}'
    if state.get('place', str(VENV)) != str(VENV):
        return f'it was made at {state["place"]}'
    if state.get('kind', kind) != kind:
        return f'it was made for {state["kind"]}'
    return ''


def site_packages() -> Path:
    major, minor = sys.version_info[:2]
    return VENV / 'lib' / f'python{major}.{minor}' / 'site-packages'


def damaged_packages() -> list[Path]:
    """Installed distributions of which a compiled file is missing."""
    result = []
    for record in site_packages().glob('*.dist-info/RECORD'):
        lines = record.read_text(encoding='utf-8').splitlines()
        files = (line.split(',')[0] for line in lines if '.so' in line)
        if not all((site_packages() / file).exists() for file in files):
            result.append(record.parent)
    return result


def distributions() -> list[str]:
    return sorted(path.name for path in site_packages().glob('*.dist-info'))


def install_packages(state: dict[str, object], distribution: str) -> None:
    requirements = ROOT / ('requirements-ros.txt' if distribution else 'requirements.txt')
    fingerprint = digest(requirements)
    recorded = state.get('distributions', [])
    gone = set(recorded if isinstance(recorded, list) else []) - set(distributions())
    damaged = damaged_packages()
    if state.get('packages') == fingerprint and not gone and not damaged:
        say('packages: nothing to do')
        return
    for path in damaged:
        say(f'packages: {path.name} lacks a compiled file and is installed again')
        shutil.rmtree(path)  # pip takes it for absent
    options: list[object] = ['--require-hashes', '--use-pep517']
    if distribution:  # message types of the distribution are compiled against its numpy
        numpy = 'import importlib.metadata as m; print(m.version("numpy"))'
        version = subprocess.run([PYTHON, '-c', numpy], capture_output=True, text=True, check=False)
        constraint = BUILD / 'constraints.txt'
        constraint.parent.mkdir(exist_ok=True)
        constraint.write_text(f'numpy=={version.stdout.strip()}\n' if version.stdout else '')
        options = ['--constraint', constraint]
    call(
        f'packages: installing {requirements.name}',
        [PYTHON, '-m', 'pip', 'install', *options, '-r', requirements],
        '  if no package index was reached, check the network and proxy, and run this again',
    )
    state |= {'packages': fingerprint, 'distributions': distributions()}


def build_fault(state: dict[str, object], fingerprint: str, package: Path, manifest: Path) -> str:
    """Why the build must be done again; empty if it need not."""
    if state.get('build') != fingerprint:
        return 'message types or build files changed' if 'build' in state else 'none yet'
    if not manifest.is_file():
        return 'the list of installed files is gone'
    for line in manifest.read_text(encoding='utf-8').splitlines():
        if not Path(line).exists():
            return f'{line} is gone'
    modules = {path for path in (ROOT / PACKAGE).iterdir() if path.name != '__pycache__'}
    links = {package / module.name for module in modules}
    links |= {path for path in package.iterdir() if path.is_symlink()}
    for link in sorted(links):
        if link.resolve() not in modules:
            return f'{link} does not lead to the source'
    return ''


def build(state: dict[str, object], distribution: str) -> None:
    inputs = [ROOT / name for name in ('CMakeLists.txt', 'package.xml', 'cmake')]
    inputs += [ROOT / name for name in ('msg', 'srv', 'action')]
    packages = str(state.get('packages'))
    fingerprint = digest(*inputs, also=f'{distribution} {packages}')
    folder = BUILD / (PACKAGE if distribution else 'venv')
    manifest = folder / 'install_manifest.txt'
    package = site_packages() / PACKAGE
    if distribution:
        package = ROOT / 'install' / PACKAGE / site_packages().relative_to(VENV) / PACKAGE
    reason = build_fault(state, fingerprint, package, manifest)
    if not reason:
        say('build: nothing to do')
        return
    say(f'build: {reason}')
    before = set(manifest.read_text(encoding='utf-8').split('\n')) if manifest.exists() else set()
    interfaces = [path.name for kind in ('msg', 'srv', 'action') for path in ROOT.glob(f'{kind}/*')]
    recorded = state.get('interfaces', [])
    if set(recorded if isinstance(recorded, list) else []) - set(interfaces):
        shutil.rmtree(folder, ignore_errors=True)  # what a removed file left would be installed
    state['interfaces'] = interfaces
    state.pop('build', None)
    STATE.write_text(json.dumps(state))
    options = [f'-DPython3_EXECUTABLE={PYTHON}', '-DMETA_REPO_ROS_DEVELOP=ON']
    search = f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}'
    hint = '  the lines above say what stopped it; run this again when it is put right'
    if distribution:
        command = ['colcon', 'build', '--packages-select', PACKAGE, '--cmake-args', *options]
        call('build: colcon build (about a minute)', command, hint, PATH=search)
    else:
        where = {'AMENT_PREFIX_PATH': str(VENV), 'CMAKE_PREFIX_PATH': str(VENV)}
        where |= {'VIRTUAL_ENV': str(VENV), 'PATH': search}
        options += ['-DPython3_FIND_VIRTUALENV=ONLY', '-DBUILD_TESTING=OFF', '-GNinja']
        options += [f'-DCMAKE_INSTALL_PREFIX={VENV}']
        configure = ['cmake', '-S', ROOT, '-B', folder, *options]
        call('build: configuring', configure, hint, **where)
        compiling = ['cmake', '--build', folder, '--target', 'install']
        call('build: message types (about half a minute)', compiling, hint, **where)
    for line in before - set(manifest.read_text(encoding='utf-8').split('\n')):
        Path(line).unlink(missing_ok=True)  # of a message type that is no more
    fault = build_fault(state | {'build': fingerprint}, fingerprint, package, manifest)
    if fault:
        raise SetupError(f'build: {fault}, although it was just built\n  see {LOG}')
    state['build'] = fingerprint


def main() -> None:
    distribution = ros_distribution()
    kind = f'ROS 2 {distribution}' if distribution else 'the ROS 2 wheels'
    say(f'{kind}, Python {platform.python_version()} ({sys.executable})')
    state: dict[str, object] = json.loads(STATE.read_text()) if STATE.is_file() else {}
    LOG.unlink(missing_ok=True)
    check_machine(distribution)
    reason = environment_fault(state, kind)
    if reason:
        say(f'environment: {reason}')
        for folder in (VENV, BUILD / 'venv', BUILD / PACKAGE):
            shutil.rmtree(folder, ignore_errors=True)
        state = {}
        options = ['--system-site-packages'] if distribution else []
        command = [sys.executable, '-m', 'venv', *options, VENV]
        call(f'environment: making {VENV}', command, '  see the lines above')
    else:
        say('environment: nothing to do')
    state |= {'place': str(VENV), 'kind': kind}
    try:
        install_packages(state, distribution)
        build(state, distribution)
    finally:
        if VENV.is_dir():
            STATE.write_text(json.dumps(state))
    activate = '. .venv/bin/activate'
    if distribution:
        activate += ' && . install/setup.bash'
    say(f'ready; next: {activate} && meta-repo --help')


if __name__ == '__main__':
    try:
        main()
    except SetupError as error:
        sys.exit(f'setup: {error}')
    except KeyboardInterrupt:
        sys.exit('setup: stopped; run it again to go on')
