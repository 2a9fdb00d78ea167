# SPDX-License-Identifier: GPL-2.0-or-later
"""The report card: which of the planted bugs the campaigns find, and how soon."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.finding import FindingKind
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.guest.module import PRODUCTS, SOURCE, rebuild
from fuzz.planted import PlantedBug, changed
from fuzz.planted.measure import CASES, Say, find
from fuzz.stored import reading


@dataclass(frozen=True)
class Mark:
    """What became of one bug.

    Attributes:
        bug: the bug.
        oracle: what found it; `None` if nothing did.
        title: of the finding.
        cases: sent until then.
        seconds: that they took, without building and booting.
    """

    bug: PlantedBug
    oracle: FindingKind | None
    title: str
    cases: int
    seconds: float


def card(
    bugs: Sequence[PlantedBug], kernel: Kernel, folder: Path, say: Say, cases: int = CASES
) -> Iterator[Mark]:
    """Try all bugs out, one after another; the next one is built meanwhile.

    Raises:
        BuildError: a bug does not compile.
        GuestError: a guest does not come up.
        UserError: a bug has no place in the module any more.
    """
    shutil.copytree(SOURCE, folder / "source", ignore=PRODUCTS)
    with ThreadPoolExecutor(1) as builder:
        built = [builder.submit(_built, bug, kernel, folder) for bug in bugs]
        try:
            for bug, module in zip(bugs, built, strict=True):
                yield _tried(_found(bug, kernel, module.result(), folder, cases, say), bug)
        finally:
            builder.shutdown(cancel_futures=True)


def _built(bug: PlantedBug, kernel: Kernel, folder: Path) -> Path:
    """Build the module with a bug: all are built in one folder, which spares most of the work."""
    source = folder / "source"
    (source / bug.file).write_text(changed(bug))
    module = folder / f"{bug.name}.ko"
    try:
        shutil.copyfile(rebuild(kernel, source), module)
    finally:
        shutil.copyfile(SOURCE / bug.file, source / bug.file)
    return module


def _found(
    bug: PlantedBug, kernel: Kernel, module: Path, folder: Path, cases: int, say: Say
) -> Path:
    """Fuzz the module; once more if the guest does not come up, which says nothing of the bug."""
    try:
        return find(bug, kernel, module, folder, cases=cases, say=say)
    except GuestError as error:
        say(f"{bug.name}: {str(error).splitlines()[0]}; once more")
        return find(bug, kernel, module, folder / "again", cases=cases, say=say)


def _tried(run: Path, bug: PlantedBug) -> Mark:
    with reading(run) as store:
        ((_, _, seconds),) = store.campaigns()
        found = store.findings()
        cases = found[0].first if found else len(store.past(1))
    if not found:
        return Mark(bug, None, "", cases, seconds)
    return Mark(bug, found[0].finding.kind, found[0].finding.title, cases, seconds)
