# SPDX-License-Identifier: Apache-2.0
"""Position by stars: at a standstill, in flight without GNSS, and with GNSS.

``python -m benchmarks.starnav_position [--quick]``. Everything is simulated: the flights by JSBSim
and the sensor models, the standstill by its own few equations; the star attitudes are drawn from
the noise of a camera of 4096 pixels and 20 deg, not found in images.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.commands._offline import make, profile_file
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.geodesy import EARTH_RATE, LocalFrame, pressure_altitude
from meta_repo_ros.core.parameters import from_mapping, updated
from meta_repo_ros.core.rotations import (
    conjugate,
    exp,
    from_euler,
    from_matrix,
    from_message,
    multiply,
    rotate,
)
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.scenario import Scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.starnav.celestial_fix import CelestialFix, CelestialParameters, Fix
from meta_repo_ros.starnav.celestial_types import ARCSEC, radii

Array = NDArray[np.float64]

STATIC_BAR = 300.0  # m
RATIO_BAR = 1.3
FUSED_BAR = 1.0  # m
CHI2_95 = 5.991
SECOND = 1_000_000_000
_START = 1_796_000_000 * SECOND
_SCENARIO, _PROFILE = 'celestial_flight', 'tactical'
_OUTAGE = 120.0  # s, where the scenario ends GNSS
_DEFLECTION_DISTANCE = 30000.0  # m
# what starnav's own fix is told of the scenario's inertial sensor
_TACTICAL = {
    'accel_bias_sigma': 3.0e-3,
    'accel_bias_walk': 3.0e-6,
    'accel_noise': 3.0e-4,
    'gyro_noise': 1.5e-5,
}


# -- standstill ------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Standstill:
    """What errs at a standstill; arcsec are standard deviations about each axis."""

    seconds: int = 60
    vertical: float = 5.0  # arcsec, constant: deflection
    bias: float = 0.0  # m/s2, constant, each accelerometer
    noise: float = 3e-4  # m/s2/sqrt(Hz)
    across: float = 1.0  # arcsec, of one star attitude
    about: float = 6.0  # arcsec, of one star attitude about the camera's axis
    headings: int = 1


def stand(case: Standstill, seed: int) -> tuple[Array, Array]:
    """Error east and north, m, and its covariance after one stand somewhere on the Earth."""
    rng, rate = np.random.default_rng(seed), 5
    latitude = math.degrees(math.asin(rng.uniform(-0.95, 0.95)))
    longitude, altitude = float(rng.uniform(-180.0, 180.0)), 400.0
    given = {
        'motion': 'static', 'vertical_sigma': case.vertical, 'accel_bias_sigma': case.bias,
        'accel_bias_walk': 0.0, 'accel_noise': case.noise, 'gyro_noise': 1e-5,
    }  # fmt: skip
    fix = CelestialFix(from_mapping(CelestialParameters, given))
    gravity = np.array(LocalFrame(latitude, longitude, altitude).gravity(0.0, 0.0, 0.0))
    gravity[:2] += gravity[2] * case.vertical * ARCSEC * rng.standard_normal(2)
    bias = case.bias * rng.standard_normal(3)
    level = from_euler(*(rng.uniform(-1.0, 1.0, 3) * (0.1, 0.1, math.pi)).tolist())
    turn = math.radians(latitude)
    earth = (0.0, EARTH_RATE * math.cos(turn), EARTH_RATE * math.sin(turn))
    sigma = np.array([case.across, case.across, case.about]) * ARCSEC
    spread = np.diag(sigma**2)
    fix.add_pressure(_START, altitude, 3.0)
    count, stamp = case.seconds * rate, _START
    each = -(-(count + 1) // case.headings)
    for i in range(count + 1):
        stamp = _START + i * SECOND // rate
        body = multiply(exp((0.0, 0.0, 2.0 * math.pi * (i // each) / case.headings)), level)
        back = conjugate(body)
        force = np.array(rotate(back, (-gravity).tolist())) + bias
        force += case.noise * math.sqrt(rate) * rng.standard_normal(3)
        x, y, z = rotate(back, earth)
        if i % each == 0 and i:
            angle = 2.0 * math.pi / case.headings * rate
            dx, dy, dz = rotate(conjugate(level), (0.0, 0.0, angle))
            x, y, z = x + dx, y + dy, z + dz
        fix.add_inertial(stamp, (x, y, z), tuple(force.tolist()))
        if i % rate == 0:
            q = multiply(back, from_matrix(icrs_to_enu(stamp, latitude, longitude)))
            noise = (sigma * rng.standard_normal(3)).tolist()
            fix.add_attitude(stamp, multiply(exp(noise), q), spread)
    found = fix.solution(stamp)
    if found is None:
        raise RuntimeError(f'no fix at {latitude:.2f} deg, {longitude:.2f} deg, seed {seed}')
    return offset(found, latitude, longitude), found.covariance[:2, :2]


def offset(fix: Fix, latitude: float, longitude: float) -> Array:
    """How far the fix lies east and north of a place, m."""
    meridian, normal = radii(latitude, 0.0)
    east = math.radians(math.remainder(fix.longitude - longitude, 360.0))
    north = math.radians(fix.latitude - latitude)
    return np.array([east * normal * math.cos(math.radians(latitude)), north * meridian])


def static_row(name: str, case: Standstill, runs: int, *, judged: bool) -> dict[str, Any]:
    """One row of many stands."""
    results = [stand(case, seed) for seed in range(runs)]
    errors = np.array([error for error, _ in results])
    inside = float(np.mean([e @ np.linalg.solve(c, e) < CHI2_95 for e, c in results]))
    rms = float(np.sqrt(np.square(errors).sum(axis=1).mean()))
    predicted = math.sqrt(float(np.mean([np.trace(c) for _, c in results])))
    met = rms <= STATIC_BAR and 0.90 <= inside <= 0.99
    return {
        'figure': name,
        'value': {
            'rms_m': round(rms, 1),
            'predicted_m': round(predicted, 1),
            'inside_95_ellipse': round(inside, 3),
        },
        'bar': '<= 300 m rms, 90 to 99 % inside' if judged else '',
        'met': met if judged else None,
        'baseline': 'digital star sextant, field, mean 296 m (Jovanovic, Enright 2022, quoted)',
        'data': f'{runs} stands of {case.seconds} s anywhere on the Earth; {_told(case)}',
    }


def _told(case: Standstill) -> str:
    text = f'vertical {case.vertical:g} arcsec each axis, constant'
    if case.bias:
        text += f'; accelerometer bias {case.bias / 9.80665e-6:.0f} micro-g'
    if case.headings > 1:
        text += f', body turned to {case.headings} headings'
    return f'{text}; noise {case.noise:g} m/s2/sqrt(Hz); stars {case.across:g} and {case.about:g}'


# -- flight ----------------------------------------------------------------------------------------
class Deflection:
    """Deflection of the vertical along the way, which the simulated Earth has not.

    Args:
        sigma: arcsec, each axis.
        rng: its randomness.
    """

    def __init__(self, sigma: float, rng: np.random.Generator) -> None:
        self._sigma, self._rng = sigma * ARCSEC, rng
        self._value = self._sigma * rng.standard_normal(2)

    def disturb(self, message: Any, state: VehicleState, seconds: float) -> None:
        """Add to an Imu message what its accelerometers feel of it."""
        way = math.hypot(*state.velocity[:2]) * seconds
        keep = math.exp(-way / _DEFLECTION_DISTANCE)
        drive = self._sigma * math.sqrt(1.0 - keep * keep)
        self._value = keep * self._value + drive * self._rng.standard_normal(2)
        east, north = (9.8 * self._value).tolist()
        x, y, z = rotate(conjugate(state.orientation), (east, north, 0.0))
        force = message.linear_acceleration
        force.x, force.y, force.z = force.x + x, force.y + y, force.z + z


def navigators(noise: float) -> dict[str, Any]:
    """Navigation fusion as it is shipped, with the profile of the inertial sensor.

    Args:
        noise: of the accelerometers, m/s2/sqrt(Hz), in place of the profile's; 0 for that.
    """
    given: dict[str, Any] = {'odometry_divider': 50}
    if noise:
        given['imu.accel_noise'] = noise
    return {
        name: make('navigation_fusion', [profile_file(_PROFILE)], given)
        for name in ('stars', 'stars until GNSS ends', 'no stars')
    }


def fly(seed: int, duration: float, deflection: float) -> dict[str, Array]:
    """One flight; rows of seconds, error east, north, up and covariance east north, each 10 s."""
    scenario = find_scenario(_SCENARIO).with_duration(duration)
    simulator = Simulator(scenario, seed)
    # The filter has no state for the deflection. It keeps its direction over ground while the body
    # turns, so a walk of the bias, which turns along, would understate it; white noise of the same
    # spectral density at low frequency overstates it at first and is right after many periods.
    period = _DEFLECTION_DISTANCE / 52.0
    noise = math.hypot(3e-4, 9.8 * deflection * ARCSEC * math.sqrt(2.0 * period))
    filters = navigators(noise if deflection else 0.0)
    told = {**_TACTICAL, 'vertical_sigma': deflection}
    fix = CelestialFix(from_mapping(CelestialParameters, told))
    rough = Deflection(deflection, np.random.default_rng(50_000 + seed)) if deflection else None
    rows: dict[str, list[list[float]]] = {name: [] for name in (*filters, 'fix')}
    taken = {topic.name for topic in filters['stars'].inputs}
    while not simulator.finished:
        for stamp, topic, message in simulator.step():
            if rough is not None and topic.name == 'imu/data_raw':
                rough.disturb(message, simulator.state, simulator.step_ns * 1e-9)
            _tell(fix, topic.name, message)
            for name, navigator in filters.items() if topic.name in taken else ():
                star = topic.name == 'attitude_update'
                known = name == 'stars' or (name != 'no stars' and simulator.state.time < _OUTAGE)
                if known or not star:
                    navigator.on_message(topic.name, message, stamp)
        state = simulator.state
        if state.stamp % (10 * SECOND) == 0:
            for name, navigator in filters.items():
                rows[name].append(_judged(navigator, state))
            rows['fix'].append(_judged_fix(fix, state))
    return {name: np.array(values) for name, values in rows.items()}


def _tell(fix: CelestialFix, topic: str, message: Any) -> None:
    stamp = stamp_ns(message.header.stamp)
    if topic == 'imu/data_raw':
        w, f = message.angular_velocity, message.linear_acceleration
        fix.add_inertial(stamp, (w.x, w.y, w.z), (f.x, f.y, f.z))
    elif topic == 'attitude_update':
        fix.add_attitude(stamp, from_message(message.orientation), message.covariance)
    elif topic == 'baro/pressure':
        fix.add_pressure(stamp, pressure_altitude(message.fluid_pressure))
    elif topic == 'air_data':
        fix.add_air_data(stamp, message.true_airspeed, message.angle_of_attack, message.sideslip)


def _judged(navigator: Any, state: VehicleState) -> list[float]:
    navigator.window.settle()
    model = navigator.model
    f = model.filter
    if f is None or model.time != state.stamp:
        return [state.time] + [math.nan] * 7
    f.propagate_covariance()
    truth = model.frame.to_enu(
        math.degrees(state.latitude), math.degrees(state.longitude), state.altitude
    )
    error = np.array(f.position) - truth
    return [state.time, *error.tolist(), *f.covariance[:2, :2].ravel().tolist()]


def _judged_fix(fix: CelestialFix, state: VehicleState) -> list[float]:
    found = fix.solution(state.stamp)
    if found is None:
        return [state.time] + [math.nan] * 7
    late = (state.stamp - found.stamp) / SECOND
    error = offset(found, math.degrees(state.latitude), math.degrees(state.longitude))
    error += late * np.array(state.velocity[:2])
    return [state.time, *error.tolist(), math.nan, *found.covariance[:2, :2].ravel().tolist()]


def summary(flights: list[Array]) -> dict[str, Any]:
    """Rms error at the end over the predicted one, over all flights; and over all instants."""
    table = np.array(flights)
    after = table[:, table[0, :, 0] > _OUTAGE]
    square = np.square(after[:, :, 1:3]).sum(axis=2)
    predicted = after[:, :, 4] + after[:, :, 7]
    covariance = after[:, -1, 4:8].reshape(-1, 2, 2)
    end = after[:, -1, 1:3]
    nees = np.einsum('ni,nij,nj->n', end, np.linalg.inv(covariance), end)
    return {
        'rms_m': round(float(np.sqrt(square[:, -1].mean())), 1),
        'predicted_m': round(float(np.sqrt(predicted[:, -1].mean())), 1),
        'rms_over_predicted': round(
            float(np.sqrt(square[:, -1].mean() / predicted[:, -1].mean())), 3
        ),
        'rms_over_predicted_all_times': round(float(np.sqrt(np.mean(square / predicted))), 3),
        'mean_nees_of_2': round(float(nees.mean()), 2),
    }


def flight_rows(
    runs: int, duration: float, deflection: float, workers: int
) -> list[dict[str, Any]]:
    """Rows of the flights without GNSS."""
    job = partial(fly, duration=duration, deflection=deflection)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            flights = list(pool.map(job, range(1, runs + 1)))
    else:
        flights = [job(seed) for seed in range(1, runs + 1)]
    found = {name: summary([flight[name] for flight in flights]) for name in flights[0]}
    alone, never = found['stars until GNSS ends'], found['no stars']
    minutes = (duration - _OUTAGE) / 60.0
    earth = f'deflection of {deflection:g} arcsec over 30 km' if deflection else 'normal gravity'
    data = (
        f'{runs} flights of scenario {_SCENARIO} (JSBSim c172, tactical inertial sensor, star '
        f'attitude 1.5 and 8 arcsec at 1 Hz), {minutes:.0f} min without GNSS, {earth}'
    )
    common = {'bar': f'rms <= {RATIO_BAR} times predicted', 'data': data}

    return [
        {
            'figure': f'{minutes:.0f} min without GNSS: navigation fusion with stars',
            'value': {
                **found['stars'],
                'ratio_to_inertial_alone': round(found['stars']['rms_m'] / alone['rms_m'], 4),
            },
            'met': found['stars']['rms_over_predicted'] <= RATIO_BAR,
            'baseline': f'inertial alone {alone["rms_m"]:.0f} m; without stars in the alignment '
            f'either {never["rms_m"]:.0f} m',
            **common,
        },
        {
            'figure': f'{duration / 60.0:.0f} min, never GNSS: celestial fix of starnav alone',
            'value': found['fix'],
            'met': found['fix']['rms_over_predicted'] <= RATIO_BAR,
            'baseline': 'fixed wing, field, within 4 km (Teague, Chahl 2024, quoted)',
            **common,
        },
    ]


# -- with GNSS -------------------------------------------------------------------------------------
def with_gnss(scenario: Scenario, seed: int, settle: float, profile: str) -> Array:
    """Errors (n, 3) of the fused position, m, at 10 Hz."""
    sensors = tuple(
        dataclasses.replace(
            spec,
            parameters=updated(spec.parameters, {'horizontal_sigma': 1.0, 'vertical_sigma': 1.0}),
        )
        if spec.name == 'gnss' else spec
        for spec in scenario.sensors
    )  # fmt: skip
    simulator = Simulator(dataclasses.replace(scenario, sensors=sensors, faults=()), seed)
    files = [profile_file(profile)] if profile else []
    navigator = make('navigation_fusion', files, {'odometry_divider': 50})
    taken = {topic.name for topic in navigator.inputs}
    rows: list[list[float]] = []
    while not simulator.finished:
        for stamp, topic, message in simulator.step():
            if topic.name in taken:
                navigator.on_message(topic.name, message, stamp)
        state = simulator.state
        if state.time >= settle and state.stamp % (SECOND // 10) == 0:
            rows.append(_judged(navigator, state)[1:4])
    return np.array(rows)


def gnss_row(name: str, runs: int, duration: float, profile: str) -> dict[str, Any]:
    """Fused position with GNSS of 1 m white noise on each axis."""
    scenario = find_scenario(name).with_duration(duration)
    errors = np.concatenate([with_gnss(scenario, s, 20.0, profile) for s in range(1, runs + 1)])
    errors = errors[np.isfinite(errors).all(axis=1)]
    rms = float(np.sqrt(np.square(errors).sum(axis=1).mean()))
    rate = next(spec.rate for spec in scenario.sensors if spec.name == 'gnss')
    return {
        'figure': f'fused position with GNSS of 1 m per axis, {name}',
        'value': {'rms_3d_m': round(rms, 3)},
        'bar': f'<= {FUSED_BAR} m, 3-D rms',
        'met': rms <= FUSED_BAR,
        'baseline': f'GNSS alone {math.sqrt(3.0):.2f} m',
        'data': f'{runs} simulated flights of {duration:.0f} s, GNSS at {rate:g} Hz, 1 m white',
    }


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Rows of the benchmark."""
    stands = 100 if quick else 1000
    known, biased = Standstill(), Standstill(bias=5e-4)
    turned = dataclasses.replace(biased, headings=4)
    result = [
        static_row('celestial fix, static, vertical known to 5 arcsec', known, stands, judged=True),
        static_row('same, accelerometers of 51 micro-g', biased, stands // 5, judged=False),
        static_row('same, turned through four headings', turned, stands // 5, judged=False),
    ]
    workers = 1 if quick else min(2, os.cpu_count() or 1)
    runs, duration = (2, 240.0) if quick else (6, 1920.0)
    result += flight_rows(runs, duration, 0.0, workers)
    if not quick:
        result += flight_rows(runs, duration, 5.0, workers)
    seconds, flights = (60.0, 1) if quick else (300.0, 3)
    result.append(gnss_row(_SCENARIO, flights, seconds, _PROFILE))
    result.append(gnss_row('demo', flights, 60.0, ''))
    return result


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer and shorter runs')
    arguments = parser.parse_args()
    print(json.dumps(rows(quick=arguments.quick), indent=2))


if __name__ == '__main__':
    main()
