# SPDX-License-Identifier: Apache-2.0
"""The rotor model against measurements, the fixed-collective plant, and what the risk costs.

``python -m benchmarks.vortex_rotor [--quick]``

Measured: Castles and Gray, NACA TN 2474, table I, 129 points of 10 runs. The constants of our own
mean inflow are fitted again here, once to all points and once for each run without it; the error of
the run left out is what counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.vortex_shield import inflow
from meta_repo_ros.vortex_shield.heave import HeavePlant
from meta_repo_ros.vortex_shield.inflow import BlendedConstants
from meta_repo_ros.vortex_shield.onset_trend import Trend
from meta_repo_ros.vortex_shield.risk import Risk
from meta_repo_ros.vortex_shield.risk_region import DEEP, INSIDE, MARGIN, Outline

Floats = NDArray[np.float64]
Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
FITTED_BAR, LEFT_OUT_BAR = 0.26, 0.30
BINS = (('all', -0.1, 9.0), ('0.45-1', 0.45, 1.0), ('1-1.5', 1.0, 1.5), ('1.5-1.75', 1.5, 1.75),
        ('1.75-2', 1.75, 2.0), ('2-2.5', 2.0, 2.51))  # fmt: skip
MODELS = {
    'momentum theory, hover branch': lambda s: 0.5 * s + np.sqrt(0.25 * s * s + 1.0),
    'momentum theory': inflow.momentum,
    'Johnson 2005, baseline': inflow.johnson_baseline,
    'Johnson 2005, vortex ring state': inflow.johnson,
    'Leishman, kappa 1.00': lambda s: inflow.leishman(s, 1.0),
    'Leishman, kappa 1.15': inflow.leishman,
}
LOW = (0.8, 0.0, 1.3, 0.005, 0.5, 1e-4)
HIGH = (1.4, 1.0, 2.0, 0.3, 4.0, 2.0)
START = (1.0, 0.2, 1.7, 0.1, 1.5, 0.1)
SCALE = (0.1, 0.1, 0.1, 0.02, 0.3, 0.1)


@dataclasses.dataclass(frozen=True)
class Measured:
    """The table.

    Attributes:
        run: (n,) number of the run.
        sink: (n,) over v_h.
        induced: (n,) over v_h.
    """

    run: Floats
    sink: Floats
    induced: Floats

    def without(self, run: float) -> Measured:
        """All but one run."""
        kept = self.run != run
        return Measured(self.run[kept], self.sink[kept], self.induced[kept])


def measured() -> Measured:
    """Read the table.

    Raises:
        OSError: it is not there.
    """
    folder = Path(os.environ.get('META_REPO_DATA', ROOT / '../shared/data'))
    path = folder / 'vrs' / 'castles_gray_tn2474_table1.csv'
    if not path.is_file():
        raise FileNotFoundError(f'{path} is not there; set META_REPO_DATA')
    columns = np.loadtxt(path, delimiter=',', skiprows=2, dtype=np.float64).T
    return Measured(columns[0], columns[1], columns[2])


def fit(data: Measured) -> BlendedConstants:
    """Least squares over all its points."""

    def off(values: Floats) -> Floats:
        return inflow.blended(data.sink, constants=BlendedConstants(*values)) - data.induced

    found = least_squares(off, START, bounds=(LOW, HIGH), x_scale=SCALE)
    return BlendedConstants(*(float(value) for value in found.x))


def left_out_errors(data: Measured) -> dict[int, Floats]:
    """Errors of each run under constants fitted to the others."""
    result = {}
    for run in np.unique(data.run).tolist():
        out = data.run == run
        constants = fit(data.without(run))
        predicted = inflow.blended(data.sink[out], constants=constants)
        result[int(run)] = predicted - data.induced[out]
    return result


def rms(errors: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(errors * errors)))


def _by_bin(data: Measured, errors: Floats) -> dict[str, float]:
    return {
        name: round(rms(errors[(data.sink >= low) & (data.sink < high)]), 3)
        for name, low, high in BINS
    }


def _row(figure: str, value: object, data: str, **more: object) -> Row:
    return {'figure': figure, 'value': value, 'bar': None, 'met': None, 'data': data, **more}


def inflow_rows() -> list[Row]:
    """Error of every model on the measured table."""
    data = measured()
    source = f'NACA TN 2474 table I, {data.sink.size} points'
    result = []
    for name, model in MODELS.items():
        table = _by_bin(data, np.asarray(model(data.sink)) - data.induced)
        result.append(_row(f'RMSE of v/v_h, {name}', table['all'], source, by_sink_rate=table))
    constants = fit(data)
    table = _by_bin(data, inflow.blended(data.sink, constants=constants) - data.induced)
    result.append({
        **_row('RMSE of v/v_h, blended, fitted', table['all'], source, by_sink_rate=table),
        'bar': f'<= {FITTED_BAR}', 'met': table['all'] <= FITTED_BAR,
        'constants': {k: round(v, 3) for k, v in dataclasses.asdict(constants).items()},
    })  # fmt: skip
    shipped = _by_bin(data, inflow.blended(data.sink) - data.induced)
    result.append(
        _row('RMSE of v/v_h, blended, as shipped', shipped['all'], source, by_sink_rate=shipped)
    )
    errors = left_out_errors(data)
    ordered = np.empty_like(data.sink)
    for run, values in errors.items():
        ordered[data.run == run] = values
    table = _by_bin(data, ordered)
    result.append({
        **_row('RMSE of v/v_h, blended, leaving one run out', table['all'], source,
               by_sink_rate=table),
        'bar': f'<= {LEFT_OUT_BAR}', 'met': table['all'] <= LEFT_OUT_BAR,
        'by_run': {run: round(rms(values), 3) for run, values in errors.items()},
    })  # fmt: skip
    return result


def _shown(edges: tuple[float, float]) -> tuple[float, ...] | None:
    return tuple(round(v, 3) for v in edges) if all(map(math.isfinite, edges)) else None


def boundary_rows() -> list[Row]:
    """The boundary by each source, and what the exponent of Johnson's increment does to his."""
    result = [
        _row(
            f'boundary, {name}: sink rates of onset and end over v_h',
            {f'{x:g}': _shown(inflow.published_boundary(name, x)) for x in (0.0, 0.4, 0.7, 0.9)},
            'by airspeed over v_h',
        )
        for name in inflow.BOUNDARIES
    ]  # fmt: skip
    speeds = np.linspace(0.0, 0.949, 200)
    onset, end = inflow.johnson_boundary(speeds)
    for exponent in (1.0, 6.0):
        gain = (inflow.johnson(end, speeds, exponent) - end) - (
            inflow.johnson(onset, speeds, exponent) - onset
        )
        lost = speeds[gain <= 0.0]
        result.append(
            _row(
                f'exponent {exponent:g}: airspeed at which negative damping is lost, v_h',
                round(float(lost[0]), 3) if lost.size else None,
                'Johnson: the boundary closes at 0.95',
            )
        )
    return result


def plant_rows(*, quick: bool) -> list[Row]:
    """Jump of the steady descent, by its equation and flown."""
    result = []
    for name, craft in ROTORCRAFT.items():
        v_h = craft.hover_induced_velocity()
        plant = HeavePlant(v_h)
        folds = plant.jump()
        before, after = folds or (math.nan, math.nan)
        met = abs(before - 0.45) < 0.01 and abs(after - 1.73) < 0.01
        result.append({
            **_row('fixed collective: steady sink rates before and after the jump, v_h',
                   (round(before, 3), round(after, 3)), name),
            'bar': '0.45 and 1.73 within 0.01', 'met': met,
        })  # fmt: skip
        steps = 1000 if quick else 4000
        lowering = np.linspace(1.0, 0.851, steps)
        held = np.full(steps, 0.849)
        flight = plant.fly(np.concatenate((lowering, held)), 0.03 * v_h)
        result.append(
            _row(
                'flown: sink rate at 0.851 v_h of through-flow and held at 0.849, v_h',
                (round(float(flight.sink[steps - 1] / v_h), 3),
                 round(float(flight.sink[-1] / v_h), 3)),
                name,
            )
        )  # fmt: skip
    return result


def drawn(risk: Risk, outline: Outline, at: tuple[float, float], draws: int, seed: int) -> float:
    """Probability by Monte Carlo, nothing approximated; ``at``: sink rate and airspeed, v_h."""
    rng = np.random.default_rng(seed)
    craft, p = risk.rotorcraft, risk.parameters
    mean_v_h = craft.hover_induced_velocity()
    v_h = mean_v_h * np.exp(0.5 * p.mass_uncertainty * rng.standard_normal(draws))
    wind = p.wind_uncertainty * np.sqrt(0.5) * rng.standard_normal((2, draws))
    speed = np.hypot(at[1] * mean_v_h + wind[0], wind[1]) / v_h
    sink = (at[0] * mean_v_h + p.sink_uncertainty * rng.standard_normal(draws)) / v_h
    limit = outline.airspeed * (1.0 + outline.airspeed_sigma * rng.standard_normal(draws))
    m = np.maximum(1.0 - (speed / limit) ** 2, 0.0)
    middle, half = 0.5 * (outline.onset + outline.leave), 0.5 * (outline.leave - outline.onset)
    low = middle - half * m**0.2 + outline.onset_sigma * rng.standard_normal(draws)
    high = middle + half * m**1.5 + outline.leave_sigma * rng.standard_normal(draws)
    return float(np.mean((speed < limit) & (sink > low) & (sink < high)))


def worst_quadrature(risk: Risk, draws: int) -> float:
    """Greatest difference of the probabilities from Monte Carlo."""
    v_h = risk.rotorcraft.hover_induced_velocity()
    worst = 0.0
    for name, outline in (('inside', INSIDE), ('margin', MARGIN), ('deep', DEEP)):
        for k, sink in enumerate(np.arange(0.1, 2.3, 0.3).tolist()):
            for speed in (0.0, 0.3, 0.6, 0.9, 1.2):
                told = getattr(risk.one(sink * v_h, speed * v_h), name)
                worst = max(worst, abs(told - drawn(risk, outline, (sink, speed), draws, k)))
    return worst


def risk_rows(*, quick: bool) -> list[Row]:
    """How exact the probabilities are, what they say outside, what they cost."""
    result = []
    for name, craft in ROTORCRAFT.items():
        risk, v_h = Risk(craft), craft.hover_induced_velocity()
        result.append(
            _row(
                'risk: greatest difference from Monte Carlo',
                round(worst_quadrature(risk, 4000 if quick else 100_000), 3),
                f'{name}, 120 points of three regions',
            )
        )
        told = {
            text: round(risk.one(sink * v_h, speed * v_h).inside, 3)
            for text, sink, speed in (
                ('hover', 0.0, 0.0), ('descent at 0.25', 0.25, 0.0), ('at 1.0', 1.0, 0.0),
                ('windmill at 2.0', 2.0, 0.0), ('at 1.0, airspeed 1.5', 1.0, 1.5),
            )
        }  # fmt: skip
        result.append(_row('risk: probability inside', told, name))
    risk = Risk(ROTORCRAFT['f450'])
    count = 50_000 if quick else 2_000_000
    rng = np.random.default_rng(0)
    sinks, speeds = rng.uniform(-5.0, 20.0, count), rng.uniform(0.0, 15.0, count)
    begin = time.process_time()
    rows_ = risk.assess(sinks, speeds)
    many = (time.process_time() - begin) / count
    begin = time.process_time()
    for sink, speed in zip(sinks[:5000].tolist(), speeds[:5000].tolist(), strict=True):
        risk.one(sink, speed)
    single = (time.process_time() - begin) / 5000
    begin = time.process_time()
    Trend().push(np.arange(count) * 0.004, rows_.distance)
    trend = (time.process_time() - begin) / count
    result += [
        _row('risk: time of one row among many', round(many * 1e6, 2), f'us, {count} rows'),
        _row('risk: time of one row alone', round(single * 1e6, 1), 'us, 5000 rows'),
        _row('time to onset: time of one row', round(trend * 1e6, 2), f'us, {count} rows'),
    ]
    return result


def rows(*, quick: bool) -> list[Row]:
    """All figures of the rotor model and the risk."""
    return [
        *inflow_rows(),
        *boundary_rows(),
        *plant_rows(quick=quick),
        *risk_rows(quick=quick),
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer draws and rows')
    arguments = parser.parse_args()
    print(json.dumps(rows(quick=arguments.quick), indent=2))


if __name__ == '__main__':
    main()
