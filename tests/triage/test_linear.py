# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading takes time in proportion to the log, and little of it where nothing is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fuzz.triage.read import read

CORPUS = Path(__file__).parent / "corpus"


def seconds(data: bytes, reports: int) -> float:
    """The least of three runs: other work on the machine only ever adds."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        assert len(read(data)) == reports
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.parametrize("name", ["r0105", "r0622"])
def test_ten_times_the_reports_take_ten_times_as_long(name: str) -> None:
    one = (CORPUS / "logs" / f"{name}.log").read_bytes()
    seconds(one * 60, 60)  # what is compiled and cached on first use
    assert seconds(one * 600, 600) <= 12 * seconds(one * 60, 60)


def test_a_long_line_is_no_trouble() -> None:
    begun = time.process_time()
    read(b"BUG: KASAN: " + b"a " * 500_000 + b"\nINFO: task " + b"x" * 500_000 + b"\n" * 100_000)
    assert time.process_time() - begun < 5


def test_50_mb_without_reports() -> None:
    line = b"[    2.345678][  T123] usb 1-1: new high-speed USB device number 2 using dummy_hcd\n"
    data = line * (50_000_000 // len(line))
    begun = time.process_time()
    assert read(data) == []
    assert time.process_time() - begun <= 5
