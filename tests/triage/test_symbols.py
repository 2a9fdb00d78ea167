# SPDX-License-Identifier: GPL-2.0-or-later
"""Source lines out of a module's debug information, and symbols that do not fit."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.triage.frames import Frame
from fuzz.triage.read import read
from fuzz.triage.symbols import Symbols, SymbolsError
from fuzz.triage.understand import understand

SOURCE = """\
volatile int sink;

static inline __attribute__((always_inline)) void inner(int *pointer)
{
	sink = *pointer;
}

__attribute__((noinline)) void outer(int *pointer)
{
	inner(pointer);
	sink++;
}
"""
LOAD = 5
CALL = 10


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("module")
    (folder / "demo.c").write_text(SOURCE)
    subprocess.run(
        ["gcc", "-g", "-O2", "-c", "-fcf-protection=none", "-o", "demo.ko", "demo.c"],
        cwd=folder, check=True,
    )  # fmt: skip
    return folder / "demo.ko"


def sized(built: Path, **fields: object) -> Frame:
    listed = subprocess.run(["nm", "-S", built], capture_output=True, text=True, check=True)
    (size,) = [int(line.split()[1], 16) for line in listed.stdout.splitlines() if "outer" in line]
    frame = Frame("outer", "outer", offset=0, size=size, module="demo", register=True)
    return replace(frame, **fields)  # type: ignore[arg-type]


def test_inlined_functions_come_before_what_they_are_in(module: Path) -> None:
    symbols = Symbols(module, "demo")
    inner, outer = symbols.resolve([sized(module)])
    assert (inner.function, inner.file, inner.line, inner.inlined) == (
        "inner", "kmod/demo.c", LOAD, True,
    )  # fmt: skip
    assert (outer.function, outer.file, outer.line) == ("outer", "kmod/demo.c", CALL)


def test_other_frames_stay_as_they_are(module: Path) -> None:
    symbols = Symbols(module, "demo")
    for frame in (
        sized(module, module=""),
        sized(module, function="unknown", symbol="unknown"),
        sized(module, size=1),
    ):
        assert symbols.resolve([frame]) == [frame]


def log_of(frame: Frame, build: str = "") -> bytes:
    module = f"[{frame.module}{f' {build}' if build else ''}]"
    place = f"{frame.symbol}+{frame.offset:#x}/{frame.size:#x} {module}"
    return (
        "[ 1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000\n"
        f"[ 1.0] RIP: 0010:{place}\n[ 1.0] Call Trace:\n[ 1.0]  {place}\n"
    ).encode()


def test_the_guilty_line_is_shown(module: Path) -> None:
    (report,) = read(log_of(sized(module)))
    analysis = understand(report, [Symbols(module, "demo")], sources=[module.parent])
    assert analysis.guilty is not None
    assert analysis.guilty_file == "kmod/demo.c"
    assert [line.text.strip() for line in analysis.source if line.guilty] == ["inner(pointer);"]
    assert analysis.told.near_null
    assert not analysis.notes


def test_another_builds_symbols_are_not_used(module: Path) -> None:
    frame = sized(module)
    assert frame.size is not None
    (report,) = read(log_of(replace(frame, size=frame.size + 64)))
    analysis = understand(report, [Symbols(module, "demo")])
    assert "is of another build: the size of outer differs" in analysis.notes[0]
    assert all(not one.file for one in analysis.stack)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"text"])
def test_what_is_no_elf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ko"
    path.write_bytes(content)
    with pytest.raises(SymbolsError, match=r"x\.ko"):
        Symbols(path)
