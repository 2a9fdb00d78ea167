# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernel reports look like, as a table.

Each entry belongs to a print in the kernel: lib/, mm/kasan/report.c, mm/kfence/report.c,
mm/kmsan/report.c, kernel/kcsan/report.c, kernel/locking/lockdep.c,
kernel/rcu/tree_stall.h, kernel/hung_task.c, kernel/watchdog.c, kernel/panic.c,
arch/x86/kernel/{traps,dumpstack}.c, arch/x86/mm/fault.c, arch/arm64/mm/fault.c and so on.
Titles follow syzkaller's conventions, so that they compare with the world's.

In titles, `{frame}` is the function that is to blame and `{other}` a name group of the
pattern. Entries with the same start are tried in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from fuzz.triage import functions
from fuzz.triage.frames import FUNCTION


class Stack(Enum):
    """Where the function to blame is looked for."""

    NONE = auto()
    """Nowhere: the title names none, and the report need not have a stack."""
    ORDER = auto()
    """In the order of print: the header's function, the program counter, the stack."""
    STALL = auto()
    """Below the interrupt that found the stall, the last before a dispatcher."""
    HEADER = auto()
    """In the header, and there need not be a stack."""
    COUNTER = auto()
    """Where the program counter stood, whatever function that is."""
    DEEP = auto()
    """The last before a dispatcher: the stack is too deep for its top to say anything."""
    TRACE = auto()
    """Only on the stack proper, after "stack backtrace:" where there is one."""


@dataclass(frozen=True)
class Format:
    """One kind of report.

    Attributes:
        start: text without which no line begins such a report.
        pattern: matched where `start` is found, over this and the next lines.
        title: template.
        alts: templates of further titles under which the same bug may be known.
        stack: where the function to blame is looked for.
        skip: functions that do not name a bug in reports of this kind, besides the generic.
        corrupted: such reports lack something by their very form.
        bare: the stack follows without "Call Trace:".
        follows: in another report's lines it continues that report.
        unnamed: title where the header names no function and there is no stack.
    """

    start: str
    pattern: re.Pattern[str]
    title: str
    alts: tuple[str, ...] = ()
    stack: Stack = Stack.ORDER
    skip: tuple[re.Pattern[str], ...] = ()
    corrupted: bool = False
    bare: bool = False
    follows: bool = False
    unnamed: str = ""


BAD_ACCESS = ("bad-access in {frame}",)
_FUNC = (
    rf"(?:\[<[0-9a-f]+>\] +)*(?:(?P<func>{FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+|"
    rf"{FUNCTION} [\w./+-]+:\d+ \[inline\])"
)
# Where inlined callers are printed, they come first.
_EXACT = rf"(?:\[<[0-9a-f]+>\] +)*(?P<func>{FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+"
_HELD = rf"(?:.*\n){{1,12}}?.*#\d+: .*at: {_EXACT}"
_WARN_AT = r"WARNING: (?:CPU: \d+ PID: \d+ at )?"
# The two lines between the title of a KASAN report and the access differ by version.
_SOON = r"(?:.*\n){1,8}?.*"


def _of(
    start: str,
    pattern: str,
    title: str,
    alts: tuple[str, ...] = (),
    stack: Stack = Stack.ORDER,
    skip: str = "",
    *,
    corrupted: bool = False,
    bare: bool = False,
    follows: bool = False,
    unnamed: str = "",
) -> Format:
    skips = (re.compile("|".join(skip.split())),) if skip else ()
    return Format(
        start, re.compile(pattern), title, alts, stack, skips, corrupted, bare, follows, unnamed
    )


_KMALLOC = r"\w*alloc\w* \w*dup \w*_resize \w*memdup\w*"
_CIPHERS = (
    r"aes\w* crypto_\w+ (?:xts|cbc|ctr|ecb|gcm|cts|lrw|pcbc|adiantum)_\w+ skcipher_\w+ "
    r"shash_\w+ ahash_\w+ "
    r"sha\d+_\w+ \w+_cipher\w*"
)
_LEAK = (
    r"idr_\w+ ida_\w+ radix_tree_\w+ xas?_\w+ kobject_\w+ kobj_\w+ \w*alloc\w* \w*dup\w* "
    r"kvasprintf\w* \w*_create_cache"
)
_NONE, _STALL, _TRACE = Stack.NONE, Stack.STALL, Stack.TRACE
_HANG_ALT, _STALL_ALT = ("hang in {frame}",), ("stall in {frame}",)

FORMATS: tuple[Format, ...] = (
    # mm/kasan/report.c
    _of("BUG:", rf"BUG: KASAN: (?:double-free or invalid-free|invalid-free|double-free) in {_FUNC}",
        "KASAN: invalid-free in {frame}", ("invalid-free in {frame}",)),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) (?:on address|in {_FUNC}|in \S*){_SOON}"
        r"(?P<access>Read|Write) of size (?P<size>\d+)",
        "KASAN: {kind} {access} in {frame}", BAD_ACCESS, unnamed="KASAN: {kind} {access}"),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) in {_FUNC}{_SOON}(?P<access>Read|Write) at addr",
        "KASAN: {kind} {access} in {frame}", BAD_ACCESS),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) in {_FUNC}(?P<rest>.*)",
        "KASAN: {kind} in {func} {rest}", corrupted=True),
    _of("BUG:", r"BUG: KASAN: (?P<rest>.*)", "KASAN: {rest}", corrupted=True),
    # mm/kmsan/report.c
    _of("BUG:", r"BUG: KMSAN: (?P<kind>kernel-(?:\w+-)?infoleak[\w-]*)",
        "KMSAN: {kind} in {frame}", ("KMSAN origin in {origin}",),
        skip=r"usb_submit_urb usb_start_wait_urb usb_\w+_msg \w*copy\w* simple_copy_to_iter "
             r"skb_copy_datagram\w* __skb_datagram_iter skb_release_data", bare=True),
    _of("BUG:", r"BUG: KMSAN: use of un\w+ memory", "KMSAN: uninit-value in {frame}",
        BAD_ACCESS, skip=_CIPHERS),
    _of("BUG:", r"BUG: KMSAN: (?P<kind>[\w-]+) in", "KMSAN: {kind} in {frame}", BAD_ACCESS,
        skip=_CIPHERS, bare=True),
    # kernel/kcsan/report.c
    _of("BUG:", rf"BUG: KCSAN: (?P<kind>[\w-]+(?:: race)?) in (?P<func>{FUNCTION}) / "
        rf"(?P<second>{FUNCTION})",
        "KCSAN: {kind} in {func} / {second}", bare=True),
    _of("BUG:", rf"BUG: KCSAN: (?P<kind>assert: race|[\w-]+) in (?P<func>{FUNCTION})",
        "KCSAN: {kind} in {func}", bare=True),
    # mm/kfence/report.c
    _of("BUG:", r"BUG: KFENCE: memory corruption in", "KFENCE: memory corruption in {frame}",
        bare=True),
    _of("BUG:", r"BUG: KFENCE: invalid free in", "KFENCE: invalid free in {frame}", bare=True),
    _of("BUG:", r"BUG: KFENCE: (?P<kind>[\w-]+) (?P<access>read|write) in",
        "KFENCE: {kind} {access} in {frame}", BAD_ACCESS, bare=True),
    _of("BUG:", r"BUG: KFENCE: (?P<kind>[\w -]+?) in", "KFENCE: {kind} in {frame}", bare=True),
    # arch/x86/mm/fault.c; the words changed in 5.1.
    _of("BUG:", r"BUG: (?:unable to handle kernel|kernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}", BAD_ACCESS),
    _of("BUG:", r"BUG: unable to handle (?:kernel paging request|page fault for|kernel access)",
        "BUG: unable to handle kernel paging request in {frame}", BAD_ACCESS),
    _of("BUG:", r"BUG: (?:\w+ )?stack guard page was hit",
        "BUG: stack guard page was hit in {frame}", ("stack-overflow in {frame}",), Stack.DEEP),
    # kernel/locking/spinlock_debug.c
    _of("BUG:", r"BUG: (?P<what>(?:spinlock|rwlock) [a-zA-Z ]+?) on", "BUG: {what} in {frame}"),
    # kernel/watchdog.c, kernel/workqueue.c
    _of("BUG:", r"BUG: soft lockup", "BUG: soft lockup in {frame}", _STALL_ALT, _STALL),
    _of("Watchdog detected", r"Watchdog detected hard LOCKUP", "BUG: hard lockup in {frame}",
        _STALL_ALT, _STALL),
    _of("BUG:", r"BUG: workqueue lockup", "BUG: workqueue lockup", (), _NONE),
    # kernel/locking/lockdep.c, kernel/exit.c
    _of("BUG:", r"BUG: .*still has locks held", "BUG: still has locks held in {frame}", (), _TRACE),
    _of("BUG:", r"BUG: bad unlock balance detected", "BUG: bad unlock balance in {frame}"),
    _of("BUG:", r"BUG: held lock freed", "BUG: held lock freed in {frame}", (), _TRACE),
    _of("BUG:", rf"BUG: lock held (?:when returning to user space|at task exit time){_HELD}",
        "BUG: lock held when returning to user space in {frame}", (), Stack.HEADER),
    _of("BUG:", r"BUG: Invalid wait context", "WARNING: locking bug in {frame}"),
    _of("BUG:", r"BUG: (?P<what>MAX_[A-Z_]+ too low)", "BUG: {what}!", (), _NONE),
    _of("BUG:", r"BUG: key \S+ (?:not in \.data|has not been registered)",
        "BUG: key not in .data in {frame}"),
    _of("BUG:", r"BUG: (?P<what>looking up invalid subclass)", "BUG: {what} in {frame}"),
    # kernel/sched/core.c, lib/smp_processor_id.c
    _of("BUG:", r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {frame}"),
    _of("BUG:", r"BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {frame}"),
    _of("BUG:", r"BUG: assuming (?P<what>atomic context|non migratable context)",
        "BUG: assuming {what} in {frame}"),
    _of("BUG:", r"BUG: using (?P<what>\w+)\(\) in preemptible",
        "BUG: using {what}() in preemptible code in {frame}"),
    # mm/
    _of("BUG:", r"BUG: memory leak", "memory leak in {frame}", bare=True, skip=_LEAK),
    _of("BUG:", r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state", (), _NONE),
    _of("BUG:", r"BUG: non-zero (?P<what>\w+) on freeing mm", "BUG: non-zero {what} on freeing mm",
        (), _NONE),
    _of("BUG:", r"BUG: Bad page state", "BUG: Bad page state in {frame}"),
    _of("BUG:", r"BUG: (?P<what>Bad page (?:map|cache))", "BUG: {what}"),
    _of("BUG:", r"BUG: Dentry .*still in use", "BUG: Dentry still in use in {frame}"),
    _of("BUG:", r"BUG: Bad (?P<what>\w+ state)", "BUG: Bad {what}", (), _NONE),
    _of("BUG ", r"BUG (?P<cache>[\w:.()-]+)(?: \([^)]*\))?: (?P<what>[A-Z][\w /-]+)",
        "BUG: {what} in {frame}"),
    _of("BUG:", r"BUG: (?P<what>recent printk recursion)", "BUG: {what}", (), _NONE),
    _of("BUG:", r"BUG: (?P<rest>.*)", "BUG: {rest}"),
    # kernel/locking/lockdep.c and kernel/rcu/: "[ INFO: ... ]" until 4.10, "WARNING: ..." since.
    *(
        _of(start, rf"{start} {words}", title, alts, stack, skip)
        for start in ("WARNING:", "INFO:")
        for words, title, alts, stack, skip in (
            (r"possible (?:circular locking dependency|recursive locking|irq lock inversion "
             rf"dependency)(?: detected)?(?:.*\n){{1,12}}?.*(?:trying to acquire|just changed the "
             rf"state of) lock:?(?:.*\n){{0,8}}?.*at: {_EXACT}",
             "possible deadlock in {frame}", (), _TRACE, ""),
            (r"possible (?:circular|recursive|irq lock) ?\w*",
             "possible deadlock in {frame}", (), _TRACE, ""),
            (r"(?:SOFTIRQ|HARDIRQ|\w+)-safe -> (?:SOFTIRQ|HARDIRQ|\w+)-unsafe lock order",
             "possible deadlock in {frame}", (), Stack.ORDER, ""),
            (rf"inconsistent lock state(?:.*\n){{1,6}}?.*takes:(?:.*\n){{0,8}}?.*at: {_EXACT}",
             "inconsistent lock state in {frame}", (), _TRACE, ""),
            ("inconsistent lock state", "inconsistent lock state in {frame}", (), _TRACE, ""),
            (r"bad (?:unlock|contention) balance detected",
             "WARNING: bad unlock balance in {frame}", (), Stack.ORDER, ""),
            (r"held lock freed", "WARNING: held lock freed in {frame}", (), _TRACE, ""),
            (r"(?i:nested lock was not taken)", "WARNING: nested lock was not taken in {frame}",
             (), _TRACE, ""),
            (rf"lock held (?:when returning to user space|at task exit time){_HELD}",
             "WARNING: lock held when returning to user space in {frame}", (), Stack.HEADER, ""),
            (r".*still has locks held", "WARNING: still has locks held in {frame}", (), _TRACE, ""),
        )
    ),
    _of("WARNING:", r"WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {frame}",
        (), _TRACE),
    _of("INFO:", r"INFO: suspicious RCU usage", "INFO: suspicious RCU usage in {frame}",
        (), _TRACE),
    _of("INFO:", r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {frame}"),
    # kernel/rcu/tree_stall.h
    _of("INFO:", r"INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall in {frame}", _STALL_ALT, _STALL),
    # kernel/hung_task.c
    _of("INFO:", r"INFO: task (?:.*\n){0,2}?.* blocked (?:in I/O wait |on an? \w+ )?(?:.{0,80} )?"
        r"for more than",
        "INFO: task hung in {frame}", _HANG_ALT, _TRACE),
    _of("INFO:", r"INFO: task .*(?:can't die for more than|can't die)",
        "INFO: task can't die in {frame}", _HANG_ALT, _TRACE),
    # mm/slub.c tells of an object in pieces; without its head they are all there is.
    _of("INFO:", r"INFO: (?P<rest>(?:Allocated|Freed|Object|Slab) .*)", "INFO: {rest}",
        corrupted=True),
    # kernel/panic.c
    _of("WARNING:", rf"{_WARN_AT}lib/refcount\.c:", "WARNING: refcount bug in {frame}"),
    _of("WARNING:", rf"{_WARN_AT}lib/kobject\.c:", "WARNING: kobject bug in {frame}",
        skip=r"k?object_\w+ kobj\w+ device_add\w* device_register device_create\w* cdev_\w+ "
             r"kset_\w+ bus_add_\w+ driver_register \w*register_device_\w+"),
    _of("WARNING:", rf"{_WARN_AT}lib/debugobjects\.c:", "WARNING: ODEBUG bug in {frame}"),
    _of("WARNING:", rf"{_WARN_AT}(?:mm/slab_common\.c|mm/util\.c|mm/slub\.c):\d+"
        rf"(?: at)? (?:__)?kv?malloc\w*",
        "WARNING: kmalloc bug in {frame}", skip=_KMALLOC),
    _of("WARNING:", rf"{_WARN_AT}kernel/locking/lockdep\.c:", "WARNING: locking bug in {frame}"),
    _of("WARNING:", rf"{_WARN_AT}fs/proc/generic\.c:\d+(?: at)? proc_register",
        "WARNING: proc registration bug in {frame}", skip=r"_?proc_\w+"),
    _of("WARNING:", rf"{_WARN_AT}mm/vmalloc\.c:\d+(?: at)? __vmalloc_node\w*",
        "WARNING: zero-size vmalloc in {frame}"),
    _of("WARNING:", rf"{_WARN_AT}\S+:\d+(?: at)? (?P<named>usb_submit_urb)",
        "WARNING in {frame}/usb_submit_urb", skip=r"usb_submit_urb usb_start_wait_urb usb_\w+_msg"),
    _of("WARNING:", r"WARNING: (?:CPU: \d+ PID: \d+ )?at ", "WARNING in {frame}"),
    _of("WARNING:", r"WARNING: CPU: \d+ ", "WARNING in {frame}"),
    _of("WARNING:", r"WARNING: [\w./-]+\.[chS]:\d+ at ", "WARNING in {frame}"),
    # arch/x86/kernel/unwind_frame.c
    _of("WARNING:", r"WARNING: kernel stack (?P<what>frame pointer|regs) .*has bad",
        "WARNING: kernel stack {what} has bad value", (), _NONE),
    _of("WARNING:", r"WARNING: (?P<rest>.*)", "WARNING: {rest}", (), _NONE),
    # arch/x86/kernel/traps.c, arch/x86/kernel/dumpstack.c
    *(
        _of(start, pattern, title, alts, follows=True)
        for start, pattern, title, alts in (
            ("general protection fault", r"general protection fault(?:[ ,:]|$)",
             "general protection fault in {frame}", BAD_ACCESS),
            ("stack segment", r"stack segment: ", "stack segment fault in {frame}", ()),
            ("divide error:", r"divide error: ", "divide error in {frame}", ()),
            ("int3:", r"int3: ", "int3 in {frame}", ()),
            ("invalid opcode:", r"invalid opcode: ", "invalid opcode in {frame}", ()),
            ("double fault:", r"double fault: ", "PANIC: double fault in {frame}", ()),
            ("bounds:", r"(?:Oops: )bounds: ", "bounds error in {frame}", ()),
            ("alignment check:", r"alignment check: ", "alignment check in {frame}", ()),
            ("kernel stack overflow", r"kernel stack overflow",
             "kernel stack overflow in {frame}", ("stack-overflow in {frame}",)),
        )
    ),
    _of("PANIC: double fault", r"PANIC: double fault", "PANIC: double fault in {frame}"),
    # arch/arm64/mm/fault.c, arch/arm64/kernel/traps.c
    _of("Unable to handle kernel", r"Unable to handle kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}", BAD_ACCESS),
    _of("Unable to handle kernel", r"Unable to handle kernel ",
        "BUG: unable to handle kernel paging request in {frame}", BAD_ACCESS),
    _of("Unhandled fault:", r"Unhandled fault: (?P<what>[a-z ]+)", "Unhandled fault in {frame}"),
    _of("Internal error:", r"Internal error: (?P<what>[A-Za-z /-]+)", "Internal error in {frame}",
        BAD_ACCESS, Stack.COUNTER,
        follows=True),
    _of("Bad mode in", r"Bad mode in .*(?:.*\n){1,60}?Kernel panic - not syncing: (?P<rest>.*)",
        "kernel panic: {rest}", (), _NONE),
    # include/asm-generic/bug.h, and what names its reason in the line before
    _of("list_add", r"list_add (?:corruption|double add)", "BUG: corrupted list in {frame}",
        BAD_ACCESS),
    _of("list_del", r"list_del corruption", "BUG: corrupted list in {frame}", BAD_ACCESS),
    _of("usercopy:", r"usercopy: Kernel memory (?:overwrite|exposure) attempt",
        "BUG: bad usercopy in {frame}"),
    _of("usercopy:", r"usercopy: kernel memory (?:overwrite|exposure) attempt",
        "BUG: bad usercopy in {frame}"),
    _of("rust_kernel: panicked", r"rust_kernel: panicked at .*\n(?P<rest>.*)", "{rest} in {frame}"),
    _of("ernel BUG at", r"ernel BUG at lib/list_debug\.c", "BUG: corrupted list in {frame}",
        BAD_ACCESS,        follows=True),
    _of("ernel BUG at", r"ernel BUG at mm/usercopy\.c", "BUG: bad usercopy in {frame}",
        follows=True),
    _of("ernel BUG at", r"ernel BUG at \S+", "kernel BUG in {frame}", follows=True),
    _of("ernel BUG ", r"ernel BUG [\w./]+", "kernel BUG in {frame}", follows=True),
    # lib/ubsan.c
    _of("UBSAN:", r"UBSAN: Undefined behaviour in", "UBSAN: undefined-behaviour in {frame}"),
    _of("UBSAN:", r"UBSAN: (?P<kind>[\w-]+) in", "UBSAN: {kind} in {frame}"),
    _of("UBSAN:", r"UBSAN: (?P<rest>.*)", "UBSAN: {rest}"),
    # mm/kmemleak.c
    _of("unreferenced object", r"unreferenced object 0x", "memory leak in {frame}", bare=True,
        skip=_LEAK,
        follows=True),
    # fs/super.c
    _of("VFS: Busy inodes", r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)", (), _NONE),
    # net/core/dev.c
    _of("unregister_netdevice:", r"unregister_netdevice: waiting for \S+ to become free",
        "unregister_netdevice: waiting for DEV to become free", (), _NONE),
    # kernel/panic.c; what else was reported before is what it is about.
    *(
        _of("Kernel panic", rf"Kernel panic - not syncing: {words}", title, alts, stack,
            follows=True, corrupted=corrupted)
        for words, title, alts, stack, corrupted in (
            ("Attempted to kill init!", "kernel panic: Attempted to kill init!", (), Stack.ORDER,
             False),
            (r"Couldn't open N_TTY ldisc for (?P<what>\w+) ---? error",
             "kernel panic: Couldn't open N_TTY ldisc", (), Stack.ORDER, False),
            (rf"stack-protector: Kernel stack is corrupted in: {_FUNC}",
             "kernel panic: stack is corrupted in {frame}", (), Stack.ORDER, False),
            ("stack-protector:", "kernel panic: stack is corrupted in {frame}", (), Stack.ORDER,
             False),
            (r"Fatal exception(?: in interrupt)?", "kernel panic: Fatal exception", (), Stack.ORDER,
             True),
            ("corrupted stack end detected", "kernel panic: corrupted stack end in {frame}", (),
             Stack.ORDER, False),
            ("panic_on_warn set", "kernel panic: panic_on_warn set", (), Stack.ORDER, True),
            (r"(?P<rest>.*)", "kernel panic: {rest}", (), Stack.ORDER, False),
        )
    ),
)  # fmt: skip

HARMLESS = re.compile(
    r"INFO: lockdep is turned off|INFO: Stall ended before state dump start|"
    r"INFO: NMI handler|INFO: recovery |INFO: .* kthread starved|"
    r"WARNING: (?:You are running|Spectre|MDS|Unprivileged|The mand mount|no console|"
    r"speculation|RETBleed|module |.*(?i:deprecated|obsolete|unsupported|experimental|insecure))|"
    r"WARNING: CPU: \d+ PID: 0 at arch/x86/mm/ioremap|"
    r"WARNING: .*(?i:mand mount option|wireless extensions)"
)
"""Lines that healthy kernels print though the words are a report's."""

INTRUDERS = re.compile(
    r"FAULT_INJECTION: forcing|allocation failure: |FAULT_FLAG_ALLOW_RETRY missing"
)
"""What is no report but prints a stack; amidst one, nobody knows whose stack it is."""

FIRMWARE = re.compile(
    r"SeaBIOS \(version|^UEFI firmware|early console in (?:extract_kernel|decompress)|"
    r"Decompressing Linux\.\.\.|EFI stub:|^U-Boot \d|GRUB |iPXE |"
    r"Probing EDD|Booting from |BdsDxe: |(?:SYS|ISO|EXT)LINUX |Starting kernel|KASLR|Loading Linux|"
    r"Booting the kernel\b|"
    r"Linux version \d+\.\d+"
)
"""How a boot begins."""
REBOOT_TITLE = "unexpected kernel reboot"


def by_start() -> dict[str, list[Format]]:
    """The formats by the text that a report begins with."""
    grouped: dict[str, list[Format]] = {}
    for one in FORMATS:
        grouped.setdefault(one.start, []).append(one)
    return grouped


STARTS = by_start()
HUNG = functions.WAITING
