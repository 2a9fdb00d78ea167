# SPDX-License-Identifier: GPL-2.0-or-later
"""A security association: turns plain packets into NST records and back.

An :class:`NSTAssociation` stands for one socket: it seals what that socket sends and
judges what it receives. Give each end of a conversation its own.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import overload

from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet
from scapy.plist import PacketList

from .checks import Policy
from .conversation import seal_datagrams, seal_streams
from .crafted import crafted_layer, forced_fields, with_fields
from .epoch import Epoch, seal_under
from .header import (
    HEADER_LEN,
    MAX_KPOS,
    MAX_STREAM_PAYLOAD,
    TOKEN_LEN,
    TOKEN_OFFSET,
    Header,
    KeyParams,
    Role,
    Transport,
)
from .keybox import KeyBox
from .layer import NST, NSTPlain, bound_ports
from .packet_observer import PacketObserver
from .pieces import body_length
from .receiver import DgramReceiver, Outcome, Receiver
from .replay import DgramTable, StreamTable
from .restack import bytes_of, plain_packet, replaced, stacked
from .sender import DgramSender, Draft, Pins, StreamSender
from .settings import settings, suite_id
from .stream import StreamReceiver
from .suite import SUITES, SuiteId
from .verdict import Verdict

_AFTER_TOKEN = TOKEN_OFFSET + TOKEN_LEN
Packets = PacketList | Sequence[Packet]


class NSTRejected(Exception):
    """A record whose verdict is not ``OK``.

    Attributes:
        verdict: the specification's.
        header: as parsed, ``None`` if there were not 48 bytes.
    """

    def __init__(self, verdict: Verdict, header: Header | None = None) -> None:
        super().__init__(verdict, header)
        self.verdict = verdict
        self.header = header

    def __str__(self) -> str:
        return str(self.verdict)


class NSTAssociation:
    """One NST socket: a key box, and the epochs and replay state of its conversation.

    Unlike a socket's, its replay tables are unbounded and refuse nothing for being
    sealed before it was made (Floor is 0, as for observers).

    Attributes:
        transport: what carries its records.
        role: its side of a stream; ``None`` for datagrams.
    """

    def __init__(
        self,
        keybox: KeyBox | None = None,
        suite: SuiteId | int | str | None = None,
        *,
        transport: Transport | str = Transport.DGRAM,
        role: Role | str | None = None,
        kids: Sequence[int] | None = None,
        perturbation: tuple[int, int] | None = None,
        accept: Policy | None = None,
        window_ns: int | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make an association; what is not given of the first five is that of ``conf.nst``.

        Args:
            keybox: the keys that both ends hold.
            suite: ``cipher_id`` or name that it seals with.
            kids: draw ``kid`` from these.
            perturbation: ``(kpos, kval)`` for every epoch.
            window_ns: timestamp window, nanoseconds.
            transport: ``"dgram"`` or ``"stream"``.
            role: ``"initiator"`` (default) or ``"acceptor"``, for streams.
            accept: the suites and kids it accepts; default all.
            rng: source of what is drawn; default the system's.
            clock: gives real time in nanoseconds.

        Raises:
            ValueError: an unknown suite, transport or role, or no key box.
        """
        keybox = settings.keybox if keybox is None else keybox
        if keybox is None:
            raise ValueError("no key box: give one, or set conf.nst.keybox")
        suite = settings.suite if suite is None else suite_id(suite)
        kids = settings.kids if kids is None else kids
        perturbation = settings.perturbation if perturbation is None else perturbation
        window_ns = settings.window_ns if window_ns is None else window_ns
        self._pins = pins = Pins(kids, perturbation)
        self._accept = Policy() if accept is None else accept
        self._window_ns = window_ns
        self._rng = rng
        shared = Receiver(
            keybox,
            window_ns,
            self._accept,
            StreamTable(None),
            DgramTable(None),
        )
        self.transport = Transport(transport)
        self.role: Role | None = None
        self._stopped: Verdict | None = None
        """The verdict at which receiving stopped, on a stream."""
        self._keybox = keybox
        self._clock = clock
        self._sender: DgramSender | StreamSender
        self._receiver: DgramReceiver | StreamReceiver
        if self.transport is Transport.STREAM:
            self.role = Role.INITIATOR if role is None else Role(role)
            self._sender = StreamSender(self.role, keybox, suite, pins, rng)
            self._receiver = StreamReceiver(shared, self.role)
        elif role is not None:
            raise ValueError("datagrams have no roles")
        else:
            self._sender = DgramSender(keybox, suite, pins, rng)
            self._receiver = DgramReceiver(shared)

    def __repr__(self) -> str:
        side = "" if self.role is None else f" {self.role.value}"
        return f"<NSTAssociation {self.transport.value}{side} {self._sender.suite.name}>"

    def new_epoch(self) -> None:
        """Make the next record start an epoch."""
        self._sender.new_epoch()

    @overload
    def encrypt(
        self, pkt: Packet | bytes, *, now: int | None = None, chain: bytes | None = None
    ) -> Packet: ...

    @overload
    def encrypt(
        self, pkt: Packets, *, now: int | None = None, ports: Collection[int] | None = None
    ) -> PacketList: ...

    def encrypt(
        self,
        pkt: Packet | bytes | Packets,
        *,
        now: int | None = None,
        chain: bytes | None = None,
        ports: Collection[int] | None = None,
    ) -> Packet | PacketList:
        """Seal what *pkt* carries; returns a new packet.

        *pkt* may be a packet with UDP or TCP in it, whose payload is sealed, or the
        payload itself. If there is an :class:`NSTPlain` its payload is sealed, and its fields
        that are not ``None`` go into the header as they are. Keys follow the header
        where it names any, so that forged headers verify too; a forced ``token``
        replaces the one computed.

        An :class:`NST` that was not dissected is taken the same way: its ``body`` is the
        plaintext, and what is set in it, or drawn by ``fuzz``, goes out, but for a token
        that was merely drawn. So ``encrypt(fuzz(NST()))`` is a record that verifies.

        TCP sequence numbers of a single packet are left as they are.

        A list of packets is taken for whole conversations, each with sockets of its own,
        whatever this one has sent: see :mod:`.conversation`. They come back in the same
        order, with sequence numbers that fit, and ``CLOSE`` before every FIN.

        Args:
            pkt: what to seal.
            now: real time in nanoseconds, instead of the clock's; in a list, instead of
                the packets' own.
            chain: ``T`` of section 5 (16 bytes, or none), instead of the association's.
            ports: of a list, the packets to or from these are sealed; default those that
                NST is bound to.

        Raises:
            ValueError: *pkt* is of the other transport, the stream is closed, or there is
                nothing to seal in the list.
        """
        if not isinstance(pkt, Packet | bytes):
            seal = seal_streams if self.transport is Transport.STREAM else seal_datagrams
            sealed = seal(pkt, self._new_sender, bound_ports() if ports is None else ports, now)
            return PacketList(sealed, name="sealed")
        now = self._clock() if now is None else now
        carrier = crafted = None
        if isinstance(pkt, Packet):
            carrier, crafted = self._carrier(pkt), crafted_layer(pkt)
        if crafted is not None:
            data = crafted.body if isinstance(crafted, NST) else bytes_of(crafted.payload)
            records = [self._seal(bytes(data), forced_fields(crafted), now, chain)]
        else:
            data = (
                pkt
                if isinstance(pkt, bytes)
                else bytes_of(pkt if carrier is None else carrier.payload)
            )
            pieces = [data]
            if self.transport is Transport.STREAM:
                starts = range(0, len(data), MAX_STREAM_PAYLOAD)
                pieces = [data[start : start + MAX_STREAM_PAYLOAD] for start in starts]
            records = [self._seal(piece, {}, now, chain) for piece in pieces]
        layers = [NST(record) for record in records]
        if isinstance(pkt, bytes):
            return stacked(layers)
        return replaced(pkt, carrier or crafted, layers, keep=carrier is not None)

    def close(self, *, now: int | None = None) -> Packet:
        """The ``CLOSE`` record that ends this side of the stream.

        Raises:
            ValueError: for datagrams, or if it is closed already.
        """
        if not isinstance(self._sender, StreamSender):
            raise ValueError("datagrams have no end")
        return NST(self._sender.close(now=self._clock() if now is None else now))

    @overload
    def decrypt(self, pkt: Packet, *, now: int | None = None, verify: bool = True) -> Packet: ...

    @overload
    def decrypt(
        self, pkt: Packets, *, verify: bool = True, ports: Collection[int] | None = None
    ) -> PacketList: ...

    def decrypt(
        self,
        pkt: Packet | Packets,
        *,
        now: int | None = None,
        verify: bool = True,
        ports: Collection[int] | None = None,
    ) -> Packet | PacketList:
        """Open the records in *pkt*; returns a new packet with :class:`NSTPlain` layers.

        Their ``token`` and ``transport_len`` are left ``None``: with them unset,
        :meth:`encrypt` makes the record again, also from a changed payload.

        Stream segments must come in order; a record may span several, and appears in
        the packet made of the last one.

        A list of packets is taken for a capture, which anyone with the key box can read:
        any number of conversations on either transport, in any order, each packet at its
        own time. An observer judges it (:mod:`.packet_observer`), not this socket. There
        is one packet for each record: of those that are ``OK``, or with ``verify=False``
        of all of them.

        Args:
            pkt: a packet with UDP or TCP in it, or bare :class:`NST`; or a list.
            now: real time in nanoseconds, instead of the clock's: for captures,
                ``int(pkt.time * 10**9)``.
            verify: if false, decrypt whole records whatever they are, note what this
                socket would say of each in ``verdict``, and change no state. On a stream,
                *pkt* must then begin with a record, and those after one that is not
                ``OK`` are ``unverified``.
            ports: of a list, packets to or from these are judged; default those that NST
                is bound to.

        Raises:
            NSTRejected: a record's verdict is not ``OK``; on a stream, from then on. With
                ``verify=False`` only for what cannot be decrypted at all: ``SHORT``,
                ``CIPHER``, ``LENGTH``, ``PERTURB`` or ``KID``. Never for a list.
            ValueError: *pkt* is of the other transport.
        """
        if not isinstance(pkt, Packet):
            observer = PacketObserver(self._keybox, window_ns=self._window_ns, ports=ports)
            seen = [plain for one in pkt for plain in observer.observe(one)] + observer.finish()
            wanted = [p for p in seen if not verify or p[NSTPlain].verdict == Verdict.OK]
            return PacketList(wanted, name="decrypted")
        now = self._clock() if now is None else now
        carrier = self._carrier(pkt)
        record = pkt if isinstance(pkt, NST) else pkt.getlayer(NST)
        data = bytes_of(carrier.payload if carrier is not None else record or pkt)
        outcomes = self._receive(data, now) if verify else self._decrypt(data, now)
        opened = []
        for outcome in outcomes:
            if verify and outcome.verdict is not Verdict.OK:
                assert outcome.verdict is not None
                self._stopped = outcome.verdict if self.role is not None else None
                raise NSTRejected(outcome.verdict, outcome.header)
            opened.append(plain_packet(outcome.header, outcome.plaintext, outcome.verdict))
        return replaced(pkt, carrier or record, opened, keep=carrier is not None)

    def _carrier(self, pkt: Packet) -> Packet | None:
        """The UDP or TCP layer of *pkt*."""
        mine, other = (TCP, UDP) if self.transport is Transport.STREAM else (UDP, TCP)
        if isinstance(pkt, NST):
            return None
        layer: Packet | None = pkt.getlayer(mine)
        if layer is None and other in pkt:
            raise ValueError(f"{other.__name__} cannot carry {self.transport.value} records")
        return layer

    def _seal(
        self, data: bytes, forced: dict[str, int | bytes], now: int, chain: bytes | None
    ) -> bytes:
        sender = self._sender
        draft = sender.draft(len(data) & 0xFFFF, now=now)
        header = with_fields(draft.header, forced)
        epoch = self._epoch(header, draft)
        record = seal_under(epoch, header.pack(), data, draft.chain if chain is None else chain)
        if "token" in forced:
            record = record[:TOKEN_OFFSET] + header.token + record[_AFTER_TOKEN:]
        if isinstance(sender, StreamSender):
            sender.sealed(record[TOKEN_OFFSET:_AFTER_TOKEN])
        else:
            assert isinstance(self._receiver, DgramReceiver)
            self._receiver.sent(header.session_id, now)
        return record

    def _epoch(self, header: Header, draft: Draft) -> Epoch:
        """The keys that the header names; where it names none, those drafted."""
        if header.params == draft.header.params and header.session_id == draft.epoch.session_id:
            return draft.epoch
        params = KeyParams(
            header.cipher_id if header.cipher_id in SUITES else draft.header.cipher_id,
            header.kid if header.kid in self._keybox else draft.header.kid,
            header.kpos if header.kpos <= MAX_KPOS else 0,
            header.kval,
        )
        return Epoch(self._keybox[params.kid], params, header.session_id)

    def _receive(self, data: bytes, now: int) -> list[Outcome]:
        if isinstance(self._receiver, DgramReceiver):
            return [self._receiver.receive(data, now=now, age=now)]
        assert isinstance(self._sender, StreamSender)
        if self._stopped is not None:
            raise NSTRejected(self._stopped)
        if self._sender.first_token is not None:
            self._receiver.sent_first(self._sender.first_token)
        outcomes = self._receiver.receive(data, now=now, age=now)
        if self.role is Role.ACCEPTOR and outcomes and outcomes[0].verdict is Verdict.OK:
            assert outcomes[0].header is not None
            self._sender.bind(outcomes[0].header.token)
        return outcomes

    def _decrypt(self, data: bytes, now: int) -> list[Outcome]:
        """Open every record in *data*, and say what would be said of each."""
        outcomes: list[Outcome] = []
        judge = self._judge(now)
        at = 0
        while at < len(data) or not outcomes:
            if len(data) - at < HEADER_LEN:
                raise NSTRejected(Verdict.SHORT)
            header = Header.unpack(data, at)
            body = at + HEADER_LEN
            end = body + body_length(header.cipher_id, header.transport_len, data, body)
            if self.transport is Transport.DGRAM:
                end = max(end, len(data))
            verdict = _undecryptable(header, self._keybox)
            if verdict is None and end > len(data):
                verdict = Verdict.LENGTH
            if verdict is not None:
                raise NSTRejected(verdict, header)
            epoch = Epoch(self._keybox[header.kid], header.params, header.session_id)
            size = epoch.suite.body_len(header.transport_len)
            text = epoch.sealer.decrypt(data[at : body + size])
            outcomes.append(Outcome(judge(data[at:end]), text, header))
            at = end
        return outcomes

    def _judge(self, now: int) -> Callable[[bytes], Verdict | None]:
        """A function that says what this socket would say of one record after another."""
        keep = {id(kept): kept for kept in (self._keybox, self._accept)}
        receiver = copy.deepcopy(self._receiver, keep)
        if isinstance(receiver, DgramReceiver):
            return lambda record: receiver.receive(record, now=now, age=now).verdict
        assert isinstance(self._sender, StreamSender)
        if self._sender.first_token is not None:
            receiver.sent_first(self._sender.first_token)
        # Bytes of a record whose end has not come would be taken for the head of this one.
        in_order = self._stopped is None and not receiver.pending

        def of_stream(record: bytes) -> Verdict | None:
            outcomes = receiver.receive(record, now=now, age=now) if in_order else []
            return outcomes[0].verdict if outcomes else None

        return of_stream

    def _new_sender(self, role: Role | None) -> DgramSender | StreamSender:
        """The sender of another socket that is set up like this one."""
        sender = self._sender
        if role is None:
            return DgramSender(sender.keybox, sender.suite, self._pins, self._rng)
        return StreamSender(role, sender.keybox, sender.suite, self._pins, self._rng)


def _undecryptable(header: Header, keybox: KeyBox) -> Verdict | None:
    """Why no key can be derived for the record, if none can."""
    if header.cipher_id not in SUITES:
        return Verdict.CIPHER
    if header.kpos > MAX_KPOS:
        return Verdict.PERTURB
    return None if header.kid in keybox else Verdict.KID
