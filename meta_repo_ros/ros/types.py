# SPDX-License-Identifier: Apache-2.0
"""Message, service and action classes by their full names."""

from __future__ import annotations

import functools
import importlib
from typing import Any


@functools.cache
def message_class(name: str) -> Any:
    """The generated class of ``package/msg/Type``, ``package/srv/Type`` or ``package/action/Type``.

    Raises:
        ValueError: the name has another form, or the package or the type is not installed.
    """
    try:
        package, kind, type_name = name.split('/')
        return getattr(importlib.import_module(f'{package}.{kind}'), type_name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(f'type {name!r} (package/msg/Type) is not to be had: {error}') from error
