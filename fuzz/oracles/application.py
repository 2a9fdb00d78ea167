# SPDX-License-Identifier: GPL-2.0-or-later
"""The application in the guest: its sockets, and what its calls on them return."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Mapping

from fuzz.api import CONTROL, FLAGGED, SENDING, Api, Call
from fuzz.oracles import shortage
from fuzz.oracles.calls import Datagrams, known_flags, on_datagrams, on_stream, set_option
from fuzz.oracles.control import TX_KEY, TX_KIDS, Control, Options
from fuzz.oracles.sends import send_datagrams, send_on_stream
from fuzz.oracles.served import Served
from fuzz.oracles.shortage import Way
from fuzz.oracles.waits import datagram_item, wait_for_datagram, wait_on_stream
from fuzz.script import Action, Step
from fuzz.target.wire import CALLS, Item, Kind


class Application:
    """What it has open, and what becomes of each of its calls.

    Attributes:
        datagrams: its sockets for them, by IP version.
        waiting: connections that it has not accepted.
        kept: the one that it has.
        unknown: those of which it is not known what was sent on them.
        sends: it has made a call that sends with all that can be chosen about it.
    """

    def __init__(
        self,
        datagrams: Mapping[int, Datagrams],
        control: Control,
        connection: Callable[[int, bytes], Served],
    ) -> None:
        """`control` is what it can set of the guest.

        `connection` is one that it opens, by IP version and by the token of what it sends first.
        """
        self.datagrams = datagrams
        self.waiting: list[Served] = []
        self.kept: Served | None = None
        self.unknown: set[Served] = set()
        self.sends = False
        self._control = control
        self._connection = connection
        self._options: dict[Served, Options] = {}

    def call(self, step: Step) -> Item:
        """What a call of a step of its own returns."""
        op, plaintext = CALLS[step.action], b""
        if step.action is Action.ACCEPT:
            error = self._accept(step.argument)
        elif step.action is Action.DIAL:
            error = self._dial(step.argument, step.data)
        elif step.action is Action.REDIAL:
            error = self._redial(step.argument, step.data)
        elif self.kept is None:
            error = errno.EBADF
        elif step.action is Action.RECEIVE:
            error, plaintext = self.kept.receive()
        elif step.action is Action.SEND:
            error = self.kept.send(step.data)
        elif step.action is Action.SHUTDOWN:
            error = self.kept.shutdown(step.argument)
        elif step.action is Action.LOOK:
            self.kept.look()
            error = 0
        else:
            self.kept.close()
            self.kept, error = None, 0
        return _item(Kind.CALL, op, error, plaintext)

    def _accept(self, family: int) -> int:
        if self.kept is not None:
            return errno.EBUSY
        self.kept = next((one for one in self.waiting if one.family == family), None)
        if self.kept is None:
            return errno.EAGAIN
        self.waiting.remove(self.kept)
        self.kept.look()
        return 0

    def _dial(self, family: int, token: bytes) -> int:
        connection = self._connection(family, token)
        if self.kept is not None:
            connection.gone = True
            return errno.EBUSY
        self.kept = connection
        return 0

    def _redial(self, family: int, token: bytes) -> int:
        connection, before = self._connection(family, token), self.kept
        if before is None:
            connection.gone = True
            return errno.EBADF
        before.look()
        before.disconnect()
        self.kept = before.reconnected(connection)
        if before in self._options:
            self._options[connection] = self._options[before]
        return 0

    def api(self, api: Api, told: Item | None) -> list[Item]:
        """What a call of an API step returns; `told` is what the module says."""
        if api.call in CONTROL:
            return [self._control.call(api, told)]
        if api.call in FLAGGED:
            api = known_flags(api, told)
        sends = api.call in SENDING
        self.sends |= sends
        if api.socket:
            datagrams = self.datagrams[api.socket]
            if api.call is Call.WAITER:
                return self.waited(api)
            return send_datagrams(datagrams, api, told) if sends else on_datagrams(datagrams, api)
        if self.kept is None:
            return [Item(Kind.API, api.call, errno.EBADF, 0, 0)]
        self.kept.look()
        if api.call in (Call.SET_OPTION, Call.GET_OPTION):
            return [self._option(self.kept, api, told)]
        if sends:
            return send_on_stream(self.kept, api, told)
        if api.call is Call.WAITER:
            return self.waited(api)
        if api.call is Call.CONNECT:
            return [Item(Kind.API, api.call, errno.EISCONN, 0, 0)]
        return on_stream(self.kept, api, told)

    def waited(self, api: Api) -> list[Item]:
        """What a call that waits returns, by what has come until now."""
        if api.socket:
            return wait_for_datagram(self.datagrams[api.socket], api)
        return [] if self.kept is None else [wait_on_stream(self.kept, api)]

    def _option(self, served: Served, api: Api, told: Item | None) -> Item:
        options = self._options.setdefault(served, Options(self._control.suites))
        level, name = api.value >> 32, api.value & 0xFFFFFFFF
        if api.call is Call.SET_OPTION:
            error = options.set(level, name, api.rest, api.flags)
            served.incoming.policy = options.policy
            if error is None:
                error = set_option(served, api, told)
            elif not error and name in (TX_KEY, TX_KIDS):
                self.unknown.add(served)  # its next record may need a key that is not there
            return Item(Kind.API, api.call, error, 0, 0)
        value = options.get(level, name, api.flags)
        if isinstance(value, bytes):
            return Item(Kind.API, api.call, 0, len(value), zlib.crc32(value))
        if value is None:
            return told or Item(Kind.API, api.call, 0, 0, 0)
        return Item(Kind.API, api.call, value, 0, 0)

    def collect(self) -> list[Item]:
        """Receive everything that has come, but on the connection that is kept."""
        items = []
        for family in (4, 6):
            self.datagrams[family].connected = False
            for plaintext in self.datagrams[family].waiting:
                items.append(datagram_item(family, plaintext))
            self.datagrams[family].waiting.clear()
            for served in [one for one in self.waiting if one.family == family]:
                error, plaintext = served.receive()
                items.append(_item(Kind.STREAM, family, error, plaintext))
                served.close()
        self.waiting.clear()
        return items

    def call_short(self, step: Step, told: Item) -> list[Way]:
        """What else may be right of such a call if memory ran out in it."""
        if step.action is Action.ACCEPT:
            return self._accept_short(step.argument, told)
        kept = self.kept
        if kept is None:
            return []
        match step.action:
            case Action.RECEIVE:
                return shortage.receiving(kept, told)
            case Action.LOOK:
                return shortage.looking(kept, told)
            case Action.CLOSE:
                return [lambda: self._unknown_end(kept, step)]
            case Action.SHUTDOWN if step.argument:
                return shortage.shutting(kept, told)
        return shortage.refusing(told)

    def _unknown_end(self, served: Served, step: Step) -> list[Item]:
        """The connection is closed, and whether CLOSE went before is not known."""
        self.unknown.add(served)
        return [self.call(step)]

    def _accept_short(self, family: int, told: Item) -> list[Way]:
        first = next((one for one in self.waiting if one.family == family), None)
        if self.kept is not None or first is None:
            return []

        def dropped() -> list[Item]:
            self.waiting.remove(first)
            self.unknown.add(first)
            first.gone = True
            return [told]

        def broken() -> list[Item]:
            self.waiting.remove(first)
            self.kept = first
            first.run_dry()
            return [told]

        if not told.error:
            return [broken]
        failed = shortage.refusing(told, shortage.ACCEPT_ERRORS)
        return [*failed, dropped] if failed else []

    def api_short(self, api: Api, told: Item) -> list[Way]:
        """The same of a call of an API step."""
        if api.call in CONTROL:
            return shortage.controlling(self._control, api, told)
        if api.socket:
            return shortage.on_datagrams(self.datagrams[api.socket], api, told)
        return [] if self.kept is None else shortage.on_stream(self.kept, api, told)


def _item(kind: Kind, family: int, error: int, plaintext: bytes) -> Item:
    return Item(kind, family, error, len(plaintext), zlib.crc32(plaintext))
