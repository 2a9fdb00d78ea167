# SPDX-License-Identifier: GPL-2.0-or-later
"""Which accelerator works: KVM if it really runs a guest, else QEMU's translator."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz.guest import cache
from fuzz.guest.errors import SetupError
from fuzz.guest.kernel import Kernel

PROBE_SECONDS = 8.0
_KVM = Path("/dev/kvm")


@dataclass(frozen=True)
class Accelerator:
    """QEMU's options for an accelerator and a CPU; `slowdown` scales time limits."""

    name: str
    options: tuple[str, ...]
    slowdown: float


KVM = Accelerator("kvm", ("-accel", "kvm", "-cpu", "host"), 1.0)
TCG = Accelerator("tcg", ("-accel", "tcg,thread=multi", "-cpu", "max"), 6.0)
# The guest's clock counts instructions, and nothing from outside reaches it: two runs of the
# same are the same. Its kernel has to be told to trust the clock (`COUNTED_CMDLINE`).
COUNTED = Accelerator(
    "tcg-icount",
    (
        "-accel", "tcg,thread=single", "-cpu", "max", "-icount", "shift=0,sleep=off",
        "-rtc", "base=2026-01-01,clock=vm", "-seed", "1",
    ),
    12.0,
)  # fmt: skip
COUNTED_CMDLINE = "nokaslr tsc=reliable"


def choose(kernel: Kernel) -> Accelerator:
    """Return the accelerator to use on this host.

    A usable /dev/kvm is no proof: nested or restricted hosts open it and then run no
    guest. So a kernel is booted once, and the answer kept until the host reboots.
    """
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return TCG
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache.cache_path("kvm.json")
    with cache.locked(answer):
        try:
            known = json.loads(answer.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            known = {}
        if known.get("boot") != boot:
            known = {"boot": boot, "works": _kvm_boots(kernel)}
            answer.write_text(json.dumps(known))
    return KVM if known["works"] else TCG


def _kvm_boots(kernel: Kernel) -> bool:
    """Boot a kernel without a root file system; it panics within a second or two."""
    with tempfile.NamedTemporaryFile(prefix="nst-kvm-") as console:
        command = [
            "setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64", *KVM.options,
            "-machine", "q35", "-m", "512M", "-nodefaults", "-display", "none", "-no-reboot",
            "-serial", f"file:{console.name}", "-kernel", str(kernel.vmlinuz),
            "-append", "console=ttyS0 panic=-1",
        ]  # fmt: skip
        try:
            subprocess.run(command, timeout=PROBE_SECONDS, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            return False
        except FileNotFoundError as error:
            raise SetupError(f"{error.filename} is missing; run: make setup") from None
        return b"Kernel panic" in Path(console.name).read_bytes()
