# SPDX-License-Identifier: GPL-2.0-or-later
"""syzkaller's conventions where the corpus has no log for them: types, names, cut reports."""

from __future__ import annotations

import pytest

from fuzz.triage.frames import function_name
from fuzz.triage.kinds import kind_of
from fuzz.triage.read import Report, read
from tests.triage.test_blame import DUMP, only, trace


def first(text: str) -> Report:
    return read("".join(f"[    1.5] {line}\n" for line in text.splitlines()).encode())[0]


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("KASAN: vmalloc-out-of-bounds Write in f", "KASAN-WRITE"),
        ("KASAN: unknown-crash Read in f", "KASAN-READ"),
        ("KASAN: alloca-out-of-bounds Read in f", "KASAN-UNKNOWN"),
        ("KASAN: unknown-crash Write in f", "KASAN-UNKNOWN"),
        ("KASAN: slab-out-of-bounds in f", "KASAN-READ"),
        ("KASAN: global-out-of-bounds in f", "KASAN-UNKNOWN"),
        ("KFENCE: use-after-free in f", "KFENCE-USE-AFTER-FREE-READ"),
        ("KFENCE: out-of-bounds in f", "KFENCE-READ"),
        ("KFENCE: invalid write in f", "KFENCE-WRITE"),
        ("KFENCE: slab-full in f", "KFENCE-UNKNOWN"),
        ("WARNING: corrupted", ""),
        ("WARNING: held lock freed in f", "LOCKDEP"),
        ("WARNING: held lock freed!", "WARNING"),
        ("WARNING: possible circular locking dependency detected", "WARNING"),
        ("trusty: panic: f", "DoS"),
        ("general protection fault in f", "DoS"),
        ("general protection fault, prob", ""),
    ],
)
def test_types(title: str, kind: str) -> None:
    assert kind_of(title) == kind


@pytest.mark.parametrize(
    "symbol",
    ["net_open.isra.0.cold", "net_open.__uniq.1234567.llvm.89", "net_open.cfi_jt", "net_open"],
)
def test_what_compilers_append_to_names_is_no_part_of_them(symbol: str) -> None:
    assert function_name(symbol) == "net_open"


def test_elfs_dot_before_a_name_stays() -> None:
    assert function_name(".net_open.part.0") == ".net_open"


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: possible circular locking dependency detected",
        "WARNING: possible recursive locking detected",
        "WARNING: held lock freed!",
        "WARNING: suspicious RCU usage",
        "WARNING: inconsistent lock state",
    ],
)
def test_a_header_without_what_names_the_place_is_its_own_title(line: str) -> None:
    report = first(f"{line}\n6.1.0 #1 Not tainted\n")
    assert report.title == line
    assert report.corrupted == ["the report lacks its second half"]
    cut = first(line[:-4])
    assert cut.title == line[:-4]
    assert not cut.corrupted or line[:-4].endswith(("freed", "lock st"))


@pytest.mark.parametrize(
    ("line", "title", "half"),
    [
        ("BUG: prog/12 still has locks held!", "BUG: prog/NUM still has locks held!", True),
        ("BUG: KMSAN: kernel-infoleak", "BUG: KMSAN: kernel-infoleak", True),
        ("BUG: a new kind of report 12", "BUG: a new kind of report NUM", False),
        ("general protection fault, probably for non-cano", "", False),
        ("Kernel panic - not sync", "", False),
        ("INFO: task prog:12 blocked for more", "INFO: task prog:NUM blocked for more", False),
        ("WARNING: CPU: 0 PID: 1 at net/core/dev.c:1",
         "WARNING: CPU: NUM PID: NUM at net/core/dev.c:LINE", False),
    ],
)  # fmt: skip
def test_a_line_that_ends_early_is_its_own_title(line: str, title: str, half: bool) -> None:
    report = first(f"{line}\nand then\n")
    assert report.title == (title or line)
    assert bool(report.corrupted) == half


def test_races_are_named_as_the_kernel_names_them() -> None:
    report = first("BUG: KCSAN: data-race in net_open / net_open.part.0\n\nread to 0x1:\n")
    assert report.title == "KCSAN: data-race in net_open / net_open.part.NUM"
    assert report.alt_titles == ["KCSAN: data-race in net_open / net_open"]


def test_a_warnings_condition_may_come_first() -> None:
    report = only(
        "WARNING: [refs == 0] lib/refcount.c:25 at refcount_warn_saturate+0x9f/0x110, CPU#0: a/1\n"
        "RIP: 0010:refcount_warn_saturate+0x9f/0x110\n"
        + trace("refcount_warn_saturate net_open do_dentry_open")
    )
    assert report.title == "WARNING: refcount bug in net_open"


def test_inconsistent_locks_are_named_after_the_stack() -> None:
    report = only(
        "WARNING: inconsistent lock state\n6.1.0\n----\n"
        "inconsistent {SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage.\n"
        "a.out/7 [HC0[0]:SC1[1]:HE1:SE0] takes:\nffff (&lock){+.?.}-{2:2}, at: net_rx+0x1/0x2\n"
        "stack backtrace:\n" + trace(f"{DUMP} mark_lock __lock_acquire _raw_spin_lock net_rx poll")
    )
    assert report.title == "inconsistent lock state in net_rx"


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("trusty: panic (caller 0x1): ASSERT FAILED at (a.c:1): x == 1",
         "trusty: ASSERT FAILED: x == NUM"),
        ("trusty: panic (caller 0x1): DEBUG ASSERT FAILED at (a.c:1): !x",
         "trusty: ASSERT FAILED: !x"),
        ("trusty: panic (caller 0x1): no memory", "trusty: panic: no memory"),
    ],
)  # fmt: skip
def test_the_secure_world_of_android(line: str, title: str) -> None:
    report = first(line)
    assert report.title == title
    assert not report.corrupted
