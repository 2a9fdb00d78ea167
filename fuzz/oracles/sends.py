# SPDX-License-Identifier: GPL-2.0-or-later
"""What the calls of API steps return that send, and what they put on the wire.

How much of it a socket takes without waiting is up to its buffer, and to when the other
end acknowledges. That is taken from the module, as far as it can be right: a stream takes
whole records, and all of it while its buffer is empty.
"""

from __future__ import annotations

import errno
import socket

from fuzz.api import WITH_UDP_SEGMENT, Api, Call, outgoing
from fuzz.oracles.calls import MSG_CMSG_COMPAT, MSG_OOB, Datagrams
from fuzz.oracles.served import Served
from fuzz.target.wire import Item, Kind
from nst_scapy.header import HEADER_LEN, MAX_STREAM_PAYLOAD

MSG_MORE, MSG_DONTWAIT = int(socket.MSG_MORE), int(socket.MSG_DONTWAIT)
MSG_PROBE, MSG_ZEROCOPY, MSG_FASTOPEN = 0x10, 0x4000000, 0x20000000
_REFUSED_STREAM = MSG_OOB | MSG_PROBE | MSG_ZEROCOPY | MSG_FASTOPEN
_REFUSED_DGRAM = MSG_MORE | MSG_PROBE | MSG_ZEROCOPY | MSG_FASTOPEN
_LARGEST_DATAGRAM = {4: 65535 - 20 - 8, 6: 65535 - 8}
_NAMED = frozenset({Call.SENDMSG, Call.SENDMMSG})
"""Calls that say where a datagram goes to, and have flags."""


def send_on_stream(served: Served, api: Api, told: Item | None) -> list[Item]:
    """What a call that sends on a connection returns; `told` is what the module says it does."""
    if api.call in _NAMED and (error := _refused(api, _REFUSED_STREAM)):
        return [Item(Kind.API, api.call, error, 0, 0)]
    total = sum(api.sizes)
    if not total and api.call not in _NAMED:
        return [Item(Kind.API, api.call, 0, 0, 0)]  # it does not reach the socket
    if served.cannot_send:
        return [Item(Kind.API, api.call, errno.EPIPE, 0, 0)]
    if api.gone:
        total = api.before_gone // MAX_STREAM_PAYLOAD * MAX_STREAM_PAYLOAD
        if not total:
            full = told is not None and _found_full(served, api, told)
            return [Item(Kind.API, api.call, errno.EAGAIN if full else errno.EFAULT, 0, 0)]
    if api.call is Call.SENDMMSG:
        return _messages(served, api, told)
    taken, error = total, 0
    if told is not None and total:
        taken, error = _plausible(served, api, told, total)
    if taken:
        served.send(outgoing(api, taken))
    return [Item(Kind.API, api.call, error, taken, 0)]


def _plausible(served: Served, api: Api, told: Item, total: int) -> tuple[int, int]:
    """What the module says that it took of a call's bytes, and the error; all of it if not so."""
    if not told.length:
        return (0, told.error) if _found_full(served, api, told) else (total, 0)
    if _waits(api) or not told.length < total:
        return total, 0
    whole_records = told.length % MAX_STREAM_PAYLOAD == 0
    if api.call is Call.WRITERS:
        return told.length, errno.EAGAIN
    # What splice moves at a time is up to the kernel.
    if whole_records or api.call in (Call.SPLICE_IN, Call.SENDFILE):
        return told.length, 0
    return total, 0


def _found_full(served: Served, api: Api, told: Item) -> bool:
    return told.error == errno.EAGAIN and served.sent_bytes > 0 and not _waits(api)


def _waits(api: Api) -> bool:
    """Whether a call goes on until all is sent: the other end acknowledges meanwhile."""
    flagged = api.call in _NAMED or api.call is Call.WRITERS
    return bool(api.wait) and not (flagged and api.flags & MSG_DONTWAIT)


def _messages(served: Served, api: Api, told: Item | None) -> list[Item]:
    """sendmmsg: messages of one record each at most, so that each is sent whole or not."""
    sizes = api.sizes
    count, error = len(sizes), 0
    if told is not None and told.length < count and not _waits(api):
        if told.length:
            count = told.length
        elif told.error == errno.EAGAIN and served.sent_bytes:
            count, error = 0, told.error
    data = outgoing(api, sum(sizes[:count]))
    if data:
        served.send(data)
    messages = [Item(Kind.MESSAGE, api.call, 0, size, 0) for size in sizes[:count]]
    return [Item(Kind.API, api.call, error, count, 0), *messages]


def send_datagrams(datagrams: Datagrams, api: Api, told: Item | None) -> list[Item]:
    """What a call that sends on a socket for datagrams returns."""
    sizes = api.sizes if api.call is Call.SENDMMSG else [sum(api.sizes)]
    data = outgoing(api, sum(sizes))
    sent: list[Item] = []
    error = 0
    for size in sizes:
        error = _datagram_error(datagrams, api, size)
        if not error and told is not None and told.error == errno.EAGAIN and datagrams.sent:
            error = errno.EAGAIN
        if error:
            break
        if api.call in _NAMED:
            datagrams.sent.append(data[:size])
        data = data[size:]
        sent.append(Item(Kind.MESSAGE, api.call, 0, size, 0))
    if api.call is not Call.SENDMMSG:
        return [Item(Kind.API, api.call, error, 0 if error else sizes[0], 0)]
    return [Item(Kind.API, api.call, 0 if sent else error, len(sent), 0), *sent]


def _datagram_error(datagrams: Datagrams, api: Api, size: int) -> int:
    if api.call not in _NAMED:
        # Nobody says where to.
        return errno.EDESTADDRREQ if size else 0
    # Linux's UDP refuses MSG_OOB over IPv4 alone.
    if error := _refused(api, _REFUSED_DGRAM | (MSG_OOB if datagrams.family == 4 else 0)):
        return error
    if api.value & WITH_UDP_SEGMENT and api.call is Call.SENDMSG:
        return errno.EOPNOTSUPP
    if api.gone:
        return errno.EFAULT
    return errno.EMSGSIZE if HEADER_LEN + size > _LARGEST_DATAGRAM[datagrams.family] else 0


def _refused(api: Api, refused: int) -> int:
    """The error of flags that rule the call out, or 0."""
    if api.flags & MSG_CMSG_COMPAT:
        return errno.EINVAL
    return errno.EOPNOTSUPP if api.flags & refused else 0
