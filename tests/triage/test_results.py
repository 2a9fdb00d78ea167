# SPDX-License-Identifier: GPL-2.0-or-later
"""What trials gave is kept beside the runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fuzz.errors import UserError
from fuzz.triage.results import Result


def test_what_trials_gave_is_read_as_it_was_written(tmp_path: Path) -> None:
    others = Counter({"BUG: corrupted list in f": 3, "divide error in g": 1})
    result = Result("run", 7, b"\x03\x06", 5, 4, [1, 2], 2, 6, others, minimised=True)
    result.save(tmp_path, "f6cc0b01")
    assert Result.load(tmp_path, "f6cc0b01") == result
    assert Result.load(tmp_path, "dec40000") is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = Result("run", 7, b"", 5, 4).save(tmp_path, "f6cc0b01")
    path.write_text(path.read_text()[:-3])
    with pytest.raises(UserError, match=r"f6cc0b01\.json"):
        Result.load(tmp_path, "f6cc0b01")
