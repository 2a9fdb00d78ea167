# SPDX-License-Identifier: GPL-2.0-or-later
"""Rust's mangled symbols, version 0, as readable paths.

The kernel prints symbols as the linker knows them. The grammar is RFC 2603 of the
Rust project; generic arguments, lifetimes and constants, which no crash title needs,
are left out of what is written.
"""

from __future__ import annotations

_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "s": "i16",
    "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!", "p": "_",
}  # fmt: skip
_DEEPEST = 64


class _Malformed(Exception):
    """Not a symbol of this grammar."""


def demangled(symbol: str) -> str:
    """A path such as `<binder::Process>::update_ref`; the symbol itself if it is none."""
    if not symbol.startswith("_R"):
        return symbol
    try:
        return _Reader(symbol[2:]).path(0)
    except (_Malformed, IndexError, ValueError):
        return symbol


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _next(self) -> str:
        character = self._text[self._at]
        self._at += 1
        return character

    def _take(self, character: str) -> bool:
        if self._text[self._at : self._at + 1] == character:
            self._at += 1
            return True
        return False

    def _base62(self) -> int:
        if self._take("_"):
            return 0
        value = 0
        while not self._take("_"):
            value = value * 62 + "0123456789abcdefghijklmnopqrstuvwxyz".find(self._next().lower())
        return value + 1

    def _disambiguator(self) -> None:
        if self._take("s"):
            self._base62()

    def _identifier(self) -> str:
        self._disambiguator()
        self._take("u")
        digits = ""
        while self._text[self._at : self._at + 1].isdigit():
            digits += self._next()
            if digits == "0":
                break
        length = int(digits)
        self._take("_")
        name = self._text[self._at : self._at + length]
        if len(name) != length:
            raise _Malformed
        self._at += length
        return name

    def _back(self, depth: int, kind: str) -> str:
        offset = 0 if self._take("_") else self._offset()
        if offset >= self._at - 1:
            raise _Malformed
        here, self._at = self._at, offset
        found = self.path(depth + 1) if kind == "path" else self.type(depth + 1)
        self._at = here
        return found

    def _offset(self) -> int:
        value = 0
        while not self._take("_"):
            digit = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
            value = value * 62 + digit.index(self._next())
        return value + 1

    def path(self, depth: int) -> str:
        """A path, at the current position."""
        if depth > _DEEPEST:
            raise _Malformed
        tag = self._next()
        if tag == "C":
            return self._identifier()
        if tag == "N":
            namespace = self._next()
            prefix = self.path(depth + 1)
            name = self._identifier()
            if namespace.isupper():
                return f"{prefix}::{{{'closure' if namespace == 'C' else namespace}}}"
            return f"{prefix}::{name}" if name else prefix
        if tag == "M":
            self._disambiguator()
            self.path(depth + 1)
            return f"<{self.type(depth + 1)}>"
        if tag in "XY":
            if tag == "X":
                self._disambiguator()
                self.path(depth + 1)
            kind = self.type(depth + 1)
            return f"<{kind} as {self.path(depth + 1)}>"
        if tag == "I":
            prefix = self.path(depth + 1)
            while not self._take("E"):
                self._argument(depth + 1)
            return prefix
        if tag == "B":
            return self._back(depth, "path")
        raise _Malformed

    def _argument(self, depth: int) -> None:
        if self._take("L"):
            self._base62()
        elif self._take("K"):
            self._constant()
        else:
            self.type(depth)

    def _constant(self) -> None:
        if self._take("p"):
            return
        self._next()
        while not self._take("_"):
            self._next()

    def type(self, depth: int) -> str:
        """A type, at the current position."""
        if depth > _DEEPEST:
            raise _Malformed
        tag = self._next()
        if tag in _BASIC:
            return _BASIC[tag]
        if tag in "RQ":
            if self._take("L"):
                self._base62()
            return f"&{'mut ' if tag == 'Q' else ''}{self.type(depth + 1)}"
        if tag in "PO":
            return f"*{'const' if tag == 'P' else 'mut'} {self.type(depth + 1)}"
        if tag == "S":
            return f"[{self.type(depth + 1)}]"
        if tag == "A":
            kind = self.type(depth + 1)
            self._constant()
            return f"[{kind}]"
        if tag == "T":
            kinds = []
            while not self._take("E"):
                kinds.append(self.type(depth + 1))
            return f"({', '.join(kinds)})"
        if tag == "B":
            return self._back(depth, "type")
        self._at -= 1
        return self.path(depth + 1)
