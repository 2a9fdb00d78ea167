# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters, console reports, and the comparison of model and module."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import pytest

from fuzz.guest.console import Console, Line
from fuzz.oracles.compare import Observation, compare
from fuzz.oracles.console import ReportWatch, impossible, report_line, title
from fuzz.oracles.counters import Counters, CountersError, Place
from fuzz.oracles.shadow import Expectation
from fuzz.target.wire import Item, Kind, Op, parse_reply, request
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

STATES = (0, 0, 3, 17)
VALUES = {
    "multicast": 0, "age_ns": 5, "stream_sessions": 0, "stream_floor": 0,
    "dgram_sessions": 3, "dgram_floor": 17,
}  # fmt: skip


def stat_text(counts: dict[str, tuple[int, int, int, int]] | None = None) -> str:
    lines = ["verdict stream dgram stream_local_in dgram_local_in"]
    for verdict in Verdict:
        fields = (counts or {}).get(verdict.value, (0, 0, 0, 0))
        lines.append(" ".join([verdict, *map(str, fields)]))
    lines += [f"{name} {value}" for name, value in VALUES.items()]
    return "\n".join(lines) + "\n"


def test_counters_are_read_and_subtracted() -> None:
    before = Counters.parse(stat_text({"OK": (1, 2, 0, 0), "MAGIC": (0, 0, 5, 7)}))
    after = Counters.parse(stat_text({"OK": (1, 4, 0, 0), "MAGIC": (0, 0, 5, 8)}))
    assert after.since(before) == {
        Place(Transport.DGRAM, Verdict.OK, False): 2,
        Place(Transport.DGRAM, Verdict.MAGIC, True): 1,
    }
    assert after.value("age_ns") == 5
    with pytest.raises(CountersError, match="shoe_size"):
        after.value("shoe_size")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "nst_stat:1"),
        ("verdict dgram stream\n", "nst_stat:1"),
        (stat_text().replace("AUTH 0 0 0 0", "AUTH 0 0 0"), "nst_stat:14"),
        (stat_text().replace("AUTH 0 0 0 0", "AUTH 0 0 0 x"), "nst_stat:14"),
        (stat_text().replace("AUTH 0 0 0 0\n", ""), "no line 'AUTH'"),
        (stat_text() + "\n", "nst_stat:24"),
    ],
)
def test_bad_counters_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(CountersError, match=complaint):
        Counters.parse(text)


def dgram(verdict: Verdict, local_in: bool = False, count: int = 1) -> Counter[Place]:
    return Counter({Place(Transport.DGRAM, verdict, local_in): count})


def expect(verdict: Verdict, *items: Item, transport: Transport = Transport.DGRAM) -> Expectation:
    return Expectation(Counter({(transport, verdict): 1}), list(items), STATES)


def see(places: Counter[Place], *items: Item, states: tuple[int, ...] = STATES) -> Observation:
    a, b, c, d = states
    return Observation(places, items, (a, b, c, d), 0)


HELLO = Item(Kind.DGRAM, 4, 0, 5, 0x3610A686)
STREAM = Item(Kind.STREAM, 4, errno.EBADMSG, 0, 0)


def stream(verdict: Verdict, local_in: bool) -> Counter[Place]:
    return Counter({Place(Transport.STREAM, verdict, local_in): 1})


def signature(expected: Expectation, seen: Observation, *, fragmented: bool = False) -> str | None:
    before = (STATES, STATES)
    difference = compare(expected, seen, fragmented=fragmented, before=before)
    return difference.signature if difference else None


def test_agreement() -> None:
    assert signature(expect(Verdict.OK, HELLO), see(dgram(Verdict.OK), HELLO)) is None
    assert signature(expect(Verdict.KID), see(dgram(Verdict.KID, local_in=True))) is None
    fragmented = see(dgram(Verdict.KID))
    assert signature(expect(Verdict.KID), fragmented, fragmented=True) is None


def test_each_kind_of_disagreement() -> None:
    ok, kid = expect(Verdict.OK, HELLO), expect(Verdict.KID)
    assert signature(kid, see(dgram(Verdict.OK), HELLO)) == "dgram KID was missed"
    assert signature(kid, see(dgram(Verdict.AUTH))) == "dgram KID was missed"
    refused = signature(ok, see(dgram(Verdict.AUTH)))
    assert refused == "dgram AUTH was counted of records to be accepted"
    assert signature(ok, see(Counter())) == "records went uncounted"
    twice = see(dgram(Verdict.OK, count=2), HELLO)
    assert signature(ok, twice) == "dgram OK was counted too often"
    place = "a dgram verdict was counted in the wrong place"
    assert signature(kid, see(dgram(Verdict.KID))) == place
    assert signature(expect(Verdict.AUTH), see(dgram(Verdict.AUTH, local_in=True))) == place
    other = see(dgram(Verdict.OK), HELLO._replace(crc=1))
    assert signature(ok, other) == "dgram plaintext differs"
    assert signature(ok, see(dgram(Verdict.OK))) == "number of deliveries"
    assert signature(kid, see(dgram(Verdict.KID, local_in=True), HELLO)) == "number of deliveries"
    moved = see(dgram(Verdict.OK), HELLO, states=(0, 0, 4, 17))
    assert signature(ok, moved) == "replay table: dgram entries"


def test_errors_of_streams() -> None:
    auth = expect(Verdict.AUTH, STREAM, transport=Transport.STREAM)
    seen = see(stream(Verdict.AUTH, False), STREAM._replace(error=errno.ECONNRESET))
    assert signature(auth, seen) == "stream recv: EBADMSG became ECONNRESET"


def test_what_the_hook_reset_may_be_unseen() -> None:
    magic = expect(Verdict.MAGIC, STREAM, transport=Transport.STREAM)
    places = stream(Verdict.MAGIC, True)
    assert signature(magic, see(places)) is None
    assert signature(magic, see(places, STREAM._replace(error=errno.ECONNRESET))) is None
    delivered = see(places, STREAM._replace(length=3))
    assert signature(magic, delivered) == "stream plaintext differs"


def test_an_old_difference_of_the_tables_is_not_told_again() -> None:
    before = ((0, 0, 3, 17), (0, 0, 4, 17))
    seen = see(dgram(Verdict.OK), HELLO, states=(0, 0, 5, 17))
    expected = Expectation(Counter({(Transport.DGRAM, Verdict.OK): 1}), [HELLO], (0, 0, 4, 17))
    assert compare(expected, seen, fragmented=False, before=before) is None


REPORTS = [
    "[    8.89] BUG: unable to handle page fault for address: ff2d61001f690c90",
    "[    1.2] BUG: KASAN: slab-use-after-free in nst_rx+0x12/0x34 [nst]",
    "[    1.2] UBSAN: array-index-out-of-bounds in kmod/keybox.c:277:5",
    "[    1.2] WARNING: CPU: 0 PID: 12 at net/core/sock.c:1 sk_free+0x1/0x2",
    "[    1.2] Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1]",
    "[    1.2] Kernel panic - not syncing: stack-protector: stack is corrupted in: f+0x1/0x2",
    "[    1.2] rcu: INFO: rcu_preempt self-detected stall on CPU",
    "[    1.2] INFO: task target:77 blocked for more than 120 seconds.",
    "[    1.2] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [target:77]",
    "[    1.2] list_add corruption. next->prev should be prev",
    "[    1.2] BUG: sleeping function called from invalid context at mm/slab.h:1",
]
HARMLESS = [
    "[    9.84] nst: loading out-of-tree module taints kernel.",
    "[    9.84] nst: module verification failed: signature and/or required key missing",
    "[    3.38] Freeing unused kernel image (initmem) memory: 4264K",
    "[    0.10] Speculative Store Bypass: Vulnerable",
    "[    0.10] MDS: Vulnerable: Clear CPU buffers attempted, no microcode",
    "[    0.5] rcu: Preemptible hierarchical RCU implementation.",
    "nst-init: ready",
]


@pytest.mark.parametrize("line", REPORTS)
def test_reports_are_seen(line: str) -> None:
    assert report_line(line)


@pytest.mark.parametrize("line", HARMLESS)
def test_other_lines_are_not(line: str) -> None:
    assert not report_line(line)


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        ("00010246", False), ("00000002", False), ("003f7fd7", False),
        ("df3e3e02", True),  # of a guest whose QEMU 7.2 had a pointer in their place
        ("00000000", True), ("00008002", True), ("ff132dedc12e5702", True),
    ],
)  # fmt: skip
def test_flags_that_no_processor_has_are_qemus(flags: str, wrong: bool) -> None:
    lines = ["traps: PANIC: double fault", f"RSP: 0018:ff52cd28c06335a0 EFLAGS: {flags}", "R8: 0"]
    assert impossible(Line(0.0, line) for line in lines) == wrong


def test_a_report_is_taken_from_the_console_once(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    watch = ReportWatch(console)
    lines = ["ready", *REPORTS[:1], "[    8.9] RIP: 0010:mutex_unlock+0x13/0x30"]
    for line in lines:
        console._lines.append(Line(0.0, line))
    assert [line.text for line in watch.look()] == lines[1:]
    assert watch.look() == []
    console._lines.append(Line(0.0, "late"))
    assert [line.text for line in watch.rest()] == ["late"]


def test_titles_do_not_change_from_run_to_run() -> None:
    def of(*lines: str) -> str:
        return title([Line(0.0, line) for line in lines])

    stack = ("[ 8.9] RIP: 0010:mutex_unlock+0x13/0x30", "[ 8.9]  ? nst_old+0x1/0x2 [nst]",
             "[ 8.9]  nst_stream_accept+0xe5/0x110 [nst]")  # fmt: skip
    fault = "BUG: unable to handle kernel paging request in nst_stream_accept"
    assert of(REPORTS[0], *stack) == fault
    assert of(REPORTS[0].replace("ff2d61001f690c90", "ff2d610011111111"), *stack) == fault
    assert of(REPORTS[4], *stack) == "general protection fault in nst_stream_accept"
    assert of("[ 1.0] Oops: invalid opcode: 0000 [#1] SMP", *stack) == (
        "invalid opcode in nst_stream_accept"
    )


def test_replies_are_parsed() -> None:
    import struct

    head = struct.pack(">IIBxHIQQQ", 0x4E535452, 9, Op.COLLECT, 1, 0, 100, 200, 4096)
    item = struct.pack(">BBHII", Kind.STREAM, 6, errno.EBADMSG, 5, 0x3610A686)
    reply = parse_reply(head + item + b"verdict stream\n")
    assert reply is not None
    assert reply.items == (Item(Kind.STREAM, 6, errno.EBADMSG, 5, 0x3610A686),)
    assert (reply.seq, reply.drained, reply.done, reply.taint) == (9, 100, 200, 4096)
    assert reply.text == "verdict stream\n"
    assert parse_reply(b"") is None
    assert parse_reply(request(1, Op.COLLECT)) is None
