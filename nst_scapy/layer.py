# SPDX-License-Identifier: GPL-2.0-or-later
"""NST as Scapy layers: :class:`NST`, the wire form, and :class:`NSTPlain`, the plain form.

Importing this module binds both to TCP and UDP port 48879; :func:`bind_nst` binds them
elsewhere. No layer holds keys: :class:`nst_scapy.association.NSTAssociation` turns one
form into the other.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

from scapy.config import conf
from scapy.fields import (
    ByteEnumField,
    ByteField,
    FlagsField,
    FlagValue,
    ShortField,
    XByteField,
    XIntField,
    XStrField,
    XStrFixedLenField,
)
from scapy.layers.inet import TCP, UDP
from scapy.packet import (
    NoPayload,
    Packet,
    bind_bottom_up,
    bind_top_down,
    split_bottom_up,
    split_top_down,
)

from .fields import SessionIdField, TimestampField
from .header import (
    COUNTER_BITS,
    DEFAULT_PORT,
    HEADER,
    HEADER_LEN,
    MAGIC,
    MAX_COUNTER,
    TOKEN_LEN,
    VERSION,
    ZERO_TOKEN,
    Flags,
    Header,
    make_nonce,
)
from .suite import BLOCK_LEN, SUITES, SuiteId

_MAGIC_BYTES = MAGIC.to_bytes(4)
_CIPHER_IDS = {int(suite): suite.name for suite in SuiteId}
_FLAG_NAMES = [flag.name or "" for flag in Flags]
_LENGTH = slice(6, 8)
_TIMESTAMP = slice(8, 16)
_FLAGS = slice(44, 48)


def body_length(cipher_id: int, transport_len: int, wire: bytes, at: int = 0) -> int:
    """Length in bytes of a record's body, given what its header says; *wire* has it at *at*.

    A ``cipher_id`` that names no suite does not tell: then the body is all up to the
    next magic, or to the end.
    """
    suite = SUITES.get(cipher_id)
    if suite is not None:
        return suite.body_len(transport_len)
    end = wire.find(_MAGIC_BYTES, at)
    return (end if end >= 0 else len(wire)) - at


class _Header(Packet):
    """What the two forms share: the fields of the header, and their computation."""

    def __init__(self, *args: Any, nonce: int | None = None, **fields: Any) -> None:
        """Take a packet's arguments, and ``nonce`` for ``session_id`` and ``counter`` at once."""
        if nonce is not None:
            fields.setdefault("session_id", nonce >> COUNTER_BITS)
            fields.setdefault("counter", nonce & MAX_COUNTER)
        super().__init__(*args, **fields)

    def do_dissect(self, s: bytes) -> bytes:
        """Scapy's, field by field, takes most of a dissection's time; this is one step.

        What has no whole header fails there, as ever.
        """
        if len(s) < HEADER_LEN:
            rest: bytes = super().do_dissect(s)
            return rest
        fields = self.fields
        (
            fields["magic"],
            fields["version"],
            fields["cipher_id"],
            fields["transport_len"],
            fields["timestamp"],
            nonce,
            fields["token"],
            fields["kpos"],
            fields["kval"],
            fields["kid"],
            flags,
        ) = HEADER.unpack_from(s)
        fields["session_id"] = nonce >> COUNTER_BITS
        fields["counter"] = nonce & MAX_COUNTER
        fields["flags"] = FlagValue(flags, _FLAG_NAMES)
        # A change of what is mutable is noticed by a copy.
        self.raw_packet_cache_fields = {"flags": FlagValue(flags, _FLAG_NAMES)}
        end = HEADER_LEN + self._dissect_body(s)
        self.raw_packet_cache = s[:end]
        self.explicit = 1
        return s[end:]

    def _dissect_body(self, wire: bytes) -> int:
        """Take what follows the header; returns how many bytes that is."""
        return 0

    @property
    def nonce(self) -> int:
        """``session_id`` (upper 48 bits) and ``counter`` (lower 16 bits); ``None`` counts as 0."""
        return make_nonce(int(self.session_id or 0), int(self.counter or 0))

    @nonce.setter
    def nonce(self, value: int) -> None:
        self.session_id = value >> COUNTER_BITS
        self.counter = value & MAX_COUNTER

    def hashret(self) -> bytes:
        """Alike for all records: nothing in them pairs question and answer."""
        return b"NST"

    def answers(self, other: Packet) -> int:
        """Whether *other* is a record of the other direction, as far as the flags tell."""
        if not isinstance(other, _Header):
            return 0
        if self.flags is None or other.flags is None:
            return 1
        mine, theirs = int(self.flags), int(other.flags)
        if mine & Flags.DGRAM and theirs & Flags.DGRAM:
            return 1
        return int((mine ^ theirs) & (Flags.REPLY | Flags.DGRAM) == Flags.REPLY)

    def _command(self, json: bool = False) -> list[tuple[str, Any]]:
        """As Scapy's; but in JSON, bytes are in hex, so that they can be read again."""
        shown: list[tuple[str, Any]] = super()._command(json=json)
        if not json:
            return shown
        values = ((name, self.getfieldval(name), text) for name, text in shown)
        return [
            (name, bytes(value).hex() if isinstance(value, bytes) else text)
            for name, value, text in values
        ]

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Any:
        """A packet with what :meth:`_command` made of the fields."""
        names = {field.name for field in cls.fields_desc}
        if unknown := fields.keys() - names:
            raise ValueError(f"{cls.__name__} has no field {min(unknown)!r}")
        for name in "token", "body":
            if isinstance(fields.get(name), str):
                fields[name] = bytes.fromhex(fields[name])
        return cls(**fields)

    def _computed_len(self, payload: bytes) -> int:
        raise NotImplementedError

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in ``transport_len``, ``timestamp`` and ``flags`` where they are ``None``."""
        header = bytearray(pkt)
        if self.transport_len is None:
            header[_LENGTH] = min(self._computed_len(pay), 0xFFFF).to_bytes(2)
        if self.timestamp is None:
            header[_TIMESTAMP] = time.time_ns().to_bytes(8)
        if self.flags is None:
            header[_FLAGS] = int(self._default_flags()).to_bytes(4)
        return bytes(header) + pay

    def _default_flags(self) -> Flags:
        return Flags.DGRAM if isinstance(self.underlayer, UDP) else Flags(0)

    def mysummary(self) -> str:
        """Suite, kid, counter and length, as in ``AES_GCM kid 3 seq 17 len 1400``."""
        suite = _CIPHER_IDS.get(self.cipher_id, f"cipher {self.cipher_id}")
        flags = f" {self.flags}" if self.flags else ""
        length = self.transport_len
        if length is None:
            length = self._computed_len(bytes(self.payload))
        return f"{self.name} {suite} kid {self.kid} seq {self.counter} len {length}{flags}"


class _BodyField(XStrField):
    """The ciphertext: as much as the header says, as far as it is there."""

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, bytes]:
        """Split *s* into what is left and the body."""
        length = body_length(pkt.cipher_id, pkt.transport_len, s)
        return s[length:], s[:length]


class NST(_Header):
    """A sealed record: the 48 bytes of the header and the body (section 1).

    ``bytes()`` gives back what was dissected. Of several records in one segment each is
    the payload of the one before; those over ``conf.max_list_count`` stay raw bytes.

    Computed when built if ``None``: ``transport_len`` (the most that a body of this
    length can hold), ``timestamp`` (now), ``flags`` (``DGRAM`` on UDP).
    """

    name = "NST"
    fields_desc = [  # noqa: RUF012
        XIntField("magic", MAGIC),
        ByteField("version", VERSION),
        ByteEnumField("cipher_id", SuiteId.AES_GCM, _CIPHER_IDS),
        ShortField("transport_len", None),
        TimestampField("timestamp", None),  # type: ignore[arg-type]
        SessionIdField("session_id", 0),
        ShortField("counter", 0),
        XStrFixedLenField("token", ZERO_TOKEN, TOKEN_LEN),
        ByteField("kpos", 0),
        XByteField("kval", 0),
        ShortField("kid", 0),
        FlagsField("flags", None, 32, _FLAG_NAMES),
        _BodyField("body", b""),
    ]

    def _dissect_body(self, wire: bytes) -> int:
        fields = self.fields
        length = body_length(fields["cipher_id"], fields["transport_len"], wire, HEADER_LEN)
        fields["body"] = body = wire[HEADER_LEN : HEADER_LEN + length]
        return len(body)

    def _computed_len(self, payload: bytes) -> int:
        body = len(self.body)
        suite = SUITES.get(self.cipher_id)
        if suite is None or suite.aead:
            return body
        return max(0, body - 1) // BLOCK_LEN * BLOCK_LEN + BLOCK_LEN - 1 if body else 0

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Another record, where one can follow: not on UDP."""
        if (
            payload.startswith(_MAGIC_BYTES)
            and len(payload) >= HEADER_LEN
            and self._records_before() < conf.max_list_count
        ):
            return NST
        return super().guess_payload_class(payload)

    def _records_before(self) -> int:
        """How many records there are up to this one; no more can follow one on UDP."""
        count = 0
        layer: Packet | None = self
        while isinstance(layer, NST):
            count += 1
            layer = layer.underlayer
        return conf.max_list_count if isinstance(layer, UDP) else count

    def json(self) -> str:
        """One JSON object, which :meth:`from_json` reads; bytes are in hex."""
        shown = dict(self._command(json=True))
        if isinstance(self.payload, NST):
            shown["payload"] = json.loads(self.payload.json())
        elif rest := bytes(self.payload):
            shown["rest"] = rest.hex()
        return json.dumps(shown)

    @classmethod
    def from_json(cls, text: str) -> NST:
        """The records, stacked, that :meth:`json` has shown.

        Raises:
            ValueError: it is not of that form.
        """
        return cls._from_object(json.loads(text))

    @classmethod
    def _from_object(cls, shown: Any) -> NST:
        if not isinstance(shown, dict):
            raise ValueError("a record in JSON is an object")
        fields = dict(shown)
        above, rest = fields.pop("payload", None), fields.pop("rest", None)
        record: NST = cls._from_fields(fields)
        if above is not None:
            record.add_payload(cls._from_object(above))
        elif rest is not None:
            record.add_payload(conf.raw_layer(bytes.fromhex(rest)))
        return record

    @classmethod
    def tcp_reassemble(
        cls,
        data: bytes,
        metadata: dict[str, Any],
        session: dict[str, Any],  # noqa: ARG003
    ) -> Packet | None:
        """The records that have come, each the payload of the one before (``TCPSession``).

        What is between records is raw bytes, and so is what exceeds
        ``conf.max_list_count`` layers. A record that is not whole yet is left as
        padding, for the next segments.
        """
        pieces, end, wanted = record_pieces(data)
        if not pieces:
            metadata["tcp_min_len"] = wanted
            return None
        # TCPSession loses count of the bytes if it has to ask twice about one segment.
        limit = conf.max_list_count
        layers = [
            cls(piece) if piece.startswith(_MAGIC_BYTES) else conf.raw_layer(piece)
            for piece in pieces[:limit]
        ]
        if pieces[limit:]:
            layers.append(conf.raw_layer(b"".join(pieces[limit:])))
        if end < len(data):
            layers.append(conf.padding_layer(data[end:]))
        for below, above in pairwise(layers):
            below.lastlayer().add_payload(above)
        return layers[0]


def record_pieces(data: bytes) -> tuple[list[bytes], int, int]:
    """Whole records and what is between them; where they end; and what length has one more."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        start = data.find(_MAGIC_BYTES, at)
        if start == at:
            if len(data) - at < HEADER_LEN:
                return pieces, at, at + HEADER_LEN
            header = Header.unpack(data, at)
            end = at + HEADER_LEN
            end += body_length(header.cipher_id, header.transport_len, data, end)
            if len(data) < end:
                return pieces, at, end
        elif start > at:
            end = start
        else:
            # The last bytes may be the beginning of a magic.
            tails = range(max(at, len(data) - 3), len(data))
            end = next((n for n in tails if _MAGIC_BYTES.startswith(data[n:])), len(data))
            if end == at:
                return pieces, at, at + HEADER_LEN
        pieces.append(data[at:end])
        at = end
    return pieces, at, at + HEADER_LEN


class NSTPlain(_Header):
    """A record that is not sealed: the header, and the plaintext as the payload.

    A field that is ``None`` (all but ``magic`` and ``version``) is given by the
    association that encrypts; one that is set is sealed as it is, true or not.

    Attributes:
        verdict: what was said of the record that it came from: one of the specification's
            names, or ``unverified``; ``None`` if it came from no record.
        note: why there is no verdict, else empty.
    """

    __slots__ = ["note", "verdict"]  # Scapy's metaclass wants a list

    name = "NST plain"
    fields_desc = [  # noqa: RUF012
        XIntField("magic", MAGIC),
        ByteField("version", VERSION),
        ByteEnumField("cipher_id", None, _CIPHER_IDS),
        ShortField("transport_len", None),
        TimestampField("timestamp", None),  # type: ignore[arg-type]
        SessionIdField("session_id", None),
        ShortField("counter", None),
        XStrFixedLenField("token", None, TOKEN_LEN),
        ByteField("kpos", None),
        XByteField("kval", None),
        ShortField("kid", None),
        FlagsField("flags", None, 32, _FLAG_NAMES),
    ]

    def __init__(self, *args: Any, **fields: Any) -> None:
        """Take a packet's arguments."""
        self.verdict: str | None = None
        self.note = ""
        super().__init__(*args, **fields)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields: built, those that are ``None`` would come back set."""
        fields = {
            name: int(value) if name == "flags" and value is not None else value
            for name, value in self.fields.items()
        }
        payload = None if isinstance(self.payload, NoPayload) else self.payload
        return _restored, (fields, payload, self.verdict, self.note, self.time)

    def copy(self) -> NSTPlain:
        """A deep copy, verdict included."""
        clone: NSTPlain = super().copy()
        clone.verdict, clone.note = self.verdict, self.note
        return clone

    def _computed_len(self, payload: bytes) -> int:
        return len(payload)

    def mysummary(self) -> str:
        """That of the header, and the verdict."""
        verdict = "" if self.verdict is None else f" [{self.verdict}]"
        return super().mysummary() + verdict

    def json(self) -> str:
        """One JSON object, which :meth:`from_json` reads; bytes are in hex."""
        shown = dict(self._command(json=True))
        shown |= {"plaintext": bytes(self.payload).hex(), "verdict": self.verdict}
        return json.dumps(shown | {"note": self.note})

    @classmethod
    def from_json(cls, text: str) -> NSTPlain:
        """The packet that :meth:`json` has shown, its payload as raw bytes.

        Raises:
            ValueError: it is not of that form.
        """
        shown = json.loads(text)
        if not isinstance(shown, dict):
            raise ValueError("a record in JSON is an object")
        verdict, note = shown.pop("verdict", None), shown.pop("note", "")
        data = bytes.fromhex(shown.pop("plaintext", ""))
        plain: NSTPlain = cls._from_fields(shown)
        plain.verdict, plain.note = verdict, note
        if data:
            plain.add_payload(conf.raw_layer(data))
        return plain


def _restored(
    fields: dict[str, Any], payload: Packet | None, verdict: str | None, note: str, time: Any
) -> NSTPlain:
    """What :meth:`NSTPlain.__reduce__` took apart."""
    plain = NSTPlain(**fields)
    plain.verdict, plain.note, plain.time = verdict, note, time
    if payload is not None:
        plain.add_payload(payload)
    return plain


_bound: list[int] = []


def bind_nst(*ports: int) -> None:
    """Take TCP and UDP on these *ports*, either side, for NST, instead of those before.

    The first one is the default port of packets that are built.
    """
    for port in _bound:
        for transport in (TCP, UDP):
            split_bottom_up(transport, NST, sport=port)
            split_bottom_up(transport, NST, dport=port)
    if _bound:
        _bind_default(split_top_down, _bound[0])
    _bound[:] = ports
    for port in ports:
        for transport in (TCP, UDP):
            for side in ("sport", "dport"):
                bind_bottom_up(transport, NST, **{side: port})
                # The first match counts, and Scapy takes UDP 48879 for VXLAN.
                guesses = transport.payload_guess
                guesses.insert(0, guesses.pop())
    if ports:
        _bind_default(bind_top_down, ports[0])


def bound_ports() -> tuple[int, ...]:
    """The ports that are taken for NST, the default one first."""
    return tuple(_bound)


def _bind_default(bind: Any, port: int) -> None:
    for transport in (TCP, UDP):
        for layer in (NST, NSTPlain):
            bind(transport, layer, sport=port, dport=port)


def _list_in_scapy() -> None:
    """Have ``explore("nst")`` find the layers where Scapy lists layers by module.

    Scapy evaluates each module's name there, and only those below its own exist for it.
    """
    conf.layers.ldict["scapy.layers.nst"] = conf.layers.ldict.pop(__name__)


bind_nst(DEFAULT_PORT)
_list_in_scapy()
