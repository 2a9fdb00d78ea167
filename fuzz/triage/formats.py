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

from fuzz.triage.format import Format, Stack
from fuzz.triage.format import of as _of
from fuzz.triage.frames import FUNCTION

BAD_ACCESS = ("bad-access in {frame}",)
_FUNC = (
    rf"(?:\[<[0-9a-f]+>\] +)*(?:(?P<func>{FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+|"
    rf"{FUNCTION} [\w./+-]+:\d+ \[inline\])"
)
# Where inlined callers are printed, they come first.
_EXACT = rf"(?:\[<[0-9a-f]+>\] +)*(?P<func>{FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+"
_HELD = rf"(?:.*\n){{1,12}}?.*#\d+: .*at: {_EXACT}"
# In newer kernels the condition may come first: "WARNING: [a != b] lib/x.c:1 at f+0x1/0x2".
_WARN_AT = r"WARNING: (?:CPU: \d+ PID: \d+ at |\[.*\] )?"
# The two lines between the title of a KASAN report and the access differ by version.
_SOON = r"(?:.*\n){1,8}?.*"


_KMALLOC = "kmalloc krealloc slab kmem"
# Ciphers and hashes only read what they are given.
_UNINIT = r"alloc_skb netlink_(?:ack|rcv_skb) _encrypt$ ^(?:crypto|cipher|drbg|rng)_"
_LEAK = (
    "kmemleak mmap kmem slab alloc create_object idr_get list_lru_init kasprintf kvasprintf "
    "pcpu_create strn?dup memdup"
)
_TAGS = "kernel_fault tag_check mem_abort ^el1_ ^el1h_"
_USB = r"usb_submit_urb usb_start_wait_urb usb_(?:bulk|interrupt|control)_msg"
_PAGES = (
    r"(?:free|put|get|update|release)_page free_unref ^_*folio truncate_inode_pages page_frag_free "
    "alloc vmap page_owner prep_new_page"
)
_NONE, _STALL, _TRACE = Stack.NONE, Stack.STALL, Stack.TRACE
_HANG_ALT, _STALL_ALT = ("hang in {frame}",), ("stall in {frame}",)
_OVERFLOW = ("stack-overflow in {frame}",)
_SOCK, _UBSAN = "(?:lock|release)_sock", "ubsan overflow"

FORMATS: tuple[Format, ...] = (
    # mm/kasan/report.c
    _of("BUG:", rf"BUG: KASAN: (?:double-free or invalid-free|invalid-free|double-free) in {_FUNC}",
        "KASAN: invalid-free in {frame}", ("invalid-free in {frame}",),
        skip="slab_ kfree vunmap vfree"),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) (?:on address|in {_FUNC}|in \S*){_SOON}"
        r"(?P<access>Read|Write) of size (?P<size>\d+)",
        "KASAN: {kind} {access} in {frame}", BAD_ACCESS, skip=_TAGS,
        unnamed="KASAN: {kind} {access}"),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) in {_FUNC}{_SOON}(?P<access>Read|Write) at addr",
        "KASAN: {kind} {access} in {frame}", BAD_ACCESS, skip=_TAGS),
    _of("BUG:", rf"BUG: KASAN: (?P<kind>[\w-]+) in {_FUNC}(?P<rest>.*)",
        "KASAN: {kind} in {func} {rest}", corrupted=True),
    _of("BUG:", r"BUG: KASAN: (?P<rest>.*)", "KASAN: {rest}", corrupted=True),
    # mm/kmsan/report.c
    _of("BUG:", r"BUG: KMSAN: (?P<kind>kernel-usb-infoleak) in",
        "KMSAN: {kind} in {frame}", ("KMSAN origin in {origin}",), skip=f"alloc_skb {_USB}",
        bare=True),
    _of("BUG:", r"BUG: KMSAN: use of un\w+ memory", "KMSAN: uninit-value in {frame}",
        BAD_ACCESS, skip=_UNINIT),
    _of("BUG:", r"BUG: KMSAN: (?P<kind>[\w-]+) in", "KMSAN: {kind} in {frame}", BAD_ACCESS,
        skip=_UNINIT, bare=True),
    # kernel/kcsan/report.c
    _of("BUG:", rf"BUG: KCSAN: (?P<kind>[\w-]+(?:: race)?) in (?P<rest>(?P<func>{FUNCTION}) / "
        rf"(?P<second>{FUNCTION}).*)",
        "KCSAN: {kind} in {rest}", ("KCSAN: {kind} in {func} / {second}",), bare=True),
    _of("BUG:", rf"BUG: KCSAN: (?P<kind>assert: race|[\w-]+) in (?P<rest>(?P<func>{FUNCTION}).*)",
        "KCSAN: {kind} in {rest}", ("KCSAN: {kind} in {func}",), bare=True),
    # mm/kfence/report.c
    _of("BUG:", r"BUG: KFENCE: memory corruption in", "KFENCE: memory corruption in {frame}",
        bare=True),
    _of("BUG:", r"BUG: KFENCE: invalid free in", "KFENCE: invalid free in {frame}",
        ("invalid-free in {frame}",), bare=True),
    _of("BUG:", r"BUG: KFENCE: (?P<kind>[\w-]+) (?P<access>read|write) in",
        "KFENCE: {kind} {access} in {frame}", BAD_ACCESS, bare=True),
    _of("BUG:", r"BUG: KFENCE: (?P<kind>[\w -]+?) in", "KFENCE: {kind} in {frame}", bare=True),
    # arch/x86/mm/fault.c, whose words changed in 5.1, and arch/powerpc/mm/fault.c
    _of("BUG:", r"BUG: (?:unable to handle kernel|[Kk]ernel) NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}", BAD_ACCESS),
    _of("BUG:", r"BUG: [Uu]nable to handle (?:kernel (?:paging request|(?:data )?access|"
        r"instruction fetch)|page fault for)",
        "BUG: unable to handle kernel paging request in {frame}", BAD_ACCESS),
    _of("BUG:", r"BUG: (?:\w+ )?stack guard page was hit",
        "BUG: stack guard page was hit in {frame}", ("stack-overflow in {frame}",), Stack.DEEP),
    _of("BUG:", r"BUG: [Uu]nable to handle kernel *$", "BUG: unable to handle kernel", (), _NONE,
        corrupted=True),
    # kernel/locking/spinlock_debug.c
    _of("BUG:", r"BUG: (?P<what>(?:spinlock|rwlock) (?:lockup suspected|already unlocked|"
        r"(?:cpu )?recursion|bad magic|wrong owner|wrong CPU|uninitialized|"
        r"trylock failure on UP))",
        "BUG: {what} in {frame}",
        (), _TRACE, "spin_ _lock _unlock"),
    # kernel/watchdog.c, kernel/workqueue.c
    _of("BUG:", r"BUG: soft lockup", "BUG: soft lockup in {frame}", _STALL_ALT, Stack.DEEP),
    _of("Watchdog detected", r"Watchdog detected hard LOCKUP", "BUG: hard lockup in {frame}",
        _STALL_ALT, Stack.DEEP),
    _of("BUG:", r"BUG: workqueue lockup", "BUG: workqueue lockup", (), _NONE),
    _of("BUG:", r"BUG: workqueue leaked lock or atomic(?:.*\n){1,4}?.*last function: (?P<func>\w+)",
        "BUG: workqueue leaked lock or atomic in {func}", (), Stack.HEADER),
    # kernel/locking/lockdep.c, kernel/exit.c
    _of("BUG:", r"BUG: .*still has locks held(?:.*\n){1,40}?.*\+0x",
        "BUG: still has locks held in {frame}", (), _TRACE),
    _of("BUG:", r"BUG: bad unlock balance detected", "BUG: bad unlock balance in {frame}"),
    _of("BUG:", r"BUG: held lock freed(?:.*\n){1,40}?.*\+0x", "BUG: held lock freed in {frame}"),
    _of("BUG:", rf"BUG: lock held (?:when returning to user space|at task exit time){_HELD}",
        "BUG: lock held when returning to user space in {frame}", (), Stack.HEADER),
    _of("BUG:", r"BUG: Invalid wait context", "WARNING: locking bug in {frame}",
        skip=_SOCK),
    _of("BUG:", r"BUG: (?P<what>MAX_[A-Z_]+ too low)", "BUG: {what}!", (), _NONE),
    _of("BUG:", r"BUG: key \S+ (?:not in \.data|has not been registered)",
        "BUG: key not in .data in {frame}"),
    _of("BUG:", r"BUG: (?P<what>looking up invalid subclass)", "BUG: {what} in {frame}"),
    # kernel/sched/core.c, lib/smp_processor_id.c
    _of("BUG:", r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {frame}",
        (), _TRACE, "schedule"),
    _of("BUG:", r"BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {frame}", (), _TRACE),
    _of("BUG:", r"BUG: assuming (?P<what>atomic context|non migratable context)",
        "BUG: assuming {what} in {frame}"),
    _of("BUG:", r"BUG: using (?P<what>\w+)\(\) in preemptible",
        "BUG: using {what}() in preemptible code in {frame}", (), _TRACE,
        "preempt debug_ processor_id this_cpu"),
    # mm/
    _of("BUG:", r"BUG: memory leak", "memory leak in {frame}", (), Stack.ASKED, _LEAK,
        bare=True),
    _of("BUG:", r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state", (), _NONE),
    _of("BUG:", r"BUG: non-zero (?P<what>\w+) on freeing mm", "BUG: non-zero {what} on freeing mm",
        (), _NONE),
    _of("BUG:", r"BUG: (?P<what>Bad page (?:state|cache))", "BUG: {what} in {frame}", (),
        Stack.ORIGIN, skip=_PAGES),
    _of("BUG:", r"BUG: Bad page map", "BUG: Bad page map"),
    _of("BUG:", r"BUG: Dentry .*still in use \(\d+\) \[unmount of (?P<what>[^\]]+)\]",
        "BUG: Dentry still in use in unmount", ("BUG: Dentry still in use [unmount of {what}]",)),
    _of("BUG:", r"BUG: Bad (?P<what>\w+ state)", "BUG: Bad {what}", (), _NONE),
    _of("BUG ", r"BUG kmalloc-.*: Object already free", "BUG: Object already free"),
    _of("BUG ", r"BUG (?P<cache>[\w:.()-]+)(?: \([^)]*\))?: (?P<what>[A-Z][\w /-]+)",
        "BUG: {what} in {frame}"),
    _of("BUG:", r"BUG: (?P<what>recent printk recursion)", "BUG: {what}", (), _NONE),
    _of("BUG:", r"BUG:\s*$", "BUG: corrupted", (), _NONE, corrupted=True),
    # As with lockdep's below: the second half, which names the place, is not there.
    _of("BUG:", r"BUG: (?P<rest>(?:Dentry .*still in use|lock held when returning|held lock freed|"
        r".*still has locks held|workqueue leaked lock|KMSAN:).*)",
        "BUG: {rest}", (), _NONE, corrupted=True),
    _of("BUG:", r"BUG: (?P<rest>.*)", "BUG: {rest}", (), _NONE),
    # Until 4.10 functions in lockdep's headers count whatever they are.
    _of("INFO:", r"INFO: inconsistent lock state(?:.*\n){1,6}?"
        rf".*takes:(?:.*\n){{0,8}}?.*at: {_EXACT}",
        "inconsistent lock state in {frame}", (), Stack.ANY),
    _of("INFO:", r"INFO: (?:possible circular locking dependency|SOFTIRQ-safe -> SOFTIRQ-unsafe"
        r" lock order) detected(?:.*\n){1,12}?"
        rf".*trying to acquire(?: lock)?:?(?:.*\n){{0,8}}?.*at: {_EXACT}",
        "possible deadlock in {frame}", (), Stack.ANY),
    # kernel/locking/lockdep.c and kernel/rcu/: "[ INFO: ... ]" until 4.10, "WARNING: ..." since.
    *(
        _of(start, rf"{start} {words}", title, alts, stack, skip)
        for start in ("WARNING:", "INFO:")
        for words, title, alts, stack, skip in (
            (r"possible circular locking dependency detected(?:.*\n){1,12}?.*trying to acquire "
             "lock", "possible deadlock in {frame}", (),
             Stack.HELD, r"process_one_work (?:flush|drain|destroy)_workqueue"),
            (r"possible (?:recursive locking|irq lock inversion dependency) detected"
             r"(?:.*\n){1,12}?.*(?:trying to acquire|just changed the "
             rf"state of) lock:?(?:.*\n){{0,8}}?.*at: {_EXACT}",
             "possible deadlock in {frame}", (), Stack.ANY, ""),
            (r"\w+-safe -> \w+-unsafe lock order", "possible deadlock in {frame}", (),
             Stack.BECAME, ""),
            (r"inconsistent lock state(?:.*\n){1,8}?.*takes(?:.*\n){0,8}?.*at: ",
             "inconsistent lock state in {frame}", (), _TRACE, ""),
            (r"bad (?:unlock|contention) balance detected",
             "WARNING: bad unlock balance in {frame}", (), Stack.ORDER, ""),
            (rf"held lock freed(?:.*\n){{1,10}}?.*at: {_EXACT}",
             "WARNING: held lock freed in {frame}", (), Stack.ANY, ""),
            (r"(?i:nested lock was not taken)", "WARNING: nested lock was not taken in {frame}",
             (), _TRACE, ""),
            (rf"lock held (?:when returning to user space|at task exit time){_HELD}",
             "WARNING: lock held when returning to user space in {frame}", (), Stack.HEADER, ""),
            (rf".*still has locks held{_HELD}", "WARNING: still has locks held in {frame}", (),
             Stack.HEADER, ""),
        )
    ),
    *(
        _of(start, rf"{start} suspicious RCU usage(?:.*\n){{1,12}}?.*[\w./-]+\.[a-z]+:\d+",
            f"{start} suspicious RCU usage in {{frame}}", (), _TRACE, "rcu kmem slab")
        for start in ("WARNING:", "INFO:")
    ),
    # The second half, which names the place, is not there.
    *(
        _of(start, rf"{start} (?P<rest>(?:possible (?:circular|recursive) locking(?: dependency)? "
            r"detected|possible irq lock inversion dependency detected|inconsistent lock state|"
            r"held lock freed|lock held when returning|.*still has locks held|"
            r"suspicious RCU usage).*)",
            f"{start} {{rest}}", (), _NONE, corrupted=True)
        for start in ("WARNING:", "INFO:")
    ),
    _of("INFO:", r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {frame}", (), _TRACE,
        "stack lock IRQ"),
    # kernel/rcu/tree_stall.h
    _of("INFO:", r"INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall in {frame}", _STALL_ALT, _STALL, "apic_timer_interrupt rcu"),
    # kernel/hung_task.c
    _of("INFO:", r"INFO: task (?:.*\n){0,2}?.* blocked (?:in I/O wait |on an? \w+ )?(?:.{0,80} )?"
        r"for more than",
        "INFO: task hung in {frame}", _HANG_ALT, Stack.WAIT),
    _of("INFO:", r"INFO: task .*(?:can't die for more than|can't die)",
        "INFO: task can't die in {frame}", _HANG_ALT, _TRACE, "schedule"),
    # mm/slub.c tells of an object in pieces; without its head they are all there is.
    _of("INFO:", r"INFO: (?P<rest>(?:Allocated|Freed|Object|Slab) .*)", "INFO: {rest}",
        corrupted=True),
    # kernel/panic.c; without CONFIG_DEBUG_BUGVERBOSE there is no place.
    *(
        _of("WARNING:", _WARN_AT + words, title, skip=skip)
        for words, title, skip in (
            (r"(?:lib/refcount\.c:|refcount_warn)", "WARNING: refcount bug in {frame}", "refcount"),
            (r"(?:lib/kobject\.c:|kobject_)", "WARNING: kobject bug in {frame}", "kobject_"),
            (r"(?:lib/debugobjects\.c:|debug_print_object)", "WARNING: ODEBUG bug in {frame}",
             "debug_ rcu hrtimer_ timer_ work_ percpu_ vunmap vfree __free_"),
            (r"(?:mm/usercopy\.c:|usercopy_warn)", "WARNING: bad usercopy in {frame}",
             "usercopy __check"),
            (r"mm/vmalloc\.c:\d+(?: at)? __vmalloc_node", "WARNING: zero-size vmalloc in {frame}",
             ""),
            (r"mm/\S+\.c:\d+(?: at)? k?\w?malloc", "WARNING: kmalloc bug in {frame}", _KMALLOC),
            (r"kernel/locking/lockdep\.c:\d+(?: at)? \w*lock_", "WARNING: locking bug in {frame}",
             _SOCK),
            (r"(?:fs/proc/generic\.c:\d+(?: at)? )?proc_register",
             "WARNING: proc registration bug in {frame}", "proc_"),
            (r"(?:\S+:\d+(?: at)? )?usb_submit_urb", "WARNING in {frame}/usb_submit_urb", _USB),
        )
    ),
    _of("WARNING:", r"WARNING: (?:CPU: \d+ PID: \d+ )?at (?:\S+:\d+ \S+[.+]|.*\+0x)",
        "WARNING in {frame}"),
    _of("WARNING:", r"WARNING: (?:\[.*\] )?[\w./-]+\.(?:[chS]|rs):\d+ at ", "WARNING in {frame}"),
    # arch/x86/kernel/unwind_frame.c
    _of("WARNING:",
        r"WARNING: kernel stack regs at [0-9a-f]+ in \S* has bad '(?P<what>[^']+)' value",
        "WARNING: kernel stack regs has bad '{what}' value", (), _NONE),
    _of("WARNING:", r"WARNING: kernel stack frame pointer at [0-9a-f]+ in \S* has bad value",
        "WARNING: kernel stack frame pointer has bad value", (), _NONE),
    _of("WARNING:", r"WARNING: kernel stack (?:regs|frame pointer) .*has bad .*value",
        "WARNING: kernel stack regs has bad value", (), _NONE),
    _of("WARNING:", r"WARNING:\s*$", "WARNING: corrupted", (), _NONE, corrupted=True),
    _of("WARNING:", r"WARNING: (?P<rest>.*)", "WARNING: {rest}", (), _NONE),
    # arch/x86/kernel/traps.c, arch/x86/kernel/dumpstack.c
    *(
        _of(start, pattern, title, alts, follows=True)
        for start, pattern, title, alts in (
            ("general protection fault", r"general protection fault.*:",
             "general protection fault in {frame}", BAD_ACCESS),
            ("stack segment", r"stack segment: ", "stack segment fault in {frame}", ()),
            ("divide error:", r"divide error: ", "divide error in {frame}", ()),
            ("divide_error:", r"divide_error: ", "divide error in {frame}", ()),
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
    _of("Unable to handle kernel", r"Unable to handle kernel access to user memory",
        "BUG: unable to handle kernel access to user memory in {frame}", BAD_ACCESS),
    _of("Unable to handle kernel", r"Unable to handle kernel ",
        "BUG: unable to handle kernel paging request in {frame}", BAD_ACCESS),
    _of("Unhandled fault:", r"Unhandled fault: (?P<what>[a-z ]+)", "Unhandled fault in {frame}",
        BAD_ACCESS),
    _of("Alignment trap:", r"Alignment trap: ", "Alignment trap in {frame}"),
    _of("Internal error:", r"Internal error: (?P<what>[A-Za-z /-]+)", "Internal error in {frame}",
        BAD_ACCESS, Stack.COUNTER,
        follows=True),
    _of("Bad mode in", r"Bad mode in .*(?:.*\n){1,60}?Kernel panic - not syncing: (?P<rest>.*)",
        "kernel panic: {rest}", (), _NONE),
    # include/asm-generic/bug.h, and what names its reason in the line before
    _of("list_add", r"list_add (?:corruption|double add)", "BUG: corrupted list in {frame}",
        BAD_ACCESS),
    _of("list_del", r"list_del corruption", "BUG: corrupted list in {frame}", BAD_ACCESS),
    _of("usercopy:", r"usercopy: [Kk]ernel memory (?:overwrite|exposure) attempt",
        "BUG: bad usercopy in {frame}", skip="usercopy __check"),
    _of("rust_kernel: panicked", r"rust_kernel: panicked at .*\n(?P<rest>.*)", "{rest} in {frame}"),
    _of("ernel BUG at", r"ernel BUG at lib/list_debug\.c", "BUG: corrupted list in {frame}",
        BAD_ACCESS, _TRACE, follows=True),
    _of("ernel BUG at", r"ernel BUG at mm/usercopy\.c", "BUG: bad usercopy in {frame}",
        skip="usercopy __check", follows=True),
    _of("ernel BUG at", r"ernel BUG at \S+", "kernel BUG in {frame}", skip="^skb_", follows=True),
    _of("ernel BUG ", r"ernel BUG [\w./]+", "kernel BUG in {frame}", follows=True),
    # lib/ubsan.c
    _of("UBSAN:", r"UBSAN: Undefined behaviour in", "UBSAN: undefined-behaviour in {frame}",
        skip=_UBSAN),
    _of("UBSAN:", r"UBSAN: (?P<kind>array-index-out-of-bounds) in", "UBSAN: {kind} in {frame}",
        BAD_ACCESS, skip=_UBSAN),
    _of("UBSAN:", r"UBSAN: (?P<kind>.*?) in", "UBSAN: {kind} in {frame}", skip=_UBSAN),
    _of("UBSAN:", r"UBSAN: (?P<rest>.*)", "UBSAN: {rest}"),
    # mm/kmemleak.c
    _of("unreferenced object", r"unreferenced object 0x", "memory leak in {frame}", (),
        Stack.ASKED, _LEAK, bare=True, follows=True),
    # fs/super.c
    _of("VFS: Busy inodes", r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)", (), _NONE),
    # fs/open.c
    _of("VFS: Close:", r"VFS: Close: file count is 0",
        "VFS: Close: file count is zero (use-after-free)", (), _NONE),
    # Android's secure world, which shares the console
    *(
        _of("trusty: panic", rf"trusty: panic \(.*?\): {words}(?P<rest>.+)", title, (), _NONE)
        for words, title in (
            (r"(?:DEBUG )?ASSERT FAILED at\S* .*?:\d+\)?: ", "trusty: ASSERT FAILED: {rest}"),
            ("", "trusty: panic: {rest}"),
        )
    ),
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
             "kernel panic: stack is corrupted in {frame}", (), Stack.HEADER, False),
            ("stack-protector:", "kernel panic: stack is corrupted in {frame}", (), Stack.ORDER,
             False),
            ("kernel stack overflow", "kernel stack overflow in {frame}", _OVERFLOW, Stack.DEEP,
             False),
            ("hung_task: blocked tasks", "kernel panic: hung_task: blocked tasks", (), Stack.ORDER,
             True),
            (r"Fatal exception(?: in interrupt)?", "kernel panic: Fatal exception", (), Stack.ORDER,
             True),
            ("corrupted stack end detected", "kernel panic: corrupted stack end in {frame}",
             _OVERFLOW, Stack.DEEP, False),
            ("panic_on_warn set", "kernel panic: panic_on_warn set", (), Stack.ORDER, True),
            (r"(?P<rest>.*)", "kernel panic: {rest}", (), Stack.ORDER, False),
        )
    ),
    # What is left of a line that ends early names the report.
    *(
        _of(start, rf"(?P<rest>{words}.*)", "{rest}", (), _NONE, follows=True)
        for start, words in (
            ("general protection fault", "general protection fault"),
            ("Kernel panic", "Kernel panic"),
            ("INFO:", r"INFO: (?:task .* blocked for|rcu\w* (?:self-)?detected)"),
        )
    ),
)  # fmt: skip


def by_start() -> dict[str, list[Format]]:
    """The formats by the text that a report begins with."""
    grouped: dict[str, list[Format]] = {}
    for one in FORMATS:
        grouped.setdefault(one.start, []).append(one)
    return grouped


STARTS = by_start()
