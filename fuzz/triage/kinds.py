# SPDX-License-Identifier: GPL-2.0-or-later
"""A report's type, by its title, in syzkaller's names."""

from __future__ import annotations

import re

from fuzz.triage import outside

_TYPES: tuple[tuple[str, str], ...] = (
    (r"KASAN: (?:invalid|double)-free", "KASAN-INVALID-FREE"),
    (r"KASAN: null-ptr-deref Read", "KASAN-NULL-POINTER-DEREFERENCE-READ"),
    (r"KASAN: null-ptr-deref Write", "KASAN-NULL-POINTER-DEREFERENCE-WRITE"),
    (r"KASAN: \S*use-after-free Read", "KASAN-USE-AFTER-FREE-READ"),
    (r"KASAN: \S*use-after-free Write", "KASAN-USE-AFTER-FREE-WRITE"),
    (r"KASAN: use-after-free", "KASAN-USE-AFTER-FREE-READ"),
    (r"KASAN: (?:(?:(?:slab|stack|global|vmalloc)-)?out-of-bounds|(?:user|wild)-memory-access)"
     r" Write", "KASAN-WRITE"),
    (r"KASAN: (?:(?:(?:slab|stack|global|vmalloc)-)?out-of-bounds|(?:user|wild)-memory-access|"
     r"invalid-access|unknown-crash) Read", "KASAN-READ"),
    # Whether it reads or writes is not known; it reads at least.
    (r"KASAN: (?:(?:slab|stack)-out-of-bounds|wild-memory-access)", "KASAN-READ"),
    (r"KASAN: ", "KASAN-UNKNOWN"),
    (r"KCSAN: assert", "KCSAN-ASSERT"),
    (r"KCSAN: data-race", "KCSAN-DATARACE"),
    (r"KCSAN: ", "KCSAN-UNKNOWN"),
    (r"KFENCE: memory corruption", "KFENCE-MEMORY-CORRUPTION"),
    (r"KFENCE: invalid[- ]free", "KFENCE-INVALID-FREE"),
    (r"KFENCE: use-after-free [Ww]rite", "KFENCE-USE-AFTER-FREE-WRITE"),
    (r"KFENCE: use-after-free", "KFENCE-USE-AFTER-FREE-READ"),
    (r"KFENCE: (?:invalid|out-of-bounds) [Ww]rite", "KFENCE-WRITE"),
    (r"KFENCE: (?:invalid [Rr]ead|out-of-bounds)", "KFENCE-READ"),
    (r"KFENCE: ", "KFENCE-UNKNOWN"),
    (r"KMSAN: \S*infoleak-after-free", "KMSAN-USE-AFTER-FREE-READ"),
    (r"KMSAN: \S*infoleak", "KMSAN-INFO-LEAK"),
    (r"KMSAN: uninit-value", "KMSAN-UNINIT-VALUE"),
    (r"KMSAN: use-after-free", "KMSAN-USE-AFTER-FREE-READ"),
    (r"KMSAN: ", "KMSAN-UNKNOWN"),
    (r"UBSAN: array-index", "MEMORY_SAFETY_UBSAN"),
    (r"UBSAN: ", "UBSAN"),
    (r"memory leak", "LEAK"),
    (r"BUG: soft lockup|INFO: rcu detected stall|INFO: task (?:hung|can't die)", "HANG"),
    (r"BUG: unable to handle kernel NULL pointer dereference", "NULL-POINTER-DEREFERENCE"),
    (r"BUG: (?:unable to handle kernel paging request|corrupted list)", "MEMORY_SAFETY_BUG"),
    (r"BUG: (?:sleeping function called|scheduling while atomic)", "ATOMIC_SLEEP"),
    (r"BUG: using |WARNING: locking bug", "LOCKDEP"),
    (r"BUG: lock held|BUG: MAX_|INFO: trying", ""),
    (r"(?:BUG|WARNING): (?:bad unlock balance|held lock freed|nested lock was not taken|"
     r"still has locks held|locking bug|suspicious RCU usage) in|WARNING: lock held|"
     r"BUG: (?:spinlock|rwlock)|(?:possible deadlock|inconsistent lock state) in", "LOCKDEP"),
    (r"WARNING: refcount bug", "REFCOUNT_WARNING"),
    (r"WARNING: (?:kernel stack|corrupted)", ""),
    (r"WARNING", "WARNING"),
    (r"BUG: stack guard page", ""),
    (r"kernel BUG|BUG: bad usercopy", "BUG"),
    (r"general protection fault in|kernel panic|divide error|stack segment fault|int3|PANIC:|"
     r"invalid opcode|Internal error|Unhandled fault|Alignment trap|kernel stack overflow|"
     r"BUG: Object already free|trusty:|VFS: (?:Busy|Close)|unregister_netdevice:", "DoS"),
    (r"unexpected kernel reboot", "REBOOT"),
    (outside.LOST_CONNECTION, "LOST_CONNECTION"),
    (outside.NO_OUTPUT, "HANG"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), kind) for pattern, kind in _TYPES)


def kind_of(title: str) -> str:
    """The type of a report with this title; empty if it has none."""
    for pattern, kind in _COMPILED:
        if pattern.match(title):
            return kind
    return ""
