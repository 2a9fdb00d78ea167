# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `memory-pressure`: calls in which the kernel runs out of memory.

In each case one or a few calls are short: their first, second, ... allocation fails, or a copy
from or to the application. All that comes before and after them has memory, and shows what is
left of the connection, the socket or the key box. Or there is a drought until the next call, for
what the kernel does by itself: the LOCAL_IN check, and the work item that opens a first record.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from fuzz import netlink
from fuzz.api import Api, Call, file_write, option, sized
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene, short
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest
from fuzz.netlink import ACK, DUMP, REQUEST, Attribute, Message
from fuzz.oracles.control import KEYBOX_FILE, RX_KIDS, SOL_NST, TX_SUITE
from fuzz.script import Action, Step
from fuzz.tables import TableSizes
from nst_scapy.header import MAX_STREAM_PAYLOAD, Flags
from nst_scapy.kernel_messages import Command
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_POINTS = (*range(1, 33), 36, 40, 45, 50, 60, 80)
"""Which allocation fails. A call that has fewer goes as with memory, which is soon seen."""
_FEW, _SOME = 12, 24
"""How many there are at most, a fifth more than were seen: in a call that changes keys, or opens
records whose keys are there; and in one that derives keys, as each does that opens an epoch's first
record or seals one, be it CLOSE."""
_NEW_KID = 4711
_TABLES = TableSizes(dgram=64, stream=64)
"""Small, as the model's state is copied for each of several right outcomes."""
_LAYOUT = (("a", 0, "payload"), ("a", 1, "long"), ("b", 0, "long"), ("b", 1, "payload"))
"""Records with their epochs, counters and payloads: small and large, and keys to be derived."""


def _sized(call: Call, *sizes: int, dgram: bool = False) -> Act:
    return acts.api(sized(call, sizes), dgram=dgram)


_RECEIVES = (
    acts.RECEIVE, _sized(Call.RECVMSG, 65536), _sized(Call.RECVMSG, 100, 40_000),
    _sized(Call.RECVMSG, 7), _sized(Call.READV, *(4096,) * 8), acts.LOOK,
)  # fmt: skip
_SENDS = (
    acts.SEND, _sized(Call.SENDMSG, 3000), _sized(Call.SENDMSG, 2 * MAX_STREAM_PAYLOAD + 1),
    _sized(Call.WRITEV, *(1000,) * 5), _sized(Call.SPLICE_IN, 5000), _sized(Call.SENDFILE, 30_000),
)  # fmt: skip
_DROUGHTS = tuple(acts.drought(units) for units in range(256))
"""A first record takes up to 14 KiB, of which only one allocation or two may break it."""
_ENDS = (acts.SHUT_WRITING, acts.SHUT_BOTH, acts.CLOSE)


def _short(name: str, *calls: Act, most: int = _POINTS[-1]) -> Play:
    """The first of these calls, or any of them without memory, at `most` allocations each."""
    points = [nth for nth in _POINTS if nth <= most]
    return Play(name, calls[0], [short(nth, call) for nth in points for call in calls])


def _plain(name: str, act: Act) -> Play:
    return Play(name, act, ())


def _records(keybox: KeyBox, suite: SuiteId, damaged: int = 1) -> list[SealedRecord]:
    """Of two in a row the first (0) or the second (1) may be damaged, and the other's payload is
    any."""
    records: list[SealedRecord] = []
    for at, (epoch, counter, payload) in enumerate(_LAYOUT):
        records.append(
            SealedRecord(
                f"record{at}", keybox=keybox, suite=suite, epoch=epoch, flags=Flags(0),
                counter=counter, after=records[-1].name if records else None,
                only=("damage" if at % 2 == damaged else "payload",), payload=payload,
            )
        )  # fmt: skip
    return records


def _scene(keybox: KeyBox, suite: SuiteId, parts: Sequence[int | Play], damaged: int = 1) -> Scene:
    """A connection: what its application does, and between that records, by their numbers."""
    records = _records(keybox, suite, damaged)
    return Scene("tcp", [records[part] if isinstance(part, int) else part for part in parts])


def _streams(keybox: KeyBox, suite: SuiteId) -> dict[str, Scene]:
    def accept() -> Play:
        return _plain("accept", acts.ACCEPT)

    def own() -> Play:
        return _plain("suite", acts.api(option(SOL_NST, TX_SUITE, suite)))

    def read(name: str = "read") -> Play:
        return _plain(name, acts.RECEIVE)

    def speak() -> Play:
        return _plain("speak", acts.SEND)

    def close() -> Play:
        return _plain("close", acts.SHUT_WRITING)

    def receive(at: int) -> Play:
        return _short(f"receive{at}", *_RECEIVES, most=(_FEW, _SOME)[at])

    def send(at: int) -> Play:
        return _short(f"send{at}", *_SENDS)

    scenes: dict[str, Sequence[int | Play]] = {
        "accepts": [0, 1, _short("accept", acts.ACCEPT, most=_SOME), read(), speak(), close()],
        "receives": [accept(), 0, 1, receive(0), 2, 3, receive(1), read(), speak(), close()],
        "sends": [accept(), own(), 0, read(), send(0), send(1), 1, read("rest"), speak(), close()],
        "speaks-first": [accept(), own(), send(0), 0, read(), send(1), close()],
        "ends": [accept(), own(), 0, 1, read(), _short("end", *_ENDS, most=_SOME), read("rest")],
    }
    found = {name: _scene(keybox, suite, parts) for name, parts in scenes.items()}
    drought = Play("drought", _DROUGHTS[0], _DROUGHTS)
    dry: dict[str, Sequence[int | Play]] = {
        "arrives": [accept(), drought, 0, 1, read(), speak(), close()],
        "waits": [drought, 0, accept(), 1, read(), speak(), close()],
    }
    return found | {name: _scene(keybox, suite, parts, 0) for name, parts in dry.items()}


def _dgrams(keybox: KeyBox, suite: SuiteId) -> Scene:
    records = [
        SealedRecord(
            f"record{at}", keybox=keybox, suite=suite, epoch=epoch, flags=Flags.DGRAM,
            counter=counter, only=("payload", "damage"),
        )
        for at, (epoch, counter) in enumerate((("a", 0), ("a", 1), ("b", 0)))
    ]  # fmt: skip
    receives = [
        _sized(Call.RECVMSG, 65536, dgram=True), _sized(Call.RECVMSG, 10, dgram=True),
        _sized(Call.READV, 20, 2000, dgram=True),
    ]  # fmt: skip
    sends = [_sized(Call.SENDMSG, size, dgram=True) for size in (100, 1400, 30_000)]
    reads = [_short(f"receive{at}", *receives, most=_SOME) for at in range(2)]
    send, again = _short("send", *sends), Play("again", sends[0], ())
    return Scene("udp", [*records[:2], reads[0], records[2], reads[1], send, again], dgram=True)


def _material(kid: int) -> bytes:
    """A test key of a kid's own."""
    return random.Random(f"memory-pressure|{kid}").randbytes(32)


def _message(command: int, *found: Attribute, flags: int = REQUEST | ACK) -> Act:
    return acts.api(Api(Call.NETLINK, rest=Message(command, netlink.packed(found), flags).pack()))


def _keys(keybox: KeyBox, suite: SuiteId) -> Scene:
    """Keys change and memory runs out; the box is read back, and then all works as before."""
    kids = sorted(keybox)
    keys = [netlink.key(_NEW_KID + at, _material(_NEW_KID + at)) for at in range(3)]
    read = _message(Command.KEY_GET, flags=REQUEST | DUMP)
    box = "".join(f"{kid} {_material(kid).hex()}\n" for kid in kids).encode()
    changes = (
        acts.api(file_write(KEYBOX_FILE, box)), _message(Command.KEY_ADD, *keys),
        _message(Command.KEY_DEL, netlink.kids(kids[:2])), _message(Command.KEY_FLUSH),
        acts.api(option(SOL_NST, RX_KIDS, b"".join(kid.to_bytes(2, "little") for kid in kids))),
    )  # fmt: skip
    restored = Act("restore", lambda values, offset: [Step(Action.RESTORE)])
    one, two, *_ = _records(keybox, suite)

    def change(at: int) -> Play:
        return _short(f"change{at}", *changes, most=_FEW)

    return Scene(
        "tcp",
        [
            _plain("accept", acts.ACCEPT), _plain("read0", read), change(0),
            _plain("read1", read), change(1), _plain("read2", read),
            _plain("restore", restored), one, two, _plain("receive", acts.RECEIVE),
            _plain("close", acts.SHUT_WRITING),
        ],
    )  # fmt: skip


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    requests: list[CaseRequest] = []
    for suite in sorted(provided):
        scenes = _streams(keybox, suite)
        scenes |= {"dgrams": _dgrams(keybox, suite), "keys": _keys(keybox, suite)}
        requests += [
            CaseRequest(f"{name}-{suite.name}", children=[scene]) for name, scene in scenes.items()
        ]
    return requests


MEMORY_PRESSURE = Campaign(
    "memory-pressure",
    "calls in which the kernel runs out of memory at each of their allocations: accept, receive,"
    " send, shutdown and close, datagrams, key changes; and what comes while there is none at all;"
    " what is left has to work, or to have ended in an orderly way",
    (Verdict.OK, Verdict.AUTH),
    _requests,
    _TABLES,
    needs=("CONFIG_FAILSLAB", "CONFIG_FAIL_PAGE_ALLOC", "CONFIG_FAULT_INJECTION_DEBUG_FS"),
)
