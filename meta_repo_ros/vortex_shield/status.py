# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of vortex_shield: what came, what could not be used and why, what is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meta_repo_ros.core.parameters import warnings_of
from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield import types
from meta_repo_ros.vortex_shield.types import Phase

if TYPE_CHECKING:
    from meta_repo_ros.vortex_shield.processor import VortexShield

Values = dict[str, str | int | float | bool]
_SILENT = 0.5  # s without a block
_SAMPLES = 'rotor_samples'


def rows(node: VortexShield, stamp: int) -> Sequence[Diagnostic]:
    """One row each for streams, flight state, decision, recovery and configuration."""
    return (
        _streams(node, stamp),
        _state(node),
        _decision(node),
        _recovery(node),
        *_configuration(node),
    )


def _streams(node: VortexShield, stamp: int) -> Diagnostic:
    counts, shield = node.shield.intake.counts, node.shield
    malformed = node.refused[_SAMPLES].total()
    failed = shield.failed
    values: Values = {
        'blocks': counts.taken,
        'missing': counts.missing,
        'gaps': counts.gaps,
        'repeated': counts.repeated,
        'late': counts.late,
        'restarts': counts.restarts,
        'refused': counts.refused,
        'malformed': malformed,
        'oldest_sample_age_ms': round(node.age / 1e6, 3),
        'last_problem': node.last_refusal,
        **{f'{kind} channels not used': n for kind, n in failed.items()},
    }
    lost = counts.missing + counts.refused + malformed
    news = lost - node.reported.get('streams', 0)
    node.reported['streams'] = lost
    if not node.received:
        if news:
            return Diagnostic('streams', Level.ERROR, f'no block used: {node.last_refusal}', values)
        return Diagnostic('streams', Level.OK, 'waits for blocks', values)
    silent = (stamp - node.received) / NANOSECONDS
    if silent > _SILENT:
        return Diagnostic('streams', Level.ERROR, f'no block for {silent:.1f} s', values)
    problems = [f'{news} blocks lost or refused since the last report'] if news else []
    problems += [f'{n} {kind} channels not used' for kind, n in failed.items() if n]
    problems += shield.intake.notes
    if problems:
        return Diagnostic('streams', Level.WARN, '; '.join(problems), values)
    return Diagnostic('streams', Level.OK, f'{counts.taken} blocks', values)


def _state(node: VortexShield) -> Diagnostic:
    refused = {f'{t} refused': c.total() for t, c in node.refused.items() if t != _SAMPLES}
    values: Values = dict(refused)
    for topic, counter in node.refused.items():
        values.update({f'{topic}: {reason}': n for reason, n in counter.items()})
    total = sum(refused.values())
    news = total - node.reported.get('state', 0)
    node.reported['state'] = total
    if not node.received:
        level = Level.WARN if news else Level.OK
        return Diagnostic('flight state', level, node.last_refusal if news else 'waits', values)
    note = node.states.note
    if news:
        note = f'{news} messages refused, newest: {node.last_refusal}'
    return Diagnostic('flight state', Level.WARN if note else Level.OK, note or 'known', values)


def _decision(node: VortexShield) -> Diagnostic:
    found = node.shield.detection
    if found is None:
        return Diagnostic('detection', Level.OK, 'no decision yet')
    values: Values = {
        'probability': found.probability,
        'risk': found.risk,
        'evidence': found.evidence,
        'time_to_onset_s': found.time_to_onset,
        'voices': _voices(found.voices),
        'features': ', '.join(found.features),
        'note': found.note,
        'calibration': node.shield.detector.calibration.digest,
    }
    level = Level.WARN if found.level >= types.Level.INCIPIENT else Level.OK
    return Diagnostic('detection', level, found.level.name, values)


def _recovery(node: VortexShield) -> Diagnostic:
    plan = node.shield.plan
    values: Values = {'setpoints': node.setpoints}
    if plan is None or plan.phase is Phase.NONE:
        return Diagnostic('recovery', Level.OK, 'none', values)
    values |= {
        'variant': plan.variant.name,
        'predicted_loss_m': plan.predicted_loss,
        'height_available_m': plan.height_available,
        'height_margin': plan.height_margin,
        'assured': plan.assured,
    }
    alive = plan.phase in (Phase.PREPARE, Phase.EXIT, Phase.CLIMB_OUT)
    return Diagnostic(
        'recovery', Level.WARN if alive else Level.OK, f'{plan.phase.name}: {plan.reason}', values
    )


def _configuration(node: VortexShield) -> Iterator[Diagnostic]:
    for name, reason in warnings_of(node.parameters):
        # `meta-repo validate-config` and strict mode warn; a node that does what it can is at rest
        yield Diagnostic('configuration', Level.OK, f'{name}: {reason}')


def _voices(voices: types.Voice) -> str:
    return ', '.join(v.name.lower() for v in types.Voice if v in voices and v.name)
