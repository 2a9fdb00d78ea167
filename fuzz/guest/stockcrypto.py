# SPDX-License-Identifier: GPL-2.0-or-later
"""SM3 and SM4 for kernels that Debian ships without them.

Built out of the kernel's own source against its headers, and put beside its modules: from
then on modprobe finds them, the kernel asks for them by itself, and a guest without them
is one booted with `module_blacklist=` on its command line (`WITHOUT`).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fuzz.guest import debian, kbuild
from fuzz.guest.errors import BuildError

MODULES = ("sm3", "sm3_generic", "sm4", "sm4_generic")
"""What the suites of SM4 need beside the modes that every kernel has."""
MEMBERS = tuple(f"crypto/{name}.c" for name in MODULES)
"""The source files that they are made of."""
WITHOUT = f"module_blacklist={','.join(MODULES)}"
"""Words for the kernel's command line that keep them out."""
# Where modprobe looks first, after what an administrator put in.
_FOLDER = "updates/nst"


def installed(modules: Path) -> bool:
    """Tell whether the modules are below a `lib/modules/RELEASE`."""
    return all((modules / _FOLDER / f"{name}.ko").exists() for name in MODULES)


def install(source: Path, build: Path, root: Path, release: str) -> None:
    """Build the modules from `source` and put them below `root`/lib/modules/`release`.

    `build` is the kernel's KDIR. Raises BuildError with the compiler's output.
    """
    with tempfile.TemporaryDirectory(prefix="nst-stockcrypto-") as folder:
        for member in MEMBERS:
            shutil.copy(source / member, folder)
        objects = " ".join(f"{name}.o" for name in MODULES)
        Path(folder, "Kbuild").write_text(f"obj-m := {objects}\n")
        status, output = kbuild.make(build, f"M={folder}", "modules")
        if status != 0:
            raise BuildError(f"SM3 and SM4 do not build for {release}:\n{output.rstrip()}")
        into = root / "lib" / "modules" / release / _FOLDER
        into.mkdir(parents=True, exist_ok=True)
        for name in MODULES:
            shutil.copyfile(Path(folder, f"{name}.ko"), into / f"{name}.ko")
    debian.run("depmod", "-b", str(root), release)
