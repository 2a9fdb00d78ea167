# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests that run inside a guest: as root, nst.ko and key box loaded."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nst_scapy.kernel_control import Control
from nst_scapy.keybox import KeyBox
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import LIBC, load_keybox

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


def _enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _unshare() -> None:
    """Enter a new network namespace, with loopback and no key box."""
    if LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """Come back to the network namespace that we were in."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        _enter(home)
        os.close(home)


@pytest.fixture
def empty_namespace() -> Iterator[None]:
    """A network namespace of the test's own, with loopback and no key box."""
    with _home():
        _unshare()
        yield


class Namespaces:
    """Network namespaces that grow old while other tests run; each serves once."""

    def __init__(self, count: int) -> None:
        self._made = time.monotonic()
        self._unused: list[int] = []
        for _ in range(count):
            with _home():
                _unshare()
                self._unused.append(os.open("/proc/self/ns/net", os.O_RDONLY))

    @contextlib.contextmanager
    def one(self, age_s: float) -> Iterator[None]:
        """Be in one of them that is at least so old, in seconds."""
        time.sleep(max(0.0, self._made + age_s - time.monotonic()))
        namespace = self._unused.pop()
        try:
            with _home():
                _enter(namespace)
                yield
        finally:
            os.close(namespace)


AGED = pytest.StashKey[Namespaces]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the namespaces before the first test, for those that want them old."""
    users = [i for i in session.items if "aged_namespaces" in getattr(i, "fixturenames", ())]
    session.config.stash[AGED] = Namespaces(len(users))


@pytest.fixture
def aged_namespaces(request: pytest.FixtureRequest) -> Namespaces:
    """Network namespaces that are as old as the test session."""
    return request.config.stash[AGED]


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


@pytest.fixture
def control(fresh_namespace: None) -> Iterator[Control]:
    """A connection to the module in a network namespace of the test's own."""
    with Control() as made:
        yield made
