# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's account of a case beside the model's."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fuzz.api import SENDING, Call
from fuzz.oracles.counters import Counters, Place
from fuzz.oracles.expectation import Expectation, Verdicts
from fuzz.oracles.served import Beginning, Sent
from fuzz.target.wire import Item, Kind, Op
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

# Checks that the LOCAL_IN hook makes of every datagram that is not a fragment.
_HOOK_CHECKS = frozenset(v for v in Verdict if 1 <= v.number <= Verdict.TIMESTAMP.number)
_CUT_OFF = frozenset({Verdict.TRUNCATED})
"""What a connection may look like whose end is not known."""
_OF_API = frozenset({Kind.API, Kind.MESSAGE})
_PREFIX_CHECKS = frozenset({Verdict.MAGIC, Verdict.VERSION})


@dataclass(frozen=True)
class Observation:
    """What the module made of a case.

    Attributes:
        places: verdicts counted, and where.
        items: what the application received.
        states: as in `Expectation`, read from the module.
        multicast: datagrams counted as multicast.
        sent: what it sealed on each connection, or the model's verdict on the first record
            that is not right.
    """

    places: Counter[Place]
    items: tuple[Item, ...]
    states: tuple[int, int, int, int]
    multicast: int
    sent: tuple[Sent | Verdict, ...] = ()

    @classmethod
    def between(
        cls,
        before: Counters,
        after: Counters,
        items: Sequence[Item],
        sent: Sequence[Sent | Verdict] = (),
    ) -> Observation:
        """From the readings before and after the case.

        Raises:
            CountersError: the module reports no such value.
        """
        names = ("stream_sessions", "stream_floor", "dgram_sessions", "dgram_floor")
        a, b, c, d = (after.value(name) for name in names)
        return cls(
            after.since(before),
            tuple(items),
            (a, b, c, d),
            after.value("multicast") - before.value("multicast"),
            tuple(sent),
        )

    @property
    def verdicts(self) -> Verdicts:
        """The verdicts wherever they were counted."""
        total: Verdicts = Counter()
        for place, count in self.places.items():
            total[place.transport, place.verdict] += count
        return total


@dataclass(frozen=True)
class Difference:
    """Why model and module disagree.

    Attributes:
        signature: the same for cases that show the same disagreement.
        text: one line for a person.
    """

    signature: str
    text: str


def compare(
    expected: Expectation,
    seen: Observation,
    *,
    fragmented: bool,
    before: tuple[tuple[int, int, int, int], tuple[int, int, int, int]],
) -> Difference | None:
    """The first disagreement there is, `None` if model and module agree.

    `fragmented` says that the case had a datagram in fragments, which the hook may pass
    unexamined. `before` are the states of model and module before the case: they may
    differ since an earlier disagreement, and then only the changes are compared.
    """
    if seen.verdicts != expected.verdicts:
        model, module = verdict_text(expected.verdicts), verdict_text(seen.verdicts)
        return Difference(
            _verdict_signature(
                expected.verdicts - seen.verdicts, seen.verdicts - expected.verdicts
            ),
            f"the model says {model}, the module counted {module}",
        )
    if misplaced := _misplaced(seen, fragmented or expected.unchecked):
        return Difference(
            f"a {misplaced.transport.value} verdict was counted in the wrong place",
            f"{misplaced.verdict} of a {misplaced.transport.value} record was counted in"
            f" {'LOCAL_IN' if misplaced.local_in else 'the receive path'}",
        )
    if seen.multicast != expected.multicast:
        return Difference(
            "multicast",
            f"{expected.multicast} datagrams were multicast, the module counted {seen.multicast}",
        )
    if difference := _delivery(expected.items, seen.items, _dropped_early(seen)):
        return difference
    if difference := _sealing(expected.sent, seen.sent):
        return difference
    names = ("stream entries", "stream floor", "dgram entries", "dgram floor")
    for name, ours, theirs, was, had in zip(
        names, expected.states, seen.states, *before, strict=True
    ):
        if (ours != theirs) if was == had else (ours - was != theirs - had):
            return Difference(
                f"replay table: {name}", f"{name}: the model has {ours}, the module {theirs}"
            )
    return None


def _misplaced(seen: Observation, fragmented: bool) -> Place | None:
    for place in seen.places:
        if place.transport is Transport.STREAM:
            wrong = place.local_in and place.verdict not in _PREFIX_CHECKS
        elif place.local_in:
            wrong = place.verdict not in _HOOK_CHECKS
        else:
            wrong = place.verdict in _HOOK_CHECKS and not fragmented
        if wrong:
            return place
    return None


def _dropped_early(seen: Observation) -> int:
    """Connections that the hook reset: their application may never have seen them."""
    return sum(
        count
        for place, count in seen.places.items()
        if place.transport is Transport.STREAM and place.local_in
    )


def _delivery(expected: Sequence[Item], seen: Sequence[Item], dropped: int) -> Difference | None:
    expected, seen = [_told(item) for item in expected], [_told(item) for item in seen]
    if dropped:
        expected = [_forgiven(item) for item in expected]
        seen = [_forgiven(item) for item in seen]
        missing = Counter(expected) - Counter(seen)
        extra = Counter(seen) - Counter(expected)
        if not extra and missing.total() <= dropped and all(i.length == 0 for i in missing):
            return None
    for index, (model, module) in enumerate(zip(expected, seen, strict=False)):
        if model == module:
            continue
        kind = _name(module)
        if (model.length, model.crc) != (module.length, module.crc):
            differs = "another outcome" if module.kind in _OF_API else "plaintext differs"
            return Difference(
                f"{kind} {differs}",
                f"item {index} ({kind}): the model delivers {model.length} bytes with CRC"
                f" {model.crc:08x}, the module {module.length} with {module.crc:08x}",
            )
        ends = kind if module.kind in _OF_API else f"{kind} recv"
        return Difference(
            f"{ends}: {_error(model.error)} became {_error(module.error)}",
            f"item {index} ({kind}): it ends with {_error(module.error)},"
            f" the specification asks for {_error(model.error)}",
        )
    if len(expected) != len(seen):
        return Difference(
            "number of deliveries",
            f"the model delivers {len(expected)} datagrams and streams, the module {len(seen)}",
        )
    return None


def _sealing(
    expected: Sequence[Sent | Beginning | None], seen: Sequence[Sent | Verdict]
) -> Difference | None:
    """What the module sent is what the application did, sealed as the specification says."""
    for index, (model, module) in enumerate(zip(expected, seen, strict=False)):
        if model == module or (not isinstance(model, Sent) and module in _CUT_OFF):
            continue
        if isinstance(module, Verdict):
            return Difference(
                f"stream sealed wrongly: {module}",
                f"connection {index}: the model, at its other end, says {module}",
            )
        if model is None:
            continue
        if isinstance(model, Beginning):
            if model.begins(module):
                continue
            return Difference(
                "stream sealed wrongly: not what was sent",
                f"connection {index}: {module.length} bytes came, with bound {module.bound}, which"
                f" are no beginning of the model's {len(model.data)}, with bound {model.bound}",
            )
        for name in Sent._fields:
            if getattr(model, name) != getattr(module, name):
                return Difference(
                    f"stream sealed wrongly: {name}",
                    f"connection {index}: {name} is {getattr(module, name)},"
                    f" the model has {getattr(model, name)}",
                )
    return None


def _name(item: Item) -> str:
    """What an item is called in a finding's title."""
    kind = item.kind.name.lower()
    return f"{kind} {Call(item.family).name.lower()}" if item.kind in _OF_API else kind


def _told(item: Item) -> Item:
    """An item whose error does not depend on which call TCP told of a reset first."""
    sends = (item.kind, item.family) == (Kind.CALL, Op.TRANSMIT) or (
        item.kind is Kind.API and item.family in SENDING
    )
    if sends and item.error == errno.ECONNRESET:
        return item._replace(error=errno.EPIPE)
    return item


def _forgiven(item: Item) -> Item:
    """An item without the difference between the two errors that a reset can end in."""
    if item.kind is not Kind.DGRAM and item.error == errno.ECONNRESET:
        return item._replace(error=errno.EBADMSG)
    return item


def _error(number: int) -> str:
    return errno.errorcode.get(number, os.strerror(number)) if number else "success"


def _verdict_signature(missing: Verdicts, extra: Verdicts) -> str:
    """What was missed; what came of it instead differs from case to case of one bug."""
    refused = [key for key in missing if key[1] is not Verdict.OK]
    if refused:
        transport, verdict = min(refused, key=lambda key: key[1].number)
        return f"{transport.value} {verdict} was missed"
    if not extra:
        return "records went uncounted"
    transport, verdict = min(extra, key=lambda key: key[1].number)
    accepted = " of records to be accepted" if missing else " too often"
    return f"{transport.value} {verdict} was counted{accepted}"


def verdict_text(verdicts: Verdicts) -> str:
    """Verdicts in words: `dgram OK, 2 dgram REPLAY`."""
    parts = [
        f"{count} {transport.value} {verdict}" if count > 1 else f"{transport.value} {verdict}"
        for (transport, verdict), count in sorted(
            verdicts.items(), key=lambda entry: (entry[0][0].value, entry[0][1].number)
        )
    ]
    return ", ".join(parts) or "nothing"
