# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `nst`. Each module of this package is one subcommand.

A module NAME.py holds a click command called `command`, which becomes `nst NAME`.
Modules are imported when they are needed, so that no command waits for what only
another one imports.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys

import click


class ModuleGroup(click.Group):
    """A click group whose subcommands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands, sorted."""
        names = (info.name for info in pkgutil.iter_modules(__path__))
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand, ``None`` if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=ModuleGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nst-scapy")
def group() -> None:
    """Work with NST records, key boxes and captures.

    \b
    Examples:
      nst keybox new --keys 16 -o test.keybox
      nst decode capture.pcapng --keybox test.keybox
      nst listen --keybox test.keybox > letter
      nst connect 192.0.2.1 --keybox test.keybox < letter
      nst shell --keybox test.keybox
      nst vectors tests/vectors/nst-v1.json
      nst ctl keys load test.keybox
      nst run -- curl http://192.0.2.1/

    Exit status: 0 for success, 1 where a check found something, 2 for bad input,
    130 when interrupted.
    """


def main() -> None:
    """Run `nst`: the console script's entry point."""
    # Let `nst decode ... | head` end as every other filter does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        status = group.main(prog_name="nst", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except click.Abort:
        status = 130
    sys.exit(status)
