# SPDX-License-Identifier: GPL-2.0-or-later
"""NST in the kernel against TCP, kTLS, OpenSSL, UDP and DTLS: what each byte costs.

All in one guest and one run. The figures are instructions of the whole machine: both ends,
the kernel's network stack between them, and crypto. The first repetition warms up and does
not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from fuzz.bench.figures import Figure
from fuzz.bench.loadguest import Answer, LoadGuest

NOISE = 0.03
"""What an unrelated change moves a count by at most: code that lies elsewhere."""
NST = "nst-aes-gcm"
KTLS = "ktls-256"
_REPETITIONS = 3
_KIB, _MIB = 1 << 10, 1 << 20
_AES_STREAMS = ("tcp", "ktls-128", KTLS, "tls", NST)
_SLOW_STREAMS = ("nst-aes-cbc", "nst-sm4-gcm", "nst-sm4-cbc")
_STREAMS = (*_AES_STREAMS, *_SLOW_STREAMS)
_DGRAMS = (
    "udp", "dtls",
    "nst-dgram-aes-gcm", "nst-dgram-aes-cbc", "nst-dgram-sm4-gcm", "nst-dgram-sm4-cbc",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Something that every transport is made to do.

    Attributes:
        command: load.c's, with TRANSPORT and the amount of work left open.
        amount, slow_amount: bytes or times; less where crypto is not accelerated.
        unit: what the instructions are divided by.
        ours, peer, limit: the ratio that is asked for, and the most it may be.
    """

    name: str
    command: str
    unit: str
    transports: Sequence[str]
    amount: int
    slow_amount: int
    ours: str
    peer: str
    limit: float | None

    def amount_for(self, transport: str) -> int:
        """How much of it."""
        return self.slow_amount if "cbc" in transport or "sm4" in transport else self.amount


def _stream(
    name: str,
    command: str,
    unit: str,
    limit: float,
    amount: int,
    slow_amount: int,
    transports: Sequence[str] = _STREAMS,
) -> Case:
    return Case(name, command, unit, transports, amount, slow_amount, NST, KTLS, limit)


def _dgram(size: int) -> Case:
    return Case(
        f"datagrams {size} B", f"pingpong {{}} {size} {{}}", "round trip", _DGRAMS, 2000, 500,
        "nst-dgram-aes-gcm", "dtls", None,
    )  # fmt: skip


CASES = {
    "stream": (
        _stream("bulk 16 KiB", "bulk {} 16384 {}", "byte", 1.0, 16 * _MIB, _MIB),
        _stream("bulk 1 MiB", "bulk {} 1048576 {}", "byte", 0.95, 16 * _MIB, _MIB),
        _stream(
            "sendfile", "file {} 1048576 {}", "byte", 1.0, 16 * _MIB, _MIB,
            [transport for transport in _STREAMS if transport != "tls"],
        ),
        _stream("ping-pong 64 B", "pingpong {} 64 {}", "round trip", 1.05, 2000, 500),
        _stream("set-up", "setup {} 1 {}", "connection", 0.5, 50, 50),
    ),
    "dgram": (_dgram(64), _dgram(1400)),
}  # fmt: skip
"""By part of the benchmark. `sendfile` has no OpenSSL: there, user space has to read."""


@dataclass(frozen=True)
class Ratio:
    """Ours to the peer's, and the most that it may be, if there is a limit."""

    name: str
    ours: str
    peer: str
    value: float
    limit: float | None

    @property
    def met(self) -> bool:
        """Whether it is within the limit."""
        return self.limit is None or self.value <= self.limit


def figure(name: str, subject: str, unit: str, answer: Answer, amount: int) -> Figure:
    """Instructions a *unit* of an answer to a command that did so many of them."""
    each = [instructions / amount for instructions in answer.instructions[1:]]
    return Figure(
        name, subject, f"instructions a {unit}", median(each), min(each), max(each), True, NOISE
    )


def steps(parts: Iterable[str]) -> int:
    """How many commands :func:`run` will give."""
    return sum(len(case.transports) for part in parts for case in CASES.get(part, ()))


def run(
    guest: LoadGuest, parts: Iterable[str], done: Callable[[], object]
) -> Iterator[tuple[Figure, float]]:
    """Measure the cases of *parts*: figures, and the seconds here that each took.

    *done* is called after every command.
    """
    for part in parts:
        for case in CASES.get(part, ()):
            for transport in case.transports:
                amount = case.amount_for(transport)
                command = case.command.format(transport, amount)
                answer = guest.run(f"{command} {_REPETITIONS}")
                done()
                yield figure(case.name, transport, case.unit, answer, amount), answer.seconds


def ratios(figures: Iterable[Figure]) -> list[Ratio]:
    """What the cases ask for, of what was measured."""
    values = {(item.name, item.subject): item.value for item in figures}
    return [
        Ratio(
            case.name, case.ours, case.peer,
            values[case.name, case.ours] / values[case.name, case.peer], case.limit,
        )
        for cases in CASES.values()
        for case in cases
        if (case.name, case.ours) in values and (case.name, case.peer) in values
    ]  # fmt: skip
