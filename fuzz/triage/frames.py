# SPDX-License-Identifier: GPL-2.0-or-later
"""Stack frames, as kernels print them: x86, arm64, arm, riscv, s390, powerpc, mips, loongarch.

lib/vsprintf.c prints `%pS` as "func+0x1/0x2 [module]"; arch/x86/kernel/dumpstack.c
puts "? " before what it only found lying on the stack; tools that add source lines
print inlined callers as "func file.c:1 [inline]".
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from fuzz.triage.rust_symbol import demangled

FUNCTION = r"(?:[A-Za-z_.$][\w.$]*|<[^\s+]*>[\w:<>]*)"
"""A function's name, with what the compiler appends to it."""
# powerpc prints a frame's stack pointer, too, and both without the inner brackets.
_ADDRESS = r"(?:\[<(?:0x)?[0-9a-f]{8,16}>\]|\[[0-9a-f]{16}\]) ?"
_PLACE = r"(?P<file>(?:\.{0,2}/)?[\w./+-]+\.(?:[chS]|rs|cc?)):(?P<line>\d+)"
_OFFSET = r"\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
_OFFSET_AT = r"\+0x[0-9a-f]+/0x[0-9a-f]+"
_MODULE = r"(?: \[(?P<module>[\w-]+)(?: (?P<build>[0-9a-f]{20,40}))?\])?"
_MARKERS = r"(?:<[/#A-Za-z]{2,12}> *(?:\[ *\d+\.\d+\] *)?)*"
# The program counter, and where a function was to return to; s390 has it in its status word.
_REGISTER = (
    r"(?:(?:RIP|IP|PC|pc|LR|lr|EIP|NIP)(?:[ :]|: [0-9a-f]{4}:| is at )\s*|"
    r"(?:epc|era|ERA|ra) *: (?:[0-9a-f]{8,16} )?|"
    r"Krnl PSW : [0-9a-f]{16} [0-9a-f]{16} \()"
)
_FRAME = re.compile(
    rf"^\s*{_MARKERS}(?P<at>{_REGISTER})?"
    rf"(?:{_ADDRESS} *)*(?P<doubt>\? )?"
    rf"(?P<function>{FUNCTION}){_OFFSET}(?:/0x[0-9a-f]+)?{_MODULE}"
    rf"(?: \([A-Z]+\))?(?: {_PLACE})?(?P<stale> \(unreliable\))?"
)
_INLINED = re.compile(
    rf"^\s*{_MARKERS}(?P<at>(?:RIP|IP|PC|pc|LR|lr)(?:[ :]|: [0-9a-f]{{4}}:| is at )\s*)?"
    rf"(?:{_ADDRESS} *)*(?P<doubt>\? )?(?P<function>{FUNCTION}) {_PLACE} \[inline\]"
)
# arch/arm prints "[<c0108ab0>] (unwind_backtrace) from [<c0104af0>] (show_stack+0x10/0x14)":
# each line names a callee and its caller.
_ARM = re.compile(
    rf"^\s*(?:{_MARKERS}(?:\[<[0-9a-f]{{8}}>\] )?\(?{FUNCTION}(?: \[[\w-]+\])?(?:{_OFFSET_AT})?\)?)"
    r" from "
    rf"(?:\[<[0-9a-f]{{8}}>\] )?\(?(?P<function>{FUNCTION}){_OFFSET}{_MODULE}(?: {_PLACE})?"
)
# An address that the symbol table does not know is printed as a number.
_BARE = re.compile(rf"^\s*{_MARKERS}(?:{_ADDRESS} *)+(?P<doubt>\? )?0x[0-9a-f]+\s*$")
# ".isra.0", ".cold", ".llvm.123", ".__uniq.123", ".cfi_jt": in C no name has a dot of its own.
_SUFFIX = re.compile(r"(?<=[\w$])\.[\w.$]*$")


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on a stack.

    Attributes:
        function: its name, without what the compiler appended to it.
        symbol: its name as printed.
        offset: of the address in the function, bytes; `None` if inlined or not printed.
        size: of the function, bytes; `None` if inlined or not printed.
        module: of the module that it is in, empty for the kernel itself.
        file: its source file, relative to the tree, empty if unknown.
        line: in the file; 0 if unknown.
        inlined: it was inlined into the frame after it.
        reliable: it is really on the stack, not only found there.
        build_id: of the module, if the kernel prints it.
        register: it is where the program counter stood.
    """

    function: str
    symbol: str
    offset: int | None = None
    size: int | None = None
    module: str = ""
    file: str = ""
    line: int = 0
    inlined: bool = False
    reliable: bool = True
    register: bool = False
    build_id: str = ""


def function_name(symbol: str) -> str:
    """A symbol without what the compiler appended, and readable if it is Rust's."""
    return demangled(symbol if symbol.startswith("<") else _SUFFIX.sub("", symbol))


def source_file(path: str) -> str:
    """A path relative to the kernel's tree: no "./", and nothing before a known top folder."""
    path = re.sub(r"^(?:\.{1,2}/)+", "", path)
    if path.startswith("/"):
        found = re.search(r"/((?:" + "|".join(_TOP) + r")/.*)", path)
        path = found[1] if found else path
    return path


_TOP = (
    "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc",
    "kernel", "lib", "mm", "net", "rust", "samples", "security", "sound", "tools", "virt", "kmod",
)  # fmt: skip


@functools.lru_cache(maxsize=1 << 14)
def parse(text: str) -> Frame | None:
    """Read a line of a stack; `None` if it is none."""
    if "+0x" not in text:
        if "[inline]" in text and (found := _INLINED.match(text)):
            return _frame(found, inlined=True)
        return None
    found = _FRAME.match(text)
    if found:
        return _frame(found, inlined=False)
    if " from " in text and (found := _ARM.match(text)):
        return _frame(found, inlined=False)
    return None


def is_bare_address(text: str) -> bool:
    """Whether a line is a frame that the kernel could not name."""
    return "[<" in text and bool(_BARE.match(text))


def _frame(found: re.Match[str], *, inlined: bool) -> Frame:
    symbol = found["function"]
    named = found.groupdict()
    at = (named.get("at") or "").strip()
    # A function has a size, unless it was not printed.
    placed = not inlined and int(found["size"], 16) > 0
    return Frame(
        function=function_name(symbol),
        symbol=symbol,
        offset=int(found["offset"], 16) if placed else None,
        size=int(found["size"], 16) if placed else None,
        module="" if inlined else found["module"] or "",
        file=source_file(found["file"] or ""),
        line=int(found["line"] or 0),
        inlined=inlined,
        # The return address in the link register may be stale.
        reliable=not (named.get("doubt") or named.get("stale"))
        and not at.lower().startswith(("lr", "ra")),
        register=bool(at),
        build_id="" if inlined else found["build"] or "",
    )
