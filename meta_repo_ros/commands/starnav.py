# SPDX-License-Identifier: Apache-2.0
"""``meta-repo starnav``: photographs of the night sky solved at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)
_WITHOUT_DATE = '2020-01-01T00:00:00Z'


@click.group()
def command() -> None:
    """Star navigation: solve photographs of the night sky, calibrate the star camera."""


@command.command()
@click.argument('images', nargs=-1, required=True, type=_PATH)
@click.option(
    '--time', 'when', metavar='ISO',
    help='When they were taken, such as 2026-11-23T19:30:00Z; local without a zone.',
)  # fmt: skip
@click.option('--lat', type=click.FloatRange(-90, 90), help='Latitude of the camera, deg.')
@click.option('--lon', type=click.FloatRange(-360, 360), help='Longitude, deg, east positive.')
@click.option(
    '--alt', type=click.FloatRange(-500, 1e6), default=0.0, show_default=True, help='Altitude, m.'
)
@click.option(
    '--fov', type=click.FloatRange(0.5, 120), metavar='DEG',
    help='Horizontal field of view, to 3 %; found out where not given.',
)  # fmt: skip
@click.option(
    '--detector', 'method', default='threshold', show_default=True,
    type=click.Choice(['threshold', 'matched_filter', 'deep_learning']),
    help='How stars are found.',
)  # fmt: skip
@click.option(
    '--magnitude-limit', default=8.0, show_default=True, type=click.FloatRange(2, 8),
    help='Faintest catalogue stars, Hp.',
)  # fmt: skip
@click.option(
    '--timeout', default=10.0, show_default=True, type=click.FloatRange(0.01),
    help='Longest time for identification, s per image.',
)  # fmt: skip
@click.option('--stars', 'shown', default=10, show_default=True, help='Stars listed; -1 for all.')
@click.option('--json', 'as_json', is_flag=True, help='One JSON list on standard output.')
@click.option('-o', '--output', type=_PATH, help='Folder for pictures; runs/solve-<time> else.')
@click.option('--no-picture', is_flag=True, help='Write no annotated pictures.')
@click.pass_context
def solve(
    context: click.Context,
    images: tuple[Path, ...],
    when: str | None,
    lat: float | None,
    lon: float | None,
    alt: float,
    fov: float | None,
    method: str,
    magnitude_limit: float,
    timeout: float,
    shown: int,
    as_json: bool,
    output: Path | None,
    no_picture: bool,
) -> None:
    """Say where IMAGES of the night sky point and which stars are in them.

    IMAGES are TIFF, PNG, JPEG, ... of 8 or 16 bits, or folders of them. Right ascension and
    declination are those of the image's centre among the catalogued stars (ICRS). With --time,
    --lat and --lon also azimuth and elevation are given. Ends with 1 where an image is not solved.
    """
    from rich.console import Console
    from rich.markup import escape

    from meta_repo_ros.commands import _runs, _sky
    from meta_repo_ros.starnav import photo
    from meta_repo_ros.starnav.catalogue import CatalogueError, load
    from meta_repo_ros.starnav.detection import detector
    from meta_repo_ros.starnav.identification.identifier import Identifier
    from meta_repo_ros.starnav.image import ImageError, read_picture

    stamp = _sky.stamp(when or _WITHOUT_DATE)
    observer = _sky.observer(stamp, lat, lon, alt) if when else None
    if (lat is None) != (lon is None) or (lat is not None and not when):
        raise click.UsageError('azimuth and elevation need all of --time, --lat and --lon')
    console = Console(stderr=True) if as_json else _runs.console()
    try:
        identifier = Identifier(load(magnitude_limit), stamp)
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    paths = _sky.pictures(images)
    folder = None if no_picture else _runs.folder(output, 'solve')
    finder = detector(method)
    results: list[dict[str, object]] = []
    taken: set[str] = set()
    for path in _sky.progress(paths):
        try:
            image = read_picture(path).pixels
        except ImageError as error:
            results.append({'file': str(path), 'solved': False, 'reason': str(error)})
            console.print(f'[bold red]{escape(str(error))}[/]', highlight=False)
            continue
        found = photo.solve(
            image, finder, identifier, field_of_view=fov, observer=observer, timeout=timeout
        )
        values = {'file': str(path), **photo.as_values(found)}
        if folder is not None:
            name = _runs.unique(path, taken)
            taken.add(name)
            target = folder / f'{name}.png'
            _sky.write_picture(target, image, found, identifier)
            values['picture'] = str(target)
        results.append(values)
        if not as_json:
            _sky.print_photo(console, path, found, shown, values.get('picture'))
    solved = sum(bool(result['solved']) for result in results)
    if as_json:
        click.echo(json.dumps(results, indent=2))
    elif len(results) > 1:
        console.print(f'{solved} of {len(results)} solved', highlight=False)
    context.exit(0 if solved == len(results) else 1)


@command.command()
@click.option(
    '--type', 'kind', default='quick', show_default=True,
    type=click.Choice(['full', 'quick', 'camera', 'gyro']),
    help='Everything; focal length and principal point; the camera alone; the gyroscope bias.',
)  # fmt: skip
@click.option(
    '--duration', default=60.0, show_default=True, type=click.FloatRange(1, 3600),
    help='How long frames are taken, s.',
)  # fmt: skip
@click.option(
    '--detect/--no-detect', 'detect', default=True, show_default=True,
    help='Detect stars anew in each frame, or use those already identified.',
)  # fmt: skip
@click.option('--namespace', default='', help='Vehicle whose camera it is, such as /uav1.')
@click.pass_context
def calibrate(
    context: click.Context, kind: str, duration: float, detect: bool, namespace: str
) -> None:
    """Calibrate the star camera of the running graph from the sky that it sees.

    Sends a goal to the action starnav/calibrate and shows its progress; Ctrl-C cancels it. Nothing
    is written unless frames that were held out fit better than before. Ends with 1 where it is not.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from meta_repo_ros.commands import _runs
    from meta_repo_ros.ros.goal import GoalError, send_goal

    console = _runs.console()
    name = '/'.join(('', *filter(None, (namespace.strip('/'), 'starnav/calibrate'))))

    def fill(goal: Any) -> None:
        goal.calibration_type = kind
        goal.duration = duration
        goal.auto_detect_stars = detect

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task('collecting', total=1.0)

        def feedback(message: Any) -> None:
            text = f'{message.state}: {message.frames} frames, {message.stars} stars'
            bar.update(task, completed=message.progress, description=text)

        try:
            status, result = send_goal(
                name, 'meta_repo_ros/action/Calibrate', fill, feedback, 2.0 * duration + 60.0
            )
        except GoalError as error:
            raise click.ClickException(str(error)) from error
    console.print(f'{status.value}: {escape(result.message)}', highlight=False)
    if result.success:
        before, after = result.residual_before, result.residual_after
        used = f'{result.frames} frames, {result.stars} stars'
        console.print(
            f'held-out residual {before:.3f} -> {after:.3f} px ({used})\n{escape(result.path)}',
            highlight=False,
        )
    context.exit(0 if result.success else 1)
