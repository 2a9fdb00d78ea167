# SPDX-License-Identifier: GPL-2.0-or-later
"""Sequences of records that all verify: which sessions, which counters, which times."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from boofuzz import FuzzableBlock

from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.values import CREATION, FAMILY, NOW, CaseValues, values_of
from fuzz.script import Action, Step
from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import (
    MAGIC,
    MAX_COUNTER,
    TOKEN_LEN,
    TOKEN_OFFSET,
    VERSION,
    ZERO_TOKEN,
    Flags,
    Header,
    KeyParams,
    make_nonce,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.replay import DEFAULT_WINDOW_NS, WINDOW_COUNTERS
from nst_scapy.suite import SuiteId

_MS = 1_000_000
_S = 1000 * _MS
_WORD = 64
_SPARE = WINDOW_COUNTERS + _WORD
"""Counters that a bitmap with a spare word holds (RFC 6479)."""
_RANDOM = 200


class One(NamedTuple):
    """A record of a sequence.

    Attributes:
        epoch: those with the same name share session and key.
        counter: for datagrams from the sequence's own base on.
        time: of sealing, from now on, ns.
        since_creation: the time is from when the replay tables were made on instead.
        close: it has CLOSE, and with that no payload.
    """

    epoch: str
    counter: int
    time: int = 0
    since_creation: bool = False
    close: bool = False


@dataclass(frozen=True)
class Pattern:
    """A sequence of records; those of streams are of several connections."""

    name: str
    connections: tuple[tuple[One, ...], ...]


def _counted(name: str, *counters: int) -> Pattern:
    return Pattern(name, (tuple(One("a", counter) for counter in counters),))


def _windows() -> Iterator[Pattern]:
    """A session's window: its edges, its words, what moving it clears."""
    edges = (1, 2, 63, 64, 65, 1022, 1023, 1024, 1025, 1086, 1087, 1088, 1089, 2047, 2048)
    for ahead in edges:
        yield _counted(f"ahead {ahead}", 0, ahead, 0, 1, ahead)
        yield _counted(f"back {ahead}", ahead, 0, 0, ahead)
        yield _counted(f"after {ahead}", 0, ahead, ahead - 1, ahead - WINDOW_COUNTERS + 1)
        yield _counted(f"word of {ahead}", *range(4), ahead, *(ahead + 1 - n for n in range(4)))
    for turn in (_SPARE, 2 * _SPARE, WINDOW_COUNTERS, 2 * WINDOW_COUNTERS):
        for step in (turn, 64, 512, turn - 64):
            same = (*range(5), step, turn + 9, *range(turn, turn + 6))
            yield _counted(f"{turn} on by {step}, the same bits", *same)
        by_words = range(0, turn + 1, _WORD)
        yield _counted(f"{turn} by words", *by_words, *(turn - n for n in (1, 63, 64, 65, 1023)))
    yield _counted("downwards", *range(40, 0, -1), *range(40, 0, -3))


def _wraps() -> Iterator[Pattern]:
    last = MAX_COUNTER
    for counters in (
        (last, 0), (last, 0, last), (last - 1, last, 0, 1), (0, last, 0, 1, last - 1023),
        (last - 1023, last, last - 1023, last - 1024), (last, last - 1024, last - 1023),
        (65472, 65471, 65473, 65535, 65472), (32767, 32768, 32767), (255, 256, 255, 0),
    ):  # fmt: skip
        yield _counted(f"wrap {' '.join(map(str, counters))}", *counters)


def _times() -> Iterator[Pattern]:
    """A session's base, and the Floor for new ones."""
    for time in (-1, 0, 1, -_MS, _MS, -_S):
        old = One("a", 1, time, since_creation=True)
        yield Pattern(f"first at creation {time:+}", ((old, One("a", 2), old),))
        yield Pattern(f"later at creation {time:+}", ((One("a", 0), old, One("a", 2)),))
    for time in (-DEFAULT_WINDOW_NS + _S, -5 * _S, -_S, -_MS, -1, 1, 200 * _MS):
        yield Pattern(f"{time:+} after now", ((One("a", 0), One("a", 1, time), One("b", 0, time)),))
        yield Pattern(f"{time:+} before now", ((One("b", 0, time), One("a", 0), One("b", 1)),))


def _crowds(size: int) -> Iterator[Pattern]:
    """More sessions than a table holds."""
    for count in (size - 1, size, size + 1, 2 * size):
        names = [f"s{n}" for n in range(count)]
        upwards = [One(name, 0, n - count) for n, name in enumerate(names)]
        for name, order in (("upwards", upwards), ("downwards", upwards[::-1])):
            again = [order[0], order[1], order[-1], One("late", 0), One("older", 0, -count - 1)]
            yield Pattern(f"{count} sessions {name}", ((*order, *again),))
        equal = [One(name, 0, -count) for name in names]
        yield Pattern(f"{count} sessions of one time", ((*equal, *equal[:3], *equal[-3:]),))
        # Which of them went shows only in what may come of it again, without a newer time.
        more = [One(name, 1, -count) for name in names]
        yield Pattern(
            f"{count} sessions of one time, used again", ((*equal, One("new", 0), *more),)
        )
        touched = [*upwards, One("s0", 1, 5), One("s1", 1, 6), One("new", 0, 7), upwards[2]]
        yield Pattern(f"{count} sessions, old ones used again", (tuple(touched),))


def _walks() -> Iterator[Pattern]:
    """Random ones, the same every time."""
    draw = random.Random("walks")
    jumps = (-2048, -1088, -1025, -1024, -1023, -65, -64, -63, -2, -1, 1, 1, 2, 3, 64, 1023, 1024)
    for number in range(_RANDOM):
        counters: list[int] = []
        at = 0
        for _ in range(draw.randint(4, 24)):
            if counters and draw.random() < 0.25:
                at = draw.choice(counters)
            else:
                at = max(0, at + draw.choice(jumps))
            counters.append(at)
        walk = [
            One(draw.choice("aaaab"), counter, draw.choice((0, 0, 0, -_MS, -_S, 1)))
            for counter in counters
        ]
        yield Pattern(f"walk {number}", (tuple(walk),))


def datagram_patterns(size: int) -> list[Pattern]:
    """Sequences of datagrams for a table of so many sessions."""
    return [*_windows(), *_wraps(), *_times(), *_crowds(size), *_walks()]


def stream_patterns(size: int) -> list[Pattern]:
    """Sequences of records on connections, for a table of so many."""
    found = [
        Pattern(text, tuple(_connection(part) for part in text.split(" | ")))
        for text in (
            "a0 a1 a2 a3.", "a0 a2", "a0 a0", "a0 a1 a1", "a1", "a0 a1 a0", "a0 b0 c0 d0 e0.",
            "a0 b1", "a0 b0 a1", "a0 b0 a0.", "a0 b0 a2", "a0 a1 b0 b1 c0 a0", "a0.", "a0. a1",
            "a0. b0", "a0 a1. | a0 a1.", "a0 a1. | a0 b0.", "a0 | a0", "a0 | b0 | a0 | b0",
            "a0 b0. | b0", "a0 b0. | b0 a0.", "a0 a65535", "a0 b65535", "a65535", "a0 a1 a2 a4",
        )
    ]  # fmt: skip
    for time in (-DEFAULT_WINDOW_NS + _S, -5 * _S, -_S, -_MS, -1, 1, 200 * _MS):
        late = (One("a", 0), One("a", 1, time), One("b", 0, time))
        found.append(Pattern(f"records {time:+}", (late, (One("c", 0, time),))))
    for time in (-1, 0, 1, -_MS, _MS):
        one = (One("a", 0, time, since_creation=True),)
        found.append(Pattern(f"at creation {time:+}", (one, one)))
    for count in (size - 1, size, size + 1):
        many = [(One(f"s{n}", 0, n - count),) for n in range(count)]
        found.append(Pattern(f"{count} connections", (*many, many[0], many[-1], (One("z", 0),))))
        found.append(Pattern(f"{count} connections, downwards", (*many[::-1], many[0], many[1])))
    return found


def _connection(text: str) -> tuple[One, ...]:
    """`a0 a1.`: epochs with their counters, a dot for CLOSE."""
    return tuple(
        One(word[0], int(word[1:].rstrip(".")), close=word.endswith(".")) for word in text.split()
    )


class Sequenced(FuzzableBlock):  # type: ignore[misc]
    """A sequence of records, as datagrams or on connections."""

    def __init__(
        self, name: str, *, keybox: KeyBox, suite: SuiteId, patterns: Sequence[Pattern], dgram: bool
    ) -> None:
        """The first of the patterns is what is sent unless mutated."""
        self._keybox = keybox
        self._suite = suite
        self._dgram = dgram
        self._first = patterns[0]
        self._pattern = Choice("pattern", patterns[1:])
        super().__init__(name=name, children=[self._pattern])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        pattern = self._pattern.get_value(mutation_context) or self._first
        steps: list[Step] = []
        for connection in pattern.connections:
            records = list(self._records(connection, values))
            if self._dgram:
                steps += [Step(Action.DATAGRAM, values[FAMILY], record) for record in records]
            else:
                steps.append(Step(Action.CONNECT, values[FAMILY]))
                steps += [Step(Action.SEGMENT, 0, record) for record in records]
        return b"".join(step.pack() for step in steps)

    def _records(self, sequence: Sequence[One], values: CaseValues) -> Iterator[bytes]:
        base = self._base(sequence, values)
        before, token = "", b""
        for one in sequence:
            chained = not self._dgram and before and one.epoch != before
            chain = token if chained else b""
            record = self._sealed(one, base, chain, values)
            before, token = one.epoch, record[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]
            yield record

    def _base(self, sequence: Sequence[One], values: CaseValues) -> int:
        """Where counters begin; those of patterns that name them themselves, at 0."""
        counters = [one.counter for one in sequence]
        if not self._dgram or max(counters) > MAX_COUNTER // 4 or len(set(counters)) == 1:
            return 0
        return max(0, -min(counters)) + int(values["a.counter"]) // 2

    def _sealed(self, one: One, base: int, chain: bytes, values: CaseValues) -> bytes:
        name = one.epoch
        params = KeyParams(
            self._suite, values[f"{name}.kid"], values[f"{name}.kpos"], values[f"{name}.kval"]
        )
        session = values[f"{name}.session"]
        flags = Flags.DGRAM if self._dgram else Flags.CLOSE if one.close else Flags(0)
        plaintext = b"" if one.close else values[f"{name}.payload"]
        start = values[CREATION] if one.since_creation else values[NOW]
        header = Header(
            MAGIC, VERSION, self._suite, len(plaintext), start + one.time,
            make_nonce(session, (base + one.counter) & MAX_COUNTER), ZERO_TOKEN,
            params.kpos, params.kval, params.kid, flags,
        )  # fmt: skip
        epoch = Epoch(self._keybox[params.kid], params, session)
        return seal_under(epoch, header.pack(), plaintext, chain)
