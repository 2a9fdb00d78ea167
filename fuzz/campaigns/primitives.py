# SPDX-License-Identifier: GPL-2.0-or-later
"""boofuzz primitives for NST: header fields, payloads, and choices that render nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from boofuzz import BIG_ENDIAN, BitField, Bytes, Fuzzable, FuzzableBlock, ProtocolSessionReference

from fuzz.campaigns.values import ref


@dataclass(frozen=True)
class Offset:
    """A mutation relative to the value that the field would have (boofuzz calls it)."""

    by: int
    modulus: int

    def __call__(self, default: int) -> int:
        return (default + self.by) % self.modulus


@dataclass(frozen=True)
class Flipped:
    """A mutation that inverts bits of the value that the field would have."""

    mask: int

    def __call__(self, default: int) -> int:
        return default ^ self.mask


class Named:
    """Keeps a primitive's qualified name, which boofuzz joins anew for every use.

    Every case asks every element of its request for its value: here in as few steps as can be.
    """

    name: str
    _context_path: str
    _name: str
    _fuzzable: bool
    _default_value: Any
    _known: tuple[str, str] = ("", "")

    @property
    def qualified_name(self) -> str:
        """boofuzz's hook: the path to the element within its request."""
        if self._known[0] != self._context_path:
            self._known = (self._context_path, f"{self._context_path}.{self._name}")
        return self._known[1]

    def get_value(self, mutation_context: Any) -> Any:
        """boofuzz's hook: the default, or what the case has instead."""
        mutation = mutation_context.mutations.get(self.qualified_name)
        if mutation is not None and not callable(mutation.value):
            return mutation.value
        value = self._default_value
        if type(value) is ProtocolSessionReference:
            value = mutation_context.protocol_session.session_variables[value.name]
        return value if mutation is None else mutation.value(value)

    def hold(self) -> None:
        """Do not mutate it."""
        self._fuzzable = False


class Field(Named, BitField):  # type: ignore[misc]
    """A big-endian header field.

    Its mutations are boofuzz's boundary values, the given values, offsets from what
    would be sent, and single flipped bits.
    """

    def __init__(
        self,
        name: str,
        width: int,
        default: int | str,
        *,
        values: Iterable[int] = (),
        offsets: Iterable[int] = (),
        flips: bool = True,
        library: bool = True,
    ) -> None:
        """`width` is in bits; a `default` that is a string names a case value."""
        super().__init__(
            name=name,
            default_value=ref(default) if isinstance(default, str) else default,
            width=width,
            endian=BIG_ENDIAN,
        )
        self._values = tuple(values)
        self._offsets = tuple(offsets)
        self._flips = flips
        self._library = library

    def mutations(self, default_value: Any) -> Iterator[int | Callable[[int], int]]:
        """boofuzz's hook: the values to try."""
        known = dict.fromkeys(self._values)
        if self._library:
            known.update(dict.fromkeys(super().mutations(default_value)))
        yield from known
        yield from (Offset(by, 1 << self.width) for by in self._offsets)
        if self._flips:
            yield from (Flipped(1 << bit) for bit in range(self.width))

    def encode(self, value: int, mutation_context: Any) -> bytes:
        """boofuzz's hook: the value's bytes."""
        return value.to_bytes(self.width // 8)


class Block(Named, FuzzableBlock):  # type: ignore[misc]
    """A block whose children alone are mutated."""

    def render(self, mutation_context: Any = None) -> bytes:
        """boofuzz's hook: what it encodes; it has no value of its own."""
        rendered: bytes = self.encode(b"", mutation_context)
        return rendered


@dataclass(frozen=True)
class Stretched:
    """A mutation that repeats or cuts the payload to a length."""

    length: int

    def __call__(self, default: bytes) -> bytes:
        source = default or b"\0"
        return (source * (self.length // len(source) + 1))[: self.length]


class Payload(Named, Bytes):  # type: ignore[misc]
    """A record's plaintext: boofuzz's byte strings, and chosen lengths."""

    def __init__(self, name: str, default: str, *, lengths: Sequence[int], longest: int) -> None:
        """`default` names a case value; lengths are in bytes."""
        super().__init__(name=name, default_value=b"", max_len=longest)
        self._default_value = ref(default)
        self._lengths = tuple(lengths)

    def mutations(self, default_value: Any) -> Iterator[bytes | Callable[[bytes], bytes]]:
        """boofuzz's hook: the values to try."""
        yield from (Stretched(length) for length in self._lengths)
        yield from super().mutations(default_value or b"")


class Choice(Named, Fuzzable):  # type: ignore[misc]
    """Renders nothing; its value, `None` by default, tells its parent what to do."""

    def __init__(self, name: str, values: Sequence[object]) -> None:
        super().__init__(name=name, default_value=None)
        self._values = tuple(values)

    def mutations(self, default_value: Any) -> Iterator[object]:
        """boofuzz's hook: the values to try."""
        yield from self._values

    def encode(self, value: object, mutation_context: Any) -> bytes:
        """boofuzz's hook: nothing of its own."""
        return b""


def sample(values: Sequence[int], count: int, seed: str) -> list[int]:
    """A few of many values, the same ones every time."""
    return sorted(random.Random(seed).sample(list(values), min(count, len(values))))
