# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests that run inside a guest: as root, nst.ko and key box loaded."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nst_scapy.keybox import KeyBox
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import load_keybox

CLONE_NEWNET = 0x40000000
SYSCTL = Path("/proc/sys/net/nst")
_KERNEL_REPORTS = ("BUG:", "WARNING:", "Oops", "general protection fault", "Call Trace:")


@pytest.fixture(scope="session")
def keybox_text() -> bytes:
    """The key box that is loaded, as text."""
    return Path(os.environ["NST_KEYBOX"]).read_bytes()


@pytest.fixture(scope="session")
def box(keybox_text: bytes) -> KeyBox:
    """The key box that is loaded."""
    return KeyBox.parse(keybox_text)


@pytest.fixture
def restore_keybox(keybox_text: bytes) -> Iterator[None]:
    """Load the key box again after a test that replaces it."""
    yield
    load_keybox(keybox_text)


@pytest.fixture
def empty_namespace() -> Iterator[None]:
    """A network namespace of the test's own, with loopback and no key box."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def fresh_namespace(empty_namespace: None, keybox_text: bytes) -> None:
    """A network namespace of the test's own: fresh tables, the same key box."""
    load_keybox(keybox_text)


@pytest.fixture
def counted() -> Counted:
    """What the test makes the module count."""
    return Counted()


@pytest.fixture
def sysctl() -> Iterator[Callable[[str, int], None]]:
    """Set ``net.nst.NAME``; what was there before comes back."""
    with contextlib.ExitStack() as stack:

        def setting(name: str, value: int) -> None:
            path = SYSCTL / name
            before = path.read_text()
            stack.callback(path.write_text, before)
            path.write_text(f"{value}\n")

        yield setting


@pytest.fixture(autouse=True)
def quiet_kernel() -> Iterator[None]:
    """No test may make the kernel complain."""
    with Path("/dev/kmsg").open("rb", buffering=0) as log:
        os.set_blocking(log.fileno(), False)
        os.lseek(log.fileno(), 0, os.SEEK_END)
        yield
        messages = []
        with contextlib.suppress(BlockingIOError):
            while message := log.read(8192):
                messages.append(message.decode(errors="replace"))
    assert not [m for m in messages if any(sign in m for sign in _KERNEL_REPORTS)]
