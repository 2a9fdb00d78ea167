# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `keys`: every key, no key, another key, and a key box that changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from boofuzz import FuzzableBlock

from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest, Datagram
from fuzz.campaigns.stream import stream
from fuzz.campaigns.values import CaseValues, values_of
from fuzz.script import keys_step
from nst_scapy.header import Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_MUTATED = ("kid", "kpos", "kval", "fault")
_EPOCHS = ("a", "b")
Origins = Callable[[Mapping[int, int], int, int], dict[int, int]]


def _without(kids: Mapping[int, int], *gone: int) -> dict[int, int]:
    return {kid: origin for kid, origin in kids.items() if kid not in gone}


_BOXES: dict[str, Origins] = {
    "as it is": lambda all_, own, next_: dict(all_),
    "without the record's key": lambda all_, own, next_: _without(all_, own),
    "without the next epoch's": lambda all_, own, next_: _without(all_, next_) or dict(all_),
    "without all others": lambda all_, own, next_: {own: own},
    "the record's key is another's": lambda all_, own, next_: {**all_, own: _other(all_, own)},
    "all keys are moved": lambda all_, own, next_: {kid: _other(all_, kid) for kid in all_},
    "all keys are one": lambda all_, own, next_: dict.fromkeys(all_, own),
    "only a new kid": lambda all_, own, next_: {max(all_) - 1: own},
}


def _other(kids: Collection[int], kid: int) -> int:
    known = sorted(kids)
    return known[(known.index(kid) + 1) % len(known)]


def _loads(keybox: KeyBox) -> list[Act]:
    """Key boxes to load, told by the case's own kids."""

    def load(origins: Origins) -> Callable[[CaseValues, int], list[Any]]:
        kids = {kid: kid for kid in keybox}
        return lambda values, offset: [
            keys_step(origins(kids, *(values[f"{epoch}.kid"] for epoch in _EPOCHS)))
        ]

    return [Act(name, load(origins)) for name, origins in _BOXES.items()]


class Exchange(FuzzableBlock):  # type: ignore[misc]
    """Datagrams, and acts between them."""

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        return b"".join(
            b"".join(step.pack() for step in child.act(mutation_context).steps(values, 0))
            if isinstance(child, Play)
            else child.render(mutation_context)
            for child in self.stack
        )


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    loads = _loads(keybox)
    requests = []
    for suite in sorted(provided):

        def play(name: str, default: Act = acts.NOTHING) -> Play:
            return Play(name, default, loads)

        def datagram(name: str, epoch: str, counter: str, suite: SuiteId = suite) -> Datagram:
            record = SealedRecord(
                "record", keybox=keybox, suite=suite, epoch=epoch, flags=Flags.DGRAM,
                counter=counter, only=_MUTATED,
            )  # fmt: skip
            return Datagram(name, [record])

        children = [
            play("before"), datagram("first", "a", "a.counter"),
            play("between"), datagram("second", "a", "a.counter+1"),
            play("after"), datagram("third", "b", "b.counter"),
        ]  # fmt: skip
        requests.append(
            CaseRequest(f"datagrams-{suite.name}", children=[Exchange("udp", children=children)])
        )
        records = stream(keybox, suite, [("a", 0), ("a", 1), ("b", 0), ("b", 1)], only=_MUTATED)
        scene: list[Any] = [play("before"), records[0], Play("accept", acts.ACCEPT, ())]
        for at, record in enumerate(records[1:]):
            reads = Play(f"read{at}", acts.RECEIVE, (acts.SEND, acts.NOTHING))
            scene += [reads, play(f"load{at}"), record]
        scene += [Play("answer", acts.SEND, ()), Play("end", acts.FIN, ())]
        requests.append(CaseRequest(f"stream-{suite.name}", children=[Scene("tcp", scene)]))
    return requests


KEYS = Campaign(
    "keys",
    "every kid, kpos and kval, known and unknown; keys removed, replaced and exchanged between"
    " datagrams of a session, within an epoch of a stream and between two",
    (Verdict.OK, Verdict.PERTURB, Verdict.KID, Verdict.SEQUENCE, Verdict.AUTH),
    _requests,
)
