# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst wireshark`: put the Wireshark dissector where Wireshark finds it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from ._input import InputError, os_error, warn

_SOURCE = Path(__file__).resolve().parents[2] / "wireshark"
_PROFILE = "NST"
_MANIFEST = "nst/installed.json"
"""In the plugin folder: the files that were put there, and in the profile."""
_SYSTEM_COLORS = Path("/usr/share/wireshark/colorfilters")


@click.group(short_help="Install the Wireshark dissector.")
def command() -> None:
    """Install the NST dissector into the personal Wireshark folders, or take it away.

    \b
    Examples:
      nst wireshark install --keybox ~/nst.keybox
      wireshark -C NST capture.pcapng
      nst wireshark uninstall
    """


def _folders() -> tuple[Path, Path]:
    """Wireshark's personal plugin folder, and that of the profile."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "wireshark"
    # Plugins that are text are found here by every version, those of a version beside it.
    return home / ".local/lib/wireshark/plugins", config / "profiles" / _PROFILE


@command.command()
@click.option(
    "--keybox",
    type=click.Path(exists=True, dir_okay=False),
    help="Key box that the profile names; without it, set one in Wireshark's preferences.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def install(keybox: str | None, as_json: bool) -> None:
    """Install the dissector, and a profile with colouring rules and a verdict column.

    The dissector is then loaded by Wireshark and tshark whatever the profile; choose the
    profile "NST" for the rest, or start `wireshark -C NST`. What was installed before is
    replaced.

    \b
    Examples:
      nst wireshark install
      nst wireshark install --keybox test.keybox
    """
    if not (_SOURCE / "nst.lua").is_file():
        raise InputError(f"{_SOURCE / 'nst.lua'}: not there; install from the source tree")
    plugins, profile = _folders()
    try:
        _remove(plugins)
        written = list(_install(plugins, profile, keybox))
        manifest = plugins / _MANIFEST
        manifest.write_text(json.dumps([str(path) for path in [*written, manifest]], indent=1))
    except OSError as error:
        raise os_error(error, str(error.filename or plugins)) from None
    _report("installed", written, as_json)
    if shutil.which("tshark") is None and shutil.which("wireshark") is None:
        warn("neither wireshark nor tshark is installed: apt-get install wireshark tshark")


def _install(plugins: Path, profile: Path, keybox: str | None) -> Iterator[Path]:
    for source in sorted([_SOURCE / "nst.lua", *(_SOURCE / "nst").glob("*.lua")]):
        yield _write(plugins / source.relative_to(_SOURCE), source.read_bytes())
    rules = (_SOURCE / "profile/colorfilters").read_bytes()
    if _SYSTEM_COLORS.is_file():  # a profile's rules stand instead of the system's
        rules += _SYSTEM_COLORS.read_bytes()
    yield _write(profile / "colorfilters", rules)
    preferences = (_SOURCE / "profile/preferences").read_text()
    if keybox is not None:
        preferences += f"nst.keybox: {Path(keybox).resolve()}\n"
    yield _write(profile / "preferences", preferences.encode())


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def uninstall(as_json: bool) -> None:
    """Take away what `nst wireshark install` put there, and nothing else.

    \b
    Examples:
      nst wireshark uninstall
    """
    plugins, _ = _folders()
    try:
        removed = _remove(plugins)
    except OSError as error:
        raise os_error(error, str(error.filename or plugins)) from None
    _report("removed", removed, as_json)


def _remove(plugins: Path) -> list[Path]:
    """Remove the files that the manifest names, and folders that this leaves empty."""
    manifest = plugins / _MANIFEST
    if not manifest.is_file():
        return []
    try:
        listed = json.loads(manifest.read_bytes())
        paths = [Path(name) for name in listed]
    except (ValueError, TypeError):
        raise InputError(f"{manifest}: damaged; remove {plugins / 'nst'} by hand") from None
    plugins_and_profile = {plugins, _folders()[1]}
    for path in paths:
        if not plugins_and_profile & set(path.parents):
            raise InputError(f"{manifest}: names {path}, which is not Wireshark's")
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths} - {plugins}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return paths


def _report(what: str, paths: list[Path], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({what: [str(path) for path in paths]}))
        return
    folders: dict[Path, int] = {}
    for path in paths:
        folders[path.parent] = folders.get(path.parent, 0) + 1
    if not folders:
        click.echo(f"nothing to be {what}")
    for folder, count in folders.items():
        click.echo(f"{what} {count} file{'' if count == 1 else 's'} in {folder}")
