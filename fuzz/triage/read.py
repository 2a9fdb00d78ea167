# SPDX-License-Identifier: GPL-2.0-or-later
"""All kernel reports of a console log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fuzz.triage import blame, frames, guilty, naming
from fuzz.triage.format import Format, Stack
from fuzz.triage.frames import Frame
from fuzz.triage.kinds import kind_of
from fuzz.triage.lines import NOWHERE, Log, LogLine
from fuzz.triage.noise import REBOOT_TITLE
from fuzz.triage.scan import Start, rebooted, start_at, starts

LONGEST = 1200
"""Lines of a report, at most, of its own context."""
_WIDEST = 4000
"""Lines of the log that are looked at for them."""
_HEAD = 80
"""Lines over which a format's pattern may stretch."""
_TRACE = re.compile(
    r"^ *(?:Call [Tt]race|Backtrace|backtrace|stack backtrace|Trace|Kernel stack trace)\b.*:|"
    r"Call Trace:|"
    # riscv: what show_regs() prints last, before a stack of which nothing tells.
    r"^status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}"
)
_MAY_BE_EMPTY = ("backtrace", "badaddr")
_ASIDE = re.compile(
    r"^ *(?:Allocated by|Freed by|Allocated in|Freed in|Allocated:|Freed:|allocated by|freed by|"
    r"Last potentially related|Second to last potentially|The buggy address|"
    r"Uninit was (?:created|stored)|Local variable|Showing all locks|"
    r"Memory state around|Reported by|value changed|Last call_rcu|Disabled IRQs)|"
    r"(?:freed|allocated) by task"
)
_EMPTY_ASIDE = re.compile(r"stack is (?:not|omitted)|<\.\.\.>|no stack|\(stack")
_SECTION = re.compile(r"^ *(?P<name>Allocated|Freed|allocated|freed|Uninit|Local variable)")
_OVER = re.compile(r"Rebooting in \d+ seconds|---\[ end Kernel panic")
# Sanitizers draw a line above and below.
_OF_A_LIST = re.compile(r"WARNING: .* __list_(?:add|del)")
_FENCED = ("BUG: KASAN", "BUG: KMSAN", "BUG: KCSAN", "BUG: KFENCE")
_BOTTOM = re.compile(
    r"entry_\w+|ret_from_\w+|system_call\w*|sysenter\w*|el[01]\w*|secondary_startup\w*|"
    r"start_kernel|"
    r"do_syscall\w*|ret_fast\w*|kthread|x86_64_start\w*|cstar\w*"
)
_NO_STACK = "no stack"
_TITLE_END = re.compile(r" in |(?<=\.[ch]:)\d")
_PANIC = "Kernel panic - not syncing"


@dataclass(frozen=True)
class Placed:
    """A frame and the part of the report that it stands in: `main` or `aside`."""

    frame: Frame
    part: str
    line: int


@dataclass
class Report:
    """One kernel report.

    Attributes:
        title: names the bug.
        type: in syzkaller's words, empty if it has none.
        frame: the function to blame; `corrupted` if it should be there and is not.
        alt_titles: under which the same bug may be known.
        corrupted: why the report is not whole; empty if it is.
        frames: the stack, innermost first, without what was only lying on it.
        guilty_file: the source file to blame, empty without source lines.
        panicked: the kernel panicked in its course.
        lines: its text.
        start: offset of its first byte in the log.
        end: offset of the first byte after it.
    """

    title: str
    type: str
    frame: str
    alt_titles: list[str]
    corrupted: list[str]
    frames: list[Frame]
    guilty_file: str
    panicked: bool
    lines: list[str]
    start: int
    end: int
    context: str = ""
    stacked: bool = True
    blamed_at: int = 0
    notes: dict[str, str] = field(default_factory=dict)


def read(data: bytes) -> list[Report]:
    """All reports of a console log, in the order in which they begin.

    Time is linear in the length of the log.
    """
    log = Log(data)
    reports: list[Report] = []
    open_until: dict[str, int] = {}
    for start in starts(log):
        context = start.line.context
        if start.line.start < open_until.get(context, 0):
            continue
        if reports and _belongs(start, reports[-1]):
            continue
        report = _read_one(log, start)
        if report is not None:
            reports.append(report)
            open_until[context] = report.end
            log.forget(start.line.start)
    boot = rebooted(log)
    if boot is not None and not any(report.start < boot.start for report in reports):
        reports.insert(0, _reboot(boot))
    return reports


def _belongs(start: Start, last: Report) -> bool:
    """Whether a start is the end of the report before it: the panic that it led to."""
    return start.text.startswith("Kernel panic") and start.line.start - last.end < 1 << 17


def _reboot(line: LogLine) -> Report:
    return Report(REBOOT_TITLE, kind_of(REBOOT_TITLE), "", [], [], [], "", False, [line.text],
                  line.start, line.end)  # fmt: skip


def _read_one(log: Log, start: Start) -> Report | None:
    lines, mixed, cut = _own_lines(log, start)
    report = _judge(start, lines)
    if report is not None and report.stacked:
        if mixed <= report.blamed_at or (mixed < len(lines) and report.frame == naming.CORRUPTED):
            report.corrupted.append("another report begins inside its stack")
        if cut:
            report.corrupted.append("another report cuts it short")
    lost = report is not None and (
        report.frame == naming.CORRUPTED or _NO_STACK in report.corrupted
    )
    if lost and start.line.context:
        # The CPU that is stuck prints its stack itself, as another context.
        others = _all_lines(log, start)
        wider = _judge(start, others)
        if wider is not None and not wider.corrupted:
            return wider
    return report


def _own_lines(log: Log, start: Start) -> tuple[list[LogLine], int, bool]:
    """The report's lines: those of its task or CPU up to its end.

    Also at which of them another report begins amidst its stack (past the end if none
    does), and whether another cuts it short.
    """
    own: list[LogLine] = []
    context = start.line.context
    traced = ended = False
    mixed = LONGEST + 1
    fenced = start.text.startswith(_FENCED)
    for count, line in enumerate(log.lines_from(start.line.start)):
        if count >= _WIDEST or len(own) >= LONGEST:
            break
        if context and line.context != context:
            continue
        if (
            own
            and (other := start_at(log, line)) is not None
            and not _continues(other, start.text, traced, context)
        ):
            if not _inside(own[-1].text):
                cut = fenced and not any(text.text.startswith("=====") for text in own[1:])
                return own, len(own), cut
            mixed = min(mixed, len(own))
        own.append(line)
        traced = traced or _has_frame(line.text)
        if ended and _OVER.search(line.text):
            break
        ended = ended or bool(_OVER.search(line.text))
    return own, mixed, False


def _inside(text: str) -> bool:
    """Whether a line is a frame that others follow: not the last of its stack."""
    found = frames.parse(text)
    return found is not None and not _BOTTOM.match(found.function)


def _has_frame(text: str) -> bool:
    found = frames.parse(text)
    return found is not None and found.reliable


def _continues(other: Start, first: str, traced: bool, context: str) -> bool:
    """Whether what looks like a report's beginning belongs to the one that is open."""
    if other.text.startswith("Kernel panic"):
        return True
    if _TITLE_END.split(other.text)[0] == _TITLE_END.split(first)[0] and not traced:
        return True  # a title once for each function that is inlined there
    if all(one.follows for one in other.formats):
        return not traced
    if first.startswith("list_") and _OF_A_LIST.match(other.text):
        return not traced  # a kernel that only warns of it
    # A report that is cut short by another of the same task shares its stack.
    return bool(context) and not traced


def _all_lines(log: Log, start: Start) -> list[LogLine]:
    lines: list[LogLine] = []
    for count, line in enumerate(log.lines_from(start.line.start)):
        if count >= LONGEST:
            break
        other = start_at(log, line) if count and line.context == start.line.context else None
        if other is not None and not _continues(other, start.text, True, line.context):
            break
        lines.append(line)
    return lines


def _judge(start: Start, lines: Sequence[LogLine]) -> Report | None:
    head = "\n".join([start.text, *(line.text for line in lines[1:_HEAD])])
    for one in start.formats:
        found = one.pattern.match(head)
        if found is not None:
            return _build(start, lines, one, found)
    return None


def _build(start: Start, lines: Sequence[LogLine], one: Format, found: re.Match[str]) -> Report:
    texts = [start.text, *(line.text for line in lines[1:])]
    placed, flaws = _stack(texts, one)
    name = blame.blamed(one, found, placed, texts)
    titles = naming.titles(one, found, name, placed)
    # What a panic was about comes before it.
    half = f"the report lacks its {'first' if one.start == 'Kernel panic' else 'second'} half"
    if one.corrupted:
        flaws.append(half)
    if one.stack in (Stack.HEADER, Stack.COUNTER) and name is not None:
        flaws = []
    elif one.stack is not Stack.NONE:
        if name is None and "{frame}" in one.title:
            flaws.append("no function to blame on the stack")
    else:
        flaws = [half] if one.corrupted else []
    blamed_at = next((e.line for e in placed if e.frame is name), 0)
    flaws += _damage(titles[0], texts, lines, one, blamed_at)
    main = [entry.frame for entry in placed if entry.part == "main" and entry.frame.reliable]
    groups = {key: value or "" for key, value in found.groupdict().items()}
    shown = naming.shown_frame(one, found, name)
    return Report(
        title=titles[0],
        type=kind_of(titles[0]),
        frame=shown,
        alt_titles=titles[1:],
        corrupted=flaws,
        frames=main,
        guilty_file=guilty.in_report(texts, stall=one.stack is Stack.STALL),
        panicked=any(_PANIC in text for text in texts),
        lines=[text.replace(NOWHERE, "") for text in texts],
        start=start.line.start,
        end=lines[-1].end,
        context=start.line.context,
        stacked=one.stack is not Stack.NONE,
        blamed_at=blamed_at,
        notes=groups,
    )


def _stack(texts: Sequence[str], one: Format) -> tuple[list[Placed], list[str]]:
    """The frames of a report, and what is wrong with its stacks."""
    placed: list[Placed] = []
    flaws: list[str] = []
    part, waiting, traces = "main", -1, 0
    for number, text in enumerate(texts):
        if _TRACE.search(text) or (number and _ASIDE.search(text)):
            if waiting >= 0 and not any(words in texts[waiting] for words in _MAY_BE_EMPTY):
                flaws.append(f"no frames after {texts[waiting].strip()!r}")
            if _TRACE.search(text):
                part = "main" if part != "panic" else part
                waiting = number
            else:
                part, waiting = "aside", number if _SECTION.match(text) else -1
            continue
        if _PANIC in text and number:
            # The stack of the panic is the report's own once more, or that of its caller.
            if traces:
                part = "panic"
            continue
        frame = frames.parse(text)
        if frame is not None:
            traces += waiting >= 0 or one.bare
            waiting = -1
            placed.append(Placed(frame, part, number))
        elif waiting >= 0 and (_EMPTY_ASIDE.search(text) or frames.is_bare_address(text)):
            waiting = -1
    if waiting >= 0 and "badaddr" not in texts[waiting]:
        flaws.append(f"no frames after {texts[waiting].strip()!r}")
    if not traces:
        flaws.append(_NO_STACK)
    return placed, flaws


_STAMPED_TITLE = re.compile(r"\[ *(?:\d+|NUM)\.(?:\d+|NUM|ADDR)\]")


def _damage(
    title: str, texts: Sequence[str], lines: Sequence[LogLine], one: Format, blamed_at: int
) -> list[str]:
    """What shows that other output is mixed in."""
    flaws = []
    if _STAMPED_TITLE.search(title):
        flaws.append("a time stamp in the title")
    if one.stack is Stack.NONE:
        return flaws
    if any("printk messages dropped" in line.text for line in lines):
        flaws.append("messages were dropped")
    deep = one.stack in (Stack.STALL, Stack.DEEP)
    if not deep and any(blame.INJECTED.search(text) for text in texts[:blamed_at]):
        flaws.append("mixed with the stack of an injected fault")
    return flaws
