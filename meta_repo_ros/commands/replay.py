# SPDX-License-Identifier: Apache-2.0
"""``meta-repo replay``: bags and recordings through the filters, with the error against truth."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from meta_repo_ros.core.processor import Processor
    from meta_repo_ros.replay.withheld import OutagePlan
    from meta_repo_ros.reporting.comparison import Comparison
    from meta_repo_ros.reporting.recorded import Recording
    from meta_repo_ros.reporting.report import Judgement


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says for every recording."""

    namespace: str
    files: tuple[Path, ...]
    given: dict[str, dict[str, Any]]
    profile: str
    outages: OutagePlan | None
    settle: float
    without: tuple[str, ...] = ()


@click.command()
@click.argument('recordings', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    '-o', '--output', type=click.Path(path_type=Path, file_okay=False),
    help='Folder for bags and reports; runs/replay-<time> by default.',
)  # fmt: skip
@click.option(
    '--without', multiple=True, metavar='TOPIC',
    help='Also run without TOPIC, such as attitude_update, and show both; offline only.',
)  # fmt: skip
@click.option('--live', is_flag=True, help='Play through the live graph instead of offline.')
@click.option('--rate', default=1.0, show_default=True, help='Times real time, with --live.')
@click.option(
    '--outages', metavar='EVERY:LENGTH[:FIRST]',
    help='Withhold the GNSS for LENGTH seconds every EVERY seconds, first after FIRST seconds.',
)  # fmt: skip
@click.option(
    '--params-file', type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='Parameter file over the shipped ones.',
)  # fmt: skip
@click.option(
    '--profile', default='auto', show_default=True,
    help='Vehicle profile (a file in config/profiles), none, or auto: by kind of recording.',
)  # fmt: skip
@click.option(
    '--set', 'assignments', multiple=True, metavar='NODE:PARAMETER=VALUE',
    help='One parameter, over all files; offline only.',
)  # fmt: skip
@click.option('--namespace', default='', help='Vehicle whose topics are replayed, such as /uav1.')
@click.option('--settle', default=0.0, help='Seconds after the first estimate left out of errors.')
@click.pass_context
def command(
    context: click.Context,
    recordings: tuple[Path, ...],
    output: Path | None,
    without: tuple[str, ...],
    live: bool,
    rate: float,
    outages: str | None,
    params_file: Path | None,
    profile: str,
    assignments: tuple[str, ...],
    namespace: str,
    settle: float,
) -> None:
    """Replay bags or recordings through the filters and print the errors against truth.

    RECORDINGS are rosbag2 bags, BROAD attitude trials (.mat), drives (a folder with RTKLIB's .pos
    and the csv of the IMU, or its .pos file) or PX4 logs (.ulg).
    """
    from rich.markup import escape

    from meta_repo_ros.commands import _live, _runs
    from meta_repo_ros.replay.errors import BagError
    from meta_repo_ros.replay.withheld import OutagePlan

    try:
        plan = OutagePlan.parse(outages) if outages else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint='--outages') from error
    if live and (plan or without or assignments or namespace or len(recordings) > 1):
        raise click.UsageError(
            '--live takes one recording, no --outages, --without, --set or --namespace'
        )
    files = () if params_file is None else (params_file,)
    topics = tuple(name.lstrip('/') for name in without)
    options = Options(namespace, files, _given(assignments), profile, plan, settle, topics)
    console = _runs.console()
    folder = _runs.folder(output, 'replay')
    results: dict[str, Judgement] = {}
    failed = False
    for path in recordings:
        name = _runs.unique(path, results)
        try:
            if live:
                bag = _bag(path, folder)
                wanted = (*_profile(bag, options), *files)
                code = _live.replay(console, bag, folder, rate, wanted)
                failed = code != 0
                continue
            results[name] = _replay(console, path, folder / name, options)
        except (BagError, OSError, ValueError, RuntimeError) as error:
            text = str(error) if str(path) in str(error) else f'{path}: {error}'
            console.print(f'[bold red]{escape(text)}[/]', highlight=False)
            failed = True
    if len(results) > 1:
        _print_means(console, results)
    context.exit(1 if failed else 0)


def _bag(path: Path, folder: Path) -> Path:
    """The bag in ``path``, or the one imported from it into ``folder``."""
    from meta_repo_ros.replay.importers.convert import import_recording

    is_bag = path.suffix in {'.mcap', '.db3'} or (path / 'metadata.yaml').exists()
    bag_files = path.is_dir() and (any(path.glob('*.mcap')) or any(path.glob('*.db3')))
    if is_bag or bag_files:
        return path
    target = folder / 'recording'
    import_recording(path, target)
    return target


def _replay(console: Console, path: Path, folder: Path, options: Options) -> Judgement:
    """Replay one recording offline; prints and writes the result.

    Raises:
        BagError, ValueError, OSError: it cannot be read, imported or written.
        RuntimeError: nothing in it that a filter could use.
    """
    from rich.progress import Progress, TimeRemainingColumn

    from meta_repo_ros.commands import _comparison
    from meta_repo_ros.commands._offline import chain, with_aircraft
    from meta_repo_ros.replay import offline
    from meta_repo_ros.replay.bag_reader import BagReader
    from meta_repo_ros.reporting import recorded, report, terminal
    from meta_repo_ros.vortex_shield.inflow import johnson_boundary

    folder.mkdir(parents=True, exist_ok=True)
    console.rule(str(path), align='left')
    source = _bag(path, folder)
    with BagReader(source) as bag:
        prefix = f'/{options.namespace.strip("/")}/'.replace('//', '/')
        topics = {'/' + name.lstrip('/') for name in bag.topics}
        relative = {name.removeprefix(prefix) for name in topics if name.startswith(prefix)}
        told = bag.custom_data
    profile = _profile(source, options)
    files = (*profile, *options.files)
    given_values = with_aircraft(told, files, options.given)
    processors: Sequence[Processor] = chain(relative, files, given_values)
    if not processors:
        raise RuntimeError(
            'nothing to fuse: a replay needs imu/data_raw with imu/mag or gnss/fix'
            f' (found {", ".join(sorted(relative)) or "no topics"})'
        )
    given = relative.union(*({t.name for t in p.outputs} for p in processors))
    for topic in options.without:
        if topic not in given:
            raise RuntimeError(f'--without: the recording has no messages on {topic}')
    phases = _phases(source, options, prefix)
    if phases:
        from meta_repo_ros.replay.withheld import Withheld

        processors = [Withheld(processor, phases) for processor in processors]
    with Progress(
        *Progress.get_default_columns()[:3], TimeRemainingColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task('replaying', total=1.0)
        result = offline.run(
            source,
            processors,
            folder / 'bag',
            progress=lambda fraction: progress.update(task, completed=fraction),
            include_inputs=True,
            namespace=options.namespace or '/',
        )
    recording = recorded.read_bag(folder / 'bag', options.namespace)
    judgement = report.judge(recording, phases, settle=options.settle)
    other = _compared(console, folder / 'bag', relative, profile, phases, recording, options)
    names = ' and '.join(processor.name for processor in processors)
    remarks = [*_vehicle_lines(profile, processors), *_outage_lines(phases, recording)]
    facts = report.Facts(
        title=f'Replay of {path.name}',
        lines=[f'Offline replay of {path} through {names}.', *remarks],
        bag=str(folder / 'bag'),
        digest=result.digest,
        speed=result.real_time_factor,
        configuration={p.name: _mapping(p) for p in processors},
        notes=result.warnings,
        comparison=other,
        boundary=johnson_boundary,
    )
    page = report.write(folder / 'report.html', recording, judgement, facts)
    if report.error_rows(judgement):
        console.print(terminal.error_table(judgement))
    else:
        console.print('no truth in this recording, or no estimate: no errors to print')
    for line in remarks:
        console.print(line, highlight=False)
    if other is not None and (shown := _comparison.table(judgement, other, recording)):
        console.print(shown)
    console.print(
        f'{result.duration_ns * 1e-9:.1f} s in {result.wall_s:.1f} s, '
        f'{result.real_time_factor:.1f} times real time ({names})\n'
        f'digest {result.digest}\nbag    {folder / "bag"}\nreport {page}',
        highlight=False,
    )
    if recording.estimate is None and recording.attitude is None:
        raise RuntimeError(f'no estimate came out: {_complaints(result.diagnostics)}')
    return judgement


def _compared(
    console: Console,
    bag: Path,
    topics: set[str],
    profile: Sequence[Path],
    phases: Sequence[tuple[int, int]],
    recording: Recording,
    options: Options,
) -> Comparison | None:
    """The run without the topics that were named, None where none were.

    Raises:
        RuntimeError: the recording does not hold them, or nothing takes them.
    """
    from meta_repo_ros.commands import _comparison
    from meta_repo_ros.commands._offline import chain

    if not options.without:
        return None
    if not _comparison.present(recording, options.without):
        missing = ', '.join(options.without)
        raise RuntimeError(f'--without: the recording has no messages on {missing}')
    console.print(f'once more without {" and ".join(options.without)} ...', highlight=False)
    seen = topics - _comparison.IMAGES
    processors = chain(seen, (*profile, *options.files), options.given)
    found = _comparison.run_without(
        bag, processors, options.without, recording,
        phases=phases, settle=options.settle, namespace=options.namespace,
    )  # fmt: skip
    if found is None:
        raise RuntimeError('--without: no filter takes that topic, or there is no truth')
    return found


def _given(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    from meta_repo_ros.commands._offline import assignment

    given: dict[str, dict[str, Any]] = {}
    for text in assignments:
        try:
            node, name, value = assignment(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint='--set') from error
        given.setdefault(node, {})[name] = value
    return given


def _profile(source: Path, options: Options) -> tuple[Path, ...]:
    """The parameter file of the vehicle profile, by the kind of recording unless named."""
    from meta_repo_ros.commands._offline import PROFILES, profile_file
    from meta_repo_ros.replay.bag_reader import BagReader

    name = options.profile
    if name == 'auto':
        with BagReader(source) as bag:
            name = PROFILES.get(bag.custom_data.get('recording', ''), 'none')
    return () if name == 'none' else (profile_file(name),)


def _phases(source: Path, options: Options, prefix: str) -> tuple[tuple[int, int], ...]:
    """The outages of a plan, from the first to the last fix of the bag."""
    if options.outages is None:
        return ()
    from meta_repo_ros.core.time import stamp_ns
    from meta_repo_ros.replay.bag_reader import BagReader

    with BagReader(source) as bag:
        wanted = [name for name in bag.topics if f'/{name.lstrip("/")}' == f'{prefix}gnss/fix']
        stamps = [stamp_ns(row[3].header.stamp) for row in bag.messages(wanted)]
    phases = options.outages.phases(min(stamps), max(stamps)) if stamps else ()
    if not phases:
        raise RuntimeError('no outage fits: the recording has no fixes, or is too short')
    return phases


def _vehicle_lines(profile: Sequence[Path], processors: Sequence[Processor]) -> list[str]:
    """The vehicle profile and its constraints, which a result must not hide."""
    lines = [f'Vehicle profile {path.stem}.' for path in profile]
    for processor in processors:
        constraints = _mapping(processor).get('vehicle.constraints', 'none')
        if constraints != 'none':
            lines.append(f'Motion constraints: those of a {constraints}.')
    return lines


def _outage_lines(phases: Sequence[tuple[int, int]], recording: Any) -> list[str]:
    if not phases:
        return []
    first = (phases[0][0] - recording.start) * 1e-9
    length = (phases[0][1] - phases[0][0]) * 1e-9
    count = f'GNSS withheld in {len(phases)} outages of {length:g} s'
    return [f'{count}, the first {first:.2f} s after the start (stamp {phases[0][0]} ns).']


def _mapping(processor: Processor) -> dict[str, Any]:
    from meta_repo_ros.core.parameters import to_mapping

    return dict(to_mapping(processor.parameters))


def _complaints(diagnostics: Any) -> str:
    rows = [row for rows in diagnostics.values() for row in rows if row.level > 0]
    return '; '.join(f'{row.name}: {row.message}' for row in rows) or 'see the diagnostics'


def _print_means(console: Console, results: dict[str, Judgement]) -> None:
    """The rms of each quantity over several recordings, and their mean."""
    from rich import box
    from rich.table import Table

    from meta_repo_ros.reporting.report import error_rows

    table = Table(title='rms of each recording', title_justify='left', box=box.SIMPLE_HEAD)
    table.add_column('error')
    table.add_column('unit')
    for name in results:
        table.add_column(name if len(name) < 24 else name[:23] + '…', justify='right')
    table.add_column('mean', justify='right')
    values: dict[tuple[str, str], dict[str, float]] = {}
    for name, judgement in results.items():
        for row in error_rows(judgement):
            values.setdefault((row.quantity, row.unit), {})[name] = row.statistics.rms
    for (quantity, unit), found in values.items():
        cells = [f'{found[name]:.3f}' if name in found else '-' for name in results]
        table.add_row(quantity, unit, *cells, f'{sum(found.values()) / len(found):.3f}')
    console.print(table)
