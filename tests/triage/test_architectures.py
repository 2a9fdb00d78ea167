# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of kernels that are not x86: registers and stacks as each of them prints them.

The reports are made up for this; their forms are those of arch/*/kernel/{traps,process}.c
and arch/*/mm/fault.c.
"""

from __future__ import annotations

import pytest

from fuzz.triage.read import read
from tests.triage.test_blame import only

TASK = "CPU: 0 UID: 0 PID: 123 Comm: prog Not tainted 6.12.0 #1\nHardware name: board (DT)\n"
NULL = "BUG: unable to handle kernel NULL pointer dereference in net_close"
PAGING = "BUG: unable to handle kernel paging request in net_close"
STALLED = "rcu: INFO: rcu_preempt self-detected stall on CPU\nrcu: \t0-....: (10499 ticks)\n"
CLOCK = "rcu_dump_cpu_stacks rcu_sched_clock_irq update_process_times hrtimer_interrupt"
LOOP = "inner_loop net_walk"


def stack(names: str, line: str) -> str:
    """A line of a stack for each function."""
    return "".join(line.format(name) for name in names.split())


def riscv(names: str) -> str:
    return stack(names, "[<ffffffff80a1b2c2>] {}+0x12/0x30 net/net.c:12\n")


def s390(names: str) -> str:
    return stack(names, " [<000003ffe0a1b2c2>] {}+0x12/0x30\n")


def powerpc(names: str) -> str:
    return stack(names, "[c00000000a1b2c00] [c000000000a1b2c4] {}+0x12/0x30\n")


def mips(names: str) -> str:
    return stack(names, "[<ffffffff80a1b2c2>] {}+0x12/0x30\n")


def riscv_registers(at: str) -> str:
    return (
        f"epc : {at}+0x12/0x30 net/net.c:12\n ra : net_other+0x10/0x20 net/net.c:14\n"
        "epc : ffffffff80a1b2c2 ra : ffffffff80a1b2c4 sp : ff20000012345678\n"
        "status: 0000000200000120 badaddr: dfffffff00000003 cause: 000000000000000d\n"
    )


def s390_registers(at: str) -> str:
    return (
        f"Krnl PSW : 0704c00180000000 000003ffe0a1b2c2 ({at}+0x12/0x30)\n"
        "           R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:0 PM:0 RI:0 EA:3\n"
        "Krnl GPRS: 0000000000000000 0000000000000001\nKrnl Code: 000003ffe0a1b2b2: e310 lg\n"
    )


def powerpc_registers(at: str) -> str:
    return (
        "NIP:  c000000000a1b2c2 LR: c000000000a1b2c4 CTR: 0000000000000000\n"
        f"NIP [c000000000a1b2c2] {at}+0x12/0x30\nLR [c000000000a1b2c4] net_other+0x10/0x20\n"
    )


@pytest.mark.parametrize(
    ("title", "text"),
    [
        pytest.param(
            PAGING,
            "Unable to handle kernel paging request at virtual address dfffffff00000003\n"
            f"Oops [#1]\n{TASK}{riscv_registers('net_close')}"
            f"{riscv('net_close net_release do_trap_ecall_u handle_exception')}Code: 0000\n",
            id="riscv",
        ),
        pytest.param(
            NULL,
            "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000003\n"
            f"Oops [#1]\n{TASK}{riscv_registers('__memcpy')}"
            f"{riscv('__memcpy net_close net_release do_trap_ecall_u')}Code: 0000\n",
            id="riscv-memcpy",
        ),
        pytest.param(
            "WARNING in net_close",
            "WARNING: CPU: 0 PID: 123 at net/net.c:12 net_close+0x12/0x30 net/net.c:12\n"
            f"{TASK}{riscv_registers('net_close')}{riscv('net_close do_trap_ecall_u')}\n",
            id="riscv-warning",
        ),
        pytest.param(
            "INFO: rcu detected stall in sys_net",
            f"{STALLED}{TASK}{riscv_registers('arch_local_irq_restore')}"
            f"{riscv(LOOP)}{riscv('__riscv_sys_net syscall_handler do_trap_ecall_u')}",
            id="riscv-stall-registers",
        ),
        pytest.param(
            "INFO: rcu detected stall in sys_net",
            f"{STALLED}{TASK}Call Trace:\n{riscv(CLOCK)}"
            f"{riscv('riscv_timer_interrupt riscv_intc_irq handle_riscv_irq do_irq')}"
            f"{riscv(LOOP)}{riscv('__riscv_sys_net syscall_handler do_trap_ecall_u')}",
            id="riscv-stall-interrupt",
        ),
        pytest.param(
            PAGING,
            "Unable to handle kernel pointer dereference in virtual kernel address space\n"
            "Failing address: 0000000000000000 TEID: 0000000000000483\n"
            f"Oops: 0004 ilc:2 [#1] SMP\n{TASK}{s390_registers('net_close')}Call Trace:\n"
            f"{s390('net_close net_release __do_syscall system_call')}"
            f"Last Breaking-Event-Address:\n{s390('net_release')}",
            id="s390",
        ),
        pytest.param(
            "WARNING in net_close",
            "WARNING: CPU: 1 PID: 12 at net/net.c:12 net_close+0x12/0x30\n"
            f"{TASK}{s390_registers('net_close')}Call Trace:\n{s390('net_close')}"
            f"([<000003ffe0a1b2c2>] net_close+0x8/0x30)\n{s390('net_release __do_syscall')}",
            id="s390-warning",
        ),
        pytest.param(
            "INFO: rcu detected stall in sys_net",
            f"{STALLED}{TASK}{s390_registers('inner_loop')}Call Trace:\n"
            f"{s390(LOOP)}{s390('__s390x_sys_net __do_syscall system_call')}",
            id="s390-stall-registers",
        ),
        pytest.param(
            "INFO: rcu detected stall in sys_net",
            f"{STALLED}{TASK}Call Trace:\n{s390(CLOCK)}{s390('do_IRQ do_ext_irq ext_int_handler')}"
            f"{s390(LOOP)}{s390('__s390x_sys_net __do_syscall system_call')}",
            id="s390-stall-interrupt",
        ),
        pytest.param(
            NULL,
            "BUG: Kernel NULL pointer dereference on read at 0x00000000\n"
            "Faulting instruction address: 0xc000000000a1b2c2\n"
            f"Oops: Kernel access of bad area, sig: 11 [#1]\n{TASK}"
            f"{powerpc_registers('net_close')}Call Trace:\n"
            "[c00000000a1b2c00] [c000000000a1b2c4] net_other+0x10/0x20 (unreliable)\n"
            f"{powerpc('net_release system_call_exception')}--- interrupt: 3000 at 0x7fff9a1b\n",
            id="powerpc",
        ),
        pytest.param(
            PAGING,
            "BUG: Unable to handle kernel data access on write at 0xdead000000000100\n"
            "Faulting instruction address: 0xc000000000a1b2c2\n"
            f"{TASK}{powerpc_registers('net_close')}Call Trace:\n{powerpc('net_close net_open')}",
            id="powerpc-write",
        ),
        pytest.param(
            # Where system calls have no wrapper, "sys_" is none of the name.
            "INFO: rcu detected stall in net",
            f"{STALLED}NMI backtrace for cpu 0\n{TASK}Call Trace:\n{powerpc(CLOCK)}"
            f"{powerpc('timer_interrupt decrementer_common_virt')}"
            f"--- interrupt: 900 at inner_loop+0x12/0x30\n{powerpc_registers('inner_loop')}"
            f"--- interrupt: 900\n{powerpc('net_walk sys_net system_call_exception')}",
            id="powerpc-stall",
        ),
        pytest.param(
            PAGING,
            "CPU 0 Unable to handle kernel paging request at virtual address 00000000, "
            f"epc == 80a1b2c2, ra == 80a1b2c4\nOops[#1]:\n{TASK}$ 0   : 00000000 00000001\n"
            "epc   : 80a1b2c2 net_close+0x12/0x30\nra    : 80a1b2c4 net_other+0x10/0x20\n"
            f"Stack : 00000000\n        ...\nCall Trace:\n{mips('net_close syscall_common')}",
            id="mips",
        ),
        pytest.param(
            PAGING,
            "CPU 0 Unable to handle kernel paging request at virtual address 0000000000000000, "
            f"era == 9000000000a1b2c2, ra == 9000000000a1b2c4\nOops[#1]:\n{TASK}"
            "   ra: 9000000000a1b2c4 net_other+0x10/0x20\n"
            "  ERA: 9000000000a1b2c2 net_close+0x12/0x30\n"
            f"Call Trace:\n{mips('net_close do_syscall handle_syscall')}",
            id="loongarch",
        ),
        pytest.param(
            "INFO: rcu detected stall in net",
            f"{STALLED}{TASK}Call Trace:\n{mips(CLOCK)}"
            f"{mips('constant_timer_interrupt handle_cpu_irq do_vint')}"
            f"{mips(LOOP)}{mips('sys_net do_syscall handle_syscall')}",
            id="loongarch-stall",
        ),
    ],
)
def test_a_report_is_named_by_what_is_to_blame(title: str, text: str) -> None:
    assert only(text).title == title


def test_what_a_register_was_to_return_to_is_not_to_blame() -> None:
    text = "WARNING: CPU: 0 PID: 1 at net/net.c:1 0xffffffff80a1b2c2\n ra : net_other+0x1/0x2\n"
    assert read(f"[    1.000000] {text}".encode())[0].frame != "net_other"
