# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what consoles really hold: several reports, several tasks, damage, any bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.triage.read import read

LOGS = Path(__file__).parent / "corpus" / "logs"
FIRST, SECOND = LOGS / "r0622.log", LOGS / "r0609.log"
TITLES = ["WARNING: refcount bug in memfd_secret", "WARNING: zero-size vmalloc in dvb_dmx_init"]


STAMP = re.compile(rb"^\[ *\d+\.\d+\]", re.MULTILINE)
CALLER = re.compile(rb"(?<=\])\[ *[TC]\d+\]")


def titles(data: bytes) -> list[str]:
    return [report.title for report in read(data)]


def test_all_reports_of_a_log() -> None:
    assert titles(FIRST.read_bytes() + SECOND.read_bytes()) == TITLES


def test_two_tasks_at_once() -> None:
    """Line by line from two reports: each task's lines make its own."""
    first, second = FIRST.read_bytes().splitlines(), SECOND.read_bytes().splitlines()
    mixed = []
    for a, b in zip(first, second, strict=False):
        mixed += [a, b]
    rest = first[len(second) :] + second[len(first) :]
    assert sorted(titles(b"\n".join(mixed + rest))) == sorted(TITLES)


def test_a_panic_belongs_to_what_led_to_it() -> None:
    (report,) = read((LOGS / "r0004.log").read_bytes())
    assert report.title == "WARNING in kvm_arch_vcpu_ioctl_run"
    assert report.panicked


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\x1b[0;32m" + data.replace(b"\n", b"\x1b[m\n"),
        lambda data: b"\xff\xfe\x80 junk\n" + data,
        lambda data: b"<4>" + data.replace(b"\n", b"\n<4>"),
        lambda data: (
            b"Nov 23 01:02:03 host kernel: "
            + data.replace(b"\n", b"\nNov 23 01:02:03 host kernel: ")
        ),
        lambda data: b"2026-11-23T01:02:03.456Z " + data.replace(b"\n", b"\n2026-11-23T01:02:03Z "),
        lambda data: STAMP.sub(b"[Mon Nov 23 01:02:03 2026]", data),
        lambda data: STAMP.sub(b"Nov 23 01:02:03 host kernel:", CALLER.sub(b"", data)),
    ],
    ids=["crlf", "colours", "bytes", "levels", "syslog", "guest console", "dmesg -T", "journal"],
)
def test_wrappings(change) -> None:  # type: ignore[no-untyped-def]
    assert titles(change(FIRST.read_bytes())) == TITLES[:1]


def test_a_report_that_is_cut_off_is_said_to_be() -> None:
    data = FIRST.read_bytes()
    head = data[: data.index(b"Call Trace")]
    (report,) = read(head)
    assert report.corrupted
    assert report.title == "WARNING: refcount bug in corrupted"


def test_frames_of_modules() -> None:
    (report,) = read(
        b"[ 1.0] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
        b"[ 1.0] RIP: 0010:nst_open+0x12/0x40 [nst]\n[ 1.0] Call Trace:\n[ 1.0]  <TASK>\n"
        b"[ 1.0]  nst_recvmsg.part.0+0x12/0x90 [nst 0123456789abcdef0123456789abcdef01234567]\n"
        b"[ 1.0]  ? nst_old+0x1/0x2 [nst]\n[ 1.0]  sock_recvmsg+0x1/0x2\n"
    )
    assert report.title == "BUG: unable to handle kernel NULL pointer dereference in nst_open"
    assert [(f.function, f.module) for f in report.frames] == [
        ("nst_open", "nst"), ("nst_recvmsg", "nst"), ("sock_recvmsg", ""),
    ]  # fmt: skip


def test_places_may_stand_where_offsets_were() -> None:
    """As scripts/decode_stacktrace.sh prints them."""
    (report,) = read(
        b"[ 1.0] BUG: KASAN: slab-use-after-free in nst_open (net/nst/open.c:12) nst\n"
        b"[ 1.0] Read of size 8 at addr ffff888012345678 by task a/12\n[ 1.0] Call Trace:\n"
        b"[ 1.0]  kasan_report (mm/kasan/report.c:603)\n"
        b"[ 1.0]  nst_open (./include/linux/skbuff.h:3 net/nst/open.c:12 (discriminator 2)) nst\n"
        b"[ 1.0]  ? nst_old (net/nst/old.c:1) nst\n[ 1.0]  sock_recvmsg (net/socket.c:5)\n"
    )
    assert report.title == "KASAN: slab-use-after-free Read in nst_open"
    assert not report.corrupted
    assert [(f.function, f.offset, f.module, f.file, f.line) for f in report.frames] == [
        ("kasan_report", None, "", "mm/kasan/report.c", 603),
        ("nst_open", None, "nst", "net/nst/open.c", 12),
        ("sock_recvmsg", None, "", "net/socket.c", 5),
    ]
    assert report.lines[3] == " kasan_report mm/kasan/report.c:603"


def test_a_kernel_that_tells_no_places_is_understood() -> None:
    (report,) = read(
        b"[ 1.0] WARNING: CPU: 0 PID: 0 at refcount_warn_saturate+0xff/0x160\n"
        b"[ 1.0] RIP: 0010:refcount_warn_saturate+0xff/0x160\n[ 1.0] Call Trace:\n"
        b"[ 1.0]  nst_open+0x12/0x40 [nst]\n"
    )
    assert report.title == "WARNING: refcount bug in nst_open"


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_bytes_are_read(data: bytes) -> None:
    read(data)
    read(b"[    1.0] BUG: KASAN: " + data + b"\n[    1.0] Call Trace:\n" + data)


@given(st.integers(0, 8000), st.integers(0, 200))
@settings(max_examples=60)
def test_any_piece_is_read(start: int, missing: int) -> None:
    data = FIRST.read_bytes()
    for report in read(data[:start] + data[start + missing :]):
        assert report.title
        assert report.start < report.end <= len(data)


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        ("", []),
        ("Probing EDD (edd=off to disable)... ok\n", []),
        ("2026-11-23T01:02:03.456Z \nSeaBIOS (version 1.16.2)\nBooting from ROM...\n", []),
        ("open(0x7)\nSeaBIOS (version 1.16.2)\n", ["unexpected kernel reboot"]),
        ("[    9.1] eth0: link up\n", ["unexpected kernel reboot"]),
    ],
)
def test_a_boot_is_a_reboot_if_something_ran_before(before: str, seen: list[str]) -> None:
    boot = "[    0.000000] Linux version 6.12.1 (gcc)\n[    0.000000] Command line: quiet\n"
    assert titles((before + boot).encode()) == seen


@pytest.mark.parametrize(
    "line",
    [
        "traps: a.out[123] general protection fault ip:7f00 sp:7ffe error:0 in libc.so[7f00+1000]",
        "EXT4-fs (loop0): WARNING: mount of filesystem is unchecked",
        "XFS (loop0): WARNING: Reset corrupted AGFL",
        "MMIO Stale Data: WARNING: See https://docs.kernel.org/x.html for mitigation options.",
        "Speculative Return Stack Overflow: WARNING: kernel not compiled with CPU_SRSO.",
        "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.2 msecs",
        "ODEBUG: selftest passed",
    ],
)
def test_what_healthy_kernels_say_is_no_report(line: str) -> None:
    assert titles(f"[    1.0] {line}\n[    1.1] eth0: link up\n".encode()) == []
