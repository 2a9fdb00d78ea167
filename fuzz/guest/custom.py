# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels built from Debian's source with a configuration of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fuzz.guest import debian, kbuild, source
from fuzz.guest.errors import BuildError, SetupError

_NEEDED = ("bc", "bison", "flex", "gcc", "make")
_SAY_EVERY_SECONDS = 15.0
# So that a build does not slow down what else the machine does.
_NICENESS = "10"


def build_kernel(
    series: str,
    version: str,
    config: Path,
    *,
    work: Path,
    into: Path,
    progress: Callable[[str], None],
) -> None:
    """Build a version of linux-source and arrange it in `into` as a `fuzz.guest.kernel.Kernel`.

    `config` names what differs from `allnoconfig`. The build happens in `work`, which may
    hold what an interrupted one left: it goes on from there. `work` can be removed after.
    Raises SetupError if a tool is missing, or if the source does not know an option of
    `config` any more, and BuildError with the end of make's output.
    """
    if missing := [tool for tool in _NEEDED if shutil.which(tool) is None]:
        raise SetupError(f"{', '.join(missing)}: not found; run: make setup")
    tree = work / "linux"
    if not tree.exists():
        progress(f"downloading and unpacking linux-source-{series} {version}")
        unpacked = work / "unpacking"
        shutil.rmtree(unpacked, ignore_errors=True)
        source.unpack(series, version, unpacked)
        unpacked.rename(tree)
    if not (tree / ".config").exists():
        _make(tree, f"KCONFIG_ALLCONFIG={config}", "allnoconfig")
    check_config(tree / ".config", config)
    progress("compiling: about 16 minutes on two cores; interrupted, it can be taken up again")
    _make(tree, f"-j{os.cpu_count() or 1}", "bzImage", "modules", progress=progress)
    progress("gathering what modules are built against")
    _arrange(tree, into)


def check_config(made: Path, config: Path) -> None:
    """Raise SetupError if an option was not taken over: a renamed one, or one that needs others."""
    options = set(made.read_text().splitlines())
    wanted = [line for line in config.read_text().splitlines() if line.startswith("CONFIG_")]
    lost = [
        line
        for line in wanted
        # What is not asked for, because of other options, is unset too.
        if (f"{line[:-1]}y" in options if line.endswith("=n") else line not in options)
    ]
    if lost:
        raise SetupError(f"{config.name}: this kernel does not take {', '.join(lost)}")


def _arrange(tree: Path, into: Path) -> None:
    """Put the image, the list of modules and what module builds need into `into`."""
    release = (tree / "include/config/kernel.release").read_text().strip()
    shutil.copyfile(tree / "arch/x86/boot/bzImage", into / "vmlinuz")
    _make(tree, f"INSTALL_MOD_PATH={into}", "modules_install")
    for link in ("build", "source"):
        (into / "lib/modules" / release / link).unlink(missing_ok=True)
    # What Debian's own packages of headers are made with.
    script = f"scripts/package/install-extmod-build {into / 'build'}"
    _make(tree, "run-command", f"KBUILD_RUN_COMMAND={script}")
    shutil.copyfile(tree / ".config", into / "build/.config")
    debian.run("depmod", "-b", str(into), release)
    (into / "release").write_text(f"{release}\n")


def _make(tree: Path, *arguments: str, progress: Callable[[str], None] | None = None) -> None:
    """Run make in the tree; tell from time to time how many files it has made."""
    steps = 0
    said = time.monotonic()
    last: list[str] = []
    with subprocess.Popen(
        ["nice", "-n", _NICENESS, "make", *arguments],
        cwd=tree, env=kbuild.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as make:  # fmt: skip
        assert make.stdout is not None
        for line in make.stdout:
            last = [*last[-40:], line]
            step = re.match(r"  [A-Z]+ (?:\[M\])? +(\S+)", line)
            steps += step is not None
            if progress and step and time.monotonic() - said > _SAY_EVERY_SECONDS:
                said = time.monotonic()
                progress(f"compiling: {steps} files, now {step[1]}")
    if make.returncode != 0:
        raise BuildError(f"make {arguments[-1]} failed in {tree}:\n{''.join(last).rstrip()}")
