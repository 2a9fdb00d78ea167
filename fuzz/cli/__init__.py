# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `nst-fuzz`. Each module of this package is one subcommand.

A module NAME.py holds a click command called `command`, which becomes
`nst-fuzz NAME`. Modules are imported when they are needed, so that the start
of one command does not pay for the imports of the others.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys

import click

from fuzz.errors import UserError


class ModuleGroup(click.Group):
    """A click group whose subcommands are the modules of a package: this one, or a subclass's."""

    package = __name__
    path = __path__

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands, sorted."""
        return sorted(
            info.name for info in pkgutil.iter_modules(self.path) if not info.name.startswith("_")
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand, None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=ModuleGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nst-scapy")
def group() -> None:
    """Fuzz and test the NST kernel module in QEMU guests."""


def main() -> None:
    """Run `nst-fuzz`: the console script's entry point.

    Exits with 130 and 143 on Ctrl-C and SIGTERM, after cleaning up.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = group.main(prog_name="nst-fuzz", standalone_mode=False)
    except UserError as error:
        click.echo(f"nst-fuzz: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)
    # What `ctx.exit` was given, or what a command happens to return.
    sys.exit(result if isinstance(result, int) else 0)


def _terminate(number: int, _frame: object) -> None:
    sys.exit(128 + number)
