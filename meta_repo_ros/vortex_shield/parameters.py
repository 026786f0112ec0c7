# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node vortex_shield: the users' keys, then our own groups."""

from __future__ import annotations

from dataclasses import dataclass

from meta_repo_ros.core.parameters import ParameterWarning, group, parameter
from meta_repo_ros.vortex_shield.health_rules import HealthParameters
from meta_repo_ros.vortex_shield.intake import StreamParameters
from meta_repo_ros.vortex_shield.interface_keys import VortexShieldKeys
from meta_repo_ros.vortex_shield.recovery_parameters import RecoverySettings
from meta_repo_ros.vortex_shield.risk import RiskParameters
from meta_repo_ros.vortex_shield.vehicle_parameters import VehicleParameters


@dataclass(frozen=True)
class FrameParameters:
    """Frames."""

    body: str = parameter('base_link', 'Body frame.', read_only=True)


@dataclass(frozen=True)
class VortexShieldParameters:
    """All of vortex_shield."""

    vortex_shield: VortexShieldKeys = group(VortexShieldKeys)
    vehicle: VehicleParameters = group(VehicleParameters)
    streams: StreamParameters = group(StreamParameters)
    health: HealthParameters = group(HealthParameters)
    risk: RiskParameters = group(RiskParameters)
    recovery: RecoverySettings = group(RecoverySettings)
    frames: FrameParameters = group(FrameParameters)
    strict: bool = parameter(
        False, 'Refuse a configuration that cannot hold, instead of warning of it.'
    )

    def warnings(self) -> tuple[ParameterWarning, ...]:
        """What is asked for and cannot be had; the node works with what can."""
        acoustic = self.vortex_shield.sensors.acoustic
        low, high = acoustic.claim
        if high <= acoustic.band[1]:
            return ()
        return (
            ParameterWarning(
                'vortex_shield.sensors.acoustic.range',
                f'{low:g} to {high:g} Hz cannot be had at a sampling_rate of '
                f'{acoustic.sampling_rate:g} Hz; the effective band is {low:g} to '
                f'{acoustic.band[1]:g} Hz. Sample at {high / 0.45:.0f} Hz, or ask for less',
            ),
        )

    def __post_init__(self) -> None:
        response = self.vortex_shield.detection.response_time
        block = self.streams.block_length * 1e3
        if response < block:
            raise ValueError(
                f'vortex_shield.detection.response_time is {response:g} ms: the oldest sample of '
                f'a block is {block:g} ms old when the block is sent (streams.block_length); ask '
                'for longer, or send shorter blocks'
            )
        for warning in self.warnings() if self.strict else ():
            raise ValueError(f'{warning}; strict is set')
