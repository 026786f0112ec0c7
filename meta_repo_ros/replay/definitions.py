# SPDX-License-Identifier: Apache-2.0
"""Message definitions: text with all dependencies and type hash, of installed packages and bags."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys import get_typestore as _get_typestore
from rosbags.typesys.store import Typestore

_SEPARATOR = '=' * 80 + '\n'
_KINDS = ('msg', 'srv', 'action')


@dataclass(frozen=True)
class Definition:
    """What a bag holds about a message type.

    Attributes:
        type: full name, such as ``sensor_msgs/msg/Imu``.
        encoding: ``ros2msg``, ``ros2idl``, or '' where the text is unknown.
        text: the definition, followed by those of the types in it.
        hash: REP-2016 type hash ``RIHS01_...``, '' where unknown.
    """

    type: str
    encoding: str = ''
    text: str = ''
    hash: str = ''


def share_directories(package: str) -> Iterable[Path]:
    """Where ``share/<package>`` may be: the sourced prefixes, this Python's, the package's own."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    prefixes.append(Path(sys.prefix))
    try:
        module = importlib.import_module(package)
    except ImportError:
        module = None
    if module is not None and module.__file__:
        # <prefix>/lib/pythonX.Y/site-packages/<package>/__init__.py
        prefixes += Path(os.path.abspath(module.__file__)).parents[4:5]  # noqa: PTH100
    for prefix in prefixes:
        share = prefix / 'share' / package
        if share.is_dir():
            yield share


@functools.cache
def installed(type_name: str) -> Definition | None:
    """The definition of ``type_name`` in the installed packages, None where there is none."""
    text = _own_text(type_name)
    if text is None:
        return None
    parts = [text]
    seen = {type_name}
    waiting = _dependencies(text, type_name)
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        part = _own_text(name)
        if part is None:
            return None
        package, _, short = name.split('/')
        parts.append(f'MSG: {package}/{short}\n{part}')
        waiting = _dependencies(part, name) + waiting
    whole = _SEPARATOR.join(part if part.endswith('\n') else part + '\n' for part in parts)
    return Definition(type_name, 'ros2msg', whole, _installed_hash(type_name) or '')


def _own_text(type_name: str) -> str | None:
    package, kind, name = _split(type_name)
    if kind != 'msg':
        return None
    for share in share_directories(package):
        path = share / kind / f'{name}.msg'
        if path.is_file():
            return path.read_text(encoding='utf-8')
    return None


def _dependencies(text: str, type_name: str) -> list[str]:
    """Types named in ``text``, in order of appearance."""
    parsed = get_types_from_msg(text, type_name)
    _, fields = parsed[type_name]
    names = []
    for _, description in fields:
        element = _element(description)
        if element[0] == Nodetype.NAME:
            names.append(str(element[1]))
    return names


def _installed_hash(type_name: str) -> str | None:
    package, kind, name = _split(type_name)
    for share in share_directories(package):
        path = share / kind / f'{name}.json'
        if path.is_file():
            for entry in json.loads(path.read_text(encoding='utf-8'))['type_hashes']:
                if entry['type_name'] == type_name:
                    return str(entry['hash_string'])
    return None


def _split(type_name: str) -> tuple[str, str, str]:
    words = type_name.split('/')
    if len(words) != 3 or words[1] not in _KINDS or not all(words):
        raise ValueError(f'{type_name!r} is not a message type such as sensor_msgs/msg/Imu')
    return words[0], words[1], words[2]


def parse(definition: Definition) -> dict[str, object]:
    """Parsed types of ``definition``, as rosbags' type store takes them.

    Raises:
        TypesysError: the text is not a definition.
    """
    if definition.encoding == 'ros2msg':
        return dict(get_types_from_msg(definition.text, definition.type))
    if definition.encoding not in {'ros2idl', 'omgidl'}:
        raise TypesysError(f'{definition.type}: the bag holds no definition of this type')
    parsed: dict[str, object] = {}
    if not definition.text.startswith(_SEPARATOR + 'IDL: '):
        return dict(get_types_from_idl(definition.text))
    for section in definition.text.split(_SEPARATOR)[1:]:
        parsed.update(get_types_from_idl(section.partition('\n')[2]))
    return parsed


class Types:
    """Known types, filled from definitions; wraps rosbags' type store."""

    def __init__(self) -> None:
        self.store: Typestore = _get_typestore(Stores.EMPTY)
        self.refused: dict[str, str] = {}
        self._known: set[str] = set()

    def add(self, definition: Definition) -> bool:
        """Make ``definition`` known; False where it cannot be, with the reason in ``refused``."""
        if definition.type in self._known:
            return True
        if definition.type in self.refused:
            return False
        try:
            if definition.type not in self.store.fielddefs:
                self.store.register(parse(definition))  # type: ignore[arg-type]
            self._require(definition.type)
        except (TypesysError, SyntaxError, ValueError, LookupError) as error:
            self.refused[definition.type] = str(error)
            return False
        self._known.add(definition.type)
        return True

    def _require(self, type_name: str) -> None:
        """Raise TypesysError where a type in ``type_name`` is not defined."""
        if type_name not in self.store.fielddefs:
            raise TypesysError(f'{type_name} is not defined')
        for _, description in self.store.fielddefs[type_name][1]:
            element = _element(description)
            if element[0] == Nodetype.NAME:
                self._require(str(element[1]))

    def hash(self, type_name: str) -> str:
        """Type hash computed from the definition."""
        return self.store.hash_rihs01(type_name)


_OURS = Types()


@functools.cache
def ours(type_name: str) -> Types | None:
    """The installed types, with ``type_name`` among them; None where it is not installed."""
    definition = installed(type_name)
    if definition is None or not _OURS.add(definition):
        return None
    return _OURS


def differences(type_name: str, bag: Types) -> tuple[list[str], list[str]]:
    """How the bag's ``type_name`` differs from the installed one.

    Returns:
        What makes it unusable (a field missing in the bag, a field of another type), and what
        does no harm (fields that only the bag has). Both empty where ours is not installed.
    """
    known = ours(type_name)
    if known is None:
        return [], []
    return _compare(type_name, '', bag.store, known.store, set())


def _compare(
    type_name: str, prefix: str, bag: Typestore, own: Typestore, done: set[str]
) -> tuple[list[str], list[str]]:
    if type_name in done or bag.fielddefs[type_name][1] == own.fielddefs[type_name][1] == []:
        return [], []
    done.add(type_name)
    theirs, mine = dict(bag.fielddefs[type_name][1]), dict(own.fielddefs[type_name][1])
    errors = [f'{prefix}{name} is missing in the bag' for name in mine if name not in theirs]
    harmless = [f'{prefix}{name} is only in the bag' for name in theirs if name not in mine]
    for name, inner in mine.items():
        if name not in theirs:
            continue
        if theirs[name] != inner:
            errors.append(
                f'{prefix}{name} is {_spell(theirs[name])} in the bag, {_spell(inner)} here'
            )
            continue
        element = _element(inner)
        if element[0] == Nodetype.NAME:
            more, less = _compare(str(element[1]), f'{prefix}{name}.', bag, own, done)
            errors += more
            harmless += less
    return errors, harmless


def _element(description: Any) -> Any:
    return (
        description[1][0] if description[0] in {Nodetype.ARRAY, Nodetype.SEQUENCE} else description
    )


def _spell(description: Any) -> str:
    kind, what = description
    if kind == Nodetype.NAME:
        return str(what)
    if kind == Nodetype.BASE:
        return str(what[0])
    element, length = what
    return f'{_spell(element)}[{length or ""}]'
