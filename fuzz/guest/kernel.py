# SPDX-License-Identifier: GPL-2.0-or-later
"""Named kernels: what can be booted, and where its image, modules and headers are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz.guest import cache, debian
from fuzz.guest.errors import SetupError

DEFAULT = "debian-6.12"


@dataclass(frozen=True)
class KernelSpec:
    """How a named kernel is obtained: `image` matches the names of its image packages."""

    name: str
    image: str
    description: str


KERNELS = {
    spec.name: spec
    for spec in (
        KernelSpec(
            "debian-6.12",
            r"linux-image-(6\.12\.\d+\+deb12-amd64)",
            "Debian 12's backport of the 6.12 long-term kernel (bookworm-security)",
        ),
    )
}


@dataclass(frozen=True)
class Kernel:
    """A kernel in the cache.

    `root` holds `vmlinuz`, `lib/modules/RELEASE`, `build` (prepared headers, to be
    used as KDIR) and the file `release`.
    """

    name: str
    root: Path
    release: str

    @property
    def vmlinuz(self) -> Path:
        """The bootable image."""
        return self.root / "vmlinuz"

    @property
    def build(self) -> Path:
        """The headers to build modules against (KDIR)."""
        return self.root / "build"

    @property
    def modules(self) -> Path:
        """The stock modules, with `modules.dep`."""
        return self.root / "lib" / "modules" / self.release


def spec(name: str) -> KernelSpec:
    """Return the named kernel's specification; SetupError if there is none."""
    try:
        return KERNELS[name]
    except KeyError:
        raise SetupError(f"no kernel {name!r}; known: {', '.join(KERNELS)}") from None


def find(name: str = DEFAULT) -> Kernel:
    """Return a kernel that is in the cache; SetupError says how to fetch it."""
    wanted = spec(name)
    root = cache.cache_path("kernels", wanted.name)
    try:
        release = (root / "release").read_text().strip()
    except FileNotFoundError:
        raise SetupError(
            f"kernel {name} is not in the cache; get it with: nst-fuzz kernel fetch {name}"
        ) from None
    return Kernel(name, root, release)


def fetch(
    name: str = DEFAULT, *, again: bool = False, progress: Callable[[str], None] = lambda _: None
) -> Kernel:
    """Put a kernel's image, modules and headers into the cache; need not be root.

    Nothing is done if it is there already, unless `again` asks for the newest build.
    `progress` is called with a line of text before each long step.
    Raises SetupError if apt does not offer it, or if its compiler is missing.
    """
    wanted = spec(name)
    root = cache.cache_path("kernels", wanted.name)
    with cache.locked(root):
        if again or not (root / "release").exists():
            with cache.publishing(root) as fresh:
                debian.fetch_kernel(wanted.image, fresh, progress)
    found = find(name)
    compiler = debian.compiler(found.build)
    if shutil.which(compiler) is None:
        raise SetupError(
            f"kernel {name} needs the compiler {compiler}: apt-get install "
            + compiler.removeprefix("x86_64-linux-gnu-")
        )
    return found
