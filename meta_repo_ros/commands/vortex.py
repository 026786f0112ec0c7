# SPDX-License-Identifier: Apache-2.0
"""``meta-repo vortex``: detection on streams from files, reports of flights, the live view."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from meta_repo_ros.commands import _vortex_watch

_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Vortex ring state: judge the detector on files, report on flights, watch it live."""


command.add_command(_vortex_watch.command)


@command.command()
@click.argument('files', nargs=-1, required=True, type=_PATH)
@click.option('--json', 'as_json', is_flag=True, help='One JSON object on standard output.')
@click.option(
    '-o', '--out', '--output', 'output', type=_PATH,
    help='Folder for levels and pictures; runs/vortex-<time> else.',
)  # fmt: skip
@click.option(
    '--sensitivity', type=click.FloatRange(0, 1), metavar='SHARE',
    help='Share of the windows with a ring that the threshold finds; the shipped one else.',
)  # fmt: skip
@click.option(
    '--false-positive-threshold', type=click.FloatRange(1e-6, 0.5), metavar='SHARE',
    help='Share of the windows of quiet flight that may pass it; the shipped one else.',
)  # fmt: skip
@click.option(
    '--interval', default=0.02, show_default=True, type=click.FloatRange(0, 60),
    help='Between two lines of the levels, s; changes are always written. 0: every decision.',
)  # fmt: skip
@click.option('--no-plot', is_flag=True, help='Draw no pictures.')
@click.pass_context
def evaluate(
    context: click.Context,
    files: tuple[Path, ...],
    as_json: bool,
    output: Path | None,
    sensitivity: float | None,
    false_positive_threshold: float | None,
    interval: float,
    no_plot: bool,
) -> None:
    """Run the detector over FILES (.npz) of sensor streams of any origin, and judge it.

    The keys of a file are in docs/vortex_shield.md. Where files hold truth: event recall, onset
    delay, false alarms per hour, ROC area and more, of each file and of all together. In any case
    the level over time is written as <file>.jsonl (level as in the file's truth: 0 none, 1 margin,
    2 incipient, 3 developed) and drawn as <file>.png. A folder stands for all its .npz. Ends with 1
    where a file could not be used.
    """
    from dataclasses import replace

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import MofNCompleteColumn, Progress

    from meta_repo_ros.commands import _runs, _vortex
    from meta_repo_ros.core.rotorcraft import RotorcraftError
    from meta_repo_ros.vortex_shield.calibration import CalibrationError, shipped
    from meta_repo_ros.vortex_shield.detector import DetectionParameters
    from meta_repo_ros.vortex_shield.stream_file import StreamFileError

    console = Console(stderr=True) if as_json else _runs.console()
    parameters = DetectionParameters()
    if sensitivity is not None:
        parameters = replace(parameters, sensitivity=sensitivity)
    if false_positive_threshold is not None:
        parameters = replace(parameters, false_positive_threshold=false_positive_threshold)
    try:
        calibration = shipped()
    except CalibrationError as error:
        raise click.ClickException(str(error)) from error
    paths = _files(files)
    folder = _runs.folder(output, 'vortex')
    every: list[Any] = []
    values: list[dict[str, Any]] = []
    taken: set[str] = set()
    bar = Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), console=Console(stderr=True),
        transient=True, disable=len(paths) < 2,
    )  # fmt: skip
    with bar:
        for path in bar.track(paths, description='evaluating'):
            try:
                one = _vortex.judge(path, parameters)
            except (StreamFileError, RotorcraftError) as error:
                text = str(error) if str(path) in str(error) else f'{path}: {error}'
                values.append({'file': str(path), 'error': text})
                bar.console.print(f'[bold red]{escape(text)}[/]', highlight=False)
                continue
            name = _runs.unique(path, taken)
            taken.add(name)
            try:
                values.append(_vortex.write(one, folder, name, interval, plot=not no_plot))
            except OSError as error:
                raise click.ClickException(f'cannot write to {folder}: {error}') from error
            every.append(one)
    together = _vortex.merits(every)
    if as_json:
        settings = {
            'sensitivity': parameters.sensitivity,
            'false_positive_threshold': parameters.false_positive_threshold,
            'calibration': calibration.digest,
        }
        result = {'settings': settings, 'files': values, 'together': together or None}
        click.echo(json.dumps(_vortex.plain(result), indent=2))
    elif every:
        _print(console, every, values, together)
        console.print(f'levels{"" if no_plot else " and pictures"} in {folder}', highlight=False)
    context.exit(0 if len(every) == len(paths) else 1)


@command.command()
@click.argument('bag', type=_PATH)
@click.option('-o', '--output', type=_PATH, help='HTML file; <bag>_vortex.html beside it else.')
@click.option('--namespace', default='', help='Vehicle to report on, such as /uav1.')
def report(bag: Path, output: Path | None, namespace: str) -> None:
    """Write a page of plots of the detections and the recovery that BAG holds.

    Level against the simulated truth where it was recorded, probability, risk and evidence, descent
    state against the boundary, features, height, phase of the recovery, rotor speed. Ends with 1
    where the bag holds no vortex_detection.
    """
    from rich.markup import escape

    from meta_repo_ros.commands import _runs
    from meta_repo_ros.replay.errors import BagError
    from meta_repo_ros.reporting import recorded, wake_section
    from meta_repo_ros.reporting.page import render
    from meta_repo_ros.vortex_shield.inflow import johnson_boundary

    console = _runs.console()
    try:
        recording = recorded.read_bag(bag, namespace)
    except BagError as error:
        raise click.ClickException(str(error)) from error
    if recording.wake is None:
        of = f' of {namespace}' if namespace else ''
        raise click.ClickException(
            f'{bag} holds no vortex_detection{of}; record a flight with vortex_shield running'
        )
    wake = wake_section.with_boundary(recording.wake, johnson_boundary)
    path = output or bag.with_name(f'{bag.name.removesuffix(".mcap")}_vortex.html')
    text = f'{recording.duration:.0f} s recorded in {bag}.'
    page = render(f'Rotor wake of {bag.name}', [text], wake_section.tiles(wake),
                  wake_section.sections(wake))  # fmt: skip
    try:
        path.write_text(page, encoding='utf-8')
    except OSError as error:
        raise click.ClickException(f'cannot write {path}: {error.strerror or error}') from error
    for tile in wake_section.tiles(wake):
        console.print(f'{tile.label:24s} {tile.value}  {escape(tile.detail)}', highlight=False)
    console.print(f'report  {escape(str(path))}', highlight=False)


def _files(given: tuple[Path, ...]) -> list[Path]:
    """The files, folders replaced by what they hold."""
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        found = sorted(path.glob('*.npz'))
        if not found:
            raise click.ClickException(f'{path} holds no .npz files')
        paths += found
    return paths


def _print(console: Any, every: list[Any], values: list[dict[str, Any]], together: Any) -> None:
    from rich.markup import escape

    from meta_repo_ros.commands import _vortex

    console.print(_vortex.described_table(every))
    for row in values:
        for note in row.get('notes', ()):
            console.print(f'{escape(Path(row["file"]).name)}: {escape(note)}', highlight=False)
    if together:
        console.print(_vortex.figures_table(together))
        console.print(_vortex.rivals_table(together['baselines']))
    else:
        console.print('no truth in these files: nothing to judge', highlight=False)
