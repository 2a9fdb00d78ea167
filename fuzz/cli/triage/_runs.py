# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that the commands over runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def runs_option(function: F) -> F:
    """Add the option that says where the runs are."""
    return click.option(
        "--runs",
        "folder",
        type=click.Path(path_type=Path),
        default=Path("nst-runs"),
        show_default=True,
        metavar="DIR",
        help="A run, or the directory of several.",
    )(function)


def trial_options(function: F) -> F:
    """Add the options that say what a case is tried on."""
    for option in (
        click.option("--kernel", "kernel_name", metavar="NAME", help="[default: the run's]"),
        click.option(
            "--module",
            "module_path",
            type=click.Path(exists=True, path_type=Path),
            metavar="PATH",
            help="An nst.ko, or the directory of its source. [default: the run's, if there]",
        ),
    ):
        function = option(function)
    return function


def speaker(console: Console) -> Callable[[str], None]:
    """What says how trials go on."""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say
