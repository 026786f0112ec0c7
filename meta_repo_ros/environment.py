# SPDX-License-Identifier: Apache-2.0
"""The environment that the processes of the graph are started with."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from meta_repo_ros.core.installation import config_directory

_WHEELS = 'ros_wheels_bootstrapper'
_MAX_DOMAIN = 232
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_SHARED_MEMORY = Path('/dev/shm')  # noqa: S108 (the place of Fast DDS's segments)
_LEAST_SHARED_MEMORY = 256 << 20


def process_environment(
    base: Mapping[str, str] | None = None, *, images: bool = False
) -> dict[str, str]:
    """Environment of a process of the graph.

    With the PyPI wheels of ROS 2, the libraries' path is set here: without it each Python starts
    twice, since the wheels set it and replace the process.

    Args:
        base: what it starts from, ``os.environ`` by default.
        images: whether the process publishes images: Fast DDS gets ``config/dds/images.xml``,
            unless the user has given it profiles, or there is little shared memory.
    """
    result = dict(os.environ if base is None else base)
    result['PYTHONUNBUFFERED'] = '1'
    result['PYTHONSAFEPATH'] = '1'  # the checkout in the current directory has no message types
    result['RCUTILS_LOGGING_BUFFERED_STREAM'] = '0'
    for library in ('OMP', 'OPENBLAS'):  # the filters' matrices are small: threads only cost
        result.setdefault(f'{library}_NUM_THREADS', '1')
    if images and not any(map(result.get, _PROFILES)) and _much_shared_memory():
        result[_PROFILES[0]] = str(config_directory() / 'dds' / 'images.xml')
    libraries = _wheel_libraries()
    if libraries:
        present = result.get('LD_LIBRARY_PATH', '').split(os.pathsep)
        paths = dict.fromkeys((*libraries, *filter(None, present)))
        result['LD_LIBRARY_PATH'] = os.pathsep.join(paths)
        result['_ROS_WHEELS_BOOTSTRAP_COMPLETE'] = '1'
    return result


def _much_shared_memory() -> bool:
    try:
        return shutil.disk_usage(_SHARED_MEMORY).free >= _LEAST_SHARED_MEMORY
    except OSError:
        return False


def domain_id(environment: Mapping[str, str] | None = None) -> int:
    """``ROS_DOMAIN_ID``, 0 by default.

    Raises:
        ValueError: not a number from 0 to 232.
    """
    text = (os.environ if environment is None else environment).get('ROS_DOMAIN_ID', '').strip()
    if not text:
        return 0
    if not text.isdecimal() or int(text) > _MAX_DOMAIN:
        raise ValueError(f'ROS_DOMAIN_ID must be a number from 0 to {_MAX_DOMAIN}; it is {text!r}')
    return int(text)


def _wheel_libraries() -> list[str]:
    spec = importlib.util.find_spec(_WHEELS)
    if spec is None or spec.origin is None:
        return []
    packages = Path(spec.origin).parents[1]
    # site-packages stands in PREFIX/lib/pythonX.Y, the libraries in PREFIX/lib
    return [str(packages.parents[1]), *map(str, sorted(packages.glob('ros_*.libs')))]
