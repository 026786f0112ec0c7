# SPDX-License-Identifier: Apache-2.0
"""Car drives: RTKLIB solution (``.pos``) beside the raw csv of an inertial sensor.

The csv has seven columns: specific force (g), angular rate (deg/s) and the sensor's own clock
(ms). RTKLIB's time tag file (``.csv.tag``) says when the computer received which byte; it maps the
sensor's clock to time. Folder layout and content as in https://github.com/rtklibexplorer/GNSS_IMU.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import NavSatFix, NavSatStatus

from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns
from meta_repo_ros.replay.importers import RecordingError, streams
from meta_repo_ros.replay.importers.streams import Stream

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STANDARD_GRAVITY = 9.80665  # m/s2, the unit g of the csv
LEAP_SECONDS = 18  # GPS time minus UTC since 2017-01-01 (IERS Bulletin C)
# The sensor of this recording sits with x backward and y right: half a turn about z gives the body
# axes x forward, y left, z up.
SENSOR_TO_BODY = (-1.0, -1.0, 1.0)
# Time from sampling to reception, found where the course and the speed of the RTK solution agree
# best with the integrated rate and specific force (0.12 s and 0.16 s).
IMU_DELAY_S = 0.13

_TAG_MAGIC = b'TIMETAG'
_TAG_HEADER = 76  # bytes before the records of a time tag file
_TAG_START = 64  # where the start time stands: uint32 seconds and double fraction, GPS time
_POS_COLUMNS = 24
_QUALITY_FLOAT = 2  # RTKLIB's Q: 1 is fixed


@dataclass(frozen=True)
class Drive:
    """A drive as arrays; times are UTC nanoseconds, body axes x forward, y left, z up.

    Attributes:
        imu_clock: (n,) the sensor's own clock since the first sample, ns; 1 ms resolution.
        imu_received: (n,) when the computer received the sample by its own clock, UTC ns.
        imu_time: (n,) time of sampling on the GNSS receiver's scale, UTC ns: the sensor's clock
            fitted linearly to the reception times, less ``IMU_DELAY_S``.
        specific_force: (n, 3) m/s2 in body axes, gravity reads +9.8 on z at rest.
        angular_rate: (n, 3) rad/s in body axes.
        gnss_time: (m,) time of validity of the solution, UTC ns.
        latitude_deg: (m,) geodetic latitude, deg, WGS84.
        longitude_deg: (m,) longitude, deg.
        height: (m,) above the ellipsoid, m.
        quality: (m,) RTKLIB's Q: 1 fixed, 2 float, 4 DGPS, 5 single.
        satellites: (m,) number of satellites.
        position_covariance: (m, 3, 3) m2, east north up.
        velocity: (m, 3) m/s, east north up.
        velocity_covariance: (m, 3, 3) m2/s2, east north up.
    """

    imu_clock: Integers
    imu_received: Integers
    imu_time: Integers
    specific_force: Floats
    angular_rate: Floats
    gnss_time: Integers
    latitude_deg: Floats
    longitude_deg: Floats
    height: Floats
    quality: Integers
    satellites: Integers
    position_covariance: Floats
    velocity: Floats
    velocity_covariance: Floats


def read_drive(folder: Path | str) -> Drive:
    """Read the drive in ``folder`` (one ``.pos``, one raw ``.csv`` with its ``.csv.tag``).

    Args:
        folder: the folder, or the ``.pos`` file in it.

    Raises:
        RecordingError: a file is missing, or its content is not of the expected form.
    """
    place = Path(folder)
    if place.is_file():
        place = place.parent
    solution = _only(place, '*.pos', 'an RTKLIB solution')
    tag = _only(place, '*.csv.tag', "RTKLIB's time tag file of the inertial sensor")
    csv = tag.with_suffix('')
    samples, line_ends = _read_csv(csv)
    ticks = np.asarray(np.rint(samples[:, 6]), np.int64)
    clock = (ticks - ticks[0]) * 1_000_000
    received = _reception_times(tag, line_ends)
    # One line through the whole recording: the clocks drift 13 ppm apart, reception jitters 5 ms.
    origin = int(received[0])
    slope, offset = np.polyfit(clock * 1e-9, (received - origin) * 1e-9, 1)
    fitted = np.rint((clock * 1e-9 * slope + offset - IMU_DELAY_S) * NANOSECONDS).astype(np.int64)
    axes = np.array(SENSOR_TO_BODY)
    gnss_time, table = _read_solution(solution)
    return Drive(
        imu_clock=clock,
        imu_received=received,
        imu_time=origin + fitted,
        specific_force=samples[:, :3] * axes * STANDARD_GRAVITY,
        angular_rate=np.deg2rad(samples[:, 3:6] * axes),
        gnss_time=gnss_time,
        latitude_deg=table[:, 0],
        longitude_deg=table[:, 1],
        height=table[:, 2],
        quality=table[:, 3].astype(np.int64),
        satellites=table[:, 4].astype(np.int64),
        position_covariance=_covariance(table[:, 5:11]),
        velocity=table[:, [14, 13, 15]],
        velocity_covariance=_covariance(table[:, 16:22]),
    )


def _only(folder: Path, pattern: str, what: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise RecordingError(f'{folder}: expected one {pattern} ({what}), found {names}')
    return found[0]


def _read_csv(path: Path) -> tuple[Floats, Integers]:
    """Samples and the stream offset after each line, as the sensor sent it (CR LF)."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f'{path}: {error.strerror}') from error
    try:
        samples = np.array([line.split(b',') for line in lines], np.float64)
    except ValueError as error:
        raise RecordingError(f'{path}: not seven numbers in each line ({error})') from error
    if samples.ndim != 2 or samples.shape[1] != 7 or not np.isfinite(samples).all():
        raise RecordingError(f'{path}: expected lines of seven finite numbers')
    if (np.diff(samples[:, 6]) <= 0).any():
        raise RecordingError(f"{path}: the sensor's clock (column 7) does not always advance")
    return samples, np.cumsum([len(line) + 2 for line in lines])


def _reception_times(path: Path, line_ends: Integers) -> Integers:
    data = path.read_bytes()
    if not data.startswith(_TAG_MAGIC) or len(data) <= _TAG_HEADER:
        raise RecordingError(f'{path}: not a time tag file of RTKLIB')
    seconds, fraction = struct.unpack_from('<Id', data, _TAG_START)
    start = (seconds - LEAP_SECONDS) * NANOSECONDS + seconds_ns(fraction)
    usable = (len(data) - _TAG_HEADER) // 8 * 8
    records = np.frombuffer(data, '<u4', usable // 4, _TAG_HEADER).reshape(-1, 2).astype(np.int64)
    index = np.searchsorted(records[:, 1], line_ends, 'left')
    if index[-1] >= len(records):
        raise RecordingError(f'{path}: ends before its csv; the two do not belong together')
    return np.asarray(start + records[index, 0] * 1_000_000, np.int64)


def _read_solution(path: Path) -> tuple[Integers, Floats]:
    """UTC ns and the numbers of each line from latitude on."""
    times: list[int] = []
    rows: list[list[float]] = []
    leap = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith('%'):
            leap = LEAP_SECONDS if 'GPST' in line else 0 if 'UTC' in line else leap
            continue
        words = line.split()
        if not words:
            continue
        try:
            times.append(_calendar_ns(words[0], words[1]))
            rows.append([float(word) for word in words[2 : _POS_COLUMNS + 1]])
        except (ValueError, IndexError) as error:
            raise RecordingError(f'{path}:{number}: not a line of a solution ({error})') from error
    table = np.array(rows)
    if leap is None or table.ndim != 2 or table.shape[1] < 22:
        raise RecordingError(
            f'{path}: expected latitude, longitude, height and velocity with standard deviations '
            '(RTKLIB options out-solformat=llh, out-outvel=on, out-timesys=gpst)'
        )
    return np.array(times, np.int64) - leap * NANOSECONDS, table


def _calendar_ns(date: str, time: str) -> int:
    seconds, _, fraction = time.partition('.')
    whole = datetime.strptime(f'{date} {seconds}', '%Y/%m/%d %H:%M:%S').replace(tzinfo=timezone.utc)
    return int(whole.timestamp()) * NANOSECONDS + int(fraction.ljust(9, '0')[:9] or 0)


def _covariance(deviations: Floats) -> Floats:
    """(m, 3, 3) east north up from RTKLIB's n, e, u, ne, eu, un (signed roots of covariances)."""
    n, e, u, ne, eu, un = (np.sign(column) * column**2 for column in deviations.T)
    rows = [[e, ne, eu], [ne, n, un], [eu, un, u]]
    return np.asarray(np.moveaxis(np.array(rows), -1, 0))


@dataclass(frozen=True)
class Outage:
    """Fixes withheld in ``count`` windows ``[start + k period, + length)``, s after the first."""

    start: float
    length: float
    period: float
    count: int

    def hides(self, times: Integers) -> npt.NDArray[np.bool_]:
        """(n,) which of ``times`` (ns; the first is the reference) are withheld."""
        since = (times - times[0]) * 1e-9 - self.start
        number = np.floor(since / self.period)
        inside = since - number * self.period < self.length
        return np.asarray((number >= 0) & (number < self.count) & inside)


def drive_streams(folder: Path | str, outage: Outage | None = None) -> list[Stream]:
    """The drive as streams; ``outage`` withholds GNSS, never truth.

    Raises:
        RecordingError: as :func:`read_drive`.
    """
    drive = read_drive(folder)
    place = np.column_stack([drive.latitude_deg, drive.longitude_deg, drive.height])
    origin = LocalFrame(*map(float, place[0]))
    position = np.array([origin.to_enu(*row) for row in place.tolist()])
    status = np.where(
        drive.quality <= _QUALITY_FLOAT, NavSatStatus.STATUS_GBAS_FIX, NavSatStatus.STATUS_FIX
    )
    given = np.ones(len(place), bool) if outage is None else ~outage.hides(drive.gnss_time)
    times = drive.gnss_time
    known = NavSatFix.COVARIANCE_TYPE_KNOWN
    covariance = drive.position_covariance
    return [
        Stream(
            streams.TRUE_ORIGIN,
            times[:1],
            streams.fix(place[:1], covariance[:1], known, status[:1]),
            'gnss_antenna',
        ),
        Stream(
            streams.TRUE_ODOMETRY,
            times,
            streams.odometry(position, covariance, drive.velocity, drive.velocity_covariance),
            streams.WORLD_FRAME,
        ),
        Stream(streams.IMU, drive.imu_time, streams.imu(drive.angular_rate, drive.specific_force)),
        Stream(
            streams.FIX,
            times[given],
            streams.fix(place[given], covariance[given], known, status[given]),
            'gnss_antenna',
        ),
        Stream(
            streams.VELOCITY,
            times[given],
            streams.velocity(drive.velocity[given], drive.velocity_covariance[given]),
            streams.WORLD_FRAME,
        ),
    ]
