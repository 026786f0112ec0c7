# SPDX-License-Identifier: Apache-2.0
"""The ``meta-repo`` command: finds its subcommands in ``meta_repo_ros.commands``."""

from __future__ import annotations

import importlib
import pkgutil

import click

from meta_repo_ros import commands


class _Subcommands(click.Group):
    """Loads a subcommand's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        names = (module.name for module in pkgutil.iter_modules(commands.__path__))
        return sorted(name.replace('_', '-') for name in names if not name.startswith('_'))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f'{commands.__name__}.{cmd_name.replace("-", "_")}')
        command: click.Command = module.command
        return command


@click.command(cls=_Subcommands, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(package_name='meta_repo_ros', message='%(prog)s %(version)s')
def main() -> None:
    """Avionics node graph for ROS 2: run it, record it, replay it, measure it."""


if __name__ == '__main__':
    main(prog_name='meta-repo')
