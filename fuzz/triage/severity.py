# SPDX-License-Identifier: GPL-2.0-or-later
"""How bad a report is, with the reasons: what an attacker could make of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fuzz.triage.details import Details
from fuzz.triage.read import Report


class Level(IntEnum):
    """How bad it is."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True)
class Severity:
    """A level and what speaks for it."""

    level: Level
    reasons: list[str]

    def __str__(self) -> str:
        return f"{self.level.name.lower()}: {'; '.join(self.reasons)}"


# By the type, or where that is coarse by the title: level, and what the kind of bug gives.
_BASE: tuple[tuple[tuple[str, ...], Level, str], ...] = (
    (("KASAN-USE-AFTER-FREE-WRITE", "KFENCE-USE-AFTER-FREE-WRITE"), Level.CRITICAL,
     "freed memory is written: what was allocated there since can be changed"),
    (("KASAN-WRITE", "KFENCE-WRITE", "KFENCE-MEMORY-CORRUPTION"), Level.CRITICAL,
     "memory beyond an object is written"),
    (("KASAN-INVALID-FREE", "KFENCE-INVALID-FREE"), Level.CRITICAL,
     "memory is freed that must not be: two owners of one object follow"),
    (("kernel panic: stack is corrupted",), Level.CRITICAL,
     "a return address or its guard on the stack was overwritten"),
    (("KASAN-USE-AFTER-FREE-READ", "KFENCE-USE-AFTER-FREE-READ"), Level.HIGH,
     "freed memory is read: what is there now decides what follows"),
    (("BUG: corrupted list",), Level.HIGH,
     "a list is corrupted: unlinking writes to addresses out of it"),
    (("REFCOUNT_WARNING",), Level.HIGH,
     "a reference count is wrong: a use after free is close"),
    (("KASAN-READ", "KFENCE-READ"), Level.HIGH, "memory beyond an object is read"),
    (("KMSAN-INFO-LEAK",), Level.HIGH, "kernel memory reaches a reader that must not see it"),
    (("MEMORY_SAFETY_BUG",), Level.HIGH, "a wild pointer is followed"),
    (("general protection fault", "BUG: bad usercopy"), Level.HIGH, "a wild pointer is followed"),
    (("MEMORY_SAFETY_UBSAN",), Level.HIGH, "memory beyond an array is reached"),
    (("KMSAN-UNINIT-VALUE", "UBSAN", "KCSAN-DATARACE"), Level.MEDIUM,
     "the outcome depends on what must not matter"),
    (("NULL-POINTER-DEREFERENCE", "KASAN-NULL-POINTER-DEREFERENCE-READ",
      "KASAN-NULL-POINTER-DEREFERENCE-WRITE"), Level.MEDIUM,
     "a NULL pointer is followed: the machine can be stopped, seldom more"),
    (("HANG", "DoS", "BUG", "BUG: hard lockup", "BUG: workqueue lockup"), Level.MEDIUM,
     "the machine can be stopped"),
    (("LOCKDEP", "ATOMIC_SLEEP", "LEAK"), Level.MEDIUM, "the machine can be made to hang"),
    (("WARNING",), Level.LOW, "an assumption does not hold"),
)  # fmt: skip


def severity(report: Report, told: Details, *, remote: bool = False) -> Severity:
    """Judge a report; `remote` says that records from the network lead to it."""
    level, reasons = Level.LOW, ["of a kind that has no rule"]
    for names, base, reason in _BASE:
        if report.type in names or report.title.startswith(names):
            level, reasons = base, [reason]
            break
    if told.access == "execute":
        level = Level.CRITICAL
        reasons.append("the program counter itself was wild")
    elif told.access == "write" and level == Level.HIGH:
        level = Level.CRITICAL
        reasons.append("and written through")
    if told.near_null and level > Level.MEDIUM and told.access != "execute":
        level = Level.MEDIUM
        reasons.append("but only near address 0")
    if remote and level < Level.CRITICAL:
        level = Level(level + 1)
        reasons.append("whoever can send to the socket can reach it")
    if remote and told.in_interrupt:
        reasons.append("before any authentication, in the receive interrupt")
    if report.panicked:
        reasons.append("the kernel panicked")
    if report.corrupted:
        reasons.append("the report is not whole, so this may be wrong")
    return Severity(level, reasons)
