# SPDX-License-Identifier: Apache-2.0
"""The car drive: position error at the end of withheld GNSS, with the raw causal IMU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.measurements import Fix, GnssVelocity, Imu
from meta_repo_ros.fusion.navigation import Navigation
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters
from meta_repo_ros.replay.importers.drive import Drive, read_drive

PERIOD_S, OUTAGE_S, OUTAGES = 45.0, 15.0, 11
# First fix + 60 s: a minute to drive off and align; 11 outages then fit into the recording
START_S = 60.0


@dataclass(frozen=True)
class Outage:
    """One outage, seen at the first fix after it, before that fix is fused.

    Attributes:
        start: s after the first fix.
        error: east, north, m.
        covariance: predicted, (2, 2) m2.
    """

    start: float
    error: tuple[float, float]
    covariance: tuple[tuple[float, float], tuple[float, float]]

    @property
    def distance(self) -> float:
        """Horizontal error, m."""
        return math.hypot(*self.error)

    @property
    def inside(self) -> bool:
        """Whether the fix lies inside the predicted 95 % ellipse."""
        e = np.array(self.error)
        return float(e @ np.linalg.solve(np.array(self.covariance), e)) <= chi2_quantile(0.95, 2)


def parameters(*, constraints: bool) -> NavigationParameters:
    """Parameters of the drive: the car profile without or with its constraints."""
    from meta_repo_ros.fusion.profiles import load_profile  # noqa: PLC0415

    values = dict(load_profile('car'))
    if not constraints:
        values['vehicle.constraints'] = 'none'
    return from_mapping(NavigationParameters, values)


def run(drive: Drive, values: NavigationParameters, start: float) -> tuple[list[Outage], Any]:
    """Fuse the drive with outages from ``start`` s after the first fix."""
    model = Navigation(values)
    origin = int(drive.gnss_time[0])
    events: list[tuple[int, int, Any]] = []
    for i in range(len(drive.imu_time)):
        imu = Imu(tuple(drive.angular_rate[i].tolist()), tuple(drive.specific_force[i].tolist()))
        events.append((int(drive.imu_time[i]), 0, imu))
    ends: dict[int, float] = {}
    for i in range(len(drive.gnss_time)):
        stamp = int(drive.gnss_time[i])
        since = (stamp - origin) / NANOSECONDS - start
        number = math.floor(since / PERIOD_S + 1e-9)
        if 0 <= number < OUTAGES:
            phase = since - number * PERIOD_S
            if phase < OUTAGE_S - 1e-6:
                continue
            if number not in ends.values():
                ends[stamp] = number
        velocity = GnssVelocity(tuple(drive.velocity[i].tolist()), drive.velocity_covariance[i])
        fix = Fix(
            float(drive.latitude_deg[i]), float(drive.longitude_deg[i]), float(drive.height[i]),
            drive.position_covariance[i],
        )  # fmt: skip
        events += [(stamp, 1, velocity), (stamp, 2, fix)]
    events.sort(key=lambda event: event[:2])
    outages: list[Outage] = []
    for stamp, rank, measurement in events:
        if rank == 1 and stamp in ends and model.filter is not None and model.frame is not None:
            i = int(np.searchsorted(drive.gnss_time, stamp))
            model._advance(stamp)  # noqa: SLF001
            fix = model.frame.to_enu(
                float(drive.latitude_deg[i]), float(drive.longitude_deg[i]), float(drive.height[i])
            )
            error = np.array(model.filter.position[:2]) - fix[:2]
            c = model.filter.covariance[:2, :2] + drive.position_covariance[i][:2, :2]
            outages.append(
                Outage(
                    start + ends[stamp] * PERIOD_S,
                    (float(error[0]), float(error[1])),
                    tuple(map(tuple, c.tolist())),  # type: ignore[arg-type]
                )
            )
        model.apply(stamp, measurement)
    return outages, model


def summary(outages: list[Outage]) -> dict[str, Any]:
    """Figures of the bar."""
    distances = np.array([o.distance for o in outages])
    return {
        'outages': len(outages),
        'median_m': round(float(np.median(distances)), 2),
        'rms_m': round(float(np.sqrt(np.mean(distances**2))), 2),
        'max_m': round(float(distances.max()), 2),
        'inside_95': sum(o.inside for o in outages),
        'errors_m': [round(float(d), 2) for d in distances],
    }


def load(folder: Path) -> Drive:
    """The drive in ``folder`` (shared/data/gnss_imu)."""
    return read_drive(folder)
