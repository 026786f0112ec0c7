# SPDX-License-Identifier: Apache-2.0
"""``meta-repo demo``: one minute of flight through the live graph, with a bag and a report."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option('--scenario', default='demo', show_default=True, help='Shipped name or YAML file.')
@click.option(
    '--duration', default=60.0, show_default=True, type=click.FloatRange(min=1.0),
    help='Seconds of flight; it ends sooner where the scenario does.',
)  # fmt: skip
@click.option(
    '-o', '--output', type=click.Path(path_type=Path, file_okay=False),
    help='Folder for bag, report and logs; runs/demo-<time> by default.',
)  # fmt: skip
@click.option('--record/--no-record', default=True, help='Without a bag there is no report either.')
@click.option(
    '--params-file', type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='Parameter file over the shipped ones.',
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    scenario: str,
    duration: float,
    output: Path | None,
    record: bool,
    params_file: Path | None,
) -> None:
    """Fly through the live graph, watch it, record it, and report the errors against truth.

    The flight is simulated: JSBSim flies, sensors and autopilot are models. One Ctrl-C ends it
    early and still writes the report. Exit code 0: navigation worked. Where stars were seen, the
    report also shows the same flight without them.
    """
    from meta_repo_ros.commands import _comparison, _domain, _live, _runs
    from meta_repo_ros.graph import ArgumentError, system
    from meta_repo_ros.reporting.report import Facts
    from meta_repo_ros.run import RunError

    console = _runs.console()
    folder = _runs.folder(output, 'demo')
    if (folder / 'bag').exists():
        raise click.ClickException(f'{folder} already holds a bag; choose another folder')
    try:
        domain = _domain.isolate()
        given = {
            'profile': 'full',
            'scenario': scenario,
            'record': str(record).lower(),
            'bag_path': str((folder / 'bag').absolute()),
            'respawn': 'false',
            'params_file': str(params_file or ''),
        }
        processes = system(given)
        flight = _live.fly(console, processes, duration, folder, domain)
    except (ArgumentError, RunError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not record:
        context.exit(_live.summarise(console, flight))
    text = (
        f'Simulated flight of up to {duration:g} s through the live graph: JSBSim flies, the'
        ' sensors are models, everything else is what runs on a vehicle.'
    )
    facts = Facts(
        title=f'Flight of scenario {scenario}',
        lines=[text],
        configuration=_live.configuration(processes, params_file),
    )
    context.exit(
        _live.conclude(
            console, flight, folder, facts, without=_comparison.STARS,
            files=[] if params_file is None else [params_file],
        )
    )  # fmt: skip
