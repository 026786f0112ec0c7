# SPDX-License-Identifier: Apache-2.0
"""``meta-repo simulate``: fly a scenario into a bag, without a graph."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from meta_repo_ros.simulation.simulator import Simulator


@click.command()
@click.argument('scenario')
@click.option(
    '-o', '--output', type=click.Path(path_type=Path, file_okay=False), required=True,
    help='Bag to write; must not exist.',
)  # fmt: skip
@click.option('--seed', type=click.IntRange(min=0), help="Seed instead of the scenario's own.")
@click.option(
    '--duration', type=click.FloatRange(min=0.0, min_open=True),
    help="Seconds of flight instead of the scenario's own.",
)  # fmt: skip
@click.option(
    '--rate', type=click.FloatRange(min=0.0), default=0.0, show_default=True,
    help='Simulated over real time; 0 for as fast as it can.',
)  # fmt: skip
@click.option(
    '--storage', type=click.Choice(['mcap', 'sqlite3']), default='mcap', show_default=True,
    help='Storage of the bag.',
)  # fmt: skip
@click.option('-q', '--quiet', is_flag=True, help='No progress bar and no summary.')
def command(
    scenario: str,
    output: Path,
    seed: int | None,
    duration: float | None,
    rate: float,
    storage: str,
    *,
    quiet: bool,
) -> None:
    """Fly SCENARIO, a shipped name or a YAML file, into a bag with sensors and ground truth.

    The same scenario and seed give the same bag, byte for byte, on the same installation.
    """
    from meta_repo_ros.replay.bag_writer import BagWriter
    from meta_repo_ros.replay.errors import BagError
    from meta_repo_ros.simulation.library import find_scenario
    from meta_repo_ros.simulation.simulator import Simulator
    from meta_repo_ros.simulation.vehicle import VehicleError
    from meta_repo_ros.simulation.yaml_file import ScenarioError

    began = time.monotonic()
    try:
        flight = find_scenario(scenario)
        if duration is not None:
            flight = flight.with_duration(duration)
        simulator = Simulator(flight, seed)
        header = flight.header
        facts = {
            'simulated': 'true', 'scenario': header.name, 'aircraft': header.aircraft,
            'seed': str(simulator.seed),
        }  # fmt: skip
        with BagWriter(output, storage=storage, custom_data=facts) as bag:
            for topic in simulator.topics:
                bag.add_topic(topic.name, topic.type, topic.qos)
            _fly(simulator, bag.write, rate, quiet=quiet)
            counts = bag.counts
    except (ScenarioError, VehicleError, BagError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f'{output}: {error.strerror or error}') from error
    if not quiet:
        _summarise(simulator, output, counts, time.monotonic() - began)


def _fly(
    simulator: Simulator, write: Callable[[str, int, Any], None], rate: float, *, quiet: bool
) -> None:
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    header = simulator.scenario.header
    console = Console(stderr=True, quiet=quiet)
    columns = (*Progress.get_default_columns()[:3], TimeRemainingColumn())
    every = max(1, header.rate // 5)
    began, steps = time.monotonic(), 0
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f'{header.aircraft}: {header.name}', total=header.duration)
        while not simulator.finished:
            for message in simulator.step():
                write(message.topic.name, message.stamp, message.message)
            steps += 1
            if steps % every == 0:
                bar.update(task, completed=simulator.state.time)
            if rate > 0.0:
                time.sleep(max(0.0, began + simulator.state.time / rate - time.monotonic()))


def _summarise(simulator: Simulator, output: Path, counts: dict[str, int], wall: float) -> None:
    from rich.console import Console
    from rich.table import Table

    header, flown = simulator.scenario.header, simulator.state.time
    table = Table('topic', 'type', 'messages', 'Hz', box=None)
    for topic in simulator.topics:
        number = counts.get(topic.name, counts.get(f'/{topic.name}', 0))
        table.add_row(topic.name, topic.type, str(number), f'{number / flown:.4g}')
    console = Console(soft_wrap=True, file=sys.stdout)
    console.print(table)
    console.print(
        f'{flown:.3f} s of simulated flight ({header.aircraft}, scenario {header.name}, '
        f'seed {simulator.seed}) in {wall:.2f} s: {output}',
        highlight=False,
    )
