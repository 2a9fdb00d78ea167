# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests that need a kernel.

Imports are inside the fixtures: this file is also read in guests, by the tests of
tests/in_guest, where importing is slow.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fuzz.guest.kernel import Kernel


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which kernels tests/in_guest runs on, and what it is told about them inside."""
    parser.addoption(
        "--kernels",
        default="debian-6.12",
        metavar="NAME,...",
        help="Kernels to run the tests of tests/in_guest on. [default: debian-6.12]",
    )
    parser.addoption(
        "--without-suites",
        default="",
        metavar="SUITE,...",
        help="In a guest: the suites that its kernel is known to lack.",
    )


def pytest_configure() -> None:
    """Take Ctrl-C, whoever started us.

    A shell's background job ignores SIGINT, and so would every command that the tests
    start and interrupt.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what may run side by side: tests in guests, and all that share our loopback."""
    guests = {"campaigns", "guest", "transfer"}
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in guests else "host"))


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The default kernel, from the cache."""
    from fuzz.guest import kernel as kernels

    return kernels.find()


@pytest.fixture(scope="session")
def nst_ko(kernel: Kernel) -> Path:
    """The module, built for that kernel."""
    from fuzz.guest import module

    return module.build_module(kernel)


@pytest.fixture(scope="session")
def nst_fuzz() -> str:
    """The path of the command `nst-fuzz`."""
    import sysconfig

    return str(Path(sysconfig.get_path("scripts"), "nst-fuzz"))
