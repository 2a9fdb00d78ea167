# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `receive-api`: every way to ask for what has come."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterator, Sequence

from fuzz.api import Api, Call, option, sized
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.oracles.calls import MSG_CMSG_CLOEXEC, MSG_ERRQUEUE, SO_PEEK_OFF, SO_RCVLOWAT
from nst_scapy.header import MAX_STREAM_PAYLOAD, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_PEEK, _TRUNC = int(socket.MSG_PEEK), int(socket.MSG_TRUNC)
_WAITALL, _DONTWAIT = int(socket.MSG_WAITALL), int(socket.MSG_DONTWAIT)
_WAITFORONE = 0x10000
_LARGE = 65536
_SHAPES = (
    (), (0,), (1,), (2,), (5,), (15,), (16,), (47,), (48,), (49,), (64,), (95,), (96,),
    (1000,), (MAX_STREAM_PAYLOAD - 1,), (MAX_STREAM_PAYLOAD,), (MAX_STREAM_PAYLOAD + 1,), (_LARGE,),
    (1,) * 8, (7,) * 20, (0, 3, 0, 100), (0, 0, 0), (100, 0), (1, _LARGE), (_LARGE, 1),
    (48, 48), (4096,) * 8, tuple(range(32)), (1,) * 64,
)  # fmt: skip
_FLAGS = (
    *(1 << bit for bit in range(32)),
    _PEEK | _TRUNC, _PEEK | _WAITALL, _PEEK | _DONTWAIT, _TRUNC | _WAITALL,
    _PEEK | _TRUNC | _WAITALL, _PEEK | MSG_CMSG_CLOEXEC, _PEEK | MSG_ERRQUEUE,
    0x7FFFFFFF, 0xFFFFFFFF,
    0x7FFFFFFF & ~MSG_ERRQUEUE & ~1, 0x7FFFFFFF & ~MSG_ERRQUEUE & ~1 & ~_PEEK,
)  # fmt: skip
_WAIT_MS = 10
_COMBINED = 240
"""How many calls are drawn from all combinations of flags and shapes."""
_MESSAGES = ((0,), (1,), (48,), (64, 64, 64), (16,) * 6, (0, 5, 0, 100), (_LARGE, _LARGE))
_GONE = (
    ((64,), 1), ((_LARGE,), 1), ((5, 100), 2), ((70, 1000), 2), ((48, 1000), 2), ((0, 9, 64), 3),
    ((7,) * 20, 9), ((_LARGE, 1), 2), ((_LARGE, 1), 1), ((1,) * 64, 64),
)  # fmt: skip
"""Buffers, and which of them is nowhere."""
_DGRAM_MUTATED = ("payload", "damage", "transport_len")
_STREAM_MUTATED = (*_DGRAM_MUTATED, "flags")


def _calls() -> Iterator[Api]:
    """Calls that suit streams and datagrams alike."""
    yield from (sized(Call.RECVMSG, shape) for shape in _SHAPES)
    yield from (sized(Call.RECVMSG, (64,), flags) for flags in _FLAGS)
    yield from (sized(Call.READV, shape) for shape in _SHAPES)
    for call in (Call.RECVMSG, Call.READV):
        yield from (sized(call, sizes)._replace(gone=gone) for sizes, gone in _GONE)
    for flags in (0, _PEEK, _TRUNC, _PEEK | _TRUNC, _WAITFORONE, MSG_ERRQUEUE, 1 << 31):
        yield from (sized(Call.RECVMMSG, sizes, flags) for sizes in _MESSAGES)
    yield from (sized(Call.SPLICE_OUT, (size,)) for size in (0, 1, 48, 4095, 4097, _LARGE))
    yield from (sized(Call.SPLICE_OUT, (100,), flags) for flags in range(1, 16))
    for count in (2, 4):
        yield from (sized(Call.READERS, (size,) * count) for size in (1, 7, 64, _LARGE))
        yield sized(Call.READERS, (64,) * count, value=1)
    yield Api(Call.INQ)
    yield Api(Call.POLL)
    draw = random.Random("receive-api")
    for _ in range(_COMBINED):
        flags = draw.choice(_FLAGS) | draw.choice((0, 0, 0, _PEEK, _TRUNC, _WAITALL))
        wait = draw.choice((0, 0, 0, 0, 0, _WAIT_MS))
        if draw.random() < 0.25:
            yield sized(Call.RECVMMSG, draw.choice(_MESSAGES), flags, wait=wait)
        else:
            yield sized(Call.RECVMSG, draw.choice(_SHAPES), flags, wait=wait)


def _stream_calls() -> Iterator[Api]:
    """And those that make sense on a stream alone."""
    yield from _calls()
    yield from (sized(Call.RECVMSG, (size,), _WAITALL, wait=_WAIT_MS) for size in (1, 64, _LARGE))
    yield sized(Call.READERS, (1, 5, 64, 1000))
    for value in (-1, 0, 1, 2, 47, 48, 49, 96, 1000, 1 << 20):
        yield option(socket.SOL_SOCKET, SO_RCVLOWAT, value)
    for value in (-1, 0, 1, 5, 48, 60, 1000):
        yield option(socket.SOL_SOCKET, SO_PEEK_OFF, value)


_STREAM = tuple(acts.api(made) for made in _stream_calls())
_OTHERS = (acts.NOTHING, acts.RECEIVE, acts.SEND, acts.SHUT_READING, acts.CLOSE, *_STREAM)
_ENDS = (acts.NOTHING, *acts.ENDS, acts.SHUT_READING, acts.SHUT_WRITING, *_STREAM)
_DGRAM = tuple(acts.api(made, dgram=True) for made in _calls())


def _gone(sizes: Sequence[int], gone: int, *, dgram: bool = False) -> Act:
    return acts.api(sized(Call.READV, sizes)._replace(gone=gone), dgram=dgram)


def _of_stream(call: Call, *sizes: int, flags: int = 0) -> Act:
    return acts.api(sized(call, sizes, flags))


def _of_dgram(call: Call, *sizes: int, flags: int = 0) -> Act:
    return acts.api(sized(call, sizes, flags), dgram=True)


def _stream_scene(keybox: KeyBox, suite: SuiteId, plays: Sequence[Act]) -> Scene:
    """Two records, an act between and after them, CLOSE, more acts, and an end."""
    layout = [("a", 0), ("a", 1), ("b", 0)]
    one, two, close = stream(keybox, suite, layout, only=_STREAM_MUTATED)
    first, *more = (Play(f"act{at}", act, _OTHERS) for at, act in enumerate(plays))
    accept, end = Play("accept", acts.ACCEPT, ()), Play("end", acts.FIN, _ENDS)
    half = len(more) // 2
    return Scene(
        "tcp", [accept, one, first, two, *more[:half], close, *more[half:-1], end, more[-1]]
    )


def _dgram_scene(keybox: KeyBox, suite: SuiteId, plays: Sequence[Act]) -> Scene:
    records = [
        SealedRecord(
            f"record{counter}", keybox=keybox, suite=suite, epoch="a", flags=Flags.DGRAM,
            counter=counter, only=_DGRAM_MUTATED,
        )
        for counter in range(3)
    ]  # fmt: skip
    others = (acts.NOTHING, *_DGRAM)
    return Scene(
        "udp",
        [*records, *(Play(f"act{at}", act, others) for at, act in enumerate(plays))],
        dgram=True,
    )


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    message, many = Call.RECVMSG, Call.RECVMMSG
    streams = {
        "peeks": [
            _of_stream(message, 5, flags=_PEEK), _of_stream(message, 5),
            _of_stream(message, 200, flags=_PEEK), _of_stream(message, 200),
        ],
        "bytewise": [_of_stream(message, 1), _of_stream(message, 1), acts.RECEIVE, acts.RECEIVE],
        "peek-offset": [
            acts.api(option(socket.SOL_SOCKET, SO_PEEK_OFF, 3)),
            _of_stream(message, 7, flags=_PEEK), _of_stream(message, 4),
            _of_stream(message, 200, flags=_PEEK), acts.RECEIVE,
        ],
        "low-water": [
            acts.api(option(socket.SOL_SOCKET, SO_RCVLOWAT, 60)), acts.api(Api(Call.POLL)),
            acts.api(Api(Call.INQ)), acts.api(Api(Call.POLL)), acts.RECEIVE,
        ],
        "messages": [
            _of_stream(many, 10, 10), _of_stream(many, 5, 500), _of_stream(many, 1, 1, 1),
            acts.RECEIVE,
        ],
        "discards": [
            _of_stream(message, 20, flags=_TRUNC), _of_stream(message, 20),
            _of_stream(Call.SPLICE_OUT, 30), _of_stream(message, 100, flags=_TRUNC), acts.RECEIVE,
        ],
        "threads": [
            acts.NOTHING, _of_stream(Call.READERS, 3, 5, 7), acts.NOTHING,
            _of_stream(Call.READERS, 64, 64), acts.RECEIVE,
        ],
        "gone": [_gone((1, 64), 2), _gone((60, 9), 2), _gone((9,), 1), acts.RECEIVE],
        "gone-behind": [acts.NOTHING, _gone((70, 1000), 2), acts.RECEIVE, acts.RECEIVE],
        "never": [acts.NOTHING, acts.NOTHING, acts.NOTHING, acts.NOTHING],
    }  # fmt: skip
    waiting = acts.api(sized(message, (64,), wait=_WAIT_MS), dgram=True)
    dgrams = {
        "dgram-peeks": [
            _of_dgram(message, 5, flags=_PEEK), _of_dgram(message, 100),
            _of_dgram(message, 5, flags=_TRUNC), _of_dgram(message, 100),
        ],
        "dgram-messages": [_of_dgram(many, 5, 64), _of_dgram(many, 64, 64, 64)],
        "dgram-waits": [
            _of_dgram(many, 64, 64, 64), waiting, _of_dgram(message, 64), waiting,
        ],
        "dgram-gone": [_gone((1, 64), 2, dgram=True), _gone((_LARGE, 1), 2, dgram=True)],
        "dgram-others": [
            acts.api(Api(Call.INQ), dgram=True), _of_dgram(Call.SPLICE_OUT, 4096),
            acts.api(Api(Call.POLL), dgram=True), _of_dgram(Call.READERS, 64, 64),
        ],
    }  # fmt: skip
    suites = sorted(provided)
    requests = []
    for at, (name, plays) in enumerate((streams | dgrams).items()):
        scene = _dgram_scene if name in dgrams else _stream_scene
        requests.append(
            CaseRequest(name, children=[scene(keybox, suites[at % len(suites)], plays)])
        )
    return requests


RECEIVE_API = Campaign(
    "receive-api",
    "every way to receive from streams and datagrams: flags, buffers of any size and number,"
    " peeking and SO_PEEK_OFF, MSG_WAITALL, MSG_TRUNC, recvmmsg, splice, SO_RCVLOWAT, threads",
    (
        Verdict.OK, Verdict.MAGIC, Verdict.FLAGS, Verdict.LENGTH, Verdict.SEQUENCE, Verdict.AUTH,
        Verdict.TRUNCATED,
    ),
    _requests,
)  # fmt: skip
