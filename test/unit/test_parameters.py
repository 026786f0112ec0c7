# SPDX-License-Identifier: Apache-2.0
"""Parameter dataclasses: declared once, checked as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core.parameters import (
    ParameterError,
    describe,
    from_mapping,
    group,
    parameter,
    to_mapping,
    updated,
)


@dataclass(frozen=True)
class Gate:
    probability: float = parameter(0.99, 'Chi-square gate', minimum=0.5, maximum=0.9999)
    recover: bool = parameter(True, 'Whether rejects inflate the covariance')


@dataclass(frozen=True)
class Example:
    aircraft: str = parameter(description='Aircraft', choices=('c172', 'F450'))
    rate: int = parameter(200, 'IMU rate', unit='Hz', minimum=1, maximum=1000, read_only=True)
    lever_arm: tuple[float, ...] = parameter((0.0, 0.0, 0.0), 'Antenna', unit='m', size=3)
    low: float = parameter(0.0, 'Lower limit')
    high: float = parameter(1.0, 'Upper limit')
    gate: Gate = group(Gate)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f'low ({self.low}) must not exceed high ({self.high})')


GOOD = {'aircraft': 'c172'}


def test_nested_names_are_dotted_and_in_order() -> None:
    assert list(describe(Example)) == [
        'aircraft', 'rate', 'lever_arm', 'low', 'high', 'gate.probability', 'gate.recover',
    ]  # fmt: skip
    assert describe(Example)['lever_arm'].type_name == 'float[3]'
    assert describe(Example)['aircraft'].required


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'gate.probabilty': 0.9}, 'did you mean'),
        ({'rate': 5000}, 'at most 1000'),
        ({'rate': 200.0}, 'expected int'),
        ({'rate': True}, 'expected int'),
        ({'aircraft': 'spitfire'}, 'one of c172, F450'),
        ({'lever_arm': (1.0, 2.0)}, 'expected 3 elements'),
        ({'lever_arm': 'abc'}, 'expected float'),
        ({'high': math.nan}, 'finite'),
        ({'low': 2.0}, 'must not exceed'),
        ({'gate.recover': 1}, 'expected bool'),
    ],
)
def test_bad_values_are_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        from_mapping(Example, {**GOOD, **change})


def test_missing_value_is_named() -> None:
    with pytest.raises(ParameterError, match='aircraft: missing') as error:
        from_mapping(Example, {})
    assert error.value.key == 'aircraft'


def test_update_is_all_or_nothing() -> None:
    before = from_mapping(Example, GOOD)
    after = updated(before, {'low': 2.0, 'high': 3.0})
    assert (after.low, after.high) == (2.0, 3.0)
    with pytest.raises(ParameterError):
        updated(before, {'low': 0.5, 'rate': -1})
    assert before == from_mapping(Example, GOOD)


@given(
    rate=st.integers(1, 1000),
    arm=st.tuples(*[st.floats(-10, 10)] * 3),
    probability=st.floats(0.5, 0.9999),
    recover=st.booleans(),
)
def test_mapping_round_trip(
    rate: int,
    arm: tuple[float, ...],
    probability: float,
    recover: bool,
) -> None:
    values = {
        **GOOD, 'rate': rate, 'lever_arm': arm,
        'gate.probability': probability, 'gate.recover': recover,
    }  # fmt: skip
    instance = from_mapping(Example, values)
    assert from_mapping(Example, to_mapping(instance)) == instance
    assert {k: to_mapping(instance)[k] for k in values} == values
