# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `send-api`: every way to send, and what of it leaves."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterator, Sequence

from fuzz.api import WITH_UDP_SEGMENT, Api, Call, option, sized
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene, then
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.oracles.sends import MSG_FASTOPEN, MSG_MORE, MSG_ZEROCOPY
from nst_scapy.header import HEADER_LEN, MAX_STREAM_PAYLOAD
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_EOR, _DONTWAIT = int(socket.MSG_EOR), int(socket.MSG_DONTWAIT)
_OOB, _NOSIGNAL = int(socket.MSG_OOB), int(socket.MSG_NOSIGNAL)
_RECORD = MAX_STREAM_PAYLOAD
_SHAPES = (
    (), (0,), (1,), (2,), (15,), (16,), (17,), (1000,), (1400,), (4096,), (_RECORD - 1,),
    (_RECORD,), (_RECORD + 1,), (2 * _RECORD,), (2 * _RECORD + 1,), (5 * _RECORD,), (200_000,),
    (1,) * 8, (7,) * 20, (0, 3, 0, 100), (0, 0), (1, _RECORD), (_RECORD, 1), (4096,) * 16,
    (1,) * 64, (_RECORD - 1, 1, 1),
)  # fmt: skip
_FLAGS = (
    *(1 << bit for bit in range(32)),
    MSG_MORE | _EOR, MSG_MORE | _DONTWAIT, _EOR | _NOSIGNAL, MSG_MORE | _OOB,
    MSG_ZEROCOPY | MSG_FASTOPEN, 0x7FFFFFFF, 0xFFFFFFFF,
    0x7FFFFFFF & ~(_OOB | 0x10 | MSG_ZEROCOPY | MSG_FASTOPEN),
)  # fmt: skip
_MESSAGES = ((0,), (1,), (100, 100), (1,) * 8, (1000, 0, 1000), (4096, 4096), (0, 0, 5))
_WAIT_MS = 10_000
"""Ample: a busy host acknowledges late."""
_COMBINED = 160
_DGRAM_SHAPES = (
    (), (0,), (1,), (16,), (48,), (1400,), (1410,), (1424,), (1425,), (1426,), (1500,), (9000,),
    (30_000,), *((65507 - HEADER_LEN + by,) for by in (-17, -16, -1, 0, 1)),
    *((65527 - HEADER_LEN + by,) for by in (-1, 0, 1)), (65535,), (70_000,), (100, 0, 5), (1,) * 64,
)  # fmt: skip
_MUTATED = ("flags", "damage")


def _sends() -> Iterator[Api]:
    """Calls that suit streams and datagrams alike; each has another first byte."""
    for sizes, gone in (((100,), 1), ((5, 100), 2), ((1,) * 9, 5), ((1000, 600), 2)):
        yield sized(Call.SENDMSG, sizes)._replace(gone=gone)
    yield from (sized(Call.SENDMSG, (100,), flags) for flags in _FLAGS)
    yield from (sized(Call.SENDMMSG, sizes) for sizes in _MESSAGES)
    yield from (sized(Call.SENDMMSG, (50, 50), flags) for flags in _FLAGS)
    yield sized(Call.SENDMSG, (1000,), value=WITH_UDP_SEGMENT | 9)


def _stream_sends() -> Iterator[Api]:
    yield from _sends()
    yield from (sized(Call.SENDMSG, shape) for shape in _SHAPES)
    yield from (sized(Call.WRITEV, shape) for shape in _SHAPES)
    for sizes, gone in (((_RECORD, 1), 2), ((2 * _RECORD + 5, 9), 2), ((_RECORD - 1, 9), 2)):
        yield sized(Call.WRITEV, sizes)._replace(gone=gone)
    yield from (sized(Call.SENDMSG, shape, wait=_WAIT_MS) for shape in _SHAPES[-14:])
    for call in (Call.SPLICE_IN, Call.SENDFILE):
        yield from (sized(call, (size,)) for size in (0, 1, 4095, 4097, _RECORD + 1, 60_000))
    yield from (sized(Call.SPLICE_IN, (5000,), flags) for flags in range(1, 16))
    yield sized(Call.SENDFILE, (200_000,), wait=_WAIT_MS)
    for count in (2, 4):
        yield from (sized(Call.WRITERS, (size,) * count) for size in (1, 1000, _RECORD + 1))
        yield sized(Call.WRITERS, (40_000,) * count, wait=_WAIT_MS)
    for level, name in ((socket.IPPROTO_TCP, socket.TCP_CORK), (socket.IPPROTO_TCP, 1)):
        yield from (option(level, name, value) for value in (0, 1))
    yield from (option(socket.SOL_SOCKET, socket.SO_SNDBUF, size) for size in (0, 4608, 1 << 20))
    draw = random.Random("send-api")
    for _ in range(_COMBINED):
        flags = draw.choice(_FLAGS) | draw.choice((0, 0, MSG_MORE, _DONTWAIT))
        wait = draw.choice((0, 0, 0, _WAIT_MS))
        value = draw.randrange(251)
        yield sized(Call.SENDMSG, draw.choice(_SHAPES), flags, value=value, wait=wait)


def _dgram_sends() -> Iterator[Api]:
    yield from _sends()
    yield from (sized(Call.SENDMSG, shape) for shape in _DGRAM_SHAPES)
    yield from (sized(Call.WRITEV, shape) for shape in ((), (0,), (100,)))
    yield sized(Call.SENDMMSG, (100, 1500, 3000))


_STREAM = tuple(acts.api(made) for made in _stream_sends())
_DGRAM = tuple(acts.api(made, dgram=True) for made in _dgram_sends())
# Whether acts.SEND finds room in a buffer that these fill cannot be known.
_CALLS = (acts.RECEIVE, acts.SHUT_READING, acts.SHUT_WRITING, acts.SHUT_BOTH, acts.CLOSE)
_OTHERS = (acts.NOTHING, *_CALLS, *_STREAM)
_ENDS = (acts.NOTHING, acts.FIN, acts.RST, acts.RECEIVE, *_STREAM)


def _send(call: Call, *sizes: int, flags: int = 0, value: int = 0, wait: int = 0) -> Act:
    return acts.api(sized(call, sizes, flags, value=value, wait=wait))


def _stream_scene(keybox: KeyBox, suite: SuiteId, plays: Sequence[Act]) -> Scene:
    """A record and CLOSE, and what the application sends before, between and after them."""
    one, close = stream(keybox, suite, [("a", 0), ("a", 1)], only=_MUTATED)
    first, second, third, *more = (
        Play(f"act{at}", act, _OTHERS) for at, act in enumerate((*plays[:3], acts.RECEIVE))
    )
    accept, end = Play("accept", acts.ACCEPT, ()), Play("end", acts.NOTHING, _ENDS)
    last = Play("last", plays[3] if len(plays) > 3 else acts.NOTHING, _OTHERS)
    return Scene("tcp", [accept, first, one, second, third, close, *more, last, end])


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    message, many = Call.SENDMSG, Call.SENDMMSG
    cork = acts.api(option(socket.IPPROTO_TCP, socket.TCP_CORK, 1))
    small = acts.api(option(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608))
    streams = {
        "one-record": [acts.NOTHING, _send(message, 100), _send(message, _RECORD, value=7)],
        "more": [
            _send(message, 10, flags=MSG_MORE), _send(message, 20, flags=MSG_MORE, value=3),
            _send(message, 30, value=9), acts.SHUT_WRITING,
        ],
        "corked": [then(cork, _send(message, 10)), _send(Call.WRITEV, 5, 6), _send(message, 7)],
        "full": [
            small, _send(message, 200_000), _send(message, 50_000), _send(message, 10),
        ],
        "waits": [
            _send(message, 300_000 - 40_000, wait=_WAIT_MS), acts.NOTHING,
            _send(message, 20_000, wait=_WAIT_MS),
        ],
        "pipes": [
            _send(Call.SPLICE_IN, 5000), _send(Call.SENDFILE, 30_000), _send(message, 1),
            acts.CLOSE,
        ],
        "messages": [_send(many, 1, 2, 3), _send(many, 1000, 1000), _send(message, 0)],
        "threads": [
            _send(Call.WRITERS, 5000, 5000), _send(Call.WRITERS, 1, 1, 1, value=4),
            _send(Call.WRITERS, 30_000, 30_000, wait=_WAIT_MS),
        ],
        "refused": [
            _send(message, 10, flags=_OOB), _send(message, 10, flags=MSG_ZEROCOPY),
            _send(message, 10, flags=MSG_FASTOPEN),
        ],
        "gone": [
            acts.api(sized(message, sizes)._replace(gone=2)) for sizes in ((9, 9), (_RECORD, 700))
        ] + [_send(message, 10), acts.SHUT_WRITING],
        "shut": [_send(message, 10), acts.SHUT_WRITING, _send(message, 10), _send(message, 0)],
    }  # fmt: skip
    dgrams: dict[str, list[tuple[int, ...]]] = {
        "dgram-sizes": [(0,), (1400,), (65507 - HEADER_LEN,)],
        "dgram-vectors": [(1, 2, 3), (1000, 1000), (30_000,)],
    }
    suites = sorted(provided)
    requests = [
        CaseRequest(name, children=[_stream_scene(keybox, suites[at % len(suites)], plays)])
        for at, (name, plays) in enumerate(streams.items())
    ]
    for name, shapes in dgrams.items():
        plays = [
            Play(f"act{at}", acts.api(sized(message, shape, value=at), dgram=True), _DGRAM)
            for at, shape in enumerate(shapes)
        ]
        requests.append(CaseRequest(name, children=[Scene("udp", plays, dgram=True)]))
    return requests


SEND_API = Campaign(
    "send-api",
    "every way to send on streams and datagrams: flags, the refused ones, too, buffers of any size"
    " and number, MSG_MORE and TCP_CORK, sendmmsg, splice, sendfile, full buffers, threads;"
    " what leaves is read back",
    (Verdict.OK, Verdict.MAGIC, Verdict.FLAGS, Verdict.AUTH),
    _requests,
)
