# SPDX-License-Identifier: GPL-2.0-or-later
"""A security association: turns plain packets into NST records and back.

An :class:`NSTAssociation` stands for one socket: it seals what that socket sends and
judges what it receives. Give each end of a conversation its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from scapy.config import conf
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from .checks import Policy, check_perturbation, check_prefix
from .epoch import Epoch, seal_under, zero_token
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
from .layer import NST, NSTPlain, body_length
from .receiver import DgramReceiver, Outcome, Receiver
from .replay import DEFAULT_WINDOW_NS, DgramTable, StreamTable
from .sender import DgramSender, Draft, Pins, StreamSender
from .stream import StreamReceiver
from .suite import SUITES, SuiteId
from .verdict import Verdict

_AFTER_TOKEN = TOKEN_OFFSET + TOKEN_LEN


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
        keybox: KeyBox,
        suite: SuiteId | int | str = SuiteId.AES_GCM,
        *,
        transport: Transport | str = Transport.DGRAM,
        role: Role | str | None = None,
        kids: Sequence[int] | None = None,
        perturbation: tuple[int, int] | None = None,
        accept: Policy | None = None,
        window_ns: int = DEFAULT_WINDOW_NS,
        rng: random.Random | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make an association.

        Args:
            keybox: the keys that both ends hold.
            suite: ``cipher_id`` or name that it seals with.
            transport: ``"dgram"`` or ``"stream"``.
            role: ``"initiator"`` (default) or ``"acceptor"``, for streams.
            kids: draw ``kid`` from these; default the whole key box.
            perturbation: ``(kpos, kval)`` for every epoch; default drawn for each.
            accept: the suites and kids it accepts; default all.
            window_ns: timestamp window, nanoseconds.
            rng: source of what is drawn; default the system's.
            clock: gives real time in nanoseconds.

        Raises:
            ValueError: an unknown suite, transport or role.
        """
        try:
            suite = SuiteId[suite] if isinstance(suite, str) else SuiteId(suite)
        except KeyError:
            raise ValueError(f"{suite!r} is not a suite") from None
        pins = Pins(kids, perturbation)
        shared = Receiver(
            keybox,
            window_ns,
            Policy() if accept is None else accept,
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

    def encrypt(
        self, pkt: Packet | bytes, *, now: int | None = None, chain: bytes | None = None
    ) -> Packet:
        """Seal what *pkt* carries; returns a new packet.

        *pkt* may be a packet with UDP or TCP in it, whose payload is sealed, or the
        payload itself. If there is an :class:`NSTPlain` its payload is sealed, and its fields
        that are not ``None`` go into the header as they are. Keys follow the header
        where it names any, so that forged headers verify too; a forced ``token``
        replaces the one computed. TCP sequence numbers are left as they are.

        Args:
            pkt: what to seal.
            now: real time in nanoseconds, instead of the clock's.
            chain: ``T`` of section 5 (16 bytes, or none), instead of the association's.

        Raises:
            ValueError: *pkt* is of the other transport, or the stream is closed.
        """
        now = self._clock() if now is None else now
        if isinstance(pkt, bytes):
            pkt = conf.raw_layer(pkt)
        carrier = self._carrier(pkt)
        plain = pkt.getlayer(NSTPlain)
        if plain is not None:
            data = _bytes_of(plain.payload)
            records = [self._seal(data, _forced(plain), now, chain)]
        else:
            data = _bytes_of(pkt if carrier is None else carrier.payload)
            pieces = [data]
            if self.transport is Transport.STREAM:
                starts = range(0, len(data), MAX_STREAM_PAYLOAD)
                pieces = [data[start : start + MAX_STREAM_PAYLOAD] for start in starts]
            records = [self._seal(piece, {}, now, chain) for piece in pieces]
        layers = [NST(record) for record in records]
        return _replaced(pkt, carrier or plain, layers, keep=carrier is not None)

    def close(self, *, now: int | None = None) -> Packet:
        """The ``CLOSE`` record that ends this side of the stream.

        Raises:
            ValueError: for datagrams, or if it is closed already.
        """
        if not isinstance(self._sender, StreamSender):
            raise ValueError("datagrams have no end")
        return NST(self._sender.close(now=self._clock() if now is None else now))

    def decrypt(self, pkt: Packet, *, now: int | None = None, verify: bool = True) -> Packet:
        """Open the records in *pkt*; returns a new packet with :class:`NSTPlain` layers.

        Their ``token`` and ``transport_len`` are left ``None``: with them unset,
        :meth:`encrypt` makes the record again, also from a changed payload.

        Stream segments must come in order; a record may span several, and appears in
        the packet made of the last one.

        Args:
            pkt: a packet with UDP or TCP in it, or bare :class:`NST`.
            now: real time in nanoseconds, instead of the clock's: for captures,
                ``int(pkt.time * 10**9)``.
            verify: if false, decrypt whole records whatever they are, and change no state.

        Raises:
            NSTRejected: a record's verdict is not ``OK``; on a stream, from then on. With
                ``verify=False`` only for what cannot be decrypted at all: ``SHORT``,
                ``MAGIC``, ``VERSION``, ``CIPHER``, ``LENGTH``, ``PERTURB`` or ``KID``.
            ValueError: *pkt* is of the other transport.
        """
        now = self._clock() if now is None else now
        carrier = self._carrier(pkt)
        record = pkt.getlayer(NST)
        data = _bytes_of(carrier.payload if carrier is not None else record or pkt)
        outcomes = self._receive(data, now) if verify else self._decrypt(data)
        opened = []
        for outcome in outcomes:
            if outcome.verdict not in (Verdict.OK, None):
                if verify:
                    self._stopped = outcome.verdict if self.role is not None else None
                raise NSTRejected(outcome.verdict, outcome.header)
            assert outcome.header is not None
            opened.append(_plain(outcome.header, outcome.plaintext or b""))
        return _replaced(pkt, carrier or record, opened, keep=carrier is not None)

    def _carrier(self, pkt: Packet) -> Packet | None:
        """The UDP or TCP layer of *pkt*."""
        mine, other = (TCP, UDP) if self.transport is Transport.STREAM else (UDP, TCP)
        layer: Packet | None = pkt.getlayer(mine)
        if layer is None and other in pkt:
            raise ValueError(f"{other.__name__} cannot carry {self.transport.value} records")
        return layer

    def _seal(
        self, data: bytes, forced: dict[str, int | bytes], now: int, chain: bytes | None
    ) -> bytes:
        sender = self._sender
        draft = sender.draft(len(data) & 0xFFFF, now=now)
        header = draft.header._replace(**forced)  # type: ignore[arg-type]
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

    def _decrypt(self, data: bytes) -> list[Outcome]:
        """Open every record in *data*, nothing verified."""
        outcomes: list[Outcome] = []
        at = 0
        while at < len(data) or not outcomes:
            if len(data) - at < HEADER_LEN:
                return [*outcomes, Outcome(Verdict.SHORT)]
            header = Header.unpack(data, at)
            body = at + HEADER_LEN
            end = body + body_length(header.cipher_id, header.transport_len, data, body)
            verdict = check_prefix(data[at:]) or _undecryptable(header, self._keybox)
            if verdict is None and end > len(data):
                verdict = Verdict.LENGTH
            if verdict is not None:
                return [*outcomes, Outcome(verdict, header=header)]
            epoch = Epoch(self._keybox[header.kid], header.params, header.session_id)
            text = epoch.sealer.decrypt(
                zero_token(data[at:end]), data[body:end], header.transport_len
            )
            outcomes.append(Outcome(None, text, header))
            at = end
        return outcomes


def _undecryptable(header: Header, keybox: KeyBox) -> Verdict | None:
    """Why no key can be derived for the record, if none can."""
    if header.cipher_id not in SUITES:
        return Verdict.CIPHER
    return check_perturbation(header) or (None if header.kid in keybox else Verdict.KID)


def _forced(plain: Packet) -> dict[str, int | bytes]:
    """The fields that are set."""
    forced = {name: plain.getfieldval(name) for name in Header._fields}
    return {
        name: bytes(value) if name == "token" else int(value)
        for name, value in forced.items()
        if value is not None
    }


def _plain(header: Header, plaintext: bytes) -> Packet:
    fields = header._asdict()
    del fields["token"], fields["transport_len"]
    plain = NSTPlain(**fields)
    if plaintext:
        plain.add_payload(conf.raw_layer(plaintext))
    return plain


def _bytes_of(pkt: Packet) -> bytes:
    """The bytes of a packet, without padding of the link layer."""
    padding = pkt.getlayer(conf.padding_layer)
    wire = bytes(pkt)
    return wire[: len(wire) - len(padding)] if padding is not None else wire


def _replaced(
    pkt: Packet, layer: Packet | None, contents: Sequence[Packet], *, keep: bool
) -> Packet:
    """A copy of *pkt* with *contents* after *layer*, or instead of it if not to *keep*.

    Lengths and checksums below it are left to be computed again.
    """
    stack: list[Packet] = []
    lower: Packet | None = pkt
    while layer is not None and lower is not None and (keep or lower is not layer):
        bare = lower.copy()
        bare.remove_payload()
        for name in ("len", "plen", "chksum"):
            if name in bare.fields:
                bare.delfieldval(name)
        stack.append(bare)
        lower = None if lower is layer else lower.payload
    stack += contents
    for below, above in pairwise(stack):
        below.lastlayer().add_payload(above)
    return stack[0] if stack else conf.raw_layer(b"")
