# SPDX-License-Identifier: GPL-2.0-or-later
"""What the module loses, on the kernel that can find it: part of `make test-kernels`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fuzz.planted import PlantedBug, plant

pytestmark = pytest.mark.timeout(1800)
RARE = PlantedBug(
    name="rare-leak",
    campaign="dgram-record",
    about="32 bytes are lost with few of the datagrams that are not authentic",
    file="dgram_rx.c",
    old="""\
	if (verdict) {
		nst_plain_free(ns, plain);
		return verdict;
""",
    new="""\
	if (verdict == NST_AUTH && !(skb->len & 7))
		kmemdup(&hdr, 32, GFP_KERNEL);
	if (verdict) {
		nst_plain_free(ns, plain);
		return verdict;
""",
)


def test_a_leak_of_few_objects_is_found_and_named(
    nst_fuzz: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "sanitizer-6.12" not in request.config.getoption("--kernels"):
        pytest.skip("stock kernels have no kmemleak")
    command = [
        nst_fuzz, "run", "--kmemleak", "--kernel", "sanitizer-6.12", "--cases", "250", "--seed",
        "test", "--module", plant(RARE, tmp_path / "kmod"), "--output", tmp_path / "run",
    ]  # fmt: skip
    done = subprocess.run(
        [*command, "--json", RARE.campaign], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["kind"], finding["case"]) == ("leak", 250)
    assert finding["title"].startswith("memory leak in nst_dgram_judge")
    assert "(size 32)" in finding["log"]
    # It may be a key.
    assert "hex dump" not in finding["log"]

    again = [nst_fuzz, "replay", tmp_path / "run", "250", "--history", "249", "--json"]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["finding"]["title"] == finding["title"]
