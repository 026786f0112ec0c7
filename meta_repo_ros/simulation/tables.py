# SPDX-License-Identifier: Apache-2.0
"""Parameter tables of scenarios, sensors and effects as Markdown, from their declarations.

``python -m meta_repo_ros.simulation.tables docs/simulation.md`` writes them between the marks in
that page; a test compares.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from meta_repo_ros.core.parameters import describe
from meta_repo_ros.simulation.effects import EFFECTS
from meta_repo_ros.simulation.faults import GENERIC, Fault
from meta_repo_ros.simulation.scenario import (
    Header,
    Initial,
    ManoeuvreValues,
    Turbulence,
    Wind,
)
from meta_repo_ros.simulation.sensors import SENSORS, STANDARD

BEGIN, END = '<!-- generated tables -->\n', '<!-- end of generated tables -->'


def tables() -> str:
    """All tables."""
    parts = [
        _table('Top of the file', Header),
        _table('`initial`', Initial),
        _table('`wind`', Wind),
        _table('`turbulence`', Turbulence),
        _table('Each of `manoeuvres`', ManoeuvreValues),
        _table('Each of `faults`', Fault),
    ]
    for name, target in SENSORS.items():
        cls = _load(target)
        standard = 'in every scenario' if name in STANDARD else 'off by default'
        topics = ', '.join(f'`{topic.name}`' for topic in cls.topics)
        kinds = ', '.join(f'`{kind}`' for kind in (*GENERIC, *cls.faults))
        text = f'{topics}, {cls.default_rate:g} Hz, {standard}. Faults: {kinds}.'
        parts.append(_table(f'Sensor `{name}`', cls.Parameters, text))
    for name, target in EFFECTS.items():
        cls = _load(target)
        parts.append(_table(f'Effect `{name}`', cls.Parameters, cls.__doc__.splitlines()[0]))
    return '\n'.join(parts)


def written(page: str) -> str:
    """``page`` with the tables between its marks brought up to date.

    Raises:
        ValueError: the marks are missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'the page has no marks {BEGIN.strip()} and {END}')
    return before + BEGIN + '\n' + tables() + '\n' + END + after


def _load(target: str) -> Any:
    module, _, name = target.partition(':')
    return getattr(importlib.import_module(module), name)


def _table(title: str, cls: type, text: str = '') -> str:
    lines = [f'#### {title}', '']
    if text:
        lines += [text, '']
    specs = describe(cls)
    if specs:
        lines += ['| key | type | default | unit | meaning |', '|---|---|---|---|---|']
    for name, spec in specs.items():
        default = 'required' if spec.required else _value(spec.default)
        unit = spec.unit or ('1' if spec.type is float else '')
        meaning = spec.description.replace('`', "'")
        if spec.choices:
            meaning += ' One of ' + ', '.join(f'`{choice}`' for choice in spec.choices) + '.'
        lines.append(f'| `{name}` | {spec.type_name} | {default} | {unit} | {meaning} |')
    return '\n'.join([*lines, ''])


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return '[' + ', '.join(_value(v) for v in value) + ']'
    if isinstance(value, float):
        return f'{value:g}'
    return str(value) if value != '' else ''


def main(path: str) -> None:
    """Bring the page at ``path`` up to date."""
    page = Path(path)
    page.write_text(written(page.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1])
