# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests of tests/in_guest: as root, under the kernel and module under test.

They run in one guest, with one boot. Their outcome is shown as one test here; pytest's
own report from inside comes with a failure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1] / "in_guest"


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("nst_ko")
def test_in_guest(nst_fuzz: str) -> None:
    command = [
        nst_fuzz, "guest", "run", "--timeout", "800", "--",
        sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", str(TESTS),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=TESTS.parents[1], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, f"in the guest:\n{done.stdout}"
