# SPDX-License-Identifier: GPL-2.0-or-later
"""NST as Scapy layers: :class:`NST`, the wire form, and :class:`NSTPlain`, the plain form.

Importing this module binds both to TCP and UDP port 48879; :func:`bind_nst` binds them
elsewhere. No layer holds keys: :class:`nst_scapy.association.NSTAssociation` turns one
form into the other.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Self

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

from .blank import blank_of
from .fields import SessionIdField, TimestampField
from .header import (
    COUNTER_BITS,
    DEFAULT_PORT,
    HEADER_LEN,
    MAGIC,
    MAX_COUNTER,
    TOKEN_LEN,
    VERSION,
    ZERO_TOKEN,
    Header,
)
from .header_layer import CIPHER_IDS, FLAG_NAMES, HeaderLayer
from .pieces import MAGIC_BYTES, body_length, record_pieces
from .suite import BLOCK_LEN, SUITES, SuiteId


class _BodyField(XStrField):
    """The ciphertext: as much as the header says, as far as it is there."""

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, bytes]:
        """Split *s* into what is left and the body."""
        length = body_length(pkt.cipher_id, pkt.transport_len, s)
        return s[length:], s[:length]


class NST(HeaderLayer):
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
        ByteEnumField("cipher_id", SuiteId.AES_GCM, CIPHER_IDS),
        ShortField("transport_len", None),
        TimestampField("timestamp", None),  # type: ignore[arg-type]
        SessionIdField("session_id", 0),
        ShortField("counter", 0),
        XStrFixedLenField("token", ZERO_TOKEN, TOKEN_LEN),
        ByteField("kpos", 0),
        XByteField("kval", 0),
        ShortField("kid", 0),
        FlagsField("flags", None, 32, FLAG_NAMES),
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
            payload.startswith(MAGIC_BYTES)
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
            cls(piece) if piece.startswith(MAGIC_BYTES) else conf.raw_layer(piece)
            for piece in pieces[:limit]
        ]
        if pieces[limit:]:
            layers.append(conf.raw_layer(b"".join(pieces[limit:])))
        if end < len(data):
            layers.append(conf.padding_layer(data[end:]))
        for below, above in pairwise(layers):
            below.lastlayer().add_payload(above)
        return layers[0]


def _raw(data: bytes) -> Packet:
    """What ``conf.raw_layer(data)`` makes."""
    raw: Packet = blank_of(conf.raw_layer).make()
    raw.original = data
    raw.dissect(data)
    return raw


class NSTPlain(HeaderLayer):
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
        ByteEnumField("cipher_id", None, CIPHER_IDS),
        ShortField("transport_len", None),
        TimestampField("timestamp", None),  # type: ignore[arg-type]
        SessionIdField("session_id", None),
        ShortField("counter", None),
        XStrFixedLenField("token", None, TOKEN_LEN),
        ByteField("kpos", None),
        XByteField("kval", None),
        ShortField("kid", None),
        FlagsField("flags", None, 32, FLAG_NAMES),
    ]

    def __init__(self, *args: Any, **fields: Any) -> None:
        """Take a packet's arguments."""
        self.verdict: str | None = None
        self.note = ""
        super().__init__(*args, **fields)

    @classmethod
    def unsealed(cls, header: Header | None, plaintext: bytes | None) -> Self:
        """What a record became; ``token`` and ``transport_len`` are left ``None``.

        With them unset the record can be made again, also from a changed payload.
        """
        plain: Self = blank_of(cls).make()
        if header is not None:
            magic, version, cipher_id, _, timestamp, nonce, _, kpos, kval, kid, flags = header
            plain.fields = {
                "magic": magic,
                "version": version,
                "cipher_id": cipher_id,
                "timestamp": timestamp,
                "session_id": nonce >> COUNTER_BITS,
                "counter": nonce & MAX_COUNTER,
                "kpos": kpos,
                "kval": kval,
                "kid": kid,
                "flags": FlagValue(flags, FLAG_NAMES),
            }
        if plaintext:
            plain.add_payload(_raw(plaintext))
        return plain

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
