# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report tells besides its name: the access, the object, who allocated and freed it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fuzz.triage import frames
from fuzz.triage.frames import Frame
from fuzz.triage.read import Report

_KASAN = re.compile(r"(?P<access>Read|Write) of size (?P<size>\d+) at addr (?P<address>[0-9a-f]+)")
_TAGGED = re.compile(r"(?P<access>Read|Write) at addr (?P<address>[0-9a-f]+)")
_FAULT = re.compile(
    r"(?:dereference(?:,? address:| at)?|page fault for address:|paging request at(?: virtual"
    r" address)?|non-canonical address) *:? *(?P<address>(?:0x)?[0-9a-f]{4,16})"
)
_PF = re.compile(r"#PF: \w+ (?P<access>read access|write access|instruction fetch)")
_ERROR_CODE = re.compile(r"Oops: (?P<code>[0-9a-f]{4}) \[#")
_OBJECT = re.compile(r"belongs to the cache (?P<cache>\S+) of size (?P<size>\d+)")
_WHERE = re.compile(
    r"located (?P<offset>\d+) bytes (?P<side>inside of|to the (?:left|right) of|before|after)"
)
_CPU = re.compile(
    r"CPU: (?P<cpu>\d+)(?: UID: \d+)? PID: (?P<pid>\d+) Comm: (?P<comm>.*?) "
    r"(?P<taint>Not tainted|Tainted: .*?) +(?P<release>\d+\.\d\S*)"
    r"(?: #\d+ (?P<build>[0-9a-f]{40})\b)?"
)
_STACK = re.compile(r"^ *(?P<what>Allocated|Freed|Uninit was created)\b.*?(?:task (?P<pid>\d+))?")
_NEAR_NULL = 1 << 16


@dataclass(frozen=True)
class Details:
    """What a report tells of the error itself.

    Attributes:
        access: `read`, `write` or `execute`; empty if it is not told.
        size: of the access, bytes; 0 if it is not told.
        address: that was accessed; `None` if it is not told.
        cache: slab cache of the object, empty if it is not told.
        object_size: bytes; 0 if it is not told.
        place: where in or beside the object, in words; empty if it is not told.
        allocated: stack of the allocation, innermost first.
        freed: stack of the free.
        comm: the task.
        pid: of the task, -1 if it is not told.
        cpu: that it ran on, -1 if it is not told.
        release: of the kernel.
        taint: as printed.
        build_id: of the kernel, if it prints it.
        in_interrupt: it happened in an interrupt or softirq.
    """

    access: str = ""
    size: int = 0
    address: int | None = None
    cache: str = ""
    object_size: int = 0
    place: str = ""
    allocated: list[Frame] = field(default_factory=list)
    freed: list[Frame] = field(default_factory=list)
    comm: str = ""
    pid: int = -1
    cpu: int = -1
    release: str = ""
    taint: str = ""
    build_id: str = ""
    in_interrupt: bool = False

    @property
    def near_null(self) -> bool:
        """The address is one that a NULL pointer to a structure gives."""
        return self.address is not None and self.address < _NEAR_NULL


def details(report: Report) -> Details:
    """Take a report's lines apart."""
    text = "\n".join(report.lines)
    access, size, address = _access(text)
    task = _CPU.search(text)
    held = _OBJECT.search(text)
    where = _WHERE.search(text)
    stacks = _stacks(report.lines)
    return Details(
        access=access,
        size=size,
        address=address,
        cache=held["cache"] if held else "",
        object_size=int(held["size"]) if held else 0,
        place=f"{where['offset']} bytes {where['side']}" if where else "",
        allocated=stacks["Allocated"],
        freed=stacks["Freed"],
        comm=task["comm"] if task else "",
        pid=int(task["pid"]) if task else -1,
        cpu=int(task["cpu"]) if task else -1,
        release=task["release"] if task else "",
        taint=task["taint"] if task else "",
        build_id=(task["build"] or "") if task else "",
        in_interrupt="<IRQ>" in text or report.context.startswith("C"),
    )


def _access(text: str) -> tuple[str, int, int | None]:
    found = _KASAN.search(text)
    if found:
        return found["access"].lower(), int(found["size"]), int(found["address"], 16)
    found = _TAGGED.search(text)
    if found:
        return found["access"].lower(), 0, int(found["address"], 16)
    found = _FAULT.search(text)
    address = int(found["address"], 16) if found else None
    kind = _PF.search(text)
    if kind:
        words = {"read access": "read", "write access": "write", "instruction fetch": "execute"}
        return words[kind["access"]], 0, address
    code = _ERROR_CODE.search(text)
    if code and address is not None:
        bits = int(code["code"], 16)
        return "execute" if bits & 16 else "write" if bits & 2 else "read", 0, address
    return "", 0, address


def _stacks(lines: Sequence[str]) -> dict[str, list[Frame]]:
    stacks: dict[str, list[Frame]] = {"Allocated": [], "Freed": [], "Uninit was created": []}
    current: list[Frame] | None = None
    for text in lines:
        found = _STACK.match(text)
        if found:
            current = stacks[found["what"]]
            continue
        frame = frames.parse(text)
        if frame is None:
            current = None if not text.strip() or text.startswith(("The ", "=")) else current
        elif current is not None and frame.reliable:
            current.append(frame)
    return stacks
