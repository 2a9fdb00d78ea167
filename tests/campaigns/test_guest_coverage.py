# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of the module run, on the kernel that can tell: part of `make test-kernels`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(1800)


def test_a_run_tells_which_lines_it_reached(
    nst_fuzz: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "sanitizer-6.12" not in request.config.getoption("--kernels"):
        pytest.skip("stock kernels have no CONFIG_GCOV_KERNEL")
    command = [
        nst_fuzz, "run", "--coverage", "--kernel", "sanitizer-6.12", "--cases", "60",
        "--seed", "test", "--output", tmp_path / "run", "stream-record", "dgram-record",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(
        [nst_fuzz, "coverage", "--json", tmp_path / "run"], check=True, capture_output=True
    )
    said = json.loads(done.stdout)
    stream, dgram = (said["campaigns"][name] for name in ("stream-record", "dgram-record"))
    assert said["receive"]["lines"]["percent"] > 70
    for one in (stream, dgram):
        assert one["receive"]["lines"]["reached"] < said["receive"]["lines"]["reached"]
    # Of the last lines of each path, those that hand plaintext out.
    assert said["files"]["dgram_rx.c"]["branches"]["percent"] > 30
    assert said["files"]["stream_recv.c"]["functions"]["percent"] > 60
