# SPDX-License-Identifier: GPL-2.0-or-later
"""The example programs of kmod/examples."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

KMOD = Path(__file__).parents[2] / "kmod"


def free_port(kind: socket.SocketKind) -> str:
    with socket.socket(type=kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def wait_for(port: str, option: str) -> None:
    end = time.monotonic() + 30
    while not subprocess.run(
        ["ss", "-Hn", option, "sport", "=", f":{port}"], capture_output=True, check=True
    ).stdout:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_c_example(tmp_path: Path) -> None:
    for folder in ("examples", "include"):
        shutil.copytree(KMOD / folder, tmp_path / folder)
    subprocess.run(["make", "-s", "-C", str(tmp_path / "examples")], check=True)
    program, port = str(tmp_path / "examples" / "nst-echo"), free_port(socket.SOCK_STREAM)
    with subprocess.Popen([program, "127.0.0.1", port]) as server:
        wait_for(port, "-tl")
        said = subprocess.run(
            [program, "127.0.0.1", port, "hello"], capture_output=True, text=True, check=True
        ).stdout
        assert server.wait(20) == 0
    about, echoed = said.splitlines()
    assert about.startswith("suite 2, kid ")
    assert echoed == "hello"


def test_python_example() -> None:
    command = [sys.executable, str(KMOD / "examples" / "nst-echo.py"), "127.0.0.1"]
    port = free_port(socket.SOCK_DGRAM)
    with subprocess.Popen([*command, port]) as server:
        wait_for(port, "-ua")
        said = subprocess.run(
            [*command, port, "hello"], capture_output=True, text=True, check=True
        ).stdout
        server.terminate()
    echoed, about = said.splitlines()
    assert echoed == "hello"
    assert about.endswith("1 records")
