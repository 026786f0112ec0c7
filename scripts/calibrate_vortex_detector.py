# SPDX-License-Identifier: Apache-2.0
"""Learn the numbers of the vortex ring detector from generated flights, and write them.

    python scripts/calibrate_vortex_detector.py [--flights N] [--jobs N] [--output FILE]

Seeds are fixed: 20,000 on for learning, 30,000 on for the figures that are printed; both below
the seeds that are held out for judging. The same seeds give the same numbers; the file carries
their digest, and that of the flights they come from.

What is learnt: the usual quiet level of each feature, the weight of each (never negative: more of
a sign is never less of a ring), the weight of the risk, and the curves on which sensitivity and
false_positive_threshold choose the threshold. What is not learnt are the bounds: how much any kind
of sensor, and all of them, may say against or for what the descent state says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, optimize

from meta_repo_ros.core.samples import Array
from meta_repo_ros.simulation.wake.episodes import episode
from meta_repo_ros.simulation.wake.paths import ENCOUNTERS, MANOEUVRES
from meta_repo_ros.vortex_shield import evaluation
from meta_repo_ros.vortex_shield.calibration import FILE, Calibration, Curve, load, save
from meta_repo_ros.vortex_shield.detector import Detector
from meta_repo_ros.vortex_shield.evidence import KIND_OF, NAMES, Evidence, EvidenceRows
from meta_repo_ros.vortex_shield.features import KINDS, FeatureRows
from meta_repo_ros.vortex_shield.levels import persistence

LEARN, JUDGE = 20_000, 30_000
DURATION = 60.0  # s
STEP = 25  # frames between two rows that are learnt from
SETTLED = 500  # frames at the beginning that are not
WINDOW = 5.0  # s, in which a ring is to be found, or nothing
BOUNDS = {
    'feature_bounds': (-2.0, 4.0),
    'kind_bounds': (-2.0, 3.0),
    'evidence_bounds': (-3.0, 4.5),
    'risk_bound': 6.0,
}
LEAST_SPREAD = 0.5  # of a quiet level's logarithm: vehicles and wakes differ more than one flight
CALM = 0.1
SHRINK = 0.02  # of weights
PROOF, DOUBT = 0.3, -0.5  # evidence; likelihood ratios of 1.3 for, of 1.6 against


@dataclass(frozen=True)
class Flight:
    """One flight, measured."""

    kind: str
    seed: int
    rows: FeatureRows
    risk: Array
    truth: Any
    unit: float
    rise: tuple[int, int]


def flight(job: tuple[str, int]) -> Flight:
    """Fly and measure one."""
    kind, seed = job
    recording = episode(kind, None, seed, DURATION)
    craft = recording.extra['vehicle']
    (rows, risk), = Detector(craft).measure(recording)  # fmt: skip
    truth = evaluation.truth_at(rows.end * 1e-9, recording.truth_time, recording.truth_level)
    times = persistence(craft)
    return Flight(
        kind, seed, rows, risk, truth, recording.extra['time_unit'], (times.rise, times.rise_of)
    )


def fly(first: int, count: int, jobs: int) -> list[Flight]:
    """Flights of every kind, twice as many with a ring."""
    todo = [
        (kind, first + 100 * i + j)
        for i, kind in enumerate(MANOEUVRES)
        for j in range(count * (2 if kind in ENCOUNTERS else 1))
    ]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(flight, todo, chunksize=4))


def quiet_levels(flights: Sequence[Flight]) -> dict[str, tuple[float, float]]:
    """Mean and spread of each feature where the descent state is far from the boundary.

    The spread is that within a flight, as the level is learnt in flight.
    """
    base = load_any()
    columns: list[list[tuple[float, float]]] = [[] for _ in NAMES]
    for one in flights:
        calm = one.risk[:, 1] < CALM
        at = np.arange(1000, len(calm), STEP)
        at = at[calm[at]]
        if len(at) < 50:
            continue
        standard = measured(one, replace(base, feature_bounds=(-1e6, 1e6))).standard[at, -1]
        mean, spread = base.quiet[NAMES[-1]]
        values = np.column_stack((one.rows.energy[at], mean + spread * standard))
        for column, x in zip(columns, values.T, strict=True):
            x = x[np.isfinite(x)]  # noqa: PLW2901
            if len(x):
                column.append((float(x.mean()), float(x.std())))
    result = {}
    for name, column in zip(NAMES, columns, strict=True):
        level, spread = np.array(column).T
        # a spread that most flights keep
        result[name] = (
            round(float(np.mean(level)), 3),
            round(max(float(np.quantile(spread, 0.8)), LEAST_SPREAD), 3),
        )
    return result


def load_any() -> Calibration:
    """The calibration that is there, for its form; every number of it is replaced."""
    return load()


def measured(one: Flight, calibration: Calibration) -> EvidenceRows:
    """Evidence of a flight, quiet learnt as in flight."""
    margin = one.risk[:, 1]
    return Evidence(calibration).push(one.rows, margin < CALM, np.isnan(margin))


@dataclass(frozen=True)
class Rows:
    """Rows that are learnt from."""

    standard: Array
    odds: Array
    ring: Any
    weight: Array


def rows_of(flights: Sequence[Flight], calibration: Calibration) -> Rows:
    """Standard scores, log odds of the risk and truth, a row every 0.1 s."""
    standard, odds, ring, weight = [], [], [], []
    for one in flights:
        at = np.arange(SETTLED, len(one.truth), STEP)
        scores = measured(one, calibration).standard[at]
        standard.append(scores)
        odds.append(log_odds(one.risk[at, 0], calibration.risk_bound))
        truth = one.truth[at]
        ring.append(truth >= evaluation.INCIPIENT)
        # near a ring nobody is wrong who warns
        weight.append(np.where(truth == evaluation.MARGIN, 0.3, 1.0))
    return Rows(*(np.concatenate(x) for x in (standard, odds, ring, weight)))


def log_odds(p: Array, bound: float) -> Array:
    p = np.clip(p.astype(np.float64), 1e-9, 1.0 - 1e-9)
    return np.clip(np.log(p / (1.0 - p)), -bound, bound)


def fit(rows: Rows, calibration: Calibration, seed: int) -> Calibration:
    """Weights by maximum likelihood, none negative, with the bounds in force.

    So that it does not lean on what the generator happens to show, half of the rows are taken with
    one kind of sensor weak or silent.
    """
    rng = np.random.default_rng(seed)
    z = np.nan_to_num(rows.standard, nan=0.0)
    gain = np.ones((len(z), len(KINDS)))
    weak = rng.random(len(z)) < 0.5
    gain[weak, rng.integers(len(KINDS), size=int(weak.sum()))] = rng.choice(
        (0.0, 0.3, 0.6), size=int(weak.sum())
    )
    kinds = np.array(KIND_OF)
    z = z * gain[:, kinds]
    member = np.zeros((len(NAMES), len(KINDS)))
    member[np.arange(len(NAMES)), kinds] = 1.0
    share = rows.weight / np.where(rows.ring, rows.weight[rows.ring].sum(),
                                   rows.weight[~rows.ring].sum())  # fmt: skip
    prior = rows.weight[rows.ring].sum() / rows.weight.sum()
    share = np.where(rows.ring, prior, 1.0 - prior) * share
    low, high = calibration.kind_bounds
    least, most = calibration.evidence_bounds

    def loss(x: Array) -> tuple[float, Array]:
        w, risk_weight, bias = x[: len(NAMES)], x[-2], x[-1]
        sums = z @ (member * w[:, np.newaxis])
        bounded = np.clip(sums, low, high)
        total = bounded.sum(axis=1)
        score = bias + risk_weight * rows.odds + np.clip(total, least, most)
        sign = np.where(rows.ring, 1.0, -1.0)
        value = float(share @ np.logaddexp(0.0, -sign * score)) + SHRINK * float(w @ w)
        slope = -share * sign / (1.0 + np.exp(sign * score))
        open_total = slope * ((total > least) & (total < most))
        open_kind = open_total[:, np.newaxis] * ((sums > low) & (sums < high))
        grad = np.einsum('nf,nf->f', z, open_kind @ member.T) + 2.0 * SHRINK * w
        return value, np.concatenate((grad, [slope @ rows.odds, slope.sum()]))

    start = np.concatenate((np.full(len(NAMES), 0.2), [0.7, -1.0]))
    limits = [(0.0, 1.0)] * len(NAMES) + [(0.3, 1.5), (-6.0, 6.0)]
    found = optimize.minimize(loss, start, jac=True, method='L-BFGS-B', bounds=limits).x
    weights = {n: round(float(w), 4) for n, w in zip(NAMES, found, strict=False)}
    with_weights = replace(
        calibration, weights=weights, risk_weight=round(float(found[-2]), 4),
        bias=round(float(found[-1]), 4),
    )  # fmt: skip
    total = np.clip(
        np.clip(np.nan_to_num(rows.standard) @ (member * found[: len(NAMES), np.newaxis]), low,
                high).sum(axis=1), least, most,
    )  # fmt: skip
    sign = np.where(rows.ring, 1.0, -1.0)

    def alone(x: Array) -> float:
        return float(share @ np.logaddexp(0.0, -sign * (x[1] + x[0] * total)))

    slope, offset = optimize.minimize(alone, (1.0, -1.0), method='L-BFGS-B',
                                      bounds=[(0.1, 4.0), (-8.0, 4.0)]).x  # fmt: skip
    return replace(
        with_weights, evidence_weight=round(float(slope), 4), evidence_bias=round(float(offset), 4)
    )


def scores(one: Flight, calibration: Calibration) -> tuple[Array, Array]:
    """Score of both voices and of evidence alone, each frame."""
    c = calibration
    total = np.nan_to_num(measured(one, c).total)
    both = c.bias + c.risk_weight * log_odds(one.risk[:, 0], c.risk_bound) + total
    return both, c.evidence_bias + c.evidence_weight * total


def curves(flights: Sequence[Flight], calibration: Calibration) -> tuple[Curve, Curve]:
    """Share of windows, with a ring and quiet, in which m of n frames reach a score."""
    found: list[tuple[list[float], list[float]]] = [([], []), ([], [])]
    for one in flights:
        m, n = one.rise
        size = round(WINDOW * 250.0)
        for score, (ring, quiet) in zip(scores(one, calibration), found, strict=True):
            # the score that m of the last n frames reach
            held = ndimage.rank_filter(score, n - m, size=n, origin=(n - 1) // 2)
            for start in range(SETTLED, len(score) - size + 1, size):
                part = slice(start, start + size)
                truth = one.truth[part]
                if (truth >= evaluation.INCIPIENT).mean() >= 0.5:
                    ring.append(float(held[part].max()))
                elif (truth < evaluation.MARGIN).all():
                    quiet.append(float(held[part].max()))
    return tuple(curve(ring, quiet) for ring, quiet in found)  # type: ignore[return-value]


def curve(ring: Sequence[float], quiet: Sequence[float]) -> Curve:
    """Shares at scores that lie close where they change."""
    grid = np.unique(np.round(np.quantile(np.concatenate((ring, quiet)), np.linspace(0, 1, 81)), 4))
    above = [
        np.array([(np.array(x) >= s).mean() for s in grid]) for x in (ring, quiet)
    ]  # fmt: skip
    return Curve(tuple(grid.tolist()), *(tuple(np.round(x, 5).tolist()) for x in above))


def probability(flights: Sequence[Flight], c: Calibration) -> tuple[tuple[float, ...], ...]:
    """Isotonic share of ring over the score, as knots."""
    score = np.concatenate([scores(f, c)[0][SETTLED::STEP] for f in flights])
    ring = np.concatenate([f.truth[SETTLED::STEP] >= evaluation.INCIPIENT for f in flights])
    order = np.argsort(score, kind='stable')
    level = optimize.isotonic_regression(ring[order].astype(float)).x
    # knots at equal steps of the score, never quite 0 or 1
    knots = np.linspace(*np.quantile(score, (0.0, 1.0)), 41)
    at = np.interp(knots, score[order], ndimage.uniform_filter1d(level, 401))
    at = np.clip(np.maximum.accumulate(at), 1e-3, 1.0 - 1e-3)
    at += 1e-6 * np.arange(len(at))  # strictly rising, so that areas under a curve see the score
    return (
        tuple(np.round(knots, 4).tolist()),
        tuple(np.round(np.minimum(at, 0.99999), 6).tolist()),
    )


def calibrate(flights: Sequence[Flight]) -> Calibration:
    """All of it."""
    base = replace(load_any(), **BOUNDS, proof=PROOF, doubt=DOUBT)
    base = replace(base, quiet=quiet_levels(flights))
    result = fit(rows_of(flights, base), base, LEARN)
    fused, alone = curves(flights, result)
    result = replace(result, fused=fused, alone=alone)
    return replace(result, probability=probability(flights, result))


def digest(flights: Sequence[Flight]) -> str:
    """Of everything that was measured, to six digits."""
    whole = hashlib.sha256()
    for one in flights:
        whole.update(f'{one.kind} {one.seed}'.encode())
        for x in (one.rows.energy, one.risk):
            whole.update(np.round(np.nan_to_num(x[::STEP], posinf=1e9), 4).tobytes())
        whole.update(np.asarray(one.truth).tobytes())
    return whole.hexdigest()[:16]


def figures(flights: Sequence[Flight], c: Calibration) -> dict[str, float]:
    """How the scores divide flights that were not learnt from."""
    score = np.concatenate([scores(f, c)[0][SETTLED::STEP] for f in flights])
    risk = np.concatenate([f.risk[SETTLED::STEP, 0] for f in flights])
    truth = np.concatenate([f.truth[SETTLED::STEP] for f in flights])
    ring = truth >= evaluation.INCIPIENT
    p = np.interp(score, *c.probability)
    both, alone = evaluation.roc(ring, score), evaluation.roc(ring, risk)
    limit = evaluation.PARTIAL_LIMIT
    return {
        'roc_area': round(evaluation.area(*both), 4),
        'roc_area_to_0.05': round(evaluation.area(*both, limit), 4),
        'risk_roc_area_to_0.05': round(evaluation.area(*alone, limit), 4),
        'brier': round(float(np.mean((p - ring) ** 2)), 4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--flights', type=int, default=14, help='of each kind (14)')
    parser.add_argument('--jobs', type=int, default=2, help='processes (2)')
    parser.add_argument('--output', type=Path, default=FILE, help='file to write')
    options = parser.parse_args(arguments)
    learnt = fly(LEARN, options.flights, options.jobs)
    result = calibrate(learnt)
    judged = fly(JUDGE, max(options.flights // 3, 1), options.jobs)
    source = {
        'script': 'scripts/calibrate_vortex_detector.py',
        'seeds': f'{LEARN} on',
        'flights': len(learnt),
        'hours': round(len(learnt) * DURATION / 3600.0, 2),
        'data': digest(learnt),
        'figures_on_other_flights': figures(judged, result),
    }
    result = replace(result, source=source)
    save(result, options.output)
    print(json.dumps(source, indent=1))
    print(json.dumps({'quiet': result.quiet, 'weights': result.weights}, indent=1))
    print(f'risk {result.risk_weight:g}, bias {result.bias:g}')
    print(f'threshold at 0.8, 0.05: {result.fused.threshold(0.8, 0.05):.3f}')
    print(f'{options.output}: digest {result.digest}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
