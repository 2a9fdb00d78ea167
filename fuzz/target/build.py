# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiling the target program into one static executable."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from fuzz.guest import cache
from fuzz.guest.errors import BuildError, SetupError

SOURCES = sorted(Path(__file__).parent.glob("*.[ch]"))
_FLAGS = ("-static", "-pthread", "-O2", "-Wall", "-Wextra", "-Werror")


def build_target() -> Path:
    """Return the compiled program, built once per version of its source.

    Raises SetupError if there is no compiler, BuildError with what it said.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SetupError("gcc is missing: apt-get install gcc libc6-dev")
    key = hashlib.sha256(" ".join(_FLAGS).encode())
    for source in SOURCES:
        key.update(source.name.encode() + source.read_bytes())
    built = cache.cache_path("target", key.hexdigest()[:16], "nst_target")
    with cache.locked(built.parent):
        if not built.exists():
            units = [str(source) for source in SOURCES if source.suffix == ".c"]
            with cache.publishing(built.parent) as fresh:
                done = subprocess.run(
                    [compiler, *_FLAGS, "-o", str(fresh / built.name), *units],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise BuildError(f"the target program does not compile:\n{done.stderr}")
    return built
