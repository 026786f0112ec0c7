# SPDX-License-Identifier: Apache-2.0
"""``pip install .``: the same CMakeLists.txt as colcon's, installed into a wheel.

Everything else about the package (name, version, licence, dependencies) is in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

SOURCE = Path(__file__).resolve().parent
PACKAGE = 'meta_repo_ros'


def ament_prefix() -> Path:
    """Where the ROS wheels lie: this environment, or the one pip builds in."""
    try:
        import ament_package  # noqa: PLC0415
    except ImportError:
        return Path(sys.prefix)
    return Path(ament_package.__file__).resolve().parents[4]


class BuildWithCMake(build_py):
    """Builds and stages with CMake; the stage's parts become the parts of the wheel."""

    def run(self) -> None:
        build = Path(os.environ.get('META_REPO_ROS_BUILD', SOURCE / 'build' / 'wheel'))
        stage = build / 'stage'
        shutil.rmtree(stage, ignore_errors=True)
        prefix = str(ament_prefix())
        configure = [
            *('cmake', '-S', SOURCE, '-B', build, '-G', 'Ninja'),
            f'-DPython3_EXECUTABLE={sys.executable}',
            '-DPython3_FIND_VIRTUALENV=ONLY',
            '-DBUILD_TESTING=OFF',
            '-DMETA_REPO_ROS_DEVELOP=OFF',
            '-DAMENT_CMAKE_SYMLINK_INSTALL=OFF',
            f'-DCMAKE_INSTALL_PREFIX={stage}',
        ]
        environment = os.environ | {'AMENT_PREFIX_PATH': prefix, 'CMAKE_PREFIX_PATH': prefix}
        subprocess.run(configure, check=True, env=environment)
        subprocess.run(['cmake', '--build', build], check=True, env=environment)
        subprocess.run(['cmake', '--install', build], check=True, env=environment)

        (modules,) = stage.glob(f'lib/python3*/site-packages/{PACKAGE}')
        self.copy_tree(str(modules), str(Path(self.build_lib, PACKAGE)))
        shutil.rmtree(modules.parents[1])
        shutil.rmtree(stage / 'bin')  # pip makes the commands
        files: dict[str, list[str]] = {}
        for path in sorted(path for path in stage.rglob('*') if path.is_file()):
            folder = str(path.parent.relative_to(stage))
            files.setdefault(folder, []).append(os.path.relpath(path, SOURCE))
        self.distribution.data_files = list(files.items())


class PlatformDistribution(Distribution):
    """A wheel for this platform and Python: it holds compiled message types."""

    def has_ext_modules(self) -> bool:
        return True


setup(packages=[PACKAGE], cmdclass={'build_py': BuildWithCMake}, distclass=PlatformDistribution)
