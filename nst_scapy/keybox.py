# SPDX-License-Identifier: GPL-2.0-or-later
"""The static key box and its file format (specification, section 4)."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

KEY_LEN = 32
MAX_KID = 65535

_BLANK = re.compile(r"[ \t]*(#.*)?")
_LINE = re.compile(r"[ \t]*([0-9]{1,5})[ \t]+([0-9A-Fa-f]{64})[ \t]*(#.*)?")


class KeyBoxError(ValueError):
    """A key box that breaks the format; the message names file and line, never a key."""


class KeyBox(Mapping[int, bytes]):
    """1 to 65536 keys of 32 bytes, by ``kid``. Immutable; its repr shows no key."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """Take the keys as they are.

        Raises:
            KeyBoxError: no key, a ``kid`` outside 0..65535, or a key not of 32 bytes.
        """
        if not keys:
            raise KeyBoxError("key box holds no key")
        for kid, key in keys.items():
            if not 0 <= kid <= MAX_KID:
                raise KeyBoxError(f"kid {kid} is outside 0..{MAX_KID}")
            if len(key) != KEY_LEN:
                raise KeyBoxError(f"kid {kid}: a key is {KEY_LEN} bytes, this one {len(key)}")
        self._keys = {kid: bytes(key) for kid, key in keys.items()}

    def __getitem__(self, kid: int) -> bytes:
        return self._keys[kid]

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<KeyBox of {len(self)} key{'s' if len(self) != 1 else ''}>"

    @classmethod
    def generate(cls, count: int) -> KeyBox:
        """A box of *count* fresh keys, ``kid`` 0 to count-1, from the system's random source."""
        return cls({kid: secrets.token_bytes(KEY_LEN) for kid in range(count)})

    @classmethod
    def parse(cls, text: str | bytes, name: str = "key box") -> KeyBox:
        """Read the text form.

        Raises:
            KeyBoxError: ``NAME:LINE: why``, for the first line that is wrong.
        """
        if isinstance(text, bytes):
            # Bytes above 127 become lone surrogates, refused below with their line.
            text = text.decode("ascii", "surrogateescape")
        keys: dict[int, bytes] = {}
        # Not splitlines(): it also splits at characters that the format knows nothing of.
        *ended, last = text.split("\n")
        lines = [line.removesuffix("\r") for line in ended] + [last]
        for number, line in enumerate(lines, start=1):
            where = f"{name}:{number}"
            if not line.isascii():
                raise KeyBoxError(f"{where}: not ASCII")
            if "\r" in line:
                raise KeyBoxError(f"{where}: stray carriage return")
            if _BLANK.fullmatch(line):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise KeyBoxError(f"{where}: expected '<kid> <64 hex digits>'")
            kid = int(match[1])
            if kid > MAX_KID:
                raise KeyBoxError(f"{where}: kid {kid} is over {MAX_KID}")
            if kid in keys:
                raise KeyBoxError(f"{where}: kid {kid} is there already")
            keys[kid] = bytes.fromhex(match[2])
        if not keys:
            raise KeyBoxError(f"{name}:{number}: no key in the whole file")
        return cls(keys)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyBox:
        """Read a key-box file.

        Raises:
            KeyBoxError: the contents break the format.
            OSError: the file cannot be read.
        """
        return cls.parse(Path(path).read_bytes(), name=os.fspath(path))

    def dumps(self) -> str:
        """The text form: secret, so write it with :meth:`save` only."""
        return "".join(f"{kid} {key.hex()}\n" for kid, key in sorted(self._keys.items()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the text form to *path*, mode 0600, replacing a file there atomically.

        Raises:
            OSError: it cannot be written; what was there stays as it was.
        """
        path = Path(path)
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(self.dumps())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise


def loose_mode(path: str | os.PathLike[str]) -> int | None:
    """The file's permission bits if others than its owner can read it, else ``None``."""
    mode = stat.S_IMODE(Path(path).stat().st_mode)
    return mode if mode & (stat.S_IRGRP | stat.S_IROTH) else None
