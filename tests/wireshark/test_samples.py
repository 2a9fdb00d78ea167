# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample captures, which the kernel module made: every record is decoded."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path

import pytest
from dissection import ROOT, dissected, pdml, tshark

SAMPLES = ROOT / "wireshark/samples"
KEYBOX = SAMPLES / "samples.keybox"
NAMES = ["attacks", "datagrams", "streams"]


def decoded(name: str) -> list[dict[str, object]]:
    """What `nst decode --json` says."""
    nst = Path(sysconfig.get_path("scripts"), "nst")
    run = subprocess.run(
        [nst, "decode", SAMPLES / f"{name}.pcap", "--keybox", KEYBOX, "--json"],
        capture_output=True,
        text=True,
    )
    assert run.returncode in (0, 1), run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_fields_agree_with_nst_decode(name):
    out = tshark(
        SAMPLES / f"{name}.pcap", "-T", "fields", "-e", "frame.number", "-e", "nst.verdict",
        "-e", "nst.payload", "-Y", "nst.verdict", keybox=KEYBOX,
    )  # fmt: skip
    expected: dict[int, tuple[list[object], list[object]]] = {}
    for record in decoded(name):
        verdicts, payloads = expected.setdefault(int(str(record["frame"])), ([], []))
        verdicts.append(record["verdict"])
        payloads += [record["plaintext"]] if record["plaintext"] else []
    got = {}
    for line in out.splitlines():
        frame, verdicts, payloads = line.split("\t")
        got[int(frame)] = (verdicts.split(","), [p for p in payloads.split(",") if p])
    assert got == expected


def test_what_is_in_them():
    verdicts = {
        name: Counter(
            r.verdict
            for w in dissected(pdml(SAMPLES / f"{name}.pcap", keybox=KEYBOX)).values()
            for r in w
        )
        for name in NAMES
    }
    assert set(verdicts["streams"]) == set(verdicts["datagrams"]) == {"OK"}
    assert set(verdicts["attacks"]) >= {
        "OK", "REPLAY", "AUTH", "TIMESTAMP", "KID", "SHORT", "MAGIC", "TRUNCATED", "unverified",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["datagrams", "streams"])
def test_every_suite_is_in_them(name):
    out = tshark(SAMPLES / f"{name}.pcap", "-T", "fields", "-e", "nst.cipher_id")
    found = {int(cipher_id) for line in out.splitlines() for cipher_id in line.split(",") if line}
    assert found == {1, 2, 3, 4}
