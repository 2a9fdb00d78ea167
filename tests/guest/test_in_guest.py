# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests of tests/in_guest: as root, under the kernel and module under test.

They run in one guest for each kernel of --kernels, with one boot. Their outcome is shown
as one test here; pytest's own report from inside comes with a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.guest import kernel as kernels
from fuzz.guest import stockcrypto
from tests.guest import ktls

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "in_guest"
PROGRAMS = TESTS / "test_nst_run.py"
"""What `make test-programs` runs, on its own for the time that it takes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel_name" in metafunc.fixturenames:
        metafunc.parametrize("kernel_name", metafunc.config.getoption("--kernels").split(","))


@pytest.fixture(scope="module")
def selftest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linux's selftest of kTLS, built for AF_NST."""
    return ktls.build(tmp_path_factory.mktemp("ktls"))


def in_guest(
    nst_fuzz: str,
    options: list[str],
    tests: list[str],
    *,
    seconds: int,
    environment: dict[str, str] | None = None,
) -> None:
    """Run tests in a guest; leave what it said in the report of this test."""
    watched = "kmemleak=on" in options
    command = [
        nst_fuzz, "guest", "run", *options, "--timeout", str(seconds), "--",
        sys.executable, "-B", *(["-m", "fuzz.soak.leaks", "--", sys.executable, "-B"] * watched),
        "-m", "pytest", "-p", "no:cacheprovider", *tests,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, f"in the guest:\n{done.stdout}"


@pytest.mark.timeout(4000)
def test_in_guest(nst_fuzz: str, kernel_name: str, selftest: Path) -> None:
    options = ["--kernel", kernel_name]
    seconds = 2400
    if kernel_name not in kernels.STOCK:
        # The kernel that watches takes its time, and tells at the end what was lost.
        options += ["--memory", "2048", "--append", "kmemleak=on"]
        seconds = 3600
    tests = [str(TESTS), f"--ignore={PROGRAMS}"]
    environment = {"NST_KTLS": str(selftest)}
    in_guest(nst_fuzz, options, tests, seconds=seconds, environment=environment)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nst_ko")
def test_without_the_sm_suites(nst_fuzz: str) -> None:
    """A stock kernel as it comes: two suites, and the others are refused."""
    in_guest(
        nst_fuzz,
        ["--append", stockcrypto.WITHOUT],
        ["--without-suites=SM4_GCM,SM4_CBC", str(TESTS / "test_suites.py")],
        seconds=500,
    )
