# SPDX-License-Identifier: Apache-2.0
"""Every field of our interfaces is documented; sources and priorities agree between messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from meta_repo_ros.msg import AttitudeUpdate, PositionUpdate, Setpoint

ROOT = Path(__file__).parents[2]
INTERFACES = sorted(
    [*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv'), *ROOT.glob('action/*.action')]
)
GENERATED_TYPES_AT_MOST = 30


@pytest.mark.parametrize('path', INTERFACES, ids=lambda p: p.name)
def test_every_field_has_a_comment(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith('# '), 'the first line says what the interface is for'
    for number, line in enumerate(lines, 1):
        declaration, _, comment = line.partition('#')
        is_field = declaration.strip() not in ('', '---') and '=' not in declaration.replace(
            '<=', ''
        )
        if is_field:
            assert comment.strip(), f'{path.name}:{number}: {declaration.strip()}: no comment'


def test_interfaces_stay_few() -> None:
    assert len(INTERFACES) <= GENERATED_TYPES_AT_MOST


def test_source_masks_agree() -> None:
    names = [n for n in vars(type(AttitudeUpdate)) if n.startswith('SOURCE_')]
    names = names or [n for n in dir(AttitudeUpdate) if n.startswith('SOURCE_')]
    assert len(names) == 9
    for name in names:
        assert getattr(AttitudeUpdate, name) == getattr(PositionUpdate, name)


def test_priority_is_recovery_traffic_operator_mission() -> None:
    order = (
        Setpoint.SOURCE_RECOVERY,
        Setpoint.SOURCE_TRAFFIC,
        Setpoint.SOURCE_OPERATOR,
        Setpoint.SOURCE_MISSION,
        Setpoint.SOURCE_UNKNOWN,
    )
    assert list(order) == sorted(order, reverse=True)
    assert len(set(order)) == len(order)
