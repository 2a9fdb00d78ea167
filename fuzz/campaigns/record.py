# SPDX-License-Identifier: GPL-2.0-or-later
"""A record that is sealed after its fields and its payload were mutated."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection
from typing import Any

from fuzz.campaigns.damage import (
    DAMAGES,
    TOKEN_DAMAGES,
    WRONG_CHAINS,
    WRONG_KEYS,
    WRONG_PADDINGS,
    Damage,
    WrongChain,
    WrongKey,
    WrongPadding,
)
from fuzz.campaigns.primitives import Block, Choice, Field, Payload
from fuzz.campaigns.values import NOW, Canonical, values_of
from fuzz.epochs import derived
from nst_scapy.epoch import perturb
from nst_scapy.header import (
    HEADER,
    MAGIC,
    MAX_KPOS,
    MAX_STREAM_PAYLOAD,
    TOKEN_LEN,
    TOKEN_OFFSET,
    VERSION,
    ZERO_TOKEN,
    Flags,
    Header,
    KeyParams,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.replay import DEFAULT_WINDOW_NS, WINDOW_COUNTERS
from nst_scapy.suite import BLOCK_LEN, SUITES, CbcHmac, SuiteId

_MS = 1_000_000
_S = 1000 * _MS
# Far enough from the limits that the time of a round trip does not matter.
_NEAR = 2 * _S
_TIMES = (
    -1, 1, -_MS, _MS, -_S, _S, -10 * _S, 10 * _S,
    -DEFAULT_WINDOW_NS - _NEAR, -DEFAULT_WINDOW_NS, -DEFAULT_WINDOW_NS + _NEAR,
    DEFAULT_WINDOW_NS - _NEAR, DEFAULT_WINDOW_NS, DEFAULT_WINDOW_NS + _NEAR,
    -60 * _S, 60 * _S, -3600 * _S, 3600 * _S, -(1 << 63), 1 << 32, -(1 << 32),
)  # fmt: skip
_COUNTERS = (
    -1, 1, -2, 2, 32, 63, 64, 65,
    -WINDOW_COUNTERS, -WINDOW_COUNTERS - 1, -WINDOW_COUNTERS + 1, -WINDOW_COUNTERS - 2,
    WINDOW_COUNTERS - 2, WINDOW_COUNTERS - 1, WINDOW_COUNTERS, WINDOW_COUNTERS + 1,
)  # fmt: skip
_LENGTHS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 255, 256, 1024, 1388, 1404)
_Keys = tuple[bytes, KeyParams, int]
"""What a record's keys are derived from: the key box's, how it is perturbed, the session."""
_IV_BLOCK, _SESSION = slice(8, 24), slice(16, 22)
"""Of a record: `timestamp || nonce`, and the session id in it."""
_LONG_STREAM = (4096, 16367, 16368, 16383, 16384)
_LONG_DGRAM = (1405, 1425, 4096, 20000, 65439, 65455)


class SealedRecord(Block):
    """Header fields and a payload; renders to the record that seals them.

    Whatever the mutated header says is authenticated as it stands, under the key that
    it names, as far as it names one: a record with a forged field reaches the check of
    that field and not just the token's. `fault` seals it wrongly instead, `damage` and
    `token` change the sealed bytes. Rendering is a pure function of the case's values.
    """

    def __init__(
        self,
        name: str,
        *,
        keybox: KeyBox,
        suite: SuiteId,
        epoch: str,
        flags: Flags,
        counter: int | str,
        after: str | None = None,
        only: Collection[str] | None = None,
        longest: int | None = None,
        payload: str = "payload",
    ) -> None:
        """
        Args:
            name: of the block.
            keybox: the keys to seal with.
            suite: the suite unless mutated.
            epoch: records that share it share session id and key (names of case values).
            flags: the header's flags unless mutated.
            counter: its counter, or the name of a case value.
            after: the block of the record before it in the same direction of a stream.
            only: the elements that are mutated, by name; `None` for all.
            longest: bytes of payload at most; `None` for what the transport allows, and more.
            payload: the kind of case value that it is unless mutated.
        """
        self._keybox = keybox
        self._kids = sorted(keybox)
        self._suite = suite
        self._number, self._flags = counter, flags
        self._epoch_values = [f"{epoch}.{kind}" for kind in ("session", "kpos", "kval", "kid")]
        self._after = after
        dgram = bool(flags & Flags.DGRAM)
        unknown = _unknown_kids(keybox)
        if longest is None:
            longest = MAX_STREAM_PAYLOAD + 1 if not dgram else _LONG_DGRAM[-1]
        lengths = (*_LENGTHS, *(_LONG_DGRAM if dgram else _LONG_STREAM))
        lengths = tuple(length for length in lengths if length <= longest)
        self._fault = Choice("fault", self._faults(after is not None))
        self._damages = (Choice("damage", DAMAGES), Choice("token", TOKEN_DAMAGES))
        self._payload = Payload(
            "payload",
            f"{name}.{payload}",
            lengths=lengths if not flags & Flags.CLOSE else (0, 1, 16),
            longest=longest if not flags & Flags.CLOSE else 64,
        )
        self._closes = bool(flags & Flags.CLOSE)
        self._fields = [
            Field("magic", 32, MAGIC, library=False, values=(0, 0x3713EFBE, 0xFFFFFFFF)),
            Field("version", 8, VERSION, library=False, values=(0, 2, 255)),
            Field("cipher_id", 8, suite, library=False, values=(0, 1, 2, 3, 4, 5, 6, 0x7F, 255)),
            Field("transport_len", 16, 0, offsets=(-17, -16, -15, -1, 1, 15, 16, 17), flips=False,
                  values=(0, 1, MAX_STREAM_PAYLOAD, MAX_STREAM_PAYLOAD + 1,
                          65455, 65459, 65471, 65479)),
            Field("timestamp", 64, NOW, library=False, flips=False,
                  values=(0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1), offsets=_TIMES),
            Field("session_id", 48, f"{epoch}.session", library=False,
                  values=(0, 1, (1 << 48) - 1, 1 << 47), offsets=(1,)),
            Field("counter", 16, counter, offsets=_COUNTERS, library=False,
                  values=(0, 1, 2, 1023, 1024, 32767, 32768, 65534, 65535)),
            Field("kpos", 8, f"{epoch}.kpos", flips=False, library=False,
                  values=(0, 1, 2, 16, 31, 32, 33, 34, 40, 63, 64, 65, 127, 128, 129, 254, 255)),
            Field("kval", 8, f"{epoch}.kval", flips=False, library=False,
                  values=(0, 1, 127, 128, 254, 255)),
            Field("kid", 16, f"{epoch}.kid", library=False,
                  values=(*keybox, *unknown), offsets=(1, -1)),
            Field("flags", 32, flags, library=False, values=range(16)),
        ]  # fmt: skip
        children: list[Field | Payload | Choice] = [
            *self._fields,
            self._payload,
            self._fault,
            *self._damages,
        ]
        for child in children:
            if only is not None and child.name not in only:
                child.hold()
        super().__init__(name=name, children=children)

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the record's bytes."""
        record = self.sealed(mutation_context)
        if self._mutated(mutation_context):
            for child in self._damages:
                damage = child.get_value(mutation_context)
                if isinstance(damage, Damage):
                    record = damage.apply(record)
        return record

    def sealed(self, context: Any) -> bytes:
        """The record before any damage; sealed once for a case, however many chain to it."""
        values = values_of(context)
        name = self.qualified_name
        record = values.sealed.get(name)
        if record is None:
            if isinstance(values, Canonical) and self._as_ever(context):
                record = values.usual.get(name) or self._seal(context)
                values.usual[name] = record
            else:
                record = self._seal(context)
            values.sealed[name] = record
        return record

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        """Of its elements, as the mutations of a case name them."""
        return frozenset(child.qualified_name for child in self.stack)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """Of the fields in the header."""
        return {child.qualified_name: place for place, child in enumerate(self._fields)}

    @functools.cached_property
    def _before(self) -> SealedRecord | None:
        """The record that it is chained to, if it is."""
        if self._after is None:
            return None
        before = self.request.names[f"{self._context_path}.{self._after}"]
        assert isinstance(before, SealedRecord)
        return before

    def _mutated(self, context: Any) -> bool:
        """Whether the case mutates anything of it."""
        return not self._names.isdisjoint(context.mutations)

    def _as_ever(self, context: Any) -> bool:
        """Whether it does neither that, nor with what this one is chained to."""
        if self._mutated(context):
            return False
        return self._before is None or self._before._as_ever(context)

    def _seal(self, context: Any) -> bytes:
        plaintext = b""
        if not self._closes or self._payload.qualified_name in context.mutations:
            plaintext = self._payload.render(context)
        header = self._header(plaintext, context)
        fault = self._fault.get_value(context)
        chain = self._chain(header, context)
        if isinstance(fault, WrongChain):
            chain = fault.change(chain)
        keys = self._keys(header, fault if isinstance(fault, WrongKey) else None)
        padded = plaintext
        if not SUITES[keys[1].cipher_id].aead:
            count = BLOCK_LEN - len(plaintext) % BLOCK_LEN
            padding = bytes((count,)) * count
            if isinstance(fault, WrongPadding):
                padding = fault.change(padding, count)
            padded += padding
        if values_of(context).compared:
            return _likeness(keys, header, padded, chain)
        sealer = derived(*keys).sealer
        if isinstance(sealer, CbcHmac):
            return sealer.seal_padded(header, padded, chain)
        return sealer.seal(header, plaintext, chain)

    def _header(self, plaintext: bytes, context: Any) -> bytes:
        """The header, token zero, as it is by default but for what is mutated."""
        values = values_of(context)
        counter = values[self._number] if isinstance(self._number, str) else self._number
        session, kpos, kval, kid = self._epoch_values
        fields = [
            MAGIC, VERSION, self._suite, len(plaintext), values[NOW], values[session], counter,
            values[kpos], values[kval], values[kid], self._flags,
        ]  # fmt: skip
        for name, mutation in context.mutations.items():
            place = self._places.get(name)
            if place is not None:
                value = mutation.value
                fields[place] = value(fields[place]) if callable(value) else value
        *before, length, timestamp, session, counter, kpos, kval, kid, flags = fields
        return HEADER.pack(
            *before, length & 0xFFFF, timestamp, session << 16 | counter, ZERO_TOKEN,
            kpos, kval, kid, flags,
        )  # fmt: skip

    def _keys(self, header: bytes, fault: WrongKey | None) -> _Keys:
        """The keys that the header names; where it names none, those of a neighbour."""
        named = Header.unpack(header)
        cipher_id = named.cipher_id if named.cipher_id in SUITES else int(self._suite)
        kid = named.kid if named.kid in self._keybox else self._kids[0]
        kpos = named.kpos if named.kpos <= MAX_KPOS else 0
        kval = named.kval
        if fault is not None:
            kid = self._kids[(self._kids.index(kid) + fault.kid) % len(self._kids)]
            kval ^= fault.kval
        params = KeyParams(cipher_id, kid, kpos, kval)
        return self._keybox[kid], params, named.session_id

    def _chain(self, header: bytes, context: Any) -> bytes:
        """The token of the record before, if this one begins another epoch."""
        if self._before is None:
            return b""
        record = self._before.sealed(context)
        if record[_SESSION] == header[_SESSION]:
            return b""
        return record[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]

    def _faults(self, chained: bool) -> list[WrongPadding | WrongChain | WrongKey]:
        faults: list[WrongPadding | WrongChain | WrongKey] = [*WRONG_KEYS]
        faults += WRONG_CHAINS if chained else WRONG_CHAINS[1:3]
        if not SUITES[self._suite].aead:
            faults += WRONG_PADDINGS
        return faults


def _likeness(keys: _Keys, header: bytes, padded: bytes, chain: bytes) -> bytes:
    """What stands for a record where cases are only compared.

    It is as long, and two are the same in a part (token, body) just if records are. Nothing has
    to be derived or sealed for it, which takes ten times as long.
    """
    key, params, _ = keys
    secret = perturb(key, params.kpos, params.kval) + bytes((params.cipher_id,)) + header[_SESSION]
    authentic = header + bytes((len(chain),)) + chain + padded
    token = hashlib.blake2b(authentic, key=secret, digest_size=TOKEN_LEN).digest()
    mask = hashlib.shake_128(secret + header[_IV_BLOCK]).digest(len(padded))
    body = (int.from_bytes(padded) ^ int.from_bytes(mask)).to_bytes(len(padded))
    return header[:TOKEN_OFFSET] + token + header[TOKEN_OFFSET + TOKEN_LEN :] + body


def _unknown_kids(keybox: Collection[int]) -> list[int]:
    """Some `kid` values that are not in the key box."""
    near = {kid + step for kid in keybox for step in (-1, 1)}
    candidates = (*sorted(near), 0, 1, 255, 256, 32767, 32768, 65535)
    return [kid for kid in dict.fromkeys(candidates) if 0 <= kid <= 65535 and kid not in keybox]
