# SPDX-License-Identifier: Apache-2.0
"""A ROS domain for a graph of one's own, so that a demonstration disturbs nobody."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

_FIRST_PORT, _PORTS = 7400, 250  # DDSI-RTPS 9.6.2: ports of a domain
_DOMAINS = range(1, 102)  # above, ports reach into Linux's ephemeral range
_locks: dict[int, IO[str]] = {}


def isolate() -> int:
    """Stay on this machine, in a domain that nobody uses, unless the environment says otherwise.

    Sets ``ROS_AUTOMATIC_DISCOVERY_RANGE`` and ``ROS_DOMAIN_ID`` for this process and its children.

    Returns:
        The domain.

    Raises:
        RuntimeError: every domain is in use.
        ValueError: ``ROS_DOMAIN_ID`` is no domain.
    """
    from meta_repo_ros.environment import domain_id

    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if os.environ.get('ROS_DOMAIN_ID', '').strip():
        return domain_id()
    used = used_domains()
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        if domain not in used and _lock(domain):
            os.environ['ROS_DOMAIN_ID'] = str(domain)
            return domain
    raise RuntimeError('every ROS domain is in use on this machine; set ROS_DOMAIN_ID yourself')


def chosen(domain: int) -> bool:
    """Whether :func:`isolate` chose ``domain`` as a free one."""
    return domain in _locks


def used_domains() -> set[int]:
    """Domains of which a process on this machine holds a port."""
    domains = set()
    for name in ('udp', 'udp6'):
        with suppress(OSError):
            rows = Path('/proc/net', name).read_text(encoding='ascii').splitlines()[1:]
            ports = (int(row.split()[1].rsplit(':', 1)[1], 16) for row in rows)
            domains |= {(port - _FIRST_PORT) // _PORTS for port in ports if port >= _FIRST_PORT}
    return domains


def _lock(domain: int) -> bool:
    """Hold ``domain`` until this process ends: two that start at once must not choose the same."""
    path = Path(tempfile.gettempdir()) / f'meta_repo_ros_domain_{domain}.lock'
    try:
        lock = path.open('w', encoding='ascii')
    except OSError:  # of another user
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _locks[domain] = lock
    return True
