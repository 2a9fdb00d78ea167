# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst keybox`: make and check key-box files. Keys are printed only when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..keybox import MAX_KID, KeyBox
from ._input import InputError, load_keybox, os_error


@click.group("keybox")
def command() -> None:
    """Make and check key-box files. Keys are printed only by show --keys.

    \b
    Examples:
      nst keybox new --keys 16 -o test.keybox
      nst keybox check test.keybox
      nst keybox show --json test.keybox
    """


@command.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="File to write, with mode 0600."
)
@click.option(
    "--keys",
    type=click.IntRange(1, MAX_KID + 1),
    default=16,
    show_default=True,
    help="Number of keys; their kids are 0 and up.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def new(output: str, keys: int, force: bool) -> None:
    """Write a box of fresh random keys.

    \b
    Example:
      nst keybox new --keys 16 -o test.keybox
    """
    try:
        if not force:
            # Takes the name, so that no one else's file can come in between.
            Path(output).touch(mode=0o600, exist_ok=False)
        KeyBox.generate(keys).save(output)
    except FileExistsError:
        raise InputError(f"{output}: is there already; --force replaces it") from None
    except OSError as error:
        raise os_error(error, output) from None
    click.echo(f"{output}: {keys} key{'' if keys == 1 else 's'}")


@command.command()
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Check FILE's format and mode.

    An error names the line and is exit status 2; a file that others can read is a warning.

    \b
    Example:
      nst keybox check test.keybox
    """
    box = load_keybox(file)
    click.echo(f"{file}: {len(box)} key{'' if len(box) == 1 else 's'}")


@command.command()
@click.argument("file", type=click.Path())
@click.option("--keys", is_flag=True, help="Print the keys, too; they are secrets.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(file: str, keys: bool, as_json: bool) -> None:
    """List the kids of the keys in FILE, one a line.

    With --keys, each with its key in hex: the lines make a key-box file.

    \b
    Examples:
      nst keybox show test.keybox
      nst keybox show --keys test.keybox | head -n 4 | install -m 600 /dev/stdin few.keybox
    """
    box = load_keybox(file)
    kids = sorted(box)
    if as_json:
        shown: dict[str, object] = {"file": file, "kids": kids}
        if keys:
            shown["keys"] = {str(kid): box[kid].hex() for kid in kids}
        click.echo(json.dumps(shown))
        return
    for kid in kids:
        click.echo(f"{kid} {box[kid].hex()}" if keys else kid)
