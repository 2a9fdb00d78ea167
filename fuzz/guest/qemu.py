# SPDX-License-Identifier: GPL-2.0-or-later
"""The one QEMU launcher under every guest."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.guest import accel
from fuzz.guest.console import Console
from fuzz.guest.errors import GuestError, SetupError
from fuzz.guest.kernel import Kernel
from fuzz.guest.process import spawn_bound
from fuzz.guest.qmp import Qmp
from fuzz.guest.scratch import scratch

START_SECONDS = 30.0


@dataclass(frozen=True)
class Machine:
    """A virtual machine: what is booted and what is plugged in.

    `memory` is in MiB. `devices` are further QEMU options; `fds` are the descriptors
    that they name. The serial console, QMP and the accelerator are the launcher's.
    `counted`: a nanosecond of the guest's clock is an instruction (`accel.COUNTED`).
    """

    kernel: Kernel
    initrd: Path
    cmdline: str
    memory: int = 512
    cpus: int = 1
    devices: Sequence[str] = ()
    fds: Sequence[int] = field(default=())
    counted: bool = False


class Qemu:
    """A running QEMU with its console and control channel.

    The kernel kills QEMU when this process goes away (`process.spawn_bound`), so no
    exit leaves it behind; nor can it start without the sockets this process listens on.
    After a panic or a reboot of the guest QEMU ends by itself. `slowdown` scales time
    limits that are meant for a stock kernel on a host with KVM.
    """

    def __init__(self, machine: Machine, console: Console) -> None:
        """Start the machine; its console goes to `console`.

        Raises SetupError if QEMU is missing, GuestError if it does not start.
        """
        binary = shutil.which("qemu-system-x86_64")
        if binary is None:
            raise SetupError("qemu-system-x86_64 is missing: apt-get install qemu-system-x86")
        self.console = console
        self.accelerator = accel.COUNTED if machine.counted else accel.choose(machine.kernel)
        self.slowdown = self.accelerator.slowdown * machine.kernel.slowdown
        self._exit = contextlib.ExitStack()
        # Addresses of Unix sockets hold 107 bytes, whatever TMPDIR says.
        self._dir = self._exit.enter_context(scratch(Path("/tmp")))
        self._output = self._dir / "qemu.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        try:
            self._start(binary, machine)
        except BaseException:
            self.close()
            raise

    def _start(self, binary: str, machine: Machine) -> None:
        console_path = self._dir / "console"
        qmp_path = self._dir / "qmp"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(console_path))
            listener.listen(1)
            self._qmp = Qmp(qmp_path)
            command = [
                binary, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                "-machine", "q35", *self.accelerator.options,
                "-m", f"{machine.memory}M", "-smp", str(machine.cpus),
                "-chardev", f"socket,id=console,path={console_path}",
                "-serial", "chardev:console",
                "-chardev", f"socket,id=qmp,path={qmp_path}",
                "-mon", "chardev=qmp,mode=control",
                *machine.devices,
                "-kernel", str(machine.kernel.vmlinuz), "-initrd", str(machine.initrd),
                "-append", f"console=ttyS0 panic=-1 {machine.cmdline}",
            ]  # fmt: skip
            self._process = spawn_bound(command, self._output, machine.fds)
            try:
                self.console.attach(self._connected(listener))
                self._qmp.accept(START_SECONDS)
            except GuestError as error:
                raise GuestError(f"QEMU did not start: {self._complaint() or error}") from error

    def _connected(self, listener: socket.socket) -> socket.socket:
        """Wait for QEMU to connect to a socket, as long as it lives."""
        deadline = time.monotonic() + START_SECONDS
        listener.settimeout(0.1)
        while self.alive() and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                return listener.accept()[0]
        raise GuestError("it ended" if not self.alive() else "it does not connect")

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def qmp(self) -> Qmp:
        """The control channel."""
        assert self._qmp is not None
        return self._qmp

    def alive(self) -> bool:
        """Tell whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def killed(self) -> bool:
        """Tell whether somebody ended QEMU with SIGKILL, which nothing in a guest does."""
        if self._process is None:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Its sockets are closed before it has ended.
            self._process.wait(1)
        return self._process.returncode == -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for QEMU to end by itself; False if it still runs after `timeout` seconds."""
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self.console.join()
        return True

    def close(self) -> None:
        """End QEMU, by QMP or by force, and take in the rest of its console."""
        process, self._process = self._process, None
        qmp, self._qmp = self._qmp, None
        if process is not None:
            if process.poll() is None and qmp is not None:
                with contextlib.suppress(GuestError):
                    qmp.execute("quit", timeout=2)
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.console.join(5)
        if qmp is not None:
            qmp.close()
        self._exit.close()

    def _complaint(self) -> str:
        """Return the last line QEMU wrote to its stderr."""
        said = self._output.read_text(errors="replace").strip() if self._output.exists() else ""
        return said.splitlines()[-1] if said else ""
