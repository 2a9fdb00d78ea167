# SPDX-License-Identifier: GPL-2.0-or-later
"""The set-up script on a machine that is set up, which this one is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="not set up by tools/setup.sh")
def test_set_up_again_does_nothing(tmp_path: Path) -> None:
    for name in ("apt-get", "pip", "dpkg"):
        (tmp_path / name).write_text("#!/bin/sh\necho unwanted: $0 $*\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    stamp = (ROOT / ".venv" / ".complete").stat().st_mtime_ns
    done = subprocess.run(
        [ROOT / "tools" / "setup.sh"], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (ROOT / ".venv" / ".complete").stat().st_mtime_ns == stamp
