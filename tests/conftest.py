# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests that need a kernel.

Imports are inside the fixtures: this file is also read in guests, by the tests of
tests/in_guest, where importing is slow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fuzz.guest.kernel import Kernel


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
