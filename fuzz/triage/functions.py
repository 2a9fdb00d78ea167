# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that do not name a bug: what reports it, and what everything passes through.

A crash in `memcpy` is a bug of whoever called it, one in `kmalloc` of whoever
corrupted the heap or asked for the wrong size. Which functions count as generic is a
convention: titles compare with others' only if the same ones do. These groups follow
syzkaller's (pkg/report/linux.go). Patterns are searched for in names as
`frames.function_name` gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SANITIZERS = r"""
    __(?:sanitizer|asan|msan) kasan kmsan hwasan kcsan_setup_watchpoint
    (?:read|write)_once_\w*nocheck read_word_at_a_time check_(?:memory_region|(?:heap_)?object)
    debug_object ^should_fail(?:slab)?$ (?:timer|work)_is_static_object ref_tracker seqprop_assert
"""
_REPORTING = r"""
    panic assertfail (?:show|dump|walk)_stack dump_backtrace warn_(?:slowpath|alloc|bogus) __warn
    report_bug fixup_bug invalid_op do_error do_trap _trap$
    print_(?:report|address_description|usage_bug|circular_bug|unlock|tainted) imbalance_bug
    ^get_taint$ ^core::panicking ^rust_helper_BUG$ rust_begin_unwind __fortify_ ^fortify_
    __phys_addr debug_lockdep_rcu warn_bogus_irq
    do_(?:kernel|translation)_fault do_mem_abort el1_abort el1h_64_sync
    program_check_(?:exception|common)
    arch_stack_walk stack_trace_(?:save|consume) (?:might|__might)_(?:fault|sleep|resched)
"""
_PRINTING = r"""
    printk dev_(?:info|notice|warn|err|alert|crit|emerg) sc?nprintf kv?asprintf va_format
    string pointer hex_dump
"""
_MEMORY = r"""
    (?:m|z|c)alloc krealloc kmem_cache allocate_slab slab_ alloc_page __alloc_frozen_pages
    folio_(?:alloc|unlock) filemap_alloc_folio __filemap_get_folio find_or_create_page
    do_read_cache_folio read_cache_page pagecache_get_page grab_cache_page ^kv?free$ kfree_skb
    ^free_large_kmalloc$ memdup mem(?:cpy|cmp|set|chr|move)
    str(?:n?cmp|l?cpy|n?cpy|scpy|n?len|n?str|chr|n?dup) copy_(?:to|from)_user (?:get|put)_user
    copy_(?:(?:page|folio)_)?(?:to|from)_iter ^copy(?:in|out)$ extract_(?:user|iter)_to_sg
    (?:read|write)[bwlq]$ logic_(?:in|out) ^crc\d+ crc_itu_t
"""
_LOCKS = r"""
    lockdep lock_(?:acquire|release|class) hlock_class mark_lock (?:reacquire|mark)_held_locks
    check_noncircular raw_spin_rq task_rq_lock _atomic_dec_and_lock bh_(?:enable|disable)
    perf_trace spin_(?:lock|trylock|unlock|dump) (?:read|write)_(?:lock|trylock|unlock)
    ^down$ (?:down|up)_(?:read|write) down_trylock ^_*mutex_ ^rt_mutex_
    owner_on_cpu osq_(?:un)?lock
    atomic(?:64)?_(?:dec|inc|read|set|x?or|and|add|sub|fetch|(?:cmp)?xchg|try)
    (?:set|clear|change|test)_bit __wake_up ^refcount_ ^kref_ ^complete$ wait_for_completion
    finish_wait (?:trace|lockdep)_(?:hard|soft)irq ^(?:un)?lock_page
"""
_CONTAINERS = r"""
    list_(?:add|del|replace|move|splice) ^(?:__)?rb_ ^klist_ xas_(?:start|load|find)
    rhashtable_lookup find_lock_entries truncate_inode_pages_range _indirect_thunk_
    ^i(?:put|put_final|hold)$ dput drop_nlink ida_free
"""
_WORK = r"""
    del_timer lock_timer_base __(?:try_to_del_timer|timer_delete)_sync sk_stop_timer_sync
    __mod_timer flush_work (?:__cancel_work_timer|cancel_work_sync) try_to_grab_pending
    (?:drain|destroy)_workqueue queue_work queue_delayed_work insert_work kthread_stop
    cleanup_srcu_struct
"""
_DEVICES = r"""
    kobject_ add_uevent_var get_device_parent ^(?:get|put)_device$
    device_(?:add|del|unregister|destroy) device_(?:release|for_each_child|remove_file)
    devres_release_all hwrng_unregister
    i2c_del_adapter __unregister_client rollback_registered unregister_netdev sysfs_remove
    tty_unregister_device dummy_urb_enqueue usb_kill_(?:urb|anchored) usb_control_msg
    usb_(?:hcd_)?submit_urb
"""


def any_of(*groups: str) -> re.Pattern[str]:
    """Any of the patterns in these groups, which spaces divide."""
    return re.compile("|".join(word for group in groups for word in group.split()))


GENERIC = any_of(_SANITIZERS, _REPORTING, _PRINTING, _MEMORY, _LOCKS, _CONTAINERS, _WORK, _DEVICES)
"""What never names a bug."""

PASSAGES = any_of(r"""
    ^do_syscall_ ^entry_(?:SYSCALL|SYSENTER|INT80) ^do_fast_syscall ^(?:x64|ia32)_sys_?call
    ^invoke_syscall ^(?:do_)?el0_svc ^el0t?_ ^ret_from_ ^kthread$ ^(?:process_one|worker_)
    ^process_scheduled ^(?:asm_)?(?:exc|sysvec)_ ^irq_exit ^handle_softirqs ^_*do_softirq
    ^do_trap_ecall ^handle_exception$ ^system_call ^__do_syscall$ ^handle_syscall$
    ^cpu_startup_entry ^do_idle ^start_secondary ^secondary_startup
""")
"""What is at the bottom of every stack, so that it does not tell stacks apart either."""

# A hung task may be anybody's victim. Waits for RCU and for the lock of all network
# devices are named after what is waited for, of all others the waiter is named.
WAITED_FOR = re.compile(r"rtnl_lock|(?P<rcu>synchronize_(?:rcu|srcu|net|sched))")
WAITING = any_of(r"""
    sched _(?:slow)?lock down rwsem completion kthread wait synchronize context_switch __switch_to
    cancel_delayed_work rcu_barrier
""")

# From here on up the stack, work is handed out: what stands below is what was called.
DISPATCHERS = any_of(r"""
    process_one_work call_timer_fn _run_timers run_timer_softirq hrtimer_run run_ksoftirqd
    do_softirq tasklet_(?:hi_)?action smpboot_thread_fn ^kthread$ ret_from_fork start_secondary
    cpu_startup_entry netif_receive_skb smp_call_function
    do_(?:fast_)?syscall_ sysenter_dispatch tracesys_phase2 el0_svc_handler invoke_syscall
    ^(?:__)?do_syscall$ do_trap_ecall ^syscall_handler$ ^system_call ^handle_sys(?:call)?$
    ^syscall_common$
    ret_fast_syscall exit_to_usermode task_work_run __fput __do_fault do_page_fault ^page_fault$
    vfs_(?:iter_)?(?:read|write) vfs_(?:open|ioctl) do_iter_(?:read|write) new_sync_(?:read|write)
    call_(?:read|write)_iter (?:ksys|compat|compat_sys)_ioctl blkdev_(?:driver_)?ioctl ^call_mmap
    mmap_region do_mmap do_dentry_open ^sock_(?:sendmsg|recvmsg|mmap|do_ioctl|ioctl)
    ^(?:__)?sock_release ^compat_sock_ioctl sock_common_setsockopt sk_common_release
    kernel_(?:setsockopt|listen|accept) ^(?:setsockopt|listen|accept)$
    ^(?:sys_)?(?:socketpair|connect|ioctl) ^(?:nf|rt)netlink_rcv_msg ^netlink_dump
""")

# A timer's interrupt is what finds a CPU that is stuck: what it interrupted follows. On
# riscv and s390 the interrupted registers may be shown instead, and its stack after them.
INTERRUPTED = re.compile(r"^(?!.*\? ).*apic_timer_interrupt")
ENTERED = re.compile(
    r"^(?!.*\? ).*(?:el1_irq|el1h_64_irq|__irq_svc|Exception stack|ret_from_intr|"
    r"handle_riscv_irq|(?:ext|io)_int_handler|--- interrupt: 900$|do_vint|ret_from_irq)"
)
SHOWN = re.compile(r"^status: [0-9a-f]{16} badaddr: |^Krnl PSW ")

# System calls are wrapped once or twice, differently by architecture and version.
_WRAPPERS = (
    "__x64_", "__ia32_", "__arm64_", "__s390x_", "__riscv_", "__se_sys_", "__do_sys_", "__se_",
    "____sys_", "___sys_", "__sys_", "sys_", "ksys_", "SYSC_", "SyS_", "compat_SYSC_",
    "compat_SyS_", "C_SYSC_",
)  # fmt: skip
_VARIANTS = re.compile(r"^(smp_call_function)_\w+$")
# What is generated for a register or a program is numbered anew each time.
_NUMBERED = re.compile(r"(?<=_)[0-9a-f]{6,}(?![a-z])")


def is_generic(function: str, extra: Iterable[re.Pattern[str]] = ()) -> bool:
    """Whether a function says nothing about what is wrong."""
    return bool(GENERIC.search(function)) or any(one.search(function) for one in extra)


def spellings(function: str) -> list[str]:
    """A function's names: the one to show first, the one it has here last."""
    found = [function[len(one) :] for one in _WRAPPERS if function.startswith(one)]
    if _VARIANTS.match(function):
        found.append(_VARIANTS.sub(r"\1", function))
    if _NUMBERED.search(function):
        return [_NUMBERED.sub("ADDR", function)]
    return [*sorted({name for name in found if name}, key=len), function]


def canonical(function: str) -> str:
    """A function's name to show."""
    return spellings(function)[0]
