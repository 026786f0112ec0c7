# SPDX-License-Identifier: Apache-2.0
"""Parameters of vortex_shield: the users' keys, what is refused, what is warned of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from meta_repo_ros.commands import validate_config
from meta_repo_ros.core.parameter_files import check_file, check_text
from meta_repo_ros.core.parameters import (
    ParameterError,
    describe,
    from_mapping,
    updated,
    warnings_of,
)
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.vortex_shield.parameters import VortexShieldParameters

NODES = {'vortex_shield': VortexShieldParameters}
CONFIG = Path(__file__).parents[2] / 'config' / 'vortex_shield.yaml'
RANGE = 'vortex_shield.sensors.acoustic.range'
RATE = 'vortex_shield.sensors.acoustic.sampling_rate'
CUSTOM = {
    'vehicle.name': 'custom', 'vehicle.radius': 5.0, 'vehicle.mass': 1100.0,
    'vehicle.rotor_speed': 42.0, 'vehicle.min_rotor_speed': 38.0, 'vehicle.max_rotor_speed': 45.0,
}  # fmt: skip


def parameters(**changes: Any) -> VortexShieldParameters:
    return updated(VortexShieldParameters(), {k.replace('__', '.'): v for k, v in changes.items()})


def test_the_users_keys_and_values_are_those_of_the_interface_document() -> None:
    defaults = {k: s.default for k, s in describe(VortexShieldParameters).items()}
    users = {k: v for k, v in defaults.items() if k.startswith('vortex_shield.')}
    sensors = {
        'pressure': (1000.0, '16-bit', '0-2000 hPa'),
        'flow': (500.0, '12-bit', '0-100 m/s'),
        'acoustic': (2000.0, '24-bit', '20-20000 Hz'),
    }
    assert users == {
        **{
            f'vortex_shield.sensors.{kind}.{key}': value
            for kind, values in sensors.items()
            for key, value in zip(('sampling_rate', 'resolution', 'range'), values, strict=True)
        },
        'vortex_shield.detection.sensitivity': 0.8,
        'vortex_shield.detection.false_positive_threshold': 0.05,
        'vortex_shield.detection.response_time': 10.0,
        'vortex_shield.recovery.max_pitch_change': 15.0,
        'vortex_shield.recovery.max_rpm_change': 200.0,
        'vortex_shield.recovery.safety_margin': 2.0,
    }


def test_units_are_converted_at_the_edge() -> None:
    keys = VortexShieldParameters().vortex_shield
    assert keys.sensors.pressure.bits == 16
    assert keys.sensors.pressure.limits == (0.0, 200000.0)
    assert keys.sensors.pressure.band == (0.0, 450.0)
    assert keys.sensors.flow.bits == 12
    assert keys.sensors.flow.limits == (0.0, 100.0)
    assert keys.sensors.flow.band == (0.0, 225.0)
    assert keys.sensors.acoustic.bits == 24
    assert keys.detection.response == pytest.approx(0.01)
    assert keys.recovery.max_tilt == pytest.approx(math.pi / 12.0)
    assert keys.recovery.max_rotor_speed_change == pytest.approx(20.943951)


@pytest.mark.parametrize(
    ('text', 'limits'),
    [
        ('300 to 1100 hPa', (3e4, 1.1e5)),
        ('30000..110000 Pa', (3e4, 1.1e5)),
        ('0 - 200kPa', (0.0, 2e5)),
        ('-10-10 hPa', (-1e3, 1e3)),
        ('0-2000', (0.0, 2e5)),
    ],
)
def test_a_range_may_be_written_in_several_ways(text: str, limits: tuple[float, float]) -> None:
    pressure = parameters(vortex_shield__sensors__pressure__range=text)
    assert pressure.vortex_shield.sensors.pressure.limits == pytest.approx(limits)


def test_a_band_above_nyquist_is_warned_of_and_not_used() -> None:
    configured = VortexShieldParameters()
    assert configured.vortex_shield.sensors.acoustic.band == (20.0, 900.0)
    (warning,) = warnings_of(configured)
    assert warning.key == RANGE
    assert 'effective band is 20 to 900 Hz' in warning.reason


def test_strict_mode_refuses_a_band_above_nyquist() -> None:
    with pytest.raises(ParameterError, match=r'acoustic\.range: 20 to 20000 Hz cannot be had'):
        parameters(strict=True)
    for sound in ({RANGE: '20-900 Hz'}, {RATE: 48000.0}):
        assert warnings_of(updated(VortexShieldParameters(), {'strict': True, **sound})) == ()


@pytest.mark.parametrize(
    ('key', 'value', 'reason'),
    [
        ('vortex_shield.detection.sensitivity', 1.2, 'at most 1'),
        ('vortex_shield.detection.sensitivity', -0.1, 'at least 0'),
        ('vortex_shield.detection.false_positive_threshold', -0.05, 'at least'),
        ('vortex_shield.detection.response_time', 2.0, 'oldest sample of a block is 4 ms old'),
        ('streams.block_length', 0.02, 'oldest sample of a block is 20 ms old'),
        ('vortex_shield.recovery.safety_margin', -2.0, 'at least 1'),
        ('vortex_shield.recovery.max_rpm_change', -200.0, 'at least 0'),
        ('vortex_shield.recovery.max_pitch_change', 0.0, 'at least 1'),
        ('vortex_shield.sensors.pressure.resolution', 'fine', 'must be a number of bits'),
        ('vortex_shield.sensors.flow.resolution', '64-bit', '4 to 31 bits'),
        ('vortex_shield.sensors.pressure.range', '2000-0 hPa', 'must rise'),
        ('vortex_shield.sensors.pressure.range', '0-2000 m/s', "unknown unit 'm/s'"),
        ('vortex_shield.sensors.flow.range', 'all', 'must be a range'),
        (RANGE, '1000-20000 Hz', 'must begin between 0 and 900 Hz'),
        ('vortex_shield.sensors.flow.sampling_rate', 50.0, 'at least 250'),
        ('vehicle.name', 'x15', 'must be one of f450, ah1s, custom'),
        ('vehicle.name', 'custom', 'vehicle.radius must be given'),
        ('vehicle.mass', 90000.0, 'no rotorcraft has it'),
        ('vehicle.min_rotor_speed', 800.0, 'does not hold the hover speed'),
        ('vehicle.mass', -1.0, 'at least 0'),
        ('risk.mass_uncertainty', math.nan, 'finite'),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(key: str, value: Any, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        updated(VortexShieldParameters(), {key: value})


def test_the_vehicle_is_a_known_one_with_what_is_given_or_a_custom_one() -> None:
    assert VortexShieldParameters().vehicle.rotorcraft == ROTORCRAFT['f450']
    laden = parameters(vehicle__mass=1.8).vehicle.rotorcraft
    assert (laden.mass, laden.radius) == (1.8, ROTORCRAFT['f450'].radius)
    custom = from_mapping(VortexShieldParameters, CUSTOM).vehicle.rotorcraft
    assert (custom.radius, custom.rotors, custom.blades) == (5.0, 1, 2)
    assert custom.rotor_speed_band == (38.0, 45.0)


def test_the_shipped_file_is_sound_and_warns_of_the_band_in_its_line() -> None:
    (warning,) = check_file(CONFIG, NODES)
    assert warning.warning
    assert 'range' in CONFIG.read_text(encoding='utf-8').splitlines()[warning.line - 1]
    text = CONFIG.read_text(encoding='utf-8')
    strict = check_text(text.replace('strict: false', 'strict: true'), CONFIG, NODES)
    assert [p.warning for p in strict] == [False]
    assert 'strict is set' in strict[0].reason


def test_validate_config_shows_a_warning_and_fails_only_where_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr('meta_repo_ros.graph.NODES', {'vortex_shield': None})
    monkeypatch.setattr('meta_repo_ros.graph.node_class', lambda _: _Node)
    shown = CliRunner().invoke(validate_config.command, [str(CONFIG)])
    assert shown.exit_code == 0
    assert 'warning: vortex_shield: vortex_shield.sensors.acoustic.range' in shown.output
    assert '0 problems in 0, 1 warnings' in shown.output
    assert CliRunner().invoke(validate_config.command, ['--strict', str(CONFIG)]).exit_code == 1


class _Node:
    Parameters = VortexShieldParameters
