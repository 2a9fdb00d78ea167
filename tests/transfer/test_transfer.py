# SPDX-License-Identifier: GPL-2.0-or-later
"""10 MB each way over a stream and 10,000 datagrams each way, in every suite of the kernel.

What the module seals is opened here from a capture; :mod:`traffic`, inside the
guest, has Python seal for the module and open what it answers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import traffic

from fuzz.guest import keys
from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.suite import SuiteId

pytestmark = pytest.mark.timeout(600)


def command(name: str) -> str:
    """The path of one of the project's commands."""
    return str(Path(sysconfig.get_path("scripts"), name))


@pytest.fixture(scope="module")
def guest_keybox() -> Path:
    """The key box that guests load."""
    return keys.test_keybox()


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the guest's traffic was captured into."""
    if shutil.which("tcpdump") is None:
        pytest.fail("tcpdump is missing: apt-get install tcpdump")
    out = tmp_path_factory.mktemp("transfer")
    run = subprocess.run(
        [command("nst-fuzz"), "guest", "run", "--", sys.executable, traffic.__file__, str(out)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    print(run.stdout)
    return out


def suites(captures: Path) -> list[SuiteId]:
    names = json.loads((captures / "done.json").read_text())
    assert {"AES_GCM", "AES_CBC"} <= set(names)
    return [SuiteId[name] for name in names]


def decode(capture: Path, keybox: Path) -> Iterator[dict[str, Any]]:
    run = subprocess.run(
        [command("nst"), "decode", str(capture), "--keybox", str(keybox), "--json"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for line in run.stdout.splitlines():
        record = json.loads(line)
        assert record["verdict"] == "OK", record
        yield record


def by_role(records: Iterator[dict[str, Any]]) -> dict[Role, list[bytes]]:
    """The payloads in order of capture, by who sent them."""
    sent: dict[Role, list[bytes]] = defaultdict(list)
    for record in records:
        to_server = record["dst"].endswith(f":{DEFAULT_PORT}")
        role = Role.INITIATOR if to_server else Role.ACCEPTOR
        sent[role].append(bytes.fromhex(record["plaintext"]))
    return sent


def test_streams_open_from_a_capture(captures: Path, guest_keybox: Path) -> None:
    for suite in suites(captures):
        sent = by_role(decode(captures / f"stream-{suite.name}.pcap", guest_keybox))
        for role in Role:
            assert b"".join(sent[role]) == traffic.stream_payload(suite, role), (suite, role)


def test_datagrams_open_from_a_capture(captures: Path, guest_keybox: Path) -> None:
    for suite in suites(captures):
        sent = by_role(decode(captures / f"dgram-{suite.name}.pcap", guest_keybox))
        for role in Role:
            assert sent[role] == traffic.datagrams(suite, role), (suite, role)
