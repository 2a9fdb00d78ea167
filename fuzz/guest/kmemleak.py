# SPDX-License-Identifier: GPL-2.0-or-later
"""kmemleak, the kernel's own search for memory that nobody refers to: how a guest is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.guest.errors import SetupError

if TYPE_CHECKING:
    from fuzz.guest.kernel import Kernel  # not needed inside of guests, where importing is slow

SWITCH = "kmemleak=on"
"""What a kernel that has it needs on its command line."""
FILE = "/sys/kernel/debug/kmemleak"
SCAN_PAUSE_SECONDS = 6.0
"""kmemleak takes an object for lost when scans some seconds apart do not find it."""
SCANS = 2
SCAN_SECONDS = 10.0
"""How long a scan may take on a stock kernel with KVM; longer by `Qemu.slowdown` elsewhere."""
_OPTION = "CONFIG_DEBUG_KMEMLEAK"


def check_kernel(kernel: Kernel) -> None:
    """Raise SetupError if a kernel has no kmemleak."""
    if kernel.lacks([_OPTION]):
        raise SetupError(
            f"kernel {kernel.name} has no {_OPTION}, which kmemleak needs;"
            " use --kernel sanitizer-6.12"
        )
