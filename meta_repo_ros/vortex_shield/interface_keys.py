# SPDX-License-Identifier: Apache-2.0
"""The users' keys of the node vortex_shield, in the users' units; properties give SI units."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.sample_message import USABLE_BAND

_BITS = re.compile(r'(\d{1,2})(?:[- ]?bits?)?')
_NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'
_RANGE = re.compile(rf'\s*({_NUMBER})\s*(?:-|to|\.\.)\s*({_NUMBER})\s*([A-Za-z/]*)\s*')
_UNITS = {
    'Pa': {'Pa': 1.0, 'hPa': 100.0, 'mbar': 100.0, 'kPa': 1000.0},
    'm/s': {'m/s': 1.0},
    'Hz': {'Hz': 1.0, 'kHz': 1000.0},
}
_LEAST_RATE = 250.0  # Hz: one sample in each decision frame of 4 ms
_MOST_RATE = 192000.0  # Hz
RPM = 2.0 * math.pi / 60.0  # rad/s


def bits(text: str) -> int:
    """Resolution of a converter, given as ``16-bit`` or ``16``.

    Raises:
        ValueError: no such text, or bits that no converter of the kind has.
    """
    match = _BITS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'must be a number of bits, such as 16-bit; got {text!r}')
    number = int(match[1])
    if not 4 <= number <= 31:
        raise ValueError(f'must be 4 to 31 bits, got {number}')
    return number


def span(text: str, unit: str, default: str) -> tuple[float, float]:
    """Range given as ``0-2000 hPa``, in the SI unit ``unit``.

    Args:
        text: lower end, ``-`` or ``to``, upper end, unit.
        unit: ``Pa``, ``m/s`` or ``Hz``.
        default: unit where the text has none.

    Raises:
        ValueError: no such text, an unknown unit, or a range that does not rise.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f'must be a range such as 0-2000 {default}; got {text!r}')
    factor = _UNITS[unit].get(match[3] or default)
    if factor is None:
        raise ValueError(f'unknown unit {match[3]!r}, must be one of {", ".join(_UNITS[unit])}')
    low, high = float(match[1]) * factor, float(match[2]) * factor
    if not -math.inf < low < high < math.inf:
        raise ValueError(f'must rise, got {text!r}')
    return low, high


def _checked(key: str, text: str, unit: str, default: str) -> tuple[float, float]:
    try:
        return span(text, unit, default)
    except ValueError as error:
        raise ValueError(f'vortex_shield.sensors.{key}.range {error}') from error


def _checked_bits(key: str, text: str) -> None:
    try:
        bits(text)
    except ValueError as error:
        raise ValueError(f'vortex_shield.sensors.{key}.resolution {error}') from error


@dataclass(frozen=True)
class PressureKeys:
    """Pressure sensors; what a block says of its channels holds, a difference is noted."""

    sampling_rate: float = parameter(
        1000.0, 'Of each channel.', unit='Hz', minimum=_LEAST_RATE, maximum=_MOST_RATE
    )
    resolution: str = parameter('16-bit', 'Of the converter.')
    range: str = parameter('0-2000 hPa', 'Pressure of the least and the greatest count.')

    @property
    def bits(self) -> int:
        """Of the converter."""
        return bits(self.resolution)

    @property
    def limits(self) -> tuple[float, float]:
        """Value of the least and the greatest count, Pa."""
        return span(self.range, 'Pa', 'hPa')

    @property
    def band(self) -> tuple[float, float]:
        """Effective, Hz."""
        return 0.0, USABLE_BAND * self.sampling_rate

    def __post_init__(self) -> None:
        _checked_bits('pressure', self.resolution)
        _checked('pressure', self.range, 'Pa', 'hPa')


@dataclass(frozen=True)
class FlowKeys:
    """Flow sensors; they measure the speed through the disk, without its sign."""

    sampling_rate: float = parameter(
        500.0, 'Of each channel.', unit='Hz', minimum=_LEAST_RATE, maximum=_MOST_RATE
    )
    resolution: str = parameter('12-bit', 'Of the converter.')
    range: str = parameter('0-100 m/s', 'Speed of the least and the greatest count.')

    @property
    def bits(self) -> int:
        """Of the converter."""
        return bits(self.resolution)

    @property
    def limits(self) -> tuple[float, float]:
        """Value of the least and the greatest count, m/s."""
        return span(self.range, 'm/s', 'm/s')

    @property
    def band(self) -> tuple[float, float]:
        """Effective, Hz."""
        return 0.0, USABLE_BAND * self.sampling_rate

    def __post_init__(self) -> None:
        _checked_bits('flow', self.resolution)
        _checked('flow', self.range, 'm/s', 'm/s')


@dataclass(frozen=True)
class AcousticKeys:
    """Microphones; ``range`` is a band of frequencies."""

    sampling_rate: float = parameter(
        2000.0, 'Of each channel.', unit='Hz', minimum=_LEAST_RATE, maximum=_MOST_RATE
    )
    resolution: str = parameter('24-bit', 'Of the converter.')
    range: str = parameter(
        '20-20000 Hz',
        'Band of the transducer. What the sampling rate cannot carry is not used: above 0.45 of '
        'the rate nothing is believed.',
    )

    @property
    def bits(self) -> int:
        """Of the converter."""
        return bits(self.resolution)

    @property
    def claim(self) -> tuple[float, float]:
        """Band of the transducer, Hz."""
        return span(self.range, 'Hz', 'Hz')

    @property
    def band(self) -> tuple[float, float]:
        """Effective, Hz: of the transducer, as far as the rate carries it."""
        low, high = self.claim
        return low, min(high, USABLE_BAND * self.sampling_rate)

    def __post_init__(self) -> None:
        _checked_bits('acoustic', self.resolution)
        low, _ = _checked('acoustic', self.range, 'Hz', 'Hz')
        if not 0.0 <= low < USABLE_BAND * self.sampling_rate:
            raise ValueError(
                f'vortex_shield.sensors.acoustic.range begins at {low:g} Hz; at a sampling_rate '
                f'of {self.sampling_rate:g} Hz it must begin between 0 and '
                f'{USABLE_BAND * self.sampling_rate:g} Hz'
            )


@dataclass(frozen=True)
class SensorKeys:
    """Sensors of the rotor."""

    pressure: PressureKeys = group(PressureKeys)
    flow: FlowKeys = group(FlowKeys)
    acoustic: AcousticKeys = group(AcousticKeys)


@dataclass(frozen=True)
class DetectionKeys:
    """Detection."""

    sensitivity: float = parameter(
        0.8, 'Share of encounters to be found, at least, at the false positive threshold.',
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    false_positive_threshold: float = parameter(
        0.05, 'Share of quiet flight windows in which a single decision may be wrong, at most.',
        minimum=1e-6, maximum=0.5,
    )  # fmt: skip
    response_time: float = parameter(
        10.0, 'From the oldest sample of a block to the command, asked for; the time that a ring '
        'takes to form is not in it.', unit='ms', minimum=0.1, maximum=10000.0,
    )  # fmt: skip

    @property
    def response(self) -> float:
        """Response time, s."""
        return self.response_time * 1e-3


@dataclass(frozen=True)
class RecoveryKeys:
    """Limits of a recovery."""

    max_pitch_change: float = parameter(
        15.0, 'Greatest tilt of the rotor disk in a recovery, in any direction.', unit='deg',
        minimum=1.0, maximum=45.0,
    )  # fmt: skip
    max_rpm_change: float = parameter(
        200.0, "Greatest change of rotor speed; the vehicle's own band limits it further.",
        unit='RPM', minimum=0.0, maximum=10000.0,
    )  # fmt: skip
    safety_margin: float = parameter(
        2.0, 'Height available over height needed from which a recovery is called assured.',
        minimum=1.0, maximum=100.0,
    )  # fmt: skip

    @property
    def max_tilt(self) -> float:
        """Greatest tilt, rad."""
        return math.radians(self.max_pitch_change)

    @property
    def max_rotor_speed_change(self) -> float:
        """Greatest change of rotor speed, rad/s."""
        return self.max_rpm_change * RPM


@dataclass(frozen=True)
class VortexShieldKeys:
    """The users' keys."""

    sensors: SensorKeys = group(SensorKeys)
    detection: DetectionKeys = group(DetectionKeys)
    recovery: RecoveryKeys = group(RecoveryKeys)
