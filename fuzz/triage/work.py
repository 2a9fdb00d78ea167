# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking up a bucket: its case, what it is tried on, and all that is known of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from fuzz.campaigns.catalogue import campaign
from fuzz.errors import UserError
from fuzz.guest import kernel
from fuzz.guest.kernel import Kernel
from fuzz.guest.kmemleak import check_kernel as check_kmemleak
from fuzz.guest.module import SOURCE, build_module
from fuzz.replay import needed_age
from fuzz.script import unpack
from fuzz.store import KEYBOX, MODULE
from fuzz.stored import DATABASE, StoredCase
from fuzz.triage.bench import Bench
from fuzz.triage.buckets import Bucket, Member, buckets, case_of, find_bucket
from fuzz.triage.decisions import Decisions
from fuzz.triage.export.dossier import Dossier, Earlier
from fuzz.triage.export.prove import filled
from fuzz.triage.records import exchanges_of
from fuzz.triage.results import Result
from fuzz.triage.symbols import Symbols
from fuzz.triage.understand import understand
from nst_scapy.keybox import KeyBox

_HISTORY = 100_000


def runs_in(folder: Path) -> list[Path]:
    """The runs that a path means: itself, or those in it.

    Raises:
        UserError: there is none.
    """
    if (folder / DATABASE).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{DATABASE}"))
    if not found:
        raise UserError(f"no runs in {folder}: it has no {DATABASE}, nor has a folder in it")
    return found


def buckets_in(folder: Path) -> list[Bucket]:
    """The buckets of the runs that a path means."""
    return buckets(runs_in(folder), Decisions.load(folder))


def bucket_in(folder: Path, name: str) -> Bucket:
    """One bucket."""
    return find_bucket(buckets_in(folder), name)


@dataclass(frozen=True)
class Work:
    """A bucket's case and what it is tried on."""

    bucket: Bucket
    member: Member
    case: StoredCase
    history: list[StoredCase]
    kernel: Kernel
    module: Path
    result: Result | None

    def bench(self) -> Bench:
        """A guest for trials of it.

        Raises:
            SetupError: kmemleak found it, and the kernel has none.
        """
        kmemleak = self.member.stored.finding.by_kmemleak
        if kmemleak:
            check_kmemleak(self.kernel)
        return Bench(
            self.kernel,
            module=self.module,
            keybox=self.member.run / KEYBOX,
            tables=campaign(self.case.campaign).tables,
            kmemleak=kmemleak,
        )

    @property
    def kept(self) -> Result:
        """What trials gave; what to keep if there were none."""
        return self.result or Result(
            self.member.run.name, self.case.id, self.case.script, self.case.earliest,
            self.case.creation,
        )  # fmt: skip

    @property
    def before(self) -> list[StoredCase]:
        """What has to come before it, as far as that is known."""
        numbers = set(self.result.before) if self.result else set()
        return [one for one in self.history if one.id in numbers]


def work_on(
    folder: Path, name: str, kernel_name: str | None = None, module_path: Path | None = None
) -> Work:
    """Take up a bucket: its representative's case, or what was made of it before."""
    bucket = bucket_in(folder, name)
    result = Result.load(folder, bucket.id)
    member = bucket.representative
    if result is not None:
        known = [m for m in bucket.members if m.run.name == result.run]
        member = next((m for m in known if m.stored.first == result.case), member)
    case, history = case_of(member, _HISTORY)
    if result is not None and result.case == case.id and result.run == member.run.name:
        case = replace(case, script=result.script)
    else:
        result = None
    chosen = kernel.find(kernel_name or member.meta["kernel_name"])
    recorded = member.run / MODULE
    if not recorded.is_file():
        recorded = Path(member.meta["module"])
    if module_path is not None and module_path.is_file():
        module = module_path
    elif module_path is None and recorded.is_file():
        module = recorded
    else:
        module = build_module(chosen, module_path or SOURCE)
    return Work(bucket, member, case, history, chosen, module, result)


def dossier_of(work: Work) -> Dossier:
    """All that is known of a bucket."""
    report = work.member.report
    analysis = None
    if report is not None:
        symbols = [Symbols(work.module, "nst")]
        trees = [Path(work.member.meta["module"]).parent, SOURCE.parent]
        analysis = understand(report, symbols, sources=trees, remote=True)
    result = work.result
    keybox = KeyBox.load(work.member.run / KEYBOX)
    exchanges = exchanges_of(unpack(work.case.script), keybox)
    bodies = result.bodies if result else 0
    return Dossier(
        work.bucket,
        analysis,
        filled(exchanges, bodies) if bodies else exchanges,
        work.case.earliest,
        len(work.case.script),
        hits=result.hits if result else 0,
        tries=result.tries if result else 0,
        others=result.others if result else Counter(),
        before=tuple(
            Earlier(one.id, exchanges_of(unpack(one.script), keybox), one.earliest)
            for one in work.before
        ),
        bodies=bodies,
        kids=tuple(sorted(keybox)),
        tables=campaign(work.case.campaign).tables,
        age=max(needed_age(one) for one in (work.case, *work.before)) / 1e9,
    )
