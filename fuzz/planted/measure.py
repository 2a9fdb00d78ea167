# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding, reproducing, minimising and exporting a planted bug, and running what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz.campaigns.catalogue import campaign
from fuzz.campaigns.progress import Limits, Progress, Shard
from fuzz.campaigns.runner import run
from fuzz.finding import Finding
from fuzz.guest.kernel import Kernel
from fuzz.guest.module import build_into
from fuzz.planted import PlantedBug, plant
from fuzz.store import Store
from fuzz.triage.export.prove import prove
from fuzz.triage.minimise import Minimiser
from fuzz.triage.reproduce import reproduce
from fuzz.triage.results import Result
from fuzz.triage.work import buckets_in, dossier_of, work_on

CASES = 1000
"""The budget: cases within which each bug is to be found."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What became of a planted bug.

    Attributes:
        bug: the bug.
        title: what its bucket is called; empty if it was not found.
        buckets: into how many its findings fell.
        cases: sent until it was found.
        hits: of `tries`, how often it came again after minimising.
        tries: see `hits`.
        records: that are left.
        size: of what is left, bytes; `size_before` is that of the case as found.
        size_before: see `size`.
        trials: that minimising took.
        verified: the exported script showed it again, from a clean directory.
        program: whether the one in C did; `None` if it needs what no program in C has.
        bodies: length to which records had to be filled up for that, bytes; 0 if they had not.
    """

    bug: PlantedBug
    title: str = ""
    buckets: int = 0
    cases: int = 0
    hits: int = 0
    tries: int = 0
    records: int = 0
    size: int = 0
    size_before: int = 0
    trials: int = 0
    verified: bool = False
    program: bool | None = None
    bodies: int = 0

    @property
    def good(self) -> bool:
        """All that triage is to do was done."""
        return (
            self.title == (self.bug.title or self.title)
            and self.buckets == 1
            and self.hits > 0
            and self.records <= 4
            and self.verified
            and self.program is not False
        )


class _Silent:
    """A watcher that tells findings only."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self._say(f"case {case}: {finding.title}")

    def ended(self, shard: Shard) -> None:
        """A shard is through."""


def build(bug: PlantedBug, kernel: Kernel, folder: Path) -> Path:
    """Build the module with the bug.

    Raises:
        BuildError: it does not compile.
        UserError: the bug has no place in the module any more.
    """
    source = plant(bug, folder / f"{bug.name}-source")
    return build_into(kernel, source, folder / f"{bug.name}-module")


def find(
    bug: PlantedBug, kernel: Kernel, module: Path, folder: Path, *, cases: int, say: Say
) -> Path:
    """Fuzz a module with the bug until something is found; return the run."""
    path = folder / bug.name
    with Store.create(
        path, seed="planted", kernel=f"{kernel.name} ({kernel.release})", kernel_name=kernel.name,
        module=str(module.resolve()),
    ) as store:  # fmt: skip
        limits = Limits(cases=cases, findings=1)
        run(
            store, [campaign(bug.campaign)], kernel=kernel, module=module, seed="planted",
            limits=limits, watcher=_Silent(say),
        )  # fmt: skip
    return path


def measure(
    bug: PlantedBug,
    kernel: Kernel,
    folder: Path,
    *,
    cases: int = CASES,
    trials: int = 80,
    tries: int = 3,
    say: Say = lambda _: None,
) -> Measured:
    """Do with a planted bug all that triage is to do with any.

    Raises:
        GuestError: a guest does not come up.
        UserError: the bug has no place in the module any more.
    """
    path = find(bug, kernel, build(bug, kernel, folder), folder, cases=cases, say=say)
    found = buckets_in(path)
    if not found:
        return Measured(bug)
    work = work_on(path, found[0].id)
    wanted = work.member.stored.finding
    with work.bench() as bench:
        first = reproduce(bench, work.case, work.history, wanted, tries=1, say=say)
        if not first.reproduced:
            return Measured(bug, work.bucket.title, len(found), work.case.id)
        minimiser = Minimiser(bench, wanted, trials=trials, rate=first.rate, say=say)
        small = minimiser.run(work.case, first.before)
        done = reproduce(bench, small.case, small.before, wanted, tries=tries, say=say)
    Result(
        work.member.run.name, work.case.id, small.case.script, work.case.earliest,
        work.case.creation, [one.id for one in done.before], done.hits, done.tries,
        Counter(done.others), minimised=True,
    ).save(path, work.bucket.id)  # fmt: skip
    work = work_on(path, work.bucket.id)
    dossier = dossier_of(work)

    dossier, seen = prove(dossier, path / "reproducer", wanted, work.kernel, work.module)
    shown = {one.suffix: verification.shows(wanted) for one, verification in seen}
    return Measured(
        bug,
        work.bucket.title,
        len(found),
        work.case.id,
        done.hits,
        done.tries,
        small.records,
        len(small.case.script),
        len(first.case.script),
        small.trials,
        shown[".py"],
        shown.get(".c"),
        dossier.bodies,
    )
