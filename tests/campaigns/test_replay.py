# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaying a case whose guest does not get as far as the case."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from fuzz import replay
from fuzz.finding import FindingKind
from fuzz.guest.console import Line
from fuzz.rig import Lost
from fuzz.script import Action, Step
from fuzz.stored import StoredCase
from fuzz.tables import AS_SHIPPED
from fuzz.triage import outside

SCRIPT = Step(Action.DATAGRAM, 4, b"").pack()


class Lines(list[Line]):
    """A console."""

    def since(self, position: int) -> list[Line]:
        return self[position:]


class DeafRig:
    """A rig without a guest, whose console has one line of its boot."""

    boots = 1
    hoards = kmemleak = tainted = False
    reports = SimpleNamespace(look=list)

    def __init__(self, kernel: None, **_: Any) -> None:
        console = Lines([Line(0, "booted")])
        self.guest = SimpleNamespace(console=console, boot_line=0, saved=True, alive=lambda: True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def grow_old(self, age: int) -> None:
        pass


class DeafLab:
    """A lab whose guest falls silent with the first case that it is sent."""

    def __init__(self, rig: DeafRig) -> None:
        self._console = rig.guest.console

    def set_clock(self, ns: int) -> None:
        pass

    def execute(self, script: bytes) -> None:
        self._console.append(Line(1, "last words"))
        raise Lost("no answer")


def test_a_guest_that_is_lost_by_a_case_before_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fuzz.oracles.monitors._REPORT_SECONDS", 0)
    monkeypatch.setattr(replay, "Rig", DeafRig)
    monkeypatch.setattr(replay, "Lab", DeafLab)
    before, case = (
        StoredCase(number, "dgram-record", f"case {number}", SCRIPT, 1, 1, None, None, None)
        for number in (1, 2)
    )
    told = replay.replay(
        case, [before], run=tmp_path, kernel=None, module=tmp_path, workdir=tmp_path,
        tables=AS_SHIPPED,
    )  # fmt: skip
    assert told.finding is not None
    assert (told.finding.kind, told.finding.title) == (FindingKind.HANG, outside.LOST_CONNECTION)
    assert told.expected is told.counted is None
    assert told.console == ["last words"]
