# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `options`: records for sockets with options, and under other settings."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from boofuzz import Fuzzable, FuzzableBlock

from fuzz.api import Api, Call, file_write, option, sized
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.keys import Exchange
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.campaigns.values import FAMILY, values_of
from fuzz.net import udp
from fuzz.net.ip import UDP, ipv4_packet, ipv6_packet
from fuzz.oracles.control import RX_KIDS, RX_SUITES, SOL_NST, SYSCTL, TX_KEY, TX_KIDS
from fuzz.script import Action, Step
from fuzz.stations import GUEST, HOST
from nst_scapy.header import DEFAULT_PORT, MAX_KPOS, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_PIN_KID, _PIN_PERTURB = 1, 2
_UNKNOWN_KIDS = (9, 8, 7)
_STAMPS = 29, 35, 63, 64, 37, 65
"""SO_TIMESTAMP, SO_TIMESTAMPNS, and those with 64 bits of time; SO_TIMESTAMPING, both."""
_STAMPING = 0x58
"""Software's and raw hardware's stamps of what comes."""
_SETTINGS = ("drop_invalid", "local_in_check")
_MUTATED = ("magic", "version", "cipher_id", "flags", "kid", "timestamp", "transport_len", "damage")


def _packed(kids: Collection[int]) -> bytes:
    return b"".join(struct.pack("<H", kid) for kid in sorted(kids))


def _set(name: str, wanted: Callable[[int, int], bytes], number: int) -> Act:
    """Set an option of NST's; `wanted` makes it of the kids of the two epochs."""
    return Act(
        name,
        lambda values, offset: acts.api(
            option(SOL_NST, number, wanted(values["a.kid"], values["b.kid"]))
        ).steps(values, offset),
    )


def _policies(kids: Sequence[int], suites: Collection[SuiteId]) -> Iterator[Act]:
    """What a connection lets through."""
    all_ = set(kids)
    yield _set("all kids", lambda a, b: _packed(all_), RX_KIDS)
    yield _set("any kid", lambda a, b: b"", RX_KIDS)
    yield _set("the first epoch's kid", lambda a, b: _packed({a}), RX_KIDS)
    yield _set("the second epoch's kid", lambda a, b: _packed({b}), RX_KIDS)
    yield _set("both kids", lambda a, b: _packed({a, b}), RX_KIDS)
    yield _set("all but the first epoch's kid", lambda a, b: _packed(all_ - {a}), RX_KIDS)
    yield _set("all but the second epoch's kid", lambda a, b: _packed(all_ - {b}), RX_KIDS)
    yield _set("no kid of the box", lambda a, b: _packed(_UNKNOWN_KIDS), RX_KIDS)
    masks = {1 << suite for suite in suites} | {0, sum(1 << suite for suite in suites)}
    masks |= {max(masks) - (1 << suite) for suite in suites}
    for mask in sorted(masks):
        yield acts.api(option(SOL_NST, RX_SUITES, struct.pack("<I", mask)))


def _claims() -> Iterator[Act]:
    """Options whose length reaches beyond their value, and beyond memory."""
    for number in (TX_KIDS, RX_KIDS):
        for length in (3, 4, 512, 1 << 16, 1 << 17, (1 << 17) + 1, (1 << 17) + 2, (1 << 31) - 2):
            made = option(SOL_NST, number, b"\1\0")
            yield acts.api(made._replace(flags=length))


def _pins(kids: Sequence[int]) -> Iterator[Act]:
    """What the records are sealed with that the guest sends."""
    for kpos, kval in ((1, 1), (7, 255), (MAX_KPOS, 128), (0, 0)):
        for pin in (_PIN_PERTURB, _PIN_KID | _PIN_PERTURB):
            value = struct.pack("<HBBI", kids[-1], kpos, kval, pin)
            yield acts.api(option(SOL_NST, TX_KEY, value))
    for kid in (kids[0], kids[-1]):
        yield acts.api(option(SOL_NST, TX_KEY, struct.pack("<HBBI", kid, 0, 0, _PIN_KID)))
    for some in (kids[:1], kids[1:], [*kids, *_UNKNOWN_KIDS], []):
        yield acts.api(option(SOL_NST, TX_KIDS, _packed(some)))


def _stamps() -> Iterator[Act]:
    """Having the application told when data came."""
    for name in _STAMPS:
        value = _STAMPING if name in _STAMPS[-2:] else 1
        yield acts.api(option(socket.SOL_SOCKET, name, value))


def _unchecked() -> Iterator[Act]:
    """The LOCAL_IN check switched off, or told to let pass what is wrong."""
    for name in _SETTINGS:
        for value in (0, 1):
            yield acts.api(file_write(SYSCTL + name, str(value).encode()))


class FromUs(FuzzableBlock):  # type: ignore[misc]
    """Children become a UDP payload, from the port that the guest sends datagrams to."""

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the step's bytes."""
        family = values_of(mutation_context)[FAMILY]
        ends = HOST.ip(family), GUEST.ip(family)
        payload = self.get_child_data(mutation_context)
        segment = udp.segment(*ends, DEFAULT_PORT, DEFAULT_PORT, payload)
        packet = ipv4_packet if family == 4 else ipv6_packet
        return Step(Action.PACKET, family, packet(*ends, UDP, segment)).pack()


def _stream_scene(
    keybox: KeyBox, suite: SuiteId, pool: Sequence[Act], call: Act, *mutated: str
) -> list[Fuzzable]:
    """Options before the first record, and between others; a call after each."""
    first, second, third = stream(
        keybox, suite, [("a", 0), ("a", 1), ("b", 0)], close=False, only=mutated
    )
    return [
        Play("before", pool[0], pool), first, Play("call1", call, ()),
        Play("between", acts.NOTHING, pool), second, Play("call2", call, ()),
        Play("then", acts.NOTHING, pool), third, Play("call3", acts.RECEIVE, ()),
        Play("end", acts.FIN, ()),
    ]  # fmt: skip


def _records(keybox: KeyBox, suite: SuiteId, mutated: Collection[str]) -> list[SealedRecord]:
    return [
        SealedRecord(
            f"record{counter}", keybox=keybox, suite=suite, epoch="a", flags=Flags.DGRAM,
            counter=counter, only=mutated,
        )
        for counter in range(2)
    ]  # fmt: skip


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    kids, suites = sorted(keybox), sorted(provided)
    connect = acts.api(Api(Call.CONNECT), dgram=True)
    message = acts.api(sized(Call.RECVMSG, (64,)))
    pools = {
        "policies": ([*_policies(kids, suites)], acts.RECEIVE, ("kid", "cipher_id")),
        "claims": ([*_claims()], acts.RECEIVE, ()),
        "pins": ([*_pins(kids)], acts.SEND, ()),
        "stamps": ([*_stamps()], message, ("damage",)),
        "unchecked": ([*_unchecked()], acts.RECEIVE, _MUTATED),
    }
    requests = []
    for at, (name, (pool, call, mutated)) in enumerate(pools.items()):
        suite = suites[at % len(suites)]
        scene = _stream_scene(keybox, suite, pool, call, *mutated)
        accept = Play("accept", acts.ACCEPT, ())
        requests.append(CaseRequest(name, children=[Scene("tcp", [accept, *scene])]))
    unchecked = [*_unchecked()]
    for at, suite in enumerate(suites):
        children = [
            Play("before", unchecked[2 * at % len(unchecked)], unchecked),
            *_records(keybox, suite, _MUTATED),
        ]
        scene = Scene("udp", children, dgram=True)
        requests.append(CaseRequest(f"dgram-unchecked-{suite.name}", children=[scene]))
        first, second = _records(keybox, suite, _MUTATED)
        exchange = [
            Play("before", connect, (acts.NOTHING,)), FromUs("first", children=[first]),
            Play("between", acts.NOTHING, (connect, *unchecked)),
            FromUs("second", children=[second]),
        ]  # fmt: skip
        requests.append(
            CaseRequest(
                f"dgram-connected-{suite.name}", children=[Exchange("udp", children=exchange)]
            )
        )
    (first, second) = _records(keybox, suites[0], ())
    strangers = Scene("udp", [Play("before", connect, (acts.NOTHING,)), first, second], dgram=True)
    return [*requests, CaseRequest("dgram-strangers", children=[strangers])]


OPTIONS = Campaign(
    "options",
    "records for sockets that accept some kids or suites, tell when data came, seal with pinned"
    " keys or are connected, and with the LOCAL_IN check switched off or told to let pass",
    (Verdict.OK, Verdict.MAGIC, Verdict.VERSION, Verdict.CIPHER, Verdict.KID, Verdict.AUTH),
    _requests,
)
