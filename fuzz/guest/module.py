# SPDX-License-Identifier: GPL-2.0-or-later
"""Building `nst.ko` for a kernel, outside the source tree."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from fuzz.guest import cache, kbuild
from fuzz.guest.errors import BuildError
from fuzz.guest.kernel import Kernel

SOURCE = Path(__file__).parents[2] / "kmod"
VECTORS = SOURCE.parent / "tests" / "vectors" / "nst-v1.json"
EDGES = "NST_EDGES=1"
"""Has a build map the edges that it takes (`kmod/edges.c`)."""
GCOV = "NST_GCOV=1"
"""Has a build count how often each line runs; for kernels with CONFIG_GCOV_KERNEL."""
# Builds kept per kernel; older ones are removed.
KEPT = 8
PRODUCTS = shutil.ignore_patterns(
    "*.ko",
    "*.o",
    "*.mod",
    "*.mod.c",
    "*.cmd",
    "*.d",
    "Module.symvers",
    "modules.order",
    ".*",
)


def build_module(
    kernel: Kernel, source: Path = SOURCE, *, kunit: bool = False, switches: Sequence[str] = ()
) -> Path:
    """Build the module for a kernel and return the path of `nst.ko` in the cache.

    A copy of `source` is built, so that the tree stays clean and several kernels and
    processes do not meet. The same source for the same kernel is built once; the
    objects stay beside `nst.ko` for debuggers. With `kunit` the unit tests are part of
    it, with the vectors of `VECTORS`; `switches` are `EDGES` and `GCOV`. Raises BuildError
    with the output.
    """
    builds = cache.cache_path("modules", kernel.name)
    variables = [*switches, *([f"NST_KUNIT={VECTORS}"] if kunit else [])]
    built = builds / _fingerprint(kernel, source, [VECTORS] if kunit else [], switches)
    with cache.locked(builds):
        builds.mkdir(exist_ok=True)
        if not built.exists():
            _build(kernel, source, built, variables)
        os.utime(built)
        _prune(builds)
    return built / "nst.ko"


def build_into(kernel: Kernel, source: Path, folder: Path) -> Path:
    """Build the module of `source` in a new folder, past the cache; return `nst.ko` in it.

    Raises BuildError with the output.
    """
    _build(kernel, source, folder, [])
    return folder / "nst.ko"


def rebuild(kernel: Kernel, folder: Path) -> Path:
    """Build the module in the folder that its source is in; return `nst.ko`.

    Only what has changed since the last time is compiled. Raises BuildError with the output.
    """
    status, output = kbuild.make(folder, f"KDIR={kernel.build}")
    if status != 0:
        raise BuildError(f"nst.ko does not build for {kernel.name}:\n{output.rstrip()}")
    return folder / "nst.ko"


def _build(kernel: Kernel, source: Path, built: Path, variables: Sequence[str]) -> None:
    with cache.publishing(built) as fresh:
        shutil.copytree(source, fresh, ignore=PRODUCTS, dirs_exist_ok=True)
        status, output = kbuild.make(fresh, f"KDIR={kernel.build}", *variables)
        output = output.replace(str(fresh), str(source))
        (fresh / "build.log").write_text(output)
        if status != 0 or not (fresh / "nst.ko").exists():
            raise BuildError(f"nst.ko does not build for {kernel.name}:\n{output.rstrip()}")


def _fingerprint(
    kernel: Kernel, source: Path, more: Sequence[Path], switches: Sequence[str]
) -> str:
    """Return a digest of everything the build depends on."""
    digest = hashlib.sha256(f"{kernel.release}\0{kernel.root}\0".encode())
    digest.update("".join(f"{switch}\0" for switch in sorted(switches)).encode())
    files = {path.relative_to(source): path for path in _sources(source)}
    files |= {path.absolute(): path for path in more}
    for name in sorted(files):
        contents = files[name].read_bytes()
        digest.update(f"{name}\0{len(contents)}\0".encode())
        digest.update(contents)
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> list[Path]:
    """Return the files that a build copies: those that are not products of one."""
    names = [entry.name for entry in folder.iterdir()]
    ignored = PRODUCTS(str(folder), names)
    found: list[Path] = []
    for name in names:
        path = folder / name
        if name not in ignored:
            found += _sources(path) if path.is_dir() else [path]
    return found


def _prune(builds: Path) -> None:
    """Remove all but the builds used last."""
    used = sorted(builds.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in used[KEPT:]:
        shutil.rmtree(path)
