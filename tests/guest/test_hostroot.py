# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in a host-root guest: each of these tests boots one kernel."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from fuzz.guest.kernel import Kernel
from tests.guest.processes import qemus_below, running, until

pytestmark = pytest.mark.timeout(300)

# Output larger than any buffer on its way, and a process that is left behind with
# the command's pipes open.
_SCRIPT = """
uname -r
pwd
id -u
echo "[$GREETING]"
test -e "$NST_KEYBOX" && echo key box
grep -c ^nst /proc/modules
wc -c
echo made > made
touch /usr/forbidden 2>/dev/null || echo read-only
touch /etc/forgotten && echo kept in the guest
cat /sys/class/net/lo/flags
echo to stderr >&2
echo to /dev/stderr > /dev/stderr
sleep 1000 &
head -c 3000000 /dev/zero | tr '\\0' x
exit 42
"""


@pytest.mark.usefixtures("nst_ko")
def test_a_command_is_run_as_if_it_were_here(nst_fuzz: str, kernel: Kernel, tmp_path: Path) -> None:
    sent = os.urandom(1_000_000)
    done = subprocess.run(
        [nst_fuzz, "guest", "run", "--", "bash", "-c", _SCRIPT],
        cwd=tmp_path, input=sent, capture_output=True, check=False,
        env={**os.environ, "GREETING": 'a "b"\n$c'},
    )  # fmt: skip
    assert done.stderr.decode() == "to stderr\nto /dev/stderr\n"
    assert done.returncode == 42
    assert done.stdout[-3_000_000:] == b"x" * 3_000_000
    assert done.stdout[:-3_000_000].decode().splitlines() == [
        kernel.release,
        str(tmp_path),
        "0",
        '[a "b"',
        "$c]",
        "key box",
        "1",
        str(len(sent)),
        "read-only",
        "kept in the guest",
        "0x9",  # IFF_UP | IFF_LOOPBACK
    ]
    assert (tmp_path / "made").read_text() == "made\n"
    assert not Path("/etc/forgotten").exists()


def test_a_panic_is_one_clear_line(nst_fuzz: str) -> None:
    done = subprocess.run(
        [nst_fuzz, "guest", "run", "--no-module", "--", "sh", "-c", "echo c >/proc/sysrq-trigger"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 125
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    said, _, log = line.removesuffix(")").partition(" (console: ")
    assert said == "nst-fuzz: error: Kernel panic - not syncing: sysrq triggered crash"
    assert "Call Trace:" in Path(log).read_text()


def test_a_command_that_takes_too_long_is_ended(nst_fuzz: str) -> None:
    done = subprocess.run(
        [nst_fuzz, "guest", "run", "--no-module", "--timeout", "1", "--", "sleep", "1000"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 124
    assert "the command did not end in 1 s" in done.stderr


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_qemu_outlives_the_runner(nst_fuzz: str, number: int, status: int) -> None:
    """Signals in mid-boot; that QEMU does is all that counts here."""
    with subprocess.Popen(
        [nst_fuzz, "guest", "run", "--no-module", "--", "true"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as runner:  # fmt: skip
        assert until(lambda: qemus_below(runner.pid), 30)
        (qemu,) = qemus_below(runner.pid)
        runner.send_signal(number)
        said = runner.communicate()[1]
        assert until(lambda: not running(qemu), 5)
    assert runner.returncode == status
    assert "Traceback" not in said


def test_the_input_and_output_of_a_pipeline(nst_fuzz: str) -> None:
    """A reader that stops reading stops the guest, as it would stop a local command."""
    done = subprocess.run(
        f"{nst_fuzz} guest run --no-module -- yes | head -n 2; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "y\ny\n"
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE
