# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiling the target program into one static executable."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from fuzz.guest import cache
from fuzz.guest.errors import BuildError, SetupError

SOURCE = Path(__file__).with_name("nst_target.c")
_FLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-Werror")


def build_target() -> Path:
    """Return the compiled program, built once per version of its source.

    Raises SetupError if there is no compiler, BuildError with what it said.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SetupError("gcc is missing: apt-get install gcc libc6-dev")
    key = hashlib.sha256(" ".join(_FLAGS).encode() + SOURCE.read_bytes()).hexdigest()[:16]
    built = cache.cache_path("target", key, "nst_target")
    with cache.locked(built.parent):
        if not built.exists():
            with cache.publishing(built.parent) as fresh:
                done = subprocess.run(
                    [compiler, *_FLAGS, "-o", str(fresh / built.name), str(SOURCE)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise BuildError(f"{SOURCE.name} does not compile:\n{done.stderr}")
    return built
