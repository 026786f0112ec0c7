# SPDX-License-Identifier: Apache-2.0
"""Attitude: BROAD trials against VQF, star attitude against gyro drift, consistency, cost."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.parameters import parameter_hash
from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.fusion.attitude_filter import AttitudeFilter
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_simulation import attitude_nees, modelled, simulate
from meta_repo_ros.fusion.attitude_state import AttitudeSample, FieldSample, ImuSample
from meta_repo_ros.replay.importers.broad import Trial, read_trial

Array = NDArray[np.float64]

TRIALS = ('02', '18', '28')
PARAMETERS = AttitudeParameters()
TOTAL_BAR, INCLINATION_BAR = 2.08, 0.75  # deg, means over the trials
COST_BAR = 250.0  # microseconds
STAR_SIGMA = math.radians(0.01)
STAR_INTERVAL = 1.0  # s
CONVERGED = 10.0  # s


@dataclass(frozen=True)
class Errors:
    """RMSE over the movement phase, deg."""

    total: float
    heading: float
    inclination: float


def find_trial(number: str, folder: Path | None = None) -> Trial:
    """Read a trial by its number from the recordings."""
    root = Path(__file__).resolve().parents[1]
    data = folder or Path(os.environ.get('META_REPO_DATA', root / '../shared/data'))
    (path,) = (data / 'attitude_broad').glob(f'{number}_*.mat')
    return read_trial(path)


def truth_of(trial: Trial) -> Array:
    """True attitude, w first; NaN where unknown."""
    return np.asarray(trial.attitude[:, [3, 0, 1, 2]], float)


def angle_errors(estimate: Array, truth: Array) -> tuple[Array, Array, Array]:
    """Total, heading and inclination error, rad, as ``calculateRMSE`` of BROAD has them.

    Laidig, Caruso, Cereatti, Seel, BROAD, Data 6(7), 2021, section 4.
    """
    w, x, y, z = np.abs(rot.multiply_array(estimate, rot.conjugate_array(truth))).T
    return (
        2.0 * np.arctan2(np.sqrt(x * x + y * y + z * z), w),
        2.0 * np.arctan2(z, w),
        2.0 * np.arctan2(np.hypot(x, y), np.hypot(w, z)),
    )


def score(estimate: Array, trial: Trial) -> Errors:
    """RMSE over the movement phase, samples without truth left out."""
    parts = angle_errors(estimate[trial.movement], truth_of(trial)[trial.movement])
    return Errors(*(math.degrees(math.sqrt(float(np.nanmean(part**2)))) for part in parts))


def run_filter(
    trial: Trial,
    *,
    rate: Array | None = None,
    force: Array | None = None,
    stars: dict[int, tuple[float, ...]] | None = None,
) -> tuple[Array, Array, Array]:
    """Attitude (n, 4) w first after each sample, gyro bias (n, 3), seconds per update (n,).

    Args:
        trial: the recording.
        rate: rates in place of the gyros', rad/s.
        force: specific force in place of the accelerometers', m/s2.
        stars: star attitudes (body to ENU, w first) by index of the sample.
    """
    model = AttitudeFilter(PARAMETERS)
    covariance = tuple((STAR_SIGMA**2 * np.eye(3)).ravel().tolist())
    estimate, bias = np.empty((len(trial.stamps), 4)), np.empty((len(trial.stamps), 3))
    cost = np.empty(len(trial.stamps))
    rows = zip(
        trial.stamps.tolist(),
        (trial.angular_rate if rate is None else rate).tolist(),
        (trial.specific_force if force is None else force).tolist(),
        trial.magnetic_field.tolist(),
        strict=True,
    )
    for i, (stamp, gyro, acc, field) in enumerate(rows):
        begin = time.perf_counter()
        model.apply(stamp, ImuSample(tuple(gyro), tuple(acc)))
        model.apply(stamp, FieldSample(tuple(field)))
        if stars and i in stars:
            model.apply(stamp, AttitudeSample(rot.normalize(stars[i]), covariance))
        cost[i] = time.perf_counter() - begin
        estimate[i], bias[i] = model.state.orientation, model.state.bias
    return estimate, bias, cost


def run_vqf(trial: Trial) -> tuple[Array, Array]:
    """VQF with its defaults: attitude with and without the magnetic field, (n, 4) each."""
    from vqf import VQF  # noqa: PLC0415

    out = VQF(1.0 / trial.rate).updateBatch(
        np.ascontiguousarray(trial.angular_rate),
        np.ascontiguousarray(trial.specific_force),
        np.ascontiguousarray(trial.magnetic_field * 1e6),
    )
    return out['quat9D'], out['quat6D']


def behind_vqf(trial: Trial, quat6d: Array) -> Array:
    """Our filter with VQF's six-axis attitude in place of gyros and accelerometers."""
    step = rot.multiply_array(rot.conjugate_array(quat6d[:-1]), quat6d[1:])
    rate = rot.log_array(step) * trial.rate
    rate = np.vstack((np.zeros((1, 3)), rate))
    up = np.array((0.0, 0.0, PARAMETERS.gravity))
    force = rot.rotate_array(rot.conjugate_array(quat6d), up)
    return run_filter(trial, rate=rate, force=force)[0]


def broad_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """Own filter, behind VQF, and VQF alone, per trial and their means; and our cost."""
    results: dict[str, list[Errors]] = {'own': [], 'own behind vqf': [], 'vqf 2.1.2 alone': []}
    cost = []
    rows: list[dict[str, Any]] = []
    for number in TRIALS:
        trial = find_trial(number, folder)
        quat9d, quat6d = run_vqf(trial)
        own, _, seconds = run_filter(trial)
        cost.append(seconds)
        estimates = (own, behind_vqf(trial, quat6d), quat9d)
        for name, estimate in zip(results, estimates, strict=True):
            errors = score(estimate, trial)
            results[name].append(errors)
            rows.append({'figure': 'BROAD', 'trial': number, 'filter': name, **_rounded(errors)})
    for name, each in results.items():
        mean = Errors(*(float(np.mean([getattr(e, f) for e in each])) for f in _FIELDS))
        row: dict[str, Any] = {'figure': 'BROAD', 'trial': 'mean', 'filter': name}
        row |= _rounded(mean)
        if name == 'own':
            row |= {
                'bar_total': TOTAL_BAR,
                'bar_inclination': INCLINATION_BAR,
                'met': mean.total <= TOTAL_BAR and mean.inclination <= INCLINATION_BAR,
                'parameters': parameter_hash(PARAMETERS),
            }
        rows.append(row)
    micro = np.concatenate(cost) * 1e6
    median = float(np.median(micro))
    # most samples are strapdown alone; those with covariance and heading are the dear ones
    whole = float(np.median(micro[micro > 4.0 * median]))
    rows.append({
        'figure': 'attitude update', 'median_us': round(median, 1),
        'median_with_covariance_us': round(whole, 1),
        'mean_us': round(float(micro.mean()), 1),
        'p99_us': round(float(np.percentile(micro, 99)), 1),
        'bar_us': COST_BAR, 'met': whole <= COST_BAR,
    })  # fmt: skip
    return rows


_FIELDS = ('total', 'heading', 'inclination')


def _rounded(errors: Errors) -> dict[str, float]:
    return {f'{name}_deg': round(getattr(errors, name), 3) for name in _FIELDS}


def star_row(folder: Path | None = None, seed: int = 1) -> dict[str, Any]:
    """Trial 28 with star attitudes (truth and noise) against the drift of the gyros over 1 s.

    Drift: over each second of the movement phase the gyros, less the bias that the filter *without*
    stars estimates at the start of that second (causal), are integrated from the true attitude; the
    error at the end of the second, RMS over all seconds.
    """
    trial = find_trial('28', folder)
    truth = truth_of(trial)
    known = np.asarray(~np.isnan(truth).any(axis=1))
    every = round(STAR_INTERVAL * trial.rate)
    rng = np.random.default_rng(seed)
    stars = {
        i: rot.multiply(rot.exp((STAR_SIGMA * rng.standard_normal(3)).tolist()), truth[i].tolist())
        for i in range(0, len(truth), every)
        if known[i]
    }
    estimate, _, _ = run_filter(trial, stars=dict(stars))
    errors = score(estimate, trial)
    _, bias, _ = run_filter(trial)
    drift = []
    for begin in range(0, len(truth) - every, every):
        end = begin + every
        if not (trial.movement[begin] and trial.movement[end] and known[begin] and known[end]):
            continue
        steps = rot.exp_array((trial.angular_rate[begin + 1 : end + 1] - bias[begin]) / trial.rate)
        q = rot.normalize(truth[begin].tolist())
        for step in steps.tolist():
            q = rot.multiply(q, step)
        drift.append(rot.angle(q, truth[end].tolist()))
    limit = math.degrees(math.sqrt(float(np.mean(np.square(drift)))))
    return {
        'figure': 'stars at 1 Hz on BROAD 28', **_rounded(errors),
        'gyro_drift_1s_deg': round(limit, 3), 'seconds': len(drift), 'met': errors.total <= limit,
    }  # fmt: skip


def consistency_rows(seeds: int = 50, duration: float = 40.0) -> list[dict[str, Any]]:
    """Mean NEES of the attitude over simulated runs; converged: from 10 s after the start on."""
    parameters = modelled(PARAMETERS)
    rows = []
    interval = 0.5
    for name, star_interval in (('imu and field', 0.0), ('imu, field, stars at 1 Hz', 1.0)):
        nees = np.array(
            [
                attitude_nees(
                    parameters,
                    simulate(parameters, seed, duration, star_interval=star_interval),
                    interval,
                )
                for seed in range(seeds)
            ]
        )
        mean = nees.mean(axis=0)[round(CONVERGED / interval) :]
        low, high = mean_band(3, seeds)
        inside = float(((mean >= low) & (mean <= high)).mean())
        rows.append({
            'figure': f'attitude NEES, {name}', 'seeds': seeds, 'instants': len(mean),
            'mean': round(float(mean.mean()), 3), 'band': [round(low, 2), round(high, 2)],
            'inside': round(inside, 3), 'met': inside >= 0.9,
        })  # fmt: skip
    return rows


def rows(folder: Path | None = None, seeds: int = 50) -> list[dict[str, Any]]:
    """All figures of the attitude filter."""
    return [*broad_rows(folder), star_row(folder), *consistency_rows(seeds)]


if __name__ == '__main__':
    import json

    for line in rows():
        print(json.dumps(line))
