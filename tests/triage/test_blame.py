# SPDX-License-Identifier: GPL-2.0-or-later
"""Which function names a report: a rule for each kind, on stacks made up for it."""

from __future__ import annotations

import pytest

from fuzz.triage.functions import canonical, spellings
from fuzz.triage.naming import cleaned
from fuzz.triage.read import Report, read

DUMP = "dump_stack_lvl dump_stack"


def stack(names: str) -> str:
    """Frames, innermost first; `name!` is inlined, `?name` only lay on the stack."""
    lines = []
    for name in names.split():
        if name.endswith("!"):
            lines.append(f" {name[:-1]} net/core/dev.c:12 [inline]")
        else:
            doubt = "? " if name.startswith("?") else ""
            lines.append(f" {doubt}{name.lstrip('?')}+0x1a0/0x2b0")
    return "\n".join(lines) + "\n"


def trace(names: str) -> str:
    return "Call Trace:\n <TASK>\n" + stack(names) + " </TASK>\n"


def only(text: str) -> Report:
    """The one report of a log, whether its lines carry stamps and callers or not."""
    lines = text.splitlines()
    stamped = "".join(f"[    1.{n:06}] {line}\n" for n, line in enumerate(lines))
    called = "".join(f"[    1.{n:06}][  T123] {line}\n" for n, line in enumerate(lines))
    reports = [read(each.encode())[0] for each in (text, stamped, called)]
    assert len({report.title for report in reports}) == 1
    assert not reports[0].corrupted, reports[0].corrupted
    return reports[0]


INTERRUPT = (
    "enqueue_hrtimer __hrtimer_run_queues hrtimer_interrupt __sysvec_apic_timer_interrupt "
    "sysvec_apic_timer_interrupt"
)
STALL = (
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n"
    "NMI backtrace for cpu 1\nRIP: 0010:debug_object_activate+0x13a/0x510\nCall Trace:\n"
    f" <NMI>\n </NMI>\n <IRQ>\n{stack(INTERRUPT)} </IRQ>\n <TASK>\n"
    f"{stack('asm_sysvec_apic_timer_interrupt')}RIP: 0010:_raw_spin_unlock_irqrestore+0xd8/0x140\n"
)


@pytest.mark.parametrize(
    ("interrupted", "function"),
    [
        ("snd_timer_stop1 snd_timer_user_release __fput task_work_run do_exit",
         "snd_timer_user_release"),
        ("rcu_free_sheaf rcu_core handle_softirqs run_ksoftirqd kthread", "handle_softirqs"),
        ("page_ext_lookup exit_mmap get_signal exit_to_user_mode_loop do_syscall_64",
         "exit_to_user_mode_loop"),
        ("nf_hook_slow ip6_input ipv6_rcv __netif_receive_skb process_backlog", "ipv6_rcv"),
        ("do_futex __x64_sys_futex do_syscall_64", "sys_futex"),
        ("smp_call_function_many_cond on_each_cpu_cond_mask do_syscall_64", "smp_call_function"),
    ],
)  # fmt: skip
def test_stalls_are_named_after_what_was_interrupted(interrupted: str, function: str) -> None:
    after = trace("__schedule schedule rcu_gp_fqs_loop rcu_gp_kthread kthread")
    report = only(STALL + stack(interrupted) + " </TASK>\n" + after)
    assert report.title == f"INFO: rcu detected stall in {function}"


def test_a_locked_up_cpu_tells_where_it_stands() -> None:
    report = only(
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [a.out:28718]\n"
        "pc : __local_bh_enable_ip+0x228/0x44c\nlr : __local_bh_enable_ip+0x224/0x44c\n"
        "Call trace:\n" + stack("__local_bh_enable_ip batadv_tt_local_purge netlink_sendmsg "
                                "____sys_sendmsg __arm64_sys_sendmsg invoke_syscall el0_svc_common")
    )  # fmt: skip
    assert report.title == "BUG: soft lockup in sys_sendmsg"
    assert report.alt_titles == [
        "BUG: soft lockup in __arm64_sys_sendmsg",
        "stall in __arm64_sys_sendmsg",
        "stall in sys_sendmsg",
    ]


@pytest.mark.parametrize(
    ("waits", "function"),
    [
        ("__mutex_lock mpls_net_exit cleanup_net process_one_work", "mpls_net_exit"),
        ("__mutex_lock rtnl_lock linkwatch_event process_one_work", "rtnl_lock"),
        ("wait_for_completion __wait_rcu_gp synchronize_net dev_close do_syscall_64",
         "synchronize_rcu"),
        ("rwsem_down_read_slowpath down_read page_cache_ra_unbounded", "page_cache_ra_unbounded"),
    ],
)  # fmt: skip
def test_hung_tasks(waits: str, function: str) -> None:
    report = only(
        "INFO: task a.out:5487 blocked for more than 143 seconds.\n      Not tainted 6.12.0 #0\n"
        + trace(f"__schedule schedule schedule_preempt_disabled {waits}")
        + "NMI backtrace for cpu 1\n"
        + trace("dump_stack nmi_cpu_backtrace watchdog kthread")
    )
    assert report.title == f"INFO: task hung in {function}"


def circular(taken: str, held: str, chain: str = "") -> str:
    return (
        "WARNING: possible circular locking dependency detected\n6.12.0 #0 Not tainted\n"
        f"a.out/1 is trying to acquire lock:\nffff (&a){{}}-{{3:3}}, at: {taken}+0x1/0x2\n\n"
        f"but task is already holding lock:\nffff (&b){{}}-{{3:3}}, at: {held}+0x1/0x2\n\n"
        f"-> #1 (&b){{}}-{{3:3}}:\n{stack(chain)}\nstack backtrace:\n"
        + trace(f"{DUMP} check_noncircular __lock_acquire lock_acquire last_resort")
    )


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (circular("ext4_truncate", "evict"), "ext4_truncate"),
        (circular("__local_bh_disable_ip", "drm_vblank_off"), "drm_vblank_off"),
        (circular("__flush_work", "process_one_work", "lock_acquire on_the_chain"), "on_the_chain"),
    ],
)
def test_deadlocks_are_named_after_who_takes_a_lock(text: str, function: str) -> None:
    assert only(text).title == f"possible deadlock in {function}"


PAGE = (
    "BUG: Bad page state in process a.out  pfn:35e00\npage dumped because: nonzero pincount\n"
    "page last allocated via order 9, migratetype Unmovable\n"
)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (PAGE + stack("post_alloc_hook prep_new_page get_page_from_freelist alloc_pages_mpol "
                      "folio_alloc_noprof page_cache_ra_order filemap_fault")
         + "page last free pid 8399\n" + stack("free_unref_folios exit_mmap")
         + trace(f"{DUMP} bad_page __free_frozen_pages kvm_put_kvm"),
         "BUG: Bad page state in page_cache_ra_order"),
        ("BUG: sleeping function called from invalid context at mm/vmalloc.c:3409\n"
         "Preemption disabled at:\n[<ffff80008b015088>] schedule+0xac/0x230\n"
         + trace(f"{DUMP} __might_resched __might_sleep vfree kvfree futex_hash_free"),
         "BUG: sleeping function called from invalid context in vfree"),
        ("BUG: using smp_processor_id() in preemptible [00000000] code: a/3\n"
         "caller is lockdep_lock+0x192/0xc60\n"
         + trace(f"{DUMP} check_preemption_disabled queued_spin_lock_slowpath lockdep_lock "
                 "pwq_release_workfn kthread_worker_fn"),
         "BUG: using smp_processor_id() in preemptible code in pwq_release_workfn"),
        ("BUG: Dentry 00000000aa{i=1,n=x}  still in use (1) [unmount of tmpfs tmpfs]\n"
         + trace(f"{DUMP} umount_check d_walk"), "BUG: Dentry still in use in unmount"),
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/0:4[5280]\n"
         + trace(f"{DUMP} process_scheduled_works worker_thread kthread"),
         "BUG: workqueue leaked atomic, lock or RCU: kworker/NUM:NUM[NUM]"),
        ("ODEBUG: free active object: ffff hint: cec_wait_timeout+0x0/0x180\n"
         "WARNING: lib/debugobjects.c:632 at debug_print_object+0x1/0x2, CPU#1: a/1\n"
         "RIP: 0010:debug_check_no_obj_freed+0x39c/0x530\n"
         + trace("kfree kobject_put timer_delete cec_transmit_msg_fh cec_ioctl"),
         "WARNING: ODEBUG bug in cec_transmit_msg_fh"),
        ("WARNING: inconsistent lock state\ninconsistent {IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage.\n"
         "a/1 [HC0[0]:SC0[0]:HE1:SE1] takes:\nffff (&l){?.-.}-{2:2}, at: igrab+0x1/0x2\n"
         "{IN-HARDIRQ-W} state was registered at:\n" + stack("lock_acquire other") + "\n"
         "stack backtrace:\n" + trace(f"{DUMP} print_usage_bug mark_lock __lock_acquire "
                                      "lock_acquire _raw_spin_lock sock_hash_delete_elem"),
         "inconsistent lock state in sock_hash_delete_elem"),
        ("WARNING: CPU: 0 PID: 1 at mm/slub.c:4321 free_large_kmalloc+0x1/0x2\n"
         "RIP: 0010:free_large_kmalloc+0x1/0x2\n" + trace("kfree ext4_expand_extra_isize_ea"),
         "WARNING in ext4_expand_extra_isize_ea"),
        ("Unable to handle kernel access to user memory outside uaccess routines\n"
         "pc : nst_open+0x4/0x30\nCall trace:\n" + stack("nst_open nst_recvmsg"),
         "BUG: unable to handle kernel access to user memory in nst_open"),
    ],
    ids=["page", "sleeping", "preemptible", "dentry", "workqueue", "odebug", "inconsistent",
         "large", "user memory"],
)  # fmt: skip
def test_titles(text: str, title: str) -> None:
    assert only(text).title == title


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        ("__x64_sys_bpf", "sys_bpf"), ("__se_sys_mount", "mount"), ("__sys_sendmsg", "sendmsg"),
        ("ksys_write", "write"), ("compat_SyS_mount", "mount"), ("sysfs_create", "sysfs_create"),
        ("bpf_prog_ef3a4661c9d1378e", "bpf_prog_ADDR"), ("nst_recvmsg", "nst_recvmsg"),
    ],
)  # fmt: skip
def test_one_function_has_one_name(function: str, shown: str) -> None:
    assert canonical(function) == shown
    assert spellings("__se_sys_mount") == ["mount", "sys_mount", "__se_sys_mount"]


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("BUG: spinlock trylock failure on UP in net_open",
         "BUG: spinlock trylock failure on UP on CPU#0, prog/12\n lock: 0xffff\nCPU: 0 PID: 12\n"
         + trace(f"{DUMP} spin_dump do_raw_spin_trylock _raw_spin_trylock net_open do_syscall_64")),
        ("WARNING: still has locks held in net_open",
         "WARNING: prog/12 still has locks held!\n6.1.0\n-----\n1 lock held by prog/12:\n"
         " #0: ffff (&lock){+.+.}-{3:3}, at: net_open+0x1/0x2\n\nstack backtrace:\nCPU: 1 PID: 12\n"
         + trace(f"{DUMP} debug_check_no_locks_held do_exit")),
        ("WARNING: refcount bug in net_open",
         "WARNING: lib/refcount.c:25 at refcount_warn_saturate+0x9f/0x110, CPU#0: prog/7352\n"
         "CPU: 0 PID: 7352\nRIP: 0010:refcount_warn_saturate+0x9f/0x110\nCode: 00\n"
         + trace("refcount_inc! kref_get! kobject_get get_device net_open do_dentry_open")),
    ],
)  # fmt: skip
def test_reports_with_words_of_their_own(title: str, text: str) -> None:
    assert only(text).title == title


@pytest.mark.parametrize(
    ("frames", "function"),
    [
        ("__kmalloc kmemdup net_copy sock_recvmsg", "net_copy"),
        ("__kmalloc nst_plain_alloc[nst] nst_judge[nst] sock_recvmsg", "nst_judge"),
        ("crypto_create_tfm_node crypto_alloc_aead nst_derive[nst] sock_recvmsg", "nst_derive"),
        ("__kmalloc nst_plain_alloc[nst] sock_recvmsg", "nst_plain_alloc"),
    ],
)
def test_memory_is_lost_by_the_module_that_asked_for_it(frames: str, function: str) -> None:
    found = stack(frames.replace("[nst]", "@")).replace("@+0x1a0/0x2b0", "+0x1a0/0x2b0 [nst]")
    for head in ("BUG: memory leak\n", ""):
        text = f"{head}unreferenced object 0xffff888000cb0540 (size 32):\n  backtrace (crc 0):\n"
        assert only(text + found).title == f"memory leak in {function}"


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("Requested init /init failed (error -2).", "Requested init /init failed (error -NUM)."),
        ("unknown-block(0,0)", "unknown-block(NUM,NUM)"),
        ("held by syz-executor.3/1234 on CPU#1", "held by syz-executor on CPU"),
        ("net/foo.c:12:34 saw ffff8880deadbeef", "net/foo.c:LINE saw ADDR"),
        ("port 0x12 of 10.0.2.15", "port 0x12 of IP"),
        ("bad in net_open+0x12/0x340", "bad in net_open"),
        ("cfg80211 and nl802154", "cfg80211 and nl802154"),
    ],
)
def test_what_differs_from_run_to_run_is_no_part_of_a_title(text: str, stays: str) -> None:
    assert cleaned(text) == stays
    assert only(f"Kernel panic - not syncing: {text}\n{trace('net_open')}").title == (
        f"kernel panic: {stays}"
    )


def test_a_title_ends_somewhere() -> None:
    report = only(f"Kernel panic - not syncing: \x07{'long ' * 100}\n{trace('net_open')}")
    assert len(report.title) <= 120
    assert report.title.startswith("kernel panic: long long")
