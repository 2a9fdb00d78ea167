# SPDX-License-Identifier: GPL-2.0-or-later
"""A record that is sealed after its fields and its payload were mutated."""

from __future__ import annotations

import functools
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
from fuzz.campaigns.values import NOW, values_of
from nst_scapy.epoch import Epoch, seal_under
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
    zero_token,
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
        self._suite = suite
        self._epoch_name, self._number, self._flags = epoch, counter, flags
        self._places: dict[str, int] = {}
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
        for child in self._damages:
            damage = child.get_value(mutation_context)
            if isinstance(damage, Damage):
                record = damage.apply(record)
        return record

    def sealed(self, context: Any) -> bytes:
        """The record before any damage; sealed once for a case, however many chain to it."""
        known = values_of(context).sealed
        record = known.get(self.qualified_name)
        if record is None:
            record = known[self.qualified_name] = self._seal(context)
        return record

    def _seal(self, context: Any) -> bytes:
        plaintext = (
            b""
            if self._closes and not self._mutated(self._payload, context)
            else (self._payload.render(context))
        )
        header = self._header(plaintext, context)
        parsed = Header.unpack(header)
        fault = self._fault.get_value(context)
        chain = self._chain(parsed, context)
        if isinstance(fault, WrongChain):
            chain = fault.change(chain)
        epoch = self._epoch(parsed, fault if isinstance(fault, WrongKey) else None)
        if isinstance(fault, WrongPadding) and isinstance(epoch.sealer, CbcHmac):
            count = BLOCK_LEN - len(plaintext) % BLOCK_LEN
            padded = plaintext + fault.change(bytes((count,)) * count, count)
            return epoch.sealer.seal_padded(zero_token(header), padded, chain)
        return seal_under(epoch, header, plaintext, chain)

    def _mutated(self, child: Any, context: Any) -> bool:
        return child.qualified_name in context.mutations

    def _header(self, plaintext: bytes, context: Any) -> bytes:
        """The header, token zero, as it is by default but for what is mutated."""
        if not self._places:
            names = (child.qualified_name for child in self._fields)
            self._places = {name: place for place, name in enumerate(names)}
        values = values_of(context)
        counter = values[self._number] if isinstance(self._number, str) else self._number
        epoch = self._epoch_name
        fields = [
            MAGIC, VERSION, self._suite, len(plaintext), values[NOW], values[f"{epoch}.session"],
            counter, values[f"{epoch}.kpos"], values[f"{epoch}.kval"], values[f"{epoch}.kid"],
            self._flags,
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

    def _epoch(self, header: Header, fault: WrongKey | None) -> Epoch:
        """The keys that the header names; where it names none, those of a neighbour."""
        cipher_id = header.cipher_id if header.cipher_id in SUITES else int(self._suite)
        kids = sorted(self._keybox)
        kid = header.kid if header.kid in self._keybox else kids[0]
        kpos = header.kpos if header.kpos <= MAX_KPOS else 0
        kval = header.kval
        if fault is not None:
            kid = kids[(kids.index(kid) + fault.kid) % len(kids)]
            kval ^= fault.kval
        params = KeyParams(cipher_id, kid, kpos, kval)
        return _derived(self._keybox[kid], params, header.session_id)

    def _chain(self, header: Header, context: Any) -> bytes:
        """The token of the record before, if this one begins another epoch."""
        if self._after is None:
            return b""
        before = self.request.names[f"{self._context_path}.{self._after}"]
        assert isinstance(before, SealedRecord)
        record = before.sealed(context)
        if Header.unpack(record).session_id == header.session_id:
            return b""
        return record[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]

    def _faults(self, chained: bool) -> list[WrongPadding | WrongChain | WrongKey]:
        faults: list[WrongPadding | WrongChain | WrongKey] = [*WRONG_KEYS]
        faults += WRONG_CHAINS if chained else WRONG_CHAINS[1:3]
        if not SUITES[self._suite].aead:
            faults += WRONG_PADDINGS
        return faults


@functools.lru_cache(256)
def _derived(key: bytes, params: KeyParams, session_id: int) -> Epoch:
    """An epoch; the records of a case share a few, and canonical cases all have the same."""
    return Epoch(key, params, session_id)


def _unknown_kids(keybox: Collection[int]) -> list[int]:
    """Some `kid` values that are not in the key box."""
    near = {kid + step for kid in keybox for step in (-1, 1)}
    candidates = (*sorted(near), 0, 1, 255, 256, 32767, 32768, 65535)
    return [kid for kid in dict.fromkeys(candidates) if 0 <= kid <= 65535 and kid not in keybox]
