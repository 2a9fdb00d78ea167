# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs that are put into the module at build time, to measure what finds them.

`bugs.toml` holds them. None is ever in the module as shipped: a copy of its source is
changed and built.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fuzz.errors import UserError
from fuzz.guest.module import PRODUCTS, SOURCE


@dataclass(frozen=True)
class PlantedBug:
    """One bug.

    Attributes:
        name: of the bug.
        campaign: that reaches it.
        about: one line.
        file: of the module, that is changed.
        old: text in it.
        new: what stands there instead.
        noinline: function to keep as one of its own, so that it has a name on the stack;
            empty if none.
        title: what a stock kernel's report is called, or its silence; empty if it makes neither.
    """

    name: str
    campaign: str
    about: str
    file: str
    old: str
    new: str
    noinline: str = ""
    title: str = ""


def load() -> dict[str, PlantedBug]:
    """All planted bugs by name."""
    text = resources.files(__package__).joinpath("bugs.toml").read_text()
    return {name: PlantedBug(name, **entry) for name, entry in tomllib.loads(text).items()}


def find(name: str) -> PlantedBug:
    """The planted bug of a name; UserError if there is none."""
    bugs = load()
    if name not in bugs:
        raise UserError(f"no planted bug {name!r}; known: {', '.join(bugs)}")
    return bugs[name]


def plant(bug: PlantedBug, folder: Path, source: Path = SOURCE) -> Path:
    """Copy the module's source to a new folder, with the bug in it; return the folder.

    Raises:
        UserError: the source has changed so that the bug has no place in it.
    """
    shutil.copytree(source, folder, ignore=PRODUCTS)
    (folder / bug.file).write_text(changed(bug, source))
    return folder


def changed(bug: PlantedBug, source: Path = SOURCE) -> str:
    """The text of the bug's file with the bug in it.

    Raises:
        UserError: the source has changed so that the bug has no place in it.
    """
    text = (source / bug.file).read_text()
    if text.count(bug.old) != 1:
        raise UserError(f"planted bug {bug.name}: {bug.file} does not have its place just once")
    text = text.replace(bug.old, bug.new)
    if bug.noinline:
        text, count = re.subn(
            rf"^static ((?:[\w ]|\*)+?\n?)({re.escape(bug.noinline)}\()", r"static noinline \1\2",
            text, count=1, flags=re.MULTILINE,
        )  # fmt: skip
        if not count:
            raise UserError(f"planted bug {bug.name}: {bug.file} has no {bug.noinline}()")
    return text
