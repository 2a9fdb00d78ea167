# SPDX-License-Identifier: GPL-2.0-or-later
"""Buckets: findings of any runs that are one bug.

Two findings are one bug if a title or an alternative title is common to them, or if
their stacks agree where it matters: the compiler may inline, a new kernel may rename,
and the title follows. What was reported after a finding's first report is attached to
it and not counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.errors import UserError
from fuzz.finding import Finding, FindingKind
from fuzz.stored import StoredCase, StoredFinding, reading
from fuzz.triage import functions
from fuzz.triage.decisions import Decisions
from fuzz.triage.details import details
from fuzz.triage.frames import Frame
from fuzz.triage.read import Report, read

SIMILAR = 0.75
"""From this on two stacks are one bug's."""
_DEPTH = 10
_FADE = 0.8
"""Each frame further out counts by so much less."""
_ID_DIGITS = 8


@dataclass(frozen=True)
class Member:
    """A finding of a run, with its report read anew.

    Attributes:
        run: the run's directory.
        meta: what was run.
        stored: the finding.
        report: its first kernel report; `None` if it has none.
        follow_ups: the reports after it.
    """

    run: Path
    meta: dict[str, str]
    stored: StoredFinding
    report: Report | None
    follow_ups: list[Report]

    @property
    def title(self) -> str:
        """The finding's title, as it reads today."""
        return self.report.title if self.report is not None else self.stored.finding.title

    @property
    def names(self) -> set[str]:
        """Title and alternative titles that may be shared with others."""
        report = self.report
        if report is None:
            return {f"{self.stored.finding.kind}: {self.title}"}
        if report.frame == "corrupted":
            return set()
        return {report.title, *report.alt_titles}

    @property
    def when(self) -> float:
        """When its run began, seconds since 1970."""
        return float(self.meta.get("started", "0"))

    @property
    def order(self) -> tuple[float, str, int]:
        """Earlier findings first, whatever order the runs are read in."""
        return self.when, str(self.run), self.stored.first


@dataclass
class Bucket:
    """One bug.

    Attributes:
        id: 8 hexadecimal digits, by the title that it was first seen under.
        members: its findings, the first one first.
        ignored: why it is not to be shown; empty if it is.
    """

    id: str
    members: list[Member]
    ignored: str = ""
    aliases: set[str] = field(default_factory=set)

    @property
    def title(self) -> str:
        """The title that it was first seen under; of a whole report, if there is one."""
        whole = [m for m in self.members if m.report is None or not m.report.corrupted]
        return (whole or self.members)[0].title

    @property
    def representative(self) -> Member:
        """The finding to look at: the first with a whole report."""
        return next((m for m in self.members if m.title == self.title), self.members[0])

    @property
    def cases(self) -> int:
        """How many cases showed it."""
        return sum(member.stored.count for member in self.members)

    @property
    def titles(self) -> list[str]:
        """All titles it was seen under, the most frequent first."""
        counts: dict[str, int] = {}
        for member in self.members:
            counts[member.title] = counts.get(member.title, 0) + member.stored.count
        return sorted(counts, key=lambda title: (-counts[title], title))


def bucket_id(title: str) -> str:
    """The id of the bucket of a title."""
    return hashlib.sha256(title.encode()).hexdigest()[:_ID_DIGITS]


def members_of(run: Path) -> list[Member]:
    """The findings of one run.

    Raises:
        StoreError: it is no run.
    """
    with reading(run) as store:
        meta, findings = store.meta(), store.findings()
    return [_member(run, meta, stored) for stored in findings]


def _member(run: Path, meta: dict[str, str], stored: StoredFinding) -> Member:
    reports = read(stored.finding.log.encode()) if stored.finding.log else []
    return Member(run, meta, stored, reports[0] if reports else None, reports[1:])


def case_of(member: Member, history: int) -> tuple[StoredCase, list[StoredCase]]:
    """A finding's first case, and at most `history` that its guest was sent before."""
    with reading(member.run) as store:
        number = member.stored.first
        return store.case(number), store.before(number, history)


def buckets(runs: Iterable[Path], decisions: Decisions) -> list[Bucket]:
    """The findings of runs as bugs, the one seen first first.

    Raises:
        StoreError: one of them is no run.
    """
    return group((m for run in runs for m in members_of(run)), decisions)


def in_log(path: Path, reports: Sequence[Report]) -> Member:
    """The reports of a console log that no run is behind, as a finding."""
    text = "\n".join(line for report in reports for line in report.lines)
    finding = Finding(FindingKind.CRASH, reports[0].title, "", text)
    release = details(reports[0]).release or "unknown"
    stored = StoredFinding(campaign="", finding=finding, first=0, name=path.name, count=1)
    return Member(path, {"kernel": release}, stored, reports[0], list(reports[1:]))


def group(findings: Iterable[Member], decisions: Decisions) -> list[Bucket]:
    """Findings as bugs, the one seen first first, in whatever order they come."""
    members = sorted(findings, key=lambda m: m.order)
    groups = _Groups(len(members))
    seen: dict[str, int] = {}
    for index, member in enumerate(members):
        for name in member.names:
            groups.join(seen.setdefault(name, index), index)
        for pair in decisions.merged_with(bucket_id(member.title)):
            groups.join(seen.setdefault(f"id {pair}", index), index)
        groups.join(seen.setdefault(f"id {bucket_id(member.title)}", index), index)
    for index, member in enumerate(members):
        for other in range(index):
            if groups.root(other) != groups.root(index) and _alike(members[other], member):
                groups.join(other, index)
    found: dict[int, Bucket] = {}
    for index, member in enumerate(members):
        bucket = found.setdefault(groups.root(index), Bucket(bucket_id(member.title), []))
        bucket.members.append(member)
        bucket.aliases.add(bucket_id(member.title))
    for bucket in found.values():
        bucket.ignored = decisions.ignored(bucket.aliases)
    return list(found.values())


def find_bucket(all_buckets: Sequence[Bucket], name: str) -> Bucket:
    """The bucket of an id (its beginning is enough) or of a title; UserError if there is none."""
    found = [
        bucket
        for bucket in all_buckets
        if any(alias.startswith(name) for alias in bucket.aliases) or name in bucket.titles
    ]
    if not found:
        raise UserError(f"no bucket {name!r}; see: nst-fuzz triage list")
    if len(found) > 1:
        raise UserError(f"bucket {name!r} could be {', '.join(bucket.id for bucket in found)}")
    return found[0]


class _Groups:
    """Numbers joined into groups; a group's root is its least number."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        a, b = sorted((self.root(one), self.root(other)))
        self._parents[b] = a


def _alike(one: Member, other: Member) -> bool:
    """Whether two findings' stacks say that they are one bug."""
    if one.report is None or other.report is None:
        return False
    if _family(one) != _family(other) or not one.report.frames or not other.report.frames:
        return False
    return similarity(one.report.frames, other.report.frames) >= SIMILAR


def _family(member: Member) -> str:
    """What a bug cannot change: a hang is no crash, a warning no wild access."""
    kind = member.report.type if member.report is not None else ""
    if member.stored.finding.kind is not FindingKind.CRASH:
        return member.stored.finding.kind.value
    if kind in ("HANG", "LOCKDEP", "LEAK", "WARNING", "ATOMIC_SLEEP", "REFCOUNT_WARNING"):
        return kind
    return "memory"


def similarity(one: Sequence[Frame], other: Sequence[Frame]) -> float:
    """How much two stacks agree, 0 to 1.

    Generic frames do not count and inner ones count most; what is common must be in the
    same order.
    """
    a, b = _telling(one), _telling(other)
    if not a or not b:
        return 0.0
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a, start=1):
        for j, right in enumerate(b, start=1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            if left == right:
                gain = _FADE ** max(i, j)
                best[i][j] = max(best[i][j], best[i - 1][j - 1] + gain)
    whole = sum(_FADE**n for n in range(1, max(len(a), len(b)) + 1))
    return best[len(a)][len(b)] / whole


def _telling(stack: Sequence[Frame]) -> list[str]:
    names: list[str] = []
    for frame in stack:
        name = functions.canonical(frame.function)
        telling = not functions.is_generic(frame.function, (functions.PASSAGES,))
        if telling and (not names or names[-1] != name):
            names.append(name)
    return names[:_DEPTH]
