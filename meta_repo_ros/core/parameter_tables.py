# SPDX-License-Identifier: Apache-2.0
"""Tables of declared parameters, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from meta_repo_ros.core.parameters import ParameterSpec, Value, describe

_HEAD = """\
# Parameters

Written by `meta-repo validate-config --tables`; do not edit. A parameter file gives them under
`/**/NODE:` and `ros__parameters:`. *Fixed* ones cannot change once the node is configured.
"""


def tables(nodes: Mapping[str, type]) -> str:
    """One section per node.

    Args:
        nodes: parameter dataclasses by node name.
    """
    return '\n'.join([_HEAD, *(_section(name, cls) for name, cls in nodes.items())])


def _section(name: str, cls: type) -> str:
    specs = describe(cls).values()
    rows = [
        f'## {name}\n',
        '| parameter | type | default | unit | allowed | meaning |',
        '|---|---|---|---|---|---|',
        *(_row(spec) for spec in specs),
    ]
    return '\n'.join(rows) + '\n'


def _row(spec: ParameterSpec) -> str:
    fixed = ' *Fixed.*' if spec.read_only else ''
    default = '**must be given**' if spec.default is None else f'`{_value(spec.default)}`'
    cells = (
        f'`{spec.name}`',
        spec.type_name,
        default,
        spec.unit,
        _allowed(spec),
        spec.description + fixed,
    )
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def _allowed(spec: ParameterSpec) -> str:
    if spec.choices:
        return ', '.join(f'`{_value(choice)}`' for choice in spec.choices)
    low, high = spec.minimum, spec.maximum
    if low is not None and high is not None:
        return f'{low:g} to {high:g}'
    if low is not None:
        return f'at least {low:g}'
    return '' if high is None else f'at most {high:g}'


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return '[' + ', '.join(_value(element) for element in value) + ']'
    if isinstance(value, str):
        return value or "''"
    return repr(value)
