# SPDX-License-Identifier: GPL-2.0-or-later
"""Source lines for stack frames, from the debug information of vmlinux and of modules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection, SymbolTableSection

from fuzz.errors import UserError
from fuzz.triage import frames
from fuzz.triage.frames import Frame

_PLACE = re.compile(r"(?P<file>.+):(?P<line>\d+|\?)(?: \(discriminator \d+\))?$")


_PADDING = 64


class SymbolsError(UserError):
    """A file that symbols cannot be read from."""


@dataclass(frozen=True)
class _Symbol:
    section: str
    start: int
    size: int


class Symbols:
    """The symbols of one ELF file: a vmlinux, or a module.

    Attributes:
        path: the file.
        module: the module's name, empty for a vmlinux.
    """

    def __init__(self, path: Path, module: str = "") -> None:
        """Read the symbol table.

        Raises:
            SymbolsError: it is no ELF file, or has no symbols.
        """
        self.path = path
        self.module = module
        self._symbols: dict[str, list[_Symbol]] = {}
        self.build_id = ""
        try:
            with path.open("rb") as file:
                self._read(ELFFile(file))
        except OSError as error:
            raise SymbolsError(f"{path}: {error.strerror}") from None
        except (ELFError, ValueError) as error:
            raise SymbolsError(f"{path}: not an ELF file: {error}") from None
        if not self._symbols:
            raise SymbolsError(f"{path}: no symbols")

    def _read(self, elf: ELFFile) -> None:
        self._relocatable = elf["e_type"] == "ET_REL"
        names = [section.name for section in elf.iter_sections()]
        self._lines = ".debug_line" in names
        for section in elf.iter_sections():
            if isinstance(section, NoteSection):
                for note in section.iter_notes():
                    if note["n_type"] == "NT_GNU_BUILD_ID":
                        self.build_id = note["n_desc"]
            if not isinstance(section, SymbolTableSection):
                continue
            for symbol in section.iter_symbols():
                index = symbol["st_shndx"]
                if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(index, int):
                    entry = _Symbol(names[index], symbol["st_value"], symbol["st_size"])
                    self._symbols.setdefault(symbol.name, []).append(entry)

    @cached_property
    def _addr2line(self) -> list[str]:
        return ["addr2line", "-e", str(self.path), "-f", "-i", "-a"]

    def fits(self, frame: Frame) -> bool:
        """Whether a frame's function is there in the size that the kernel told."""
        return self._symbol(frame) is not None

    def _symbol(self, frame: Frame) -> _Symbol | None:
        """The symbol of a frame. The kernel counts what pads a function as part of it."""
        for one in self._symbols.get(frame.symbol, ()):
            if frame.size is not None and 0 <= frame.size - one.size < _PADDING:
                return one
        return None

    def resolve(self, stack: Iterable[Frame]) -> list[Frame]:
        """The frames with files and lines, inlined functions before what they are part of.

        Frames of other files, and those that do not fit, stay as they are. What is on
        the stack is a return address, so the call is looked up; a program counter is not.
        """
        wanted: dict[tuple[str, int], None] = {}
        places: list[tuple[Frame, tuple[str, int] | None]] = []
        for frame in stack:
            key = self._place(frame)
            places.append((frame, key))
            if key is not None:
                wanted[key] = None
        found = self._look_up(list(wanted)) if self._lines else {}
        resolved: list[Frame] = []
        for frame, key in places:
            resolved += self._merged(frame, found.get(key, []) if key else [])
        return resolved

    def _place(self, frame: Frame) -> tuple[str, int] | None:
        if frame.module != self.module or frame.offset is None or frame.file:
            return None
        one = self._symbol(frame)
        if one is None:
            return None
        return one.section, one.start + frame.offset - (
            0 if frame.register else min(1, frame.offset)
        )

    def _look_up(self, wanted: list[tuple[str, int]]) -> dict[tuple[str, int], list[Frame]]:
        found: dict[tuple[str, int], list[Frame]] = {}
        for section in {name for name, _ in wanted}:
            keys = [key for key in wanted if key[0] == section]
            where = ["-j", section] if self._relocatable else []
            done = subprocess.run(
                [*self._addr2line, *where, *(hex(at) for _, at in keys)],
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
            if done.returncode:
                raise SymbolsError(f"{self.path}: {done.stderr.strip()}")
            answers = re.split(r"^0x[0-9a-f]+\n", done.stdout, flags=re.MULTILINE)[1:]
            for key, answer in zip(keys, answers, strict=True):
                found[key] = self._frames(answer.splitlines())
        return found

    def _frames(self, lines: list[str]) -> list[Frame]:
        found = []
        for function, place in zip(lines[::2], lines[1::2], strict=True):
            named = _PLACE.match(place)
            if function == "??" or named is None or named["line"] == "?":
                continue
            file = frames.source_file(self._relative(named["file"]))
            found.append(
                Frame(
                    frames.function_name(function), function, module=self.module, file=file,
                    line=int(named["line"]), inlined=True,
                )
            )  # fmt: skip
        return found

    def _relative(self, file: str) -> str:
        """Sources of the module itself as `kmod/...`, whatever folder it was built in."""
        if self.module and "/include/linux/" not in file and "/arch/" not in file:
            folder = str(self.path.parent)
            name = Path(file)
            if file.startswith(folder) or ".new-" in str(name.parent) or self._beside(name):
                return f"kmod/{name.name}"
        return file

    def _beside(self, name: Path) -> bool:
        return (self.path.parent / name.name).is_file()

    def _merged(self, frame: Frame, found: list[Frame]) -> list[Frame]:
        """The frame with what it inlines before it."""
        if not found:
            return [frame]
        *inlined, outer = found
        kept = [replace(one, register=frame.register) for one in inlined]
        return [*kept, replace(frame, file=outer.file, line=outer.line)]
