# SPDX-License-Identifier: GPL-2.0-or-later
"""The target guest, with a program that answers lines: one guest for all tests here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.guest import keys
from fuzz.guest.errors import GuestError, GuestPanic
from fuzz.guest.kernel import Kernel
from fuzz.guest.target import TargetGuest
from tests.guest.processes import until

pytestmark = pytest.mark.timeout(300)

_PROGRAM = r"""
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char line[256];

	fprintf(stderr, "program: %s\n", argv[argc - 1]);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "end\n"))
			return 7;
		if (!strcmp(line, "crash\n")) {
			FILE *trigger = fopen("/proc/sysrq-trigger", "w");

			fputs("c", trigger);
			fclose(trigger);
		}
		printf("you said %s", line);
		fflush(stdout);
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "lines.c").write_text(_PROGRAM)
    built = folder / "lines"
    subprocess.run(["gcc", "-static", "-o", built, folder / "lines.c"], check=True)
    return built


@pytest.fixture(scope="module")
def guest(
    kernel: Kernel, nst_ko: Path, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TargetGuest]:
    with TargetGuest(
        kernel,
        module=nst_ko,
        keybox=keys.test_keybox(),
        program=program,
        args=["two words"],
        workdir=tmp_path_factory.mktemp("guest"),
    ) as guest:
        guest.wait_ready()
        yield guest


def _ask(guest: TargetGuest, line: str) -> str:
    guest.control.settimeout(20)
    guest.control.sendall(f"{line}\n".encode())
    return guest.control.recv(1000).decode()


def _receive_arp_reply(guest: TargetGuest) -> bytes:
    """Ask for the guest's hardware address (RFC 826) and return the answering frame."""
    hosts = bytes.fromhex(guest.host_mac.replace(":", ""))
    request = (
        b"\xff" * 6 + hosts + b"\x08\x06"
        + bytes.fromhex("0001080006040001")
        + hosts + guest.host_ipv4.ip.packed + bytes(6) + guest.ipv4.ip.packed
    )  # fmt: skip
    guest.frames.send([request])
    while (frame := guest.frames.receive(20)) is not None:
        if frame[12:14] == b"\x08\x06":  # and no multicast report
            return frame
    raise AssertionError("no answer")


def test_the_program_runs_with_its_arguments_and_control_port(guest: TargetGuest) -> None:
    guest.console.wait_for("program: two words", 20)
    assert _ask(guest, "hello") == "you said hello\n"


def test_frames_go_both_ways(guest: TargetGuest) -> None:
    guests = bytes.fromhex(guest.mac.replace(":", ""))
    frame = _receive_arp_reply(guest)
    assert frame[6:12] == guests
    assert frame[20:22] == b"\x00\x02"
    assert frame[22:32] == guests + guest.ipv4.ip.packed


def test_the_control_channel_of_qemu_answers(guest: TargetGuest) -> None:
    status = guest.qemu.qmp.execute("query-status")
    assert isinstance(status, dict)
    assert status["status"] == "running"
    assert guest.qemu.qmp.monitor("info status").startswith("VM status: running")
    with pytest.raises(GuestError, match="QMP no-such-command"):
        guest.qemu.qmp.execute("no-such-command")


def test_a_crash_is_seen_and_a_restart_is_fresh(guest: TargetGuest) -> None:
    guest.control.sendall(b"crash\n")
    with pytest.raises(GuestPanic, match="sysrq triggered crash"):
        guest.console.wait_for("no such line", 20, since=guest.boot_line)
    assert until(lambda: not guest.alive())
    assert guest.panic == "Kernel panic - not syncing: sysrq triggered crash"

    guest.restart()
    guest.wait_ready()
    assert guest.alive()
    assert guest.console.panic_since(guest.boot_line) is None
    assert _ask(guest, "again") == "you said again\n"
    assert _receive_arp_reply(guest)


def test_the_end_of_the_program_is_reported(guest: TargetGuest) -> None:
    guest.control.sendall(b"end\n")
    guest.console.wait_for("nst-init: target ended with status 7", 20, since=guest.boot_line)
    assert guest.alive()
