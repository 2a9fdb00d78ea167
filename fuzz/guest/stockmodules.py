# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel's own modules: which files to load, in which order."""

from __future__ import annotations

import lzma
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fuzz.guest.errors import SetupError
from fuzz.guest.kernel import Kernel


def load_order(kernel: Kernel, names: Iterable[str]) -> list[Path]:
    """Return the files of the named modules and all they depend on, dependencies first.

    What is built into the kernel needs no file and is left out. Raises SetupError if
    the kernel has no module of a name.
    """
    depends: dict[str, tuple[Path, list[str]]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        file, _, needs = line.partition(":")
        depends[_name(file)] = (kernel.modules / file, [_name(need) for need in needs.split()])
    builtin = {_name(line) for line in (kernel.modules / "modules.builtin").read_text().split()}

    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in ordered or name in builtin:
            return
        if name not in depends:
            raise SetupError(f"kernel {kernel.name} has no module {name}")
        file, needs = depends[name]
        for need in needs:
            add(need)
        ordered[name] = file

    for name in names:
        add(name.replace("-", "_"))
    return list(ordered.values())


def read(file: Path) -> bytes:
    """Return the contents of a module file, decompressed."""
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data


def dependencies(module: Path) -> list[str]:
    """Return the names of the modules that a built module file says it needs."""
    said = subprocess.run(
        ["/sbin/modinfo", "-F", "depends", str(module)],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    return [name for name in said.split(",") if name]


def _name(file: str) -> str:
    """Return the name of a module from its path: `kernel/crypto/ghash-generic.ko.xz`."""
    return PurePosixPath(file).name.split(".ko", 1)[0].replace("-", "_")
