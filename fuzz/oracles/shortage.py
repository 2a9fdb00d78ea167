# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls in which an allocation, or copying from or to the application, failed.

What the kernel then does is its own decision, as long as nothing is lost silently: the call
may succeed all the same; it may fail with one of a few errors, and can be made again; a record
that was half opened breaks its connection, with ENOMEM for every reader. So there are several
right outcomes, and each function here lists those that the call's answer leaves possible, beside
the one with memory.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable

from fuzz.api import SENDING, Api, Call, outgoing
from fuzz.oracles.calls import Datagrams, partly, received
from fuzz.oracles.control import Control
from fuzz.oracles.served import Served
from fuzz.target.wire import Item, Kind
from nst_scapy.header import MAX_STREAM_PAYLOAD

ERRORS = frozenset({errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EFAULT})
"""What a call may fail with for want of memory, or of a page to copy to or from."""
ACCEPT_ERRORS = ERRORS | {errno.ENFILE}
"""Linux says ENFILE if it cannot make a socket."""
_RECEIVING = frozenset({Call.RECVMSG, Call.READV})

Way = Callable[[], list[Item]]
"""Has the model do what the kernel may have done, and tells what the call then returns."""


def receiving(served: Served, told: Item) -> list[Way]:
    """Outcomes of reading all there is: what was read is right, and the rest is there or lost."""
    if told.error not in ERRORS:
        return []

    def outcome(*, broken: bool) -> list[Item]:
        data = served.take_opened(told.length)
        if broken:
            served.run_dry()
        return [told._replace(length=len(data), crc=zlib.crc32(data))]

    return [lambda: outcome(broken=False), lambda: outcome(broken=True)]


def looking(served: Served, told: Item) -> list[Way]:
    """Outcomes of opening records for a call that does not tell of it."""

    def broken() -> list[Item]:
        served.run_dry()
        return [told]

    return [] if told.error else [broken]


def on_stream(served: Served, api: Api, told: Item) -> list[Way]:
    """Outcomes of a call of an API step on a connection."""
    if api.call in SENDING:
        return _sending(served, api, told)
    if api.call is Call.SET_OPTION:
        return refusing(told)
    if api.call not in _RECEIVING or told.error not in ERRORS | {0}:
        return []

    def ended(*, broken: bool) -> list[Item]:
        """A record was opened where the reader wanted it, and not again elsewhere."""
        data = served.take_opened(told.length)
        cleared = served.incoming.would_clear(sum(api.sizes) - len(data))
        if broken:
            served.run_dry()
        return received(api, told.error, data, told, [bytes(cleared)])

    def not_copied() -> list[Item]:
        """A record is there to be read, and of it some buffers were filled, or none."""
        data = served.take_opened(told.length)
        beginnings = partly(api, len(data), served.opened())
        return received(api, told.error, data, told, beginnings)

    ways: list[Way] = [lambda: ended(broken=False), lambda: ended(broken=True)]
    return [*ways, not_copied] if told.error in (0, errno.EFAULT) else ways


def _sending(served: Served, api: Api, told: Item) -> list[Way]:
    """A stream takes whole records; splice and sendfile take what fits the pages they move."""
    total = sum(api.sizes)
    whole = told.length % MAX_STREAM_PAYLOAD == 0 or api.call in (Call.SPLICE_IN, Call.SENDFILE)
    if told.error in ERRORS and not told.length:
        return refusing(told)
    if served.cannot_send or not (0 < told.length < total and whole):
        return []

    def outcome() -> list[Item]:
        served.send(outgoing(api, told.length))
        return [told]

    return [outcome]


def shutting(served: Served, told: Item) -> list[Way]:
    """Outcomes of shutting down writing: nothing is done, or TCP has no memory for CLOSE yet."""

    def sealed() -> list[Item]:
        served.seal_close()
        return [told]

    waits = told.error == errno.EAGAIN and not served.cannot_send
    return refusing(told) + ([sealed] if waits else [])


def after(told: Item) -> list[Way]:
    """The outcome of sending while TCP has no memory yet for what a call before it sealed."""
    return refusing(told, frozenset({errno.EAGAIN}))


def on_datagrams(datagrams: Datagrams, api: Api, told: Item) -> list[Way]:
    """Outcomes of a call on a socket for datagrams: each is whole, or not there."""
    waiting = datagrams.waiting

    def lost() -> list[Item]:
        if waiting:
            waiting.pop(0)  # as UDP's, if it cannot be copied
        return [told]

    def dropped() -> list[Item]:
        return [Item(Kind.API, api.call, 0, sum(api.sizes), 0)]

    if api.call is Call.SENDMSG:
        # What is on its way to the device may be dropped there.
        return refusing(told) if told.error else [dropped]
    if api.call not in _RECEIVING:
        return []
    return refusing(told) + ([lost] if told.error == errno.EFAULT else [])


def controlling(control: Control, api: Api, told: Item) -> list[Way]:
    """Outcomes of a call of the control plane: all or nothing, even if no answer comes of it."""

    def done() -> list[Item]:
        control.call(api, None)
        return [told]

    answered = api.call is Call.NETLINK
    return refusing(told) + ([done] if answered and told.error in ERRORS else [])


def refusing(told: Item, errors: frozenset[int] = ERRORS) -> list[Way]:
    """The outcome of a call that fails and changes nothing, if it did fail so."""
    return [lambda: [told]] if told.error in errors else []
