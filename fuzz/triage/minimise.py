# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a case small: fewest records, plainest headers, shortest bytes, fewest segments.

Each step is kept only if the same title comes again. Records are taken apart and
sealed anew, so that they still verify when they are smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fuzz.finding import Finding
from fuzz.script import unpack
from fuzz.stored import StoredCase
from fuzz.triage.bench import Bench
from fuzz.triage.course import Course
from fuzz.triage.pieces import Piece, Raw, Sealed
from fuzz.triage.records import (
    Connection,
    Exchange,
    exchanges_of,
    numbered_pieces,
    records,
    renewed,
    script_of,
    with_exchange,
    with_piece,
)
from nst_scapy.header import HEADER_LEN, MAGIC, TOKEN_LEN, Header, make_nonce
from nst_scapy.suite import SuiteId

_MISSED = 0.1
"""How probable it may be that a step is given up though it shows the finding, if that is one
that does not come every time."""
_MOST_REPEATS = 15


@dataclass(frozen=True)
class Minimised:
    """What is left of a case.

    Attributes:
        case: the case, with its script made small.
        before: what is still needed before it.
        exchanges: the case as what it means.
        trials: that it took.
        complete: no step was left untried for want of trials.
    """

    case: StoredCase
    before: list[StoredCase]
    exchanges: list[Exchange]
    trials: int
    complete: bool

    @property
    def records(self) -> int:
        """How many records it sends."""
        return records(self.exchanges)


class _OutOfTrials(Exception):
    pass


def repeats(rate: float, missed: float = _MISSED, most: int = _MOST_REPEATS) -> int:
    """Trials in which what comes at a rate shows, but for a probability of `missed`."""
    if rate >= 1:
        return 1
    return min(most, math.ceil(math.log(missed) / math.log1p(-rate))) if rate > 0 else most


class Minimiser:
    """Makes one case small."""

    def __init__(
        self,
        bench: Bench,
        wanted: Finding,
        *,
        trials: int,
        rate: float = 1.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`trials` is how many may be made; `rate` the share of tries that show the finding."""
        self._bench = bench
        self._wanted = wanted
        self._left = trials
        self._limit = trials
        self._repeats = repeats(rate)
        self._say = say

    def run(self, case: StoredCase, before: Sequence[StoredCase]) -> Minimised:
        """Make a case small.

        Raises:
            GuestError: a guest does not come up.
        """
        self._case, self._before = case, list(before)
        self._exchanges = exchanges_of(unpack(case.script), self._bench.keybox)
        complete = True
        try:
            # A case that shows the finding in other sessions, too, need not have a guest
            # of its own for each trial: what a guest has seen is told apart by session.
            self._renew = not self._before
            self._renew = self._renew and self._shows(self._exchanges, [])
            self._drop_history()
            while self._pass():
                pass
        except _OutOfTrials:
            complete = False
        script = script_of(self._exchanges, self._bench.keybox)
        return Minimised(
            replace(case, script=script),
            self._before,
            self._exchanges,
            self._limit - self._left,
            complete,
        )

    def _drop_history(self) -> None:
        """Halve what is sent before, from either end, as long as the finding stays."""
        size = len(self._before)
        while self._before and size:
            size = max(1, size // 2) if size > 1 else 1
            for start in range(0, len(self._before), size):
                fewer = self._before[:start] + self._before[start + size :]
                if self._shows(self._exchanges, fewer):
                    self._say(f"{len(fewer)} cases before it are enough")
                    self._before = fewer
                    break
            else:
                if size == 1:
                    return
                size //= 2

    def _pass(self) -> bool:
        """Try every kind of step once; whether a round more may find anything."""
        before = self._exchanges
        for smaller in (self._fewer, self._bare, self._plainer, self._shorter, self._joined):
            while any(self._keep(candidate) for candidate in smaller(self._exchanges)):
                pass
        return self._exchanges != before and records(self._exchanges) < records(before)

    def _keep(self, candidate: list[Exchange]) -> bool:
        if candidate == self._exchanges or not self._shows(candidate, self._before):
            return False
        script = script_of(candidate, self._bench.keybox)
        # What a course no longer sends is no part of it, and it may have become plain.
        if any(isinstance(one, Course) for one in candidate):
            candidate = exchanges_of(unpack(script), self._bench.keybox)
        self._exchanges, size = candidate, len(script)
        self._say(f"{records(candidate)} records, {size} bytes")
        return True

    def _shows(self, exchanges: list[Exchange], before: list[StoredCase]) -> bool:
        for _ in range(self._repeats):
            if not self._left:
                raise _OutOfTrials
            self._left -= 1
            tried = renewed(exchanges, self._left) if self._renew else exchanges
            case = replace(self._case, script=script_of(tried, self._bench.keybox))
            if self._bench.trial(case, before, fresh=not self._renew).same(self._wanted):
                return True
        return False

    # The steps: each yields candidates, the boldest first.

    def _fewer(self, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
        """Without some of the exchanges, or of a connection's records."""
        for size in _halvings(len(exchanges)):
            for start in range(0, len(exchanges), size):
                rest = exchanges[:start] + exchanges[start + size :]
                if rest:
                    yield rest
        for index, one in enumerate(exchanges):
            if isinstance(one, Connection | Course):
                for smaller in _with_less(one):
                    yield with_exchange(exchanges, index, smaller)

    def _bare(self, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
        """With records that do not verify: no key is needed then."""
        for index, at, piece in numbered_pieces(exchanges):
            if isinstance(piece, Sealed):
                rendered = piece.render(self._bench.keybox, bytes(HEADER_LEN))
                bare = _unsealed(piece, len(rendered) - HEADER_LEN)
                yield with_piece(exchanges, index, at, bare)

    def _plainer(self, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
        """With ordinary values in headers: first everywhere, then field by field."""
        for index, at, piece in numbered_pieces(exchanges):
            fields = [name for name in _ORDINARY if _ordinary(name, piece, self._case) != piece]
            for size in _halvings(len(fields)):
                for start in range(0, len(fields), size):
                    plain = piece
                    for name in fields[start : start + size]:
                        plain = _ordinary(name, plain, self._case)
                    yield with_piece(exchanges, index, at, plain)

    def _shorter(self, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
        """With less in the records."""
        for index, at, piece in numbered_pieces(exchanges):
            if isinstance(piece, Sealed):
                length, least = len(piece.plaintext), 0
            else:
                length = len(piece.data)
                least = HEADER_LEN if length > HEADER_LEN else 1
            for size in dict.fromkeys((least, min(1, length), least + 1, length // 4, length // 2)):
                if least <= size < length:
                    yield with_piece(exchanges, index, at, _cut(piece, size))

    def _joined(self, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
        """With fewer segments, and without an end."""
        for index, one in enumerate(exchanges):
            if isinstance(one, Connection):
                if one.cuts:
                    yield with_exchange(exchanges, index, replace(one, cuts=()))
                if len(one.cuts) > 1:
                    yield with_exchange(exchanges, index, replace(one, cuts=one.cuts[:1]))
                if one.fin:
                    yield with_exchange(exchanges, index, replace(one, fin=False))
            elif isinstance(one, Course):
                for simpler in one.simpler():
                    yield with_exchange(exchanges, index, simpler)


def _with_less(one: Connection | Course) -> Iterator[Exchange]:
    """With fewer acts, and with fewer records."""
    if isinstance(one, Course):
        for size in _halvings(len(one.acts)):
            for start in range(0, len(one.acts), size):
                if size < len(one.acts):
                    yield one.without_acts(start, start + size)
    count = len(one.pieces)
    for size in _halvings(count):
        for start in range(0, count if size < count else 0, size):
            yield _less(one, range(start, min(start + size, count)))


def _less(one: Connection | Course, gone: range) -> Exchange:
    if isinstance(one, Connection):
        pieces = one.pieces[: gone.start] + one.pieces[gone.stop :]
        return replace(one, pieces=pieces, cuts=())
    for at in reversed(gone):
        one = one.with_piece(at, None)
    return one


def _halvings(length: int) -> Iterator[int]:
    """All of them, half, a quarter and so on down to 1; for 1 just 1."""
    while length:
        yield length
        length //= 2


def _cut(piece: Piece, size: int) -> Piece:
    if isinstance(piece, Raw):
        return Raw(piece.data[:size])
    header = piece.header
    if header.transport_len == len(piece.plaintext):
        header = header._replace(transport_len=size)
    return replace(piece, header=header, plaintext=piece.plaintext[:size])


def _header_of(piece: Piece) -> Header | None:
    """The header that a record is judged by; `None` if it is none."""
    header = piece.header
    return header if header is not None and header.magic == MAGIC else None


def _with_header(piece: Piece, header: Header) -> Piece:
    if isinstance(piece, Raw):
        return Raw(header.pack() + piece.data[HEADER_LEN:])
    params = piece.params
    if header.cipher_id != piece.header.cipher_id:
        params = params._replace(cipher_id=header.cipher_id)
    if header.kpos != piece.header.kpos or header.kval != piece.header.kval:
        params = params._replace(kpos=header.kpos, kval=header.kval)
    return replace(piece, header=header, params=params)


def _unsealed(piece: Sealed, length: int) -> Raw:
    """What a sender without the key could send: the header, and zeros for a body."""
    return Raw(piece.header._replace(token=bytes(TOKEN_LEN)).pack() + bytes(length))


def _ordinary(name: str, piece: Piece, case: StoredCase) -> Piece:
    """A record with an ordinary value for one thing in its header, if it is not so already."""
    header = _header_of(piece)
    if header is None:
        return piece
    if name == "suite":
        # Every kernel has AES-GCM; a reproducer that needs another suite needs its modules.
        header = header._replace(cipher_id=int(SuiteId.AES_GCM))
    elif name == "perturbation":
        header = header._replace(kpos=0, kval=0)
    elif name == "kid" and isinstance(piece, Sealed):
        header = header._replace(kid=piece.params.kid)
    elif name == "counter":
        header = header._replace(nonce=make_nonce(header.session_id, 0))
    elif name == "transport_len" and isinstance(piece, Sealed):
        header = header._replace(transport_len=len(piece.plaintext) & 0xFFFF)
    elif name == "timestamp":
        header = header._replace(timestamp=case.earliest)
    return _with_header(piece, header)


_ORDINARY = ("suite", "perturbation", "kid", "counter", "transport_len", "timestamp")
"""What a sender who is up to nothing has in a header is ordinary."""
