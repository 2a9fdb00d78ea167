# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that do not name a bug: what reports it, and what everything passes through.

A crash in `memcpy` is a bug of whoever called it, one in `kmalloc` of whoever
corrupted the heap or asked for the wrong size. Patterns match whole names as
`frames.function_name` gives them, without what the compiler appends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_REPORTING = r"""
    _*dump_stack\w* show_stack\w* dump_backtrace show_regs\w* show_trace\w* show_\w*_log_lvl
    printk\w* _printk\w* vprintk\w* console_\w+ __printk_safe_flush printk_safe_\w+ __?warn
    __warn_\w+ warn_slowpath\w* warn_bogus\w* report_bug\w* fixup_bug handle_bug exc_\w+ do_bug
    asm_exc_\w+ asm_sysvec_\w+ sysvec_\w+ __sysvec_\w+ asm_common_interrupt common_interrupt
    asm_call_on_stack asm_call_\w*irq\w* \w*_printk\w* dev_printk\w* _dev_\w+
    netdev_(?:err|warn|info|notice|printk) dev_vprintk_emit \w*printk_emit _*panic
    panic_saved_regs vpanic nmi_panic\w* panic_on_\w+ check_panic_on_warn oops_\w+ assertfail
    \w*_assert\w*fail\w* __phys_addr\w* die die_\w+ __die __die_\w+ __stack_chk_fail
    bust_spinlocks bad_area\w* __bad_area\w* no_context kernelmode_fixup\w* page_fault_oops
    pgtable_bad spurious_\w+fault do_kern_addr_fault do_user_addr_fault handle_page_fault
    handle_pte_fault do_trap\w* do_error_trap\w* do_invalid_op do_int3\w* do_general_protection
    do_divide_error do_page_fault __do_page_fault async_page_fault trace_page_fault
    trace_do_page_fault page_fault invalid_op general_protection double_fault do_double_fault
    divide_error stack_segment int3 error_code error_entry common_exception restore_all retint_\w+
    ret_from_\w+ reserve_ds\w* \w*apic_timer_interrupt\w* invalidate_interrupt\w*
    reschedule_interrupt call_function_\w*interrupt ret_to_\w+ resume_userspace nmi end_repeat_nmi
    do_nmi default_do_nmi nmi_handle\w* do_machine_check do_undefinstr do_debug_exception
    brk_handler bug_handler bug_brk_handler call_break_hook do_kernel_fault __do_kernel_fault
    do_mem_abort do_translation_fault do_alignment_fault do_tag_\w+ do_bad\w* do_DataAbort
    do_PrefetchAbort do_sea report_\w*fault warn_alloc do_el\w+_\w* __dabt_svc __und_svc el[01]\w*
    __primary_switch\w* __switch_to arm_notify_die \w*force_sig\w* __switch_to_asm unwind_\w+
    __unwind_start update_stack_state arch_stack_walk\w* stack_trace_\w+ save_stack\w*
    __save_stack_trace\w* get_stack_\w+ profile_pc deref_stack_\w+ orc_\w+ stack_access_ok
    walk_stackframe __orc_find dump_trace print_context_stack\w* is_bpf_text_address bpf_ksym_find
    bpf_get_\w*kallsym\w* __kernel_text_address kernel_text_address kallsyms_\w+ get_symbol_\w+
    __sprint_symbol sprint_symbol\w* lookup_address\w* symbol_string vsnprintf snprintf sprintf
    vscnprintf scnprintf seq_printf seq_vprintf pointer number format_decode string string_nocheck
    va_format hex_\w+ \w*_string(?:_compressed)? escaped_string ___ratelimit
    lockdep_rcu_suspicious __lockdep_\w+
    print_\w*(?:bug|deadlock|inversion|imbalance|recursion)\w* print_circular_bug\w*
    print_usage_bug\w* print_bad_irq_dependency print_freed_lock_bug print_\w*lock\w*
    check_usage\w* check_noncircular check_prev\w* check_deadlock check_irq_usage check_path
    validate_chain mark_lock\w* mark_held_locks mark_usage mark_all_held_locks __mark_lock
    check_flags check_wait_context debug_show_\w+lock\w* ___might_\w+ __might_\w+ might_\w+
    __cant_\w+ __schedule_bug __schedule __schedule_loop schedule schedule_\w+ preempt_schedule\w*
    __cond_resched\w* _cond_resched cond_resched\w* check_preemption_disabled
    debug_smp_processor_id __this_cpu_\w+
    rcu_\w*(?:lock|stall|dump|sched_clock|check|warn|core)\w* debug_lockdep_rcu\w*
    rcu_note_context_switch rcu_is_watching rcu_is_cpu_\w+ rcu_dynticks_\w+ rust_helper_BUG
    _?_?_?rustc::rust_begin_unwind core::panicking::\S+ core::option::\S+ core::result::\S+
    rust_begin_unwind \S*__rustc\S* refcount_\w+ __refcount_\w+ ex_handler_\w+ fixup_exception
    search_ex\w+ usercopy_\w+ __check_object_size __check_heap_object check_\w*object\w*
    report_usercopy usercopy_abort check_\w*heap\w* fault_create_debugfs_attr should_fail\w*
    __should_fail\w* fail_dump
"""
_SANITIZERS = r"""
    _?_?_?kasan_\w+ __?_?_?asan_\w+ __hwasan_\w+ hwasan_\w+ kasan \w*_kasan_\w+
    check_memory_region\w* memory_is_\w+ bytes_is_\w+ print_address_\w+ print_report object_err
    print_error_description describe_\w+ end_report start_report kmsan_\w+ __?msan_\w+
    \w*_kmsan_\w+ kmsan kcsan_\w+ __tsan_\w+ __kcsan_\w+ check_access find_watchpoint
    \w*watchpoint\w* kfence_\w+ __kfence_\w+ kcov_\w+ __sanitizer_\w+ write_comp_data
    check_kcov_mode __ubsan_\w+ ubsan_\w+ handle_overflow val_to_string __fortify_\w+ fortify_\w+
    instrument_\w+ kmemleak_\w+ __kmemleak_\w+ depot_\w+ stack_depot_\w+ set_track\w*
    print_trailer print_tracking print_section print_page_info check_bytes_and_report check_slab
    check_object slab_err slab_bug slab_fix slab_pad_check __debug_object_\w+ debug_object_\w+
    debug_print_object debug_check_no_obj_freed __debug_check_no_obj_freed
    debug_check_no_locks_freed debug_mutex_\w+ debug_\w+_(?:init|free) lookup_object_or_alloc
    page_ext_\w+ __set_page_owner\w* set_page_owner\w* save_trace
"""
_MEMORY = r"""
    kmalloc\w* __?_?_?kmalloc\w* kzalloc\w* kcalloc\w* kmem_cache_\w+ __kmem_cache_\w+ krealloc\w*
    __do_krealloc kmemdup\w* kstrdup\w* kstrndup\w* kvmalloc\w* __kvmalloc\w* kvzalloc\w*
    kvfree\w* kvasprintf\w* kasprintf\w* kvrealloc\w* memdup_user\w* vmemdup_\w+ strndup_user
    kfree\w* do_kfree kzfree slab_\w+ __slab_\w+ ___slab_\w+ ____cache_\w+ ___cache_\w+
    __cache_(?:alloc|free)\w* cache_(?:alloc|free|grow|flusharray)\w* do_slab_\w+ new_slab\w*
    allocate_slab alloc_slab_page deactivate_slab get_partial\w* free_block put_cpu_partial
    __unfreeze_partials unfreeze_\w+ discard_slab free_slab __free_slab rcu_free_slab
    cache_alloc_refill drain_array fixup_red_left fixup_slab_list qlist_\w+ quarantine_\w+
    __free_one_page get_freepointer\w* set_freepointer freelist_\w+ memcg_\w+ __memcg_\w+
    obj_cgroup_\w+ get_page_from_freelist prep_new_page post_alloc_hook rmqueue\w* __rmqueue\w*
    __alloc_pages\w* alloc_pages\w* alloc_page\w* __alloc_frozen_\w+ __get_free_page\w*
    get_zeroed_page\w* __free_pages\w* free_pages\w* free_page\w* ___free_pages\w* free_unref_\w+
    free_frozen_\w+ free_hot_cold_page\w* free_pcp\w* free_pcppages_bulk bad_page
    free_pages_check\w* free_tail_\w+ free_the_page free_large_kmalloc __vmalloc\w* vmalloc\w*
    vzalloc\w* vfree\w* __vfree\w* __vunmap vunmap remove_vm_area __get_vm_area_node pcpu_alloc\w*
    __alloc_percpu\w* free_percpu pcpu_\w+ memcpy\w* __memcpy\w* memmove\w* __memmove\w* memset\w*
    __memset\w* memcmp\w* memchr\w* memscan
    str[a-z]*(?:cpy|cat|len|cmp|chr|str|scpy|dup|pbrk|spn|sep|icmp)\w* __str(?:cpy|len|ncpy)\w*
    sized_strscpy\w* bcmp \w*copy_from_\w*user\w* \w*copy_to_\w*user\w* _copy_\w+ __copy_\w+
    raw_copy_\w+ copy_user_\w+ __get_user\w* __put_user\w* _get_user\w* _put_user\w* get_user\w*
    put_user\w* __clear_user\w* clear_user\w* copy_page(?:_rep)? read_word_at_a_time
    copy_page_to_iter\w* copy_page_from_iter\w* _copyin copyin _copyout copyout iterate_\w+iter\w*
    \w*csum_partial\w* fault_in_\w+ probe_\w*kernel_\w+ rep_movs\w* rep_stos\w* user_string\w*
    kvm_fastop_exception
"""
_LOCKS = r"""
    lock_\w*(?:acquire|release|acquired|contended|is_held|downgrade|map|set|unpin|pin|repin)\w*
    __?_?lock_\w*(?:acquire|release|is_held|downgrade)\w* lockdep_\w+ __lockdep\w* find_held_lock
    register_lock_class look_up_lock_class assign_lock_key reacquire_held_locks __lock_set_class
    __bad_\w+ __bfs alloc_list_entry add_chain_\w+ lookup_chain_cache\w* get_next_\w*lock
    \w*hlock\w* bfs (?:_|__)?_?_?raw_\w*(?:spin|read|write)_\w+ do_raw_\w+ queued_\w*lock\w*
    native_queued_\w+ \w*rt_mutex\w* __pv_queued_\w+ pv_wait\w* pv_kick\w* pv_queued\w*
    arch_spin_\w+ spin_\w+ __spin_\w+ rspin_\w+ rwlock_\w+ read_lock\w* read_unlock\w*
    write_lock\w* write_unlock\w* debug_spin_\w+ debug_write_\w+ debug_read_\w+ _atomic_dec_\w+
    _?refcount_dec_\w+ mutex_\w+ __mutex_\w+ _mutex_\w+ ww_mutex_\w+ __ww_mutex_\w+ rt_mutex_\w+
    __rt_mutex_\w+ rt_spin_\w+ rtlock_\w+ rt_(?:read|write)_\w+ rwbase_\w+ osq_\w*lock\w*
    _?_?task_rq_\w*lock\w* down down_\w+ __down\w* up up_\w+ __up __up_\w+ rwsem_\w+ __rwsem\w*
    call_rwsem_\w+ percpu_(?:down|up)_\w+ __percpu_(?:down|up)_\w+ percpu_rwsem_\w+ seqcount_\w+
    __seqprop_\w+ local_bh_\w+ __local_bh_\w+ _local_bh_\w+ trace_\w*(?:hard|soft)irqs\w*
    local_lock\w* __local_lock\w* arch_local_\w+ native_\w*irq\w* __raw_\w*callee_\w+
    native_\w*(?:apic|msr|safe_halt|halt|save_fl|restore_fl)\w* lock_sock\w* __lock_sock
    lock_torture\w* prepare_to_\w*wait\w* finish_wait wait_for_common\w* __wait_for_common\w*
    wait_for_completion\w* complete complete_all __wake_up\w*
    wake_up(?:_(?:process|q|state|bit|var\w*|idle\w*))? try_to_wake_up ttwu_\w+
    default_wake_function autoremove_wake_function finish_swait wake_bit_function
    (?:arch_|raw_)?atomic(?:64|_long)?_\w*(?:inc|dec|add|sub|read|set|xchg|fetch|or|and|try)\w*
    test_bit set_bit clear_bit \w*_bit_\w*lock bit_spin_\w+ cmpxchg\w* __xchg __read_once\w*
    __write_once\w* test_and_\w+ ktime_get\w* kvm_clock_\w+ pvclock_\w+ csd_lock\w* bitmap_\w+
    __bitmap_\w+ find_\w*_bit\w* _find_\w*_bit\w*
"""
_CONTAINERS = r"""
    __?list_\w+ list_\w+ hlist_\w+ __hlist_\w+ klist_\w+ llist_\w+ plist_\w+ kref_\w+
    percpu_ref_\w+ static_key_\w+ __static_key_\w+
    skb_(?:panic|over_panic|under_panic|put|push|pull)\w* __skb_(?:put|push|pull)\w*
    static_call_\w+ jump_label_\w+ text_poke_\w+ __jump_label_\w+ cpus_read_\w+ get_online_cpus
    rb_(?:erase|insert|next|prev|first|last|replace)\w* __rb_\w+ _*kobject_\w+ kobj_\w+\n
    devres_\w+ device_(?:release|unregister|del|put|destroy)\w* tty_(?:un)?register_device\w* dput
    fast_dput ida_(?:free|destroy|remove)\w* (?:inc|drop|clear|set)_nlink iput proc_register
    \w*copy_msghdr\w* rollback_registered\w* unregister_netdevice_(?:many|queue)\w*
    sk_(?:stop|reset)_timer\w*
"""
_TIMERS = r"""
    add_timer\w* mod_timer\w* __mod_timer del_timer\w* __timer_delete\w* timer_delete\w*
    timer_shutdown\w* try_to_del_timer\w* timer_is_static_object detach_if_pending init_timer_\w+
    do_init_timer\w* hrtimer_(?:interrupt|cancel|try_to_cancel|init\w*|active) lock_timer_base
    delayed_work_timer_fn queue_work\w* queue_delayed_work\w* __queue_delayed_work flush_work\w*
    __flush_work\w* __flush_workqueue flush_workqueue\w* cancel_\w*work\w* __cancel_work\w*
    destroy_workqueue drain_workqueue insert_work start_flush_work try_to_grab_pending
    work_grab_pending touch_work_lockdep_map flush_delayed_work flush_all_\w+ mod_delayed_work\w*
    synchronize_\w+ __synchronize_\w+ wait_rcu_\w+ __wait_rcu\w+ rcu_barrier\w* _rcu_barrier
    call_rcu\w* __call_rcu\w* kfree_call_rcu\w* kvfree_call_rcu kfree_rcu\w* kvfree_rcu\w*
    rcu_do_batch rcu_exp_\w+ srcu_\w+ __srcu_\w+ kthread_stop kthread_flush_\w+ kthread_create\w*
    exp_funnel_lock synchronize_net msleep\w* usleep_\w+ on_each_cpu\w* flush_tlb_\w+
    __flush_tlb\w* native_flush_tlb\w* update_process_times
    tick_(?:sched|nohz|periodic|handle_p|do|program|check|clock|irq|broadcast|device)\w*
    hrtimers\w* run_posix_cpu_timers scheduler_tick sched_tick perf_tp_event\w* perf_swevent_\w+
    __bpf_trace_\w+ bpf_trace_run\w* finish_task_switch finish_lock_switch context_switch
"""
_PASSAGES = r"""
    do_syscall_\w+ entry_SYSCALL\w* entry_SYSENTER\w* entry_INT80\w* do_fast_syscall\w*
    __do_fast_syscall\w* do_int80\w* do_int80_syscall\w* x64_sys_call ia32_sys_call
    system_call_\w+ sysenter_\w+ tracesys\w* syscall_\w+ cstar_\w+ ia32_\w+syscall\w*
    invoke_syscall do_el0_svc el0_svc\w* __invoke_syscall ret_fast_syscall exit_to_user_mode\w*
    arch_do_signal\w* do_signal get_signal __exit_to_user\w* irqentry_\w+ syscall_exit_\w+ do_IRQ
    handle_irq\w* __handle_irq\w* handle_\w+_irq generic_handle_\w+ __irq_\w+ irq_exit\w*
    irq_enter\w* irq_work_run\w* __do_softirq\w* do_softirq\w* __softirqentry\w* handle_softirqs
    run_ksoftirqd invoke_softirq rest_init start_secondary start_kernel secondary_startup\w*
    x86_64_start\w* cpu_startup_entry do_idle default_idle\w* arch_cpu_idle cpu_idle\w*
    cpuidle_\w+ \w*_safe_halt ip6?t_do_table arpt_do_table ebt_do_table bpf_prog_[0-9a-f]{16}\w*
    bpf_dispatcher_\w+ __bpf_prog_run\w* ___bpf_prog_run bpf_prog_run\w* __x86_\w*thunk\w*
    __x86_return_thunk srso_\w+ retbleed_\w+ ftrace_(?:\w*call\w*|stub\w*) __cfi_\w+ __pfx_\w+
    __entry_text\w* __end_\w+ xen_\w*hypercall\w* kvm_\w*hypercall\w*
"""


def _any(*groups: str) -> re.Pattern[str]:
    words = "|".join(word for group in groups for word in group.split())
    return re.compile(f"_*(?:{words})")


GENERIC = _any(_REPORTING, _SANITIZERS, _MEMORY, _LOCKS, _CONTAINERS, _TIMERS, _PASSAGES)
"""What never names a bug."""

# In a hung task the wait itself is no news either.
WAITING = _any(r"""
    io_schedule\w* bit_wait\w* __wait_on_\w+ out_of_line_wait\w* wait_on_\w+ folio_wait_\w+
    __folio_lock\w* folio_lock\w* __lock_page\w* lock_page\w* do_read_cache_\w+ __wait_\w+
    wait_\w+ kthread_\w+ __refrigerator rtnl_\w*lock\w* blk_mq_get_tag percpu_ref_\w+
    \w*_freeze_queue\w* \w*wait\w* \w*sched\w* \w*_lock(?:_\w+)? \w*_slowlock \w*synchroni[sz]e\w*
    \w*completion\w* usb_\w*msg\w* \w*_timeout find_inode\w* request_wait_answer
""")

# From here on up the stack, work is handed out: what stands below is what was called.
DISPATCHERS = _any(r"""
    process_one_work worker_thread kthread ret_from_\w+ smpboot_thread_fn run_ksoftirqd
    call_timer_fn expire_timers run_timer_\w+ __run_timers? __run_timer_base run_local_timers
    __run_hrtimer __hrtimer_run_queues hrtimer_run_\w+ hrtimer_interrupt __do_softirq\w*
    do_softirq\w* handle_softirqs __softirqentry\w* irq_exit\w* __irq_exit\w* invoke_softirq
    tasklet_action\w* tasklet_hi_action rcu_do_batch rcu_core\w* rcu_process_\w+
    __?netif_receive_skb\w* netif_receive_skb\w* process_backlog napi_poll net_rx_action
    net_tx_action __napi_poll usb_hcd_giveback_urb __usb_hcd_giveback_urb
    __handle_irq_event_percpu handle_irq_event\w* generic_handle_\w+ smp_call_function\w*
    __?flush_smp_call_\w+ flush_smp_call_\w+ generic_smp_call_function\w* do_syscall_\w+
    entry_SYSCALL\w* entry_SYSENTER\w* entry_INT80\w* do_fast_syscall\w* __do_fast_syscall\w*
    x64_sys_call ia32_sys_call do_int80\w* system_call_\w+ sysenter_\w+ tracesys\w* invoke_syscall
    el0_svc\w* do_el0_svc ret_fast_syscall cstar_dispatch
    _*vfs_(?:read|write|readv|writev|ioctl|open|iter|splice|fsync|copy_file|fallocate|poll)\w*
    do_vfs_ioctl do_iter_\w+ do_loop_readv\w* do_readv_writev\w* compat_\w*readv\w* do_dentry_open
    call_read_iter call_write_iter do_splice\w* iter_file_splice\w* splice_\w+ new_sync_\w+
    do_sync_\w+ kernel_(?:read|write) __kernel_(?:read|write) do_fault __do_fault mmap_region
    __mmap_region call_mmap mmap_file __fput ____fput sock_sendmsg\w* __sock_sendmsg
    sock_recvmsg\w* ____sys_\w+msg ___sys_\w+msg sock_write_iter sock_read_iter sock_ioctl
    sock_do_ioctl sock_close __sock_release sock_poll netlink_dump genl_lock_dumpit
    genl_parallel_dumpit genl_dumpit rtnetlink_rcv_msg
    (?:compat_)?(?:C_SYSC|SYSC|SyS|sys|ksys)_(?:ioctl|read|write|mmap\w*) \w*compat_\w*ioctl
    blkdev_ioctl __(?:x64|ia32|arm64|se|do)_(?:compat_)?sys_ioctl task_work_run do_exit
    do_group_exit exit_to_user\w* cpu_startup_entry do_idle start_secondary secondary_startup\w*
""")

# A timer's interrupt is what finds a CPU that is stuck: what it interrupted follows.
INTERRUPTED = re.compile(
    r"^(?!.*\? ).*(?:</IRQ>|<EOI>|</NMI>|apic_timer_interrupt|el1_irq|el1h_64_irq|"
    r"__irq_svc|ret_from_intr|Exception stack)"
)

# Where no interrupt is on the stack, the program counter has to do.
STOPPED = re.compile(r"RIP: 0010:|pc : |PC is at ")

# A fault in what was interrupted: what stands above it is the fault's own.
FAULTED = re.compile(r"(?:asm_exc_|exc_|async_|trace_)?page_fault|el1_da|do_DataAbort|__dabt_svc")

_ENTRY = re.compile(r"^__(?:x64|ia32|arm64|s390x?|riscv)_(?=(?:compat_)?sys_)")
_BODY = re.compile(r"^__(?:se|do)_(?=(?:compat_)?sys_)")
_BARE = re.compile(r"^(?:compat_|C_)?(?:SyS|SYSC)_|^(?:compat_)?sys_")
_VARIANTS = re.compile(r"^(smp_call_function)_\w+$")


def is_generic(function: str, extra: Iterable[re.Pattern[str]] = ()) -> bool:
    """Whether a function says nothing about what is wrong."""
    return bool(GENERIC.fullmatch(function)) or any(one.fullmatch(function) for one in extra)


def spellings(function: str) -> list[str]:
    """A function's names: the one to show first, the one it has here last.

    System calls are wrapped once or twice, differently by architecture and version.
    """
    if _ENTRY.match(function):
        return [_ENTRY.sub("", function), function]
    if _BODY.match(function):
        inner = _BODY.sub("", function)
        return [_BARE.sub("", inner), inner, function]
    if function.startswith(("SyS_", "SYSC_", "compat_SyS_", "C_SYSC_", "compat_SYSC_")):
        return [_BARE.sub("", function), function]
    if _VARIANTS.match(function):
        return [_VARIANTS.sub(r"\1", function), function]
    return [function]


def canonical(function: str) -> str:
    """A function's name to show."""
    return spellings(function)[0]
