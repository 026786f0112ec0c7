# SPDX-License-Identifier: Apache-2.0
"""From one sample block and the flight state to a detection and a plan: the parts in order."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from meta_repo_ros.core.samples import Block
from meta_repo_ros.vortex_shield.detector import DetectionParameters, Detector
from meta_repo_ros.vortex_shield.intake import Action, Intake
from meta_repo_ros.vortex_shield.parameters import VortexShieldParameters
from meta_repo_ros.vortex_shield.recovery import Recovery
from meta_repo_ros.vortex_shield.recovery_parameters import RecoveryParameters
from meta_repo_ros.vortex_shield.types import Detection, FlightState, Phase, RecoveryPlan

ACTIVE = (Phase.PREPARE, Phase.EXIT, Phase.CLIMB_OUT)
"""Phases in which a plan is alive."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of one block.

    Attributes:
        detection: None where the block was not used.
        plan: to be published; None where there is none.
        reason: for people: why the block was not used, or what was wrong with it; '' for nothing.
    """

    detection: Detection | None
    plan: RecoveryPlan | None
    reason: str


class Shield:
    """One flight of one rotorcraft, block by block.

    Args:
        parameters: of the node.
    """

    def __init__(self, parameters: VortexShieldParameters) -> None:
        self.parameters = parameters
        self.rotorcraft = parameters.vehicle.rotorcraft
        self.intake = Intake(
            parameters.vortex_shield.sensors, parameters.streams, strict=parameters.strict
        )
        self.detector = self._make_detector()
        self.recovery = self._make_recovery()
        self.detection: Detection | None = None
        self.plan: RecoveryPlan | None = None

    def _make_detector(self) -> Detector:
        keys = self.parameters.vortex_shield.detection
        wanted = DetectionParameters(
            keys.sensitivity, keys.false_positive_threshold, self.parameters.risk
        )
        return Detector(self.rotorcraft, wanted, health=self.parameters.health)

    def _make_recovery(self) -> Recovery:
        return Recovery(self.rotorcraft, recovery_parameters(self.parameters))

    def reset(self) -> None:
        """Forget the flight; counts stay."""
        self.intake.reset()
        self._begin()
        self.recovery.reset()
        self.plan = None

    def _begin(self) -> None:
        self.detector.reset()
        self.detection = None

    def configure(self, parameters: VortexShieldParameters) -> None:
        """Take a new set of parameters; only what depends on a changed one begins anew."""
        before, self.parameters = self.parameters, parameters
        new, old = parameters.vortex_shield, before.vortex_shield
        same_rules = parameters.streams == before.streams and parameters.strict == before.strict
        if new.sensors != old.sensors or not same_rules:
            counts = self.intake.counts
            self.intake = Intake(new.sensors, parameters.streams, strict=parameters.strict)
            self.intake.counts = counts
        same_judges = parameters.risk == before.risk and parameters.health == before.health
        if new.detection != old.detection or not same_judges:
            self.detector = self._make_detector()
        if recovery_parameters(parameters) != recovery_parameters(before):
            self.recovery = self._make_recovery()

    @property
    def failed(self) -> dict[str, int]:
        """Number of channels that are not used, by kind."""
        health = self.detector.health
        left = {} if health is None else health.left
        return {kind.name.lower(): total - good for kind, (good, total) in left.items()}

    def abort(self, reason: str) -> RecoveryPlan | None:
        """End a plan that is alive; its last form, None where there is none."""
        plan = self.recovery.stand_down(0 if self.plan is None else self.plan.stamp, reason)
        self.recovery.reset()
        if plan is not None and self.plan is not None:
            plan = dataclasses.replace(plan, sequence=self.plan.sequence, oldest=self.plan.oldest)
        self.plan = plan
        return self.plan

    def take(self, block: Block, state: FlightState | None, note: str = '') -> Decision:
        """Take the next block that arrived.

        Args:
            block: checked, in whatever order it came.
            state: flight state at its end; None where it is unknown.
            note: what is missing of the state, for people.
        """
        verdict = self.intake.take(block)
        if verdict.action is Action.DROP:
            return Decision(None, None, verdict.reason)
        if verdict.action is Action.RESTART:
            self._begin()
        parts = (verdict.reason, *self.intake.notes, note)
        text = '; '.join(part for part in parts if part) if any(parts) else ''
        detection = self.detection = self.detector.block(block, state, note=text)
        plan = self.recovery.update(detection, state)
        before, self.plan = self.plan, plan
        alive = plan.phase in ACTIVE
        ended = before is not None and before.phase in ACTIVE and not alive
        return Decision(detection, plan if alive or ended else None, verdict.reason)


def recovery_parameters(parameters: VortexShieldParameters) -> RecoveryParameters:
    """Limits of the users and settings of our own, as the recovery takes them."""
    keys = parameters.vortex_shield.recovery
    return RecoveryParameters(
        keys.max_tilt, keys.max_rotor_speed_change, keys.safety_margin, parameters.recovery
    )
