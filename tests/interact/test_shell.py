# SPDX-License-Identifier: GPL-2.0-or-later
"""nst shell, at a pseudoterminal and at the end of a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from nst_scapy.keybox import KeyBox

NST = str(Path(sysconfig.get_path("scripts"), "nst"))
BOX = KeyBox.generate(3)


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """A home of its own, so that Scapy's settings of the developer do not matter."""
    BOX.save(tmp_path / "test.keybox")
    changed = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TERM": "dumb"}
    return os.environ | changed | {"NST_KEYBOX": str(tmp_path / "test.keybox")}


class Terminal:
    """The terminal's side of a pty."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._number, text.encode())

    def wait_for(self, pattern: str, seconds: float = 120) -> None:
        """Read until *pattern* is in what came since the last time."""
        end = time.monotonic() + seconds
        new = ""
        while not re.search(pattern, new):
            assert select.select([self._number], [], [], max(0, end - time.monotonic()))[0], new
            new += os.read(self._number, 65536).decode(errors="replace")
            assert "Traceback" not in new.replace("KeyboardInterrupt", ""), new
        self.shown += new


def test_at_a_terminal(environment):
    pid, master = pty.fork()
    if pid == 0:
        os.execve(NST, [NST, "shell"], environment)
    terminal = Terminal(master)
    terminal.wait_for(r"NST is loaded(.|\n)*test.keybox, 3 keys(.|\n)*>>> ")
    terminal.type("p = NSTAssociation(box).encrypt(b'hello'); len(bytes(p))\r")
    terminal.wait_for(r"\n53\r?\n(.|\n)*>>> ")
    terminal.type("NSTAssociation(box).decrypt(p).load\r")
    terminal.wait_for(r"\nb'hello'(.|\n)*>>> ")
    terminal.type("box\r")
    terminal.wait_for(r"<KeyBox of 3 keys>(.|\n)*>>> ")
    terminal.type("guide()\r")
    terminal.wait_for(r"NST is loaded(.|\n)*>>> ")
    terminal.type("\x03")
    terminal.wait_for(r"KeyboardInterrupt(.|\n)*>>> ")
    terminal.type("\x04")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not any(key.hex() in terminal.shown for key in BOX.values())
    os.close(master)


def test_at_a_pipe(environment):
    del environment["NST_KEYBOX"]
    run = subprocess.run(
        [NST, "shell"],
        input="print(len(box), NSTForwardMachine.__name__, decode.__doc__[:4])\n",
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0
    assert "4 NSTForwardMachine What" in run.stdout
    assert "fresh, for this session" in run.stderr


def test_bad_key_box(environment, tmp_path):
    for path, reason in (("none", "No such file"), ("test.keybox", ":1: expected")):
        (tmp_path / "test.keybox").write_text("junk\n")
        run = subprocess.run(
            [NST, "shell", "--keybox", tmp_path / path], env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert run.returncode == 2
        assert re.fullmatch(rf"nst: error: .*{reason}.*\n", run.stderr)
