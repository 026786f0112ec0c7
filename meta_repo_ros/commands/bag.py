# SPDX-License-Identifier: Apache-2.0
"""``meta-repo bag``: look into bags, repair them, import recordings, convert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from meta_repo_ros.replay.bag_reader import BagReader

_PATH = click.Path(path_type=Path)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What is wrong with a bag ends the command with one line."""
    from meta_repo_ros.replay.errors import BagError
    from meta_repo_ros.replay.importers import RecordingError

    try:
        yield
    except (BagError, RecordingError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _progress(label: str) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def storage_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how a bag is stored."""
    options = [
        click.option(
            '--storage',
            type=click.Choice(['mcap', 'sqlite3']),
            default='mcap',
            show_default=True,
            help='Storage format.',
        ),
        click.option(
            '--compression',
            type=click.Choice(['none', 'zstd', 'lz4']),
            default='none',
            show_default=True,
            help='Of MCAP chunks; SQLite takes zstd alone.',
        ),
        click.option(
            '--compression-mode',
            type=click.Choice(['file', 'message']),
            default='file',
            show_default=True,
            help='What SQLite compresses.',
        ),
        click.option(
            '--max-size',
            type=click.FloatRange(min=0),
            default=0.0,
            help='Begin a new file after this many MB; 0 for never.',
        ),
        click.option(
            '--max-duration',
            type=click.FloatRange(min=0),
            default=0.0,
            help='Begin a new file after this many seconds; 0 for never.',
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Look into bags, repair them, import recordings, convert."""


@command.command()
@click.argument('bag', type=_PATH)
def info(bag: Path) -> None:
    """Show what BAG (directory, .mcap or .db3) holds."""
    from meta_repo_ros.replay.bag_reader import BagReader

    with _plain_errors(), BagReader(bag) as reader:
        _print_info(reader)


def _print_info(reader: BagReader) -> None:
    seconds = reader.duration_ns * 1e-9
    compression = f', {reader.compression}' if reader.compression else ''
    files = f'{len(reader.files)} file(s), {reader.size / 1e6:.1f} MB'
    facts = {'bag': str(reader.path), 'storage': f'{reader.storage}{compression}, {files}'}
    if reader.message_count:
        facts['start'] = _time(reader.start_ns)
        facts['end'] = f'{_time(reader.end_ns)}, {seconds:.3f} s'
    facts['messages'] = str(reader.message_count)
    for key, value in (*facts.items(), *reader.custom_data.items()):
        click.echo(f'{key:14s} {value}')
    rows = [('topic', 'type', 'count', 'Hz', 'offered QoS')]
    for topic in reader.topics.values():
        rate = f'{(topic.count - 1) / seconds:.1f}' if seconds > 0 and topic.count > 1 else '-'
        offered = {
            f'{q.reliability.name.lower()} {q.durability.name.lower()} {q.depth}' for q in topic.qos
        }
        kind = topic.type if topic.readable else f'{topic.type} (unreadable)'
        qos = '; '.join(sorted(offered)) or '-'
        rows.append((topic.name, kind, str(topic.count), rate, qos))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for name, kind, count, rate, qos in rows:
        left = f'{name:{widths[0]}}  {kind:{widths[1]}}'
        click.echo(f'{left}  {count:>{widths[2]}}  {rate:>{widths[3]}}  {qos}')


def _time(stamp_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(stamp_ns // 10**9, tz=dt.timezone.utc)
    return f'{stamp_ns / 1e9:.3f} s ({moment:%Y-%m-%d %H:%M:%S} UTC)'


@command.command()
@click.argument('bag', type=_PATH)
@click.option('-o', '--output', type=_PATH, help='New bag, <BAG>_recovered by default.')
def recover(bag: Path, output: Path | None) -> None:
    """Make a readable bag of what a killed recorder or a broken copy left in BAG."""
    from meta_repo_ros.replay.recover import recover as recover_bag

    with _plain_errors():
        result = recover_bag(bag, output)
    seconds = (result.end_ns - result.start_ns) * 1e-9
    click.echo(f'{result.path}: {result.message_count} messages, {seconds:.3f} s')
    for topic, count in sorted(result.counts.items()):
        click.echo(f'  {count:8d}  {topic}')
    for text in result.lost:
        click.echo(f'lost: {text}', err=True)


def _outage(_: click.Context, __: click.Parameter, text: str | None) -> Any:
    from meta_repo_ros.replay.importers.drive import Outage

    if text is None:
        return None
    try:
        start, length, period, count = (float(word) for word in text.split(','))
    except ValueError:
        raise click.BadParameter('expected START,LENGTH,PERIOD,COUNT in seconds') from None
    if min(start, length, count) < 0 or period < length or count != int(count):
        raise click.BadParameter('expected PERIOD >= LENGTH >= 0, START >= 0 and a whole COUNT')
    return Outage(start, length, period, int(count))


def _latency(_: click.Context, __: click.Parameter, items: tuple[str, ...]) -> dict[str, float]:
    result = {}
    for item in items:
        topic, _equals, seconds = item.partition('=')
        try:
            result[topic.strip('/')] = float(seconds)
        except ValueError:
            raise click.BadParameter(f'{item!r}: expected TOPIC=SECONDS') from None
    return result


@command.command('import')
@click.argument('source', type=_PATH)
@click.option('-o', '--output', type=_PATH, required=True, help='Bag to create.')
@click.option(
    '--outage',
    callback=_outage,
    metavar='START,LENGTH,PERIOD,COUNT',
    help='Withhold GNSS (never truth): COUNT windows, seconds after the first fix.',
)
@click.option(
    '--latency',
    callback=_latency,
    multiple=True,
    metavar='TOPIC=SECONDS',
    help='Declared latency of a topic; for recordings without receive times.',
)
@click.option('--namespace', default='', help='Namespace of the topics.')
@storage_options
def import_command(
    source: Path, output: Path, outage: Any, latency: dict[str, float], namespace: str, **how: Any
) -> None:
    """Import SOURCE: a BROAD trial (.mat), a PX4 log (.ulg), or the folder of a drive (.pos)."""
    from meta_repo_ros.replay.importers.convert import import_recording

    with _plain_errors(), _progress('importing') as progress:
        result = import_recording(
            source,
            output,
            outage=outage,
            latency_s=latency,
            namespace=namespace,
            progress=progress,
            **writer_options(**how),
        )
    click.echo(f'{result.path}: {sum(result.counts.values())} messages ({result.kind})')
    for topic, count in result.counts.items():
        click.echo(f'  {count:8d}  {topic}')


@command.command()
@click.argument('bag', type=_PATH)
@click.option('-o', '--output', type=_PATH, required=True, help='Bag to create.')
@click.option('--topic', 'topics', multiple=True, help='Only this topic; may be repeated.')
@click.option('--start', type=float, default=None, help='Seconds after the beginning.')
@click.option('--stop', type=float, default=None, help='Seconds after the beginning.')
@storage_options
def convert(
    bag: Path,
    output: Path,
    topics: tuple[str, ...],
    start: float | None,
    stop: float | None,
    **how: Any,
) -> None:
    """Copy BAG into another storage, compression, split, time range or choice of topics."""
    from meta_repo_ros.replay.convert import convert as convert_bag

    with _plain_errors(), _progress('converting') as progress:
        count = convert_bag(
            bag,
            output,
            topics=topics or None,
            start_s=start,
            stop_s=stop,
            progress=progress,
            **writer_options(**how),
        )
    click.echo(f'{output}: {count} messages')


def writer_options(*, max_size: float, max_duration: float, **how: Any) -> dict[str, Any]:
    """Arguments of ``BagWriter`` from :func:`storage_options`."""
    return {
        **how,
        'max_file_bytes': int(max_size * 1e6),
        'max_file_ns': int(max_duration * 1e9),
    }
