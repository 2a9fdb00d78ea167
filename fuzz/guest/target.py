# SPDX-License-Identifier: GPL-2.0-or-later
"""The target guest: a kernel, the module, one static program and a raw-frame network."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from types import TracebackType
from typing import Self

from fuzz.guest import accel, cache, initramfs, stockmodules
from fuzz.guest.console import Console
from fuzz.guest.errors import GuestError, SetupError
from fuzz.guest.kernel import Kernel
from fuzz.guest.qemu import Machine, Qemu
from fuzz.guest.scratch import scratch
from fuzz.net.link import FrameLink

READY_SECONDS = 20.0
SAVE_SECONDS = 120.0
"""How long saving a guest may take on a busy host."""
_STATE = "ready"
# Drivers of the two devices, and what the suites need from the kernel crypto API:
# a module cannot be asked for from inside, the guest has no modprobe.
STOCK_MODULES = (
    "virtio_pci", "virtio_net", "virtio_console",
    "aes_generic", "cbc", "ctr", "gcm", "ghash_generic", "hmac", "sha256_generic",
    "aesni_intel", "ghash_clmulni_intel", "sha256_ssse3", "sm3_generic", "sm4_generic",
)  # fmt: skip


class TargetGuest:
    """A guest that boots in seconds, for one campaign.

    The program runs as root with its stdin and stdout on `control`; its stderr goes to
    the console. `frames` exchanges bare Ethernet frames (no FCS) with the guest's only
    interface; a full queue blocks the sender instead of losing frames. By itself the guest
    only reports multicast membership (MLD) and asks for its peer's hardware address (ARP,
    neighbour solicitation): answer the latter.

    Use as a context manager: leaving it ends the guest.
    """

    mac = "02:4e:53:54:00:02"
    ipv4 = IPv4Interface("10.78.83.2/24")
    ipv6 = IPv6Interface("fd4e:5354::2/64")
    host_mac = "02:4e:53:54:00:01"
    host_ipv4 = IPv4Interface("10.78.83.1/24")
    host_ipv6 = IPv6Interface("fd4e:5354::1/64")

    def __init__(
        self,
        kernel: Kernel,
        *,
        module: Path,
        keybox: Path,
        program: Path,
        workdir: Path,
        args: Sequence[str] = (),
        module_args: str = "",
        cmdline: str = "",
        memory: int = 512,
        cpus: int = 1,
        stock: Sequence[str] = (),
        counted: bool = False,
        forwards: Mapping[int, int] | None = None,
        kept: bool = False,
    ) -> None:
        """Describe the guest; `start` or `with` boots it.

        `module` is a built nst.ko, `keybox` a key-box file to load, `program` a static
        executable run with `args`. `cmdline` is added to the kernel's command line;
        `memory` is in MiB. `stock` names more of the kernel's own modules to load, and
        `counted` has the guest's clock count instructions, on one CPU. `forwards` gives TCP
        ports of the host's loopback that lead, over a second interface, to a port of the
        guest. `kept` lets the guest be saved (`save`), so that a restart takes no boot. The
        console is kept in `workdir`/console.log.
        """
        self._kernel = kernel
        self._module = module
        self._keybox = keybox
        self._program = program
        self._args = list(args)
        self._module_args = module_args
        self._cmdline = f"{accel.COUNTED_CMDLINE} {cmdline}" if counted else cmdline
        self._stock = (*STOCK_MODULES, *stock)
        self._counted = counted
        self._memory = memory
        self._cpus = cpus
        self._forwards = dict(forwards or {})
        self._kept = kept
        self.saved = False
        workdir.mkdir(parents=True, exist_ok=True)
        self.console = Console(workdir / "console.log")
        self.boot_line = 0
        self.frames = FrameLink()
        self._control: socket.socket | None = None
        self._qemu: Qemu | None = None
        self._exit = contextlib.ExitStack()
        self._dir = self._exit.enter_context(scratch(Path("/tmp")))

    @property
    def control(self) -> socket.socket:
        """A stream socket to the program's stdin and stdout; a new one after `restart`."""
        assert self._control is not None, "the guest has not been started"
        return self._control

    @property
    def qemu(self) -> Qemu:
        """The running QEMU, for its control channel and accelerator."""
        assert self._qemu is not None, "the guest has not been started"
        return self._qemu

    @property
    def panic(self) -> str | None:
        """The panic message of this boot's kernel, if it panicked."""
        return self.console.panic_since(self.boot_line)

    def start(self) -> None:
        """Boot a fresh kernel; does not wait for it to be up (`wait_ready`).

        One that was saved comes up as it was then, and says nothing about it.
        """
        assert self._qemu is None, "the guest has been started already"
        initrd = self._dir / "initrd"
        initrd.write_bytes(_base_archive(self._kernel, self._stock) + self._own_archive())
        self.boot_line = len(self.console)
        self._control, far = socket.socketpair()
        near, wire = socket.socketpair()
        self.frames.attach(near)
        with far, wire:
            machine = Machine(
                kernel=self._kernel,
                initrd=initrd,
                # On a busy host a translated guest's timer may be late for the kernel's test of it.
                cmdline=f"oops=panic no_timer_check {self._cmdline}",
                memory=self._memory,
                cpus=self._cpus,
                devices=[
                    "-netdev", f"stream,id=frames,addr.type=fd,addr.str={wire.fileno()}",
                    "-device", f"virtio-net-pci,netdev=frames,mac={self.mac},romfile=",
                    "-chardev", f"socket,id=control,fd={far.fileno()}",
                    "-device", "virtio-serial-pci",
                    "-device", "virtserialport,chardev=control,name=nst.control,nr=1",
                    *self._user_network(),
                    *self._disk(),
                ],
                fds=[far.fileno(), wire.fileno()],
                counted=self._counted,
            )  # fmt: skip
            self._qemu = Qemu(machine, self.console)

    def save(self) -> None:
        """Have restarts bring the guest back as it is now; its clocks, too, are those of now.

        Raises:
            GuestError: it cannot be saved.
        """
        if said := self.qemu.qmp.monitor(f"savevm {_STATE}", SAVE_SECONDS).strip():
            raise GuestError(f"the guest cannot be saved: {said}")
        self.saved = True

    def _disk(self) -> list[str]:
        """The options for the file that holds what is saved, and to begin with that."""
        if not self._kept:
            return []
        file = self._dir / "saved.qcow2"
        if not file.exists():
            image = shutil.which("qemu-img")
            if image is None:
                raise SetupError("qemu-img is missing: apt-get install qemu-utils")
            # Nothing is ever read from it as from a disk.
            subprocess.run(
                [image, "create", "-q", "-f", "qcow2", str(file), "1M"],
                check=True, capture_output=True,
            )  # fmt: skip
        begin = ["-loadvm", _STATE] if self.saved else []
        return ["-drive", f"file={file},if=none,format=qcow2,id=saved", *begin]

    def _user_network(self) -> list[str]:
        """The options for QEMU's own network, if anything is to be forwarded."""
        if not self._forwards:
            return []
        forwards = "".join(
            f",hostfwd=tcp:127.0.0.1:{port}-:{inner}" for port, inner in self._forwards.items()
        )
        return [
            "-netdev", f"user,id=user,restrict=on,ipv6=off{forwards}",
            "-device", "virtio-net-pci,netdev=user,romfile=",
        ]  # fmt: skip

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until the module is loaded, the network is up and the program is started.

        `timeout` is in seconds of a stock kernel on a host with KVM, and longer on others. Raises
        GuestTimeout, GuestPanic, or GuestError with what process 1 said.
        """
        found = self.console.wait_for(
            r"nst-init: (ready|failed: .*)",
            timeout * self.qemu.slowdown,
            since=self.boot_line,
        )
        if found[1] != "ready":
            raise GuestError(f"the guest did not come up: {found[1]}", self.console.log)

    def alive(self) -> bool:
        """Tell whether the guest's QEMU runs; it ends when the kernel panics."""
        return self._qemu is not None and self._qemu.alive()

    @property
    def killed(self) -> bool:
        """Whether somebody killed the guest's QEMU: the out-of-memory killer, say."""
        return self._qemu is not None and self._qemu.killed()

    def restart(self) -> None:
        """End the guest and boot it anew; frames still in the queue are dropped."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End the guest; `start` boots it again."""
        qemu, self._qemu = self._qemu, None
        control, self._control = self._control, None
        if qemu is not None:
            qemu.close()
        if control is not None:
            control.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        self.stop()
        self.frames.close()
        self._exit.close()

    def _own_archive(self) -> bytes:
        """Return the archive of what belongs to this guest alone."""
        command = shlex.join(["/nst/target", *self._args])
        config = (
            f"module_args={shlex.quote(self._module_args)}\n"
            f"ipv4={self.ipv4}\nipv6={self.ipv6}\n"
            f"target() {{\n\t{command}\n}}\n"
        )
        return initramfs.archive(
            {
                "nst/config": config.encode(),
                "nst/keybox": self._keybox,
                "nst/nst.ko": self._module,
                "nst/target": self._program,
            },
            executable=frozenset({"nst/target"}),
        )


def _base_archive(kernel: Kernel, stock: Sequence[str]) -> bytes:
    """Return the archive that all target guests of a kernel with these modules share."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SetupError("busybox is missing: apt-get install busybox-static")
    init = resources.files(__package__).joinpath("target_init.sh").read_bytes()
    files = stockmodules.load_order(kernel, stock)
    key = hashlib.sha256(init + Path(busybox).read_bytes())
    key.update(f"{kernel.release} {tuple(stock)}".encode())
    cached = cache.cache_path("initramfs", f"{kernel.name}-{key.hexdigest()[:16]}.cpio")
    with cache.locked(cached):
        if not cached.exists():
            names = [file.name.removesuffix(".xz") for file in files]
            contents: dict[str, bytes | Path] = {
                "init": init,
                "bin/busybox": Path(busybox),
                "nst/modules/order": "".join(f"{name}\n" for name in names).encode(),
            }
            for name, file in zip(names, files, strict=True):
                contents[f"nst/modules/{name}"] = stockmodules.read(file)
            built = initramfs.archive(contents, executable=frozenset({"init", "bin/busybox"}))
            fresh = cached.with_suffix(".new")
            fresh.write_bytes(built)
            fresh.rename(cached)
    return cached.read_bytes()
