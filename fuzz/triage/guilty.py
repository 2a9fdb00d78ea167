# SPDX-License-Identifier: GPL-2.0-or-later
"""The source file to blame, on a stack with source lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fuzz.triage import functions
from fuzz.triage.frames import Frame

# What every subsystem runs through: a bug is rarely theirs.
_GENERIC = re.compile(
    r".*\.h$|lib/|mm/|include/|arch/\w+/(?:lib|mm|entry|include)/|"
    r"arch/\w+/kernel/(?:traps|irq|apic/|process|stacktrace|time|smp|entry|syscall)|"
    r"drivers/clocksource/|"
    r"net/ipv4/af_inet|"
    r"arch/arm64/kernel/(?:entry|syscall|stacktrace|traps)|arch/arm64/(?:mm|lib)|"
    r"kernel/(?:locking/|rcu/|panic\.c|kthread\.c|workqueue\.c|softirq\.c|fork\.c|smp\.c|exit\.c|"
    r"hung_task\.c|watchdog\.c|printk/|sched/|time/|irq/|kcov\.c|stacktrace\.c|entry/|"
    r"signal\.c|task_work\.c|kcsan/|notifier\.c|bpf/core\.c|trace/bpf_trace\.c|cpu\.c)|"
    r"net/core/(?:dev|sock|skbuff|datagram|stream|net_namespace|neighbour)\.c|net/socket\.c|"
    r"net/netlink/(?:af_netlink|genetlink)\.c|net/sched/sch_generic\.c|"
    r"drivers/base/(?:core|bus|dd|driver)\.c|drivers/usb/core/(?:urb|message|hub|driver|usb)\.c|"
    r"fs/(?:read_write|open|ioctl|namei|file_table|file|buffer|dcache|inode|super|namespace|"
    r"select|splice|eventpoll|fs-writeback|seq_file|mpage|iomap/|proc/generic|sysfs/|debugfs/|"
    r"kernfs/)|"
    r"security/(?:security|commoncap)\.c|virt/lib|block/(?:blk-core|bio|blk-mq)|tools/|"
    r"scripts/|init/|<"
)


def guilty_file(stack: Iterable[Frame]) -> str:
    """The first file on the stack that is not generic; else the first at all."""
    first = ""
    for frame in stack:
        if not frame.file:
            continue
        if _GENERIC.match(frame.file):
            if not first and not functions.is_generic(frame.function):
                first = frame.file
            continue
        return frame.file
    return first
