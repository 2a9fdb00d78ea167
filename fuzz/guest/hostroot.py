# SPDX-License-Identifier: GPL-2.0-or-later
"""The host-root guest: another kernel under the host's file system.

virtme-ng composes the root: its initramfs, its process 1, the 9p exports and the
command line that joins them. The machine around it is ours (`qemu.Qemu`), so that the
console, the command's streams and the clean end are those of every guest.

The host's files are read-only in the guest, except the caller's working directory and
the directory for temporary files, which are the host's own, and /etc, /var, /home and
/root, where changes stay in the guest.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fuzz.guest import stockmodules
from fuzz.guest.console import Console
from fuzz.guest.errors import GuestError, GuestPanic, GuestTimeout, SetupError
from fuzz.guest.kernel import Kernel
from fuzz.guest.qemu import Machine, Qemu
from fuzz.guest.relay import Relay
from fuzz.guest.scratch import scratch

# Limits of a stock kernel on a host with KVM; longer by `Qemu.slowdown` elsewhere.
BOOT_SECONDS = 45.0
END_SECONDS = 20.0
_JOB_SCRIPT = Path(__file__).with_name("hostroot_job.sh")
_OVERLAYS = ("/etc", "/home", "/root", "/var")
# What virtme-run's command line says about the root; the rest of it is its idea of a
# machine. Every one of its options that counts here takes a value.
_ROOT_OPTIONS = ("-fsdev", "-device", "-append")
# Variables that would mean something else in the guest, or nothing.
_NOT_PASSED = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK")


@dataclass(frozen=True)
class Job:
    """A command to run in a guest.

    `module` and `keybox` are loaded before the command starts, if given. The command
    finds the key box's path in NST_KEYBOX.
    """

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    module: Path | None = None
    keybox: Path | None = None


class HostRootGuest:
    """A guest that boots, runs one job and ends. Use as a context manager.

    With `terminal` (rows, columns) the command has a terminal of that size, else three
    pipes.
    """

    def __init__(
        self,
        kernel: Kernel,
        job: Job,
        *,
        log: Path,
        memory: int = 1024,
        cpus: int = 2,
        cmdline: str = "",
        terminal: tuple[int, int] | None = None,
    ) -> None:
        """Describe the guest; entering the context boots it.

        The console is appended to `log`. `memory` is in MiB. `cmdline` is added to the
        kernel's command line.
        """
        self.console = Console(log)
        self._kernel = kernel
        self._job = job
        self._memory = memory
        self._cpus = cpus
        self._cmdline = cmdline
        self._terminal = terminal
        self._exit = contextlib.ExitStack()
        self._qemu: Qemu | None = None

    def __enter__(self) -> Self:
        with self._exit:
            self._start()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def _start(self) -> None:
        shared = tempfile.gettempdir()
        folder = self._exit.enter_context(scratch(Path(shared)))
        self._write_job(folder)
        initrd = folder / "initrd"
        options = self._root_options(folder, initrd, shared)
        append = options.pop(options.index("-append") + 1)
        options.remove("-append")
        options += ["-device", "virtio-serial-pci,max_ports=8"]
        far: list[socket.socket] = []

        def port(name: str, device: str = "virtserialport") -> socket.socket:
            """Add a virtio port; return the host's end of it."""
            near, guests = socket.socketpair()
            self._exit.enter_context(near)
            far.append(guests)
            options.extend((
                "-chardev", f"socket,id={name},fd={guests.fileno()}",
                "-device", f"{device},chardev={name},name=nst.{name}",
            ))  # fmt: skip
            return near

        if self._terminal is None:
            self._stdin, stdout, stderr = port("stdin"), port("stdout"), port("stderr")
            self._outputs = [stdout, stderr]
        else:
            self._stdin = port("terminal", "virtconsole")
            self._outputs = [self._stdin]
        self._status = port("status")
        machine = Machine(
            kernel=self._kernel,
            initrd=initrd,
            cmdline=f"{append} {self._cmdline}",
            memory=self._memory,
            cpus=self._cpus,
            devices=options,
            fds=[end.fileno() for end in far],
        )
        try:
            self._qemu = Qemu(machine, self.console)
        finally:
            for end in far:
                end.close()
        self._exit.callback(self._qemu.close)

    @property
    def qemu(self) -> Qemu:
        """The running QEMU."""
        assert self._qemu is not None, "the guest has not been started"
        return self._qemu

    def run(
        self,
        stdin: int | None = None,
        outputs: Sequence[int] = (1, 2),
        timeout: float | None = None,
    ) -> int:
        """Join file descriptors to the command's streams until it and the guest end.

        `outputs` take stdout and stderr, or the terminal. Returns the command's exit
        status as a shell tells it. `timeout` is in seconds from the command's start.
        Raises GuestTimeout, GuestPanic, GuestError if the command could not be started
        or the guest ended before it, and BrokenPipeError if an output was closed.
        """
        relay = Relay(
            stdin, self._stdin, dict(zip(self._outputs, outputs, strict=False)), self._status
        )
        limit = BOOT_SECONDS * self.qemu.slowdown
        phase = "the guest did not boot"
        try:
            said = relay.status(limit)
            if said == "started":
                limit = timeout if timeout is not None else float("inf")
                phase = "the command did not end"
                said = relay.status(limit)
            limit = END_SECONDS * self.qemu.slowdown
            phase = "the guest did not shut down"
            relay.drain(limit)
        except TimeoutError:
            raise GuestTimeout(f"{phase} in {limit:g} s", self.console.log) from None
        if said.isdigit():
            return int(said)
        if said.startswith("failed"):
            raise GuestError(f"the guest could not run the command: {said}", self.console.log)
        self.qemu.wait(END_SECONDS)
        if panic := self.console.panic_since(0):
            raise GuestPanic(panic, self.console.log)
        raise GuestError("the guest ended before the command did", self.console.log)

    def _write_job(self, folder: Path) -> None:
        """Write what the guest's script reads: see hostroot_job.sh."""
        job = self._job
        environment = {
            name: value for name, value in job.environment.items() if name not in _NOT_PASSED
        }
        # The caller may be anyone; the command is root.
        environment["PATH"] = f"{environment.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"
        # The host's /tmp comes over 9p, where a file without a name cannot be cut short.
        environment["TMPDIR"] = "/var/tmp"
        environment["NST_IN_GUEST"] = self._kernel.name
        environment["MODPROBE_OPTIONS"] = f"--dirname={self._kernel.root}"
        stock: list[str] = []
        if job.module is not None:
            shutil.copyfile(job.module, folder / "nst.ko")
            stock = stockmodules.dependencies(job.module)
        if job.keybox is not None:
            shutil.copyfile(job.keybox, folder / "keybox")
            environment["NST_KEYBOX"] = str(job.keybox)
        if self._terminal is not None:
            rows, columns = self._terminal
            (folder / "terminal").write_text(f"{rows} {columns}\n")
        (folder / "modules").write_text(f"{self._kernel.root}\n")
        (folder / "stock").write_text(" ".join(stock) + "\n")
        for name, strings in (
            ("argv", list(job.argv)),
            ("cwd", [str(job.cwd)]),
            ("env", [f"{name}={value}" for name, value in environment.items()]),
        ):
            (folder / name).write_bytes(b"".join(os.fsencode(text) + b"\0" for text in strings))

    def _root_options(self, folder: Path, initrd: Path, shared: str) -> list[str]:
        """Have virtme-run compose the root; return its QEMU options about it."""
        virtme = Path(sysconfig.get_path("scripts"), "virtme-run")
        busybox = shutil.which("busybox")
        if not virtme.exists() or busybox is None or shutil.which("file") is None:
            raise SetupError("virtme-ng, busybox-static or file is missing; run: make setup")
        writable = [shared]
        if self._job.cwd != Path("/") and not self._job.cwd.is_relative_to(shared):
            writable.append(str(self._job.cwd))
        command = [
            str(virtme), "--dry-run", "--show-command", "--verbose", "--show-boot-console",
            "--mods", "auto", "--kimg", str(self._kernel.vmlinuz),
            "--disable-kvm", "--force-9p", "--busybox", busybox,
            "--force-initramfs", "--save-initramfs", str(initrd),
            *(f"--rwdir={path}" for path in writable),
            *(f"--overlay-rwdir={path}" for path in _OVERLAYS if Path(path).is_dir()),
            # Without virtme's own ports its process 1 runs this on the console.
            "--script-sh", f"exec bash {shlex.quote(str(_JOB_SCRIPT))} {shlex.quote(str(folder))}",
        ]  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise GuestError(f"virtme-run: {done.stderr.strip() or done.stdout.strip()}")
        words = shlex.split(done.stdout)
        return [
            word
            for option, value in itertools.pairwise(words)
            if option in _ROOT_OPTIONS
            and (option != "-device" or value.startswith("virtio-9p-pci"))
            for word in (option, value)
        ]
