# SPDX-License-Identifier: Apache-2.0
"""What ``meta-repo starnav`` reads from the command line and prints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import cv2
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from meta_repo_ros.starnav.annotation import annotate
from meta_repo_ros.starnav.identification.identifier import Identifier
from meta_repo_ros.starnav.observer import Observer, standard_atmosphere
from meta_repo_ros.starnav.photo import Photo

_SUFFIXES = {'.tif', '.tiff', '.png', '.jpg', '.jpeg', '.bmp', '.webp', '.pgm'}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def stamp(text: str) -> int:
    """A date of ISO 8601 as ns of the Unix epoch; local time where it names no zone.

    Raises:
        click.BadParameter: not a date.
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace('Z', '+00:00'))
    except ValueError as error:
        wanted = 'give a date such as 2026-11-23T19:30:00Z'
        raise click.BadParameter(f'{text!r}: {wanted}', param_hint='--time') from error
    return (moment.astimezone(timezone.utc) - _EPOCH) // timedelta(microseconds=1) * 1000


def observer(
    moment: int, latitude: float | None, longitude: float | None, altitude: float
) -> Observer:
    """Somebody who stands on the ground, in the standard atmosphere."""
    if latitude is None or longitude is None:
        return Observer(moment)
    air = standard_atmosphere(altitude)
    return Observer(
        moment, latitude, longitude, altitude, pressure=air.pressure, temperature=air.temperature
    )


def pictures(given: Sequence[Path]) -> list[Path]:
    """The picture files named, and those of the folders named."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
            if not inside:
                raise click.UsageError(f'{path}: no pictures in this folder')
            found += inside
        elif path.suffix.lower() in {'.json', '.txt', '.md', '.yaml', '.csv'} and len(given) > 1:
            continue  # what lies beside pictures where a shell expanded a star
        else:
            found.append(path)
    return found


def progress(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, with a bar on the terminal where there are several."""
    bar = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=len(paths) < 2,
    )
    with bar:
        yield from bar.track(paths, description='solving')


def write_picture(path: Path, image: NDArray[Any], found: Photo, identifier: Identifier) -> None:
    """Write the annotated picture.

    Raises:
        click.ClickException: it cannot be written.
    """
    drawn = annotate(image, found.centroids, found.match, found.camera, identifier.catalogue.name)
    if not cv2.imwrite(str(path), drawn):
        raise click.ClickException(f'cannot write {path}')


def print_photo(
    console: Console, path: Path, found: Photo, shown: int, picture: object = None
) -> None:
    """Print what was found out about a photograph."""
    console.rule(escape(str(path)), align='left')
    match, count = found.match, len(found.centroids)
    spent = ', '.join(f'{name} {value * 1e3:.0f} ms' for name, value in found.seconds.items())
    if found.pointing is None or found.camera is None:
        reason = escape(f'not solved: {match.failure.value}: {match.detail}')
        console.print(f'[bold red]{reason}[/]', highlight=False)
        console.print(f'stars found      {count}\ntime             {spent}', highlight=False)
        return
    at, camera = found.pointing, found.camera
    width, height = camera.field_of_view, camera.vertical_field_of_view
    rms = math.degrees(match.residual_rms) * 3600.0
    hours = sexagesimal(at.right_ascension / 15.0, ('h', 'm', 's'))
    degrees = sexagesimal(at.declination, ('d', "'", '"'))
    rows = [
        ('right ascension', f'{hours}  {at.right_ascension:.4f} deg'),
        ('declination', f'{degrees}  {at.declination:.4f} deg'),
        ('roll', f'up is {round(at.roll, 3) % 360.0:.3f} deg east of north'),
        ('field of view', f'{math.degrees(width):.3f} x {math.degrees(height):.3f} deg'),
    ]
    if found.horizontal is not None:
        h = found.horizontal
        where = f'azimuth {h.azimuth:.3f} deg ({h.compass}), elevation {h.elevation:.3f} deg'
        rows.append(('points to', f'{where}, tilted {h.tilt:+.1f} deg'))
    rows += [
        ('stars', f'{len(found.stars)} identified of {count} found'),
        ('residual', f'{rms:.1f} arcsec rms ({rms / 206265.0 * match.focal_length:.2f} px)'),
        ('false alarm', f'probability {max(match.false_alarm_probability, 1e-300):.0e} or less'),
        ('time', spent),
    ]
    if picture:
        rows.append(('picture', str(picture)))
    for name, text in rows:
        console.print(f'{name:16s} {escape(text)}', highlight=False)
    listed = found.stars if shown < 0 else found.stars[:shown]
    if listed:
        console.print(_table(listed))


def sexagesimal(value: float, units: tuple[str, str, str]) -> str:
    """``value`` in units, minutes and seconds, such as 12h 34m 56.7s."""
    tenths = round(abs(value) * 36000.0)
    whole, rest = divmod(tenths, 36000)
    minutes, tenths = divmod(rest, 600)
    a, b, c = units
    sign = '' if a == 'h' else '-' if value < 0 else '+'
    return f'{sign}{whole:02d}{a} {minutes:02d}{b} {tenths / 10.0:04.1f}{c}'


def _table(stars: Sequence[Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ('star', 'HIP', 'Hp', 'u px', 'v px', 'residual px'):
        table.add_column(name, justify='left' if name == 'star' else 'right')
    for star in stars:
        table.add_row(
            escape(star.name), str(star.hip), f'{star.magnitude:.2f}',
            f'{star.u:.1f}', f'{star.v:.1f}', f'{star.residual:.2f}',
        )  # fmt: skip
    return table
