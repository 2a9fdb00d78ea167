# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest of `nst-fuzz bench kmod`, and the program in it that makes the load.

The guest's clock counts instructions (`accel.COUNTED`), so figures are the same in every
run of the same kernel, module and plan, however busy the host is. Not so the clock of a guest
with several CPUs, which tells the time of the host.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fuzz.guest import cache
from fuzz.guest.errors import BuildError, GuestError, SetupError
from fuzz.guest.kernel import Kernel
from fuzz.guest.keys import test_keybox
from fuzz.guest.scratch import scratch
from fuzz.guest.target import TargetGuest

_SOURCES = Path(__file__).with_name("load")
_FLAGS = ("-static", "-O2", "-Wall", "-Wextra", "-Werror")
_LIBRARIES = ("-lssl", "-lcrypto")
_MEMORY = 1536
"""MiB: ten thousand connections with both their ends."""
_ANSWER_SECONDS = 1800.0


@dataclass(frozen=True)
class Answer:
    """What a command of load.c took: instructions of each repetition, and seconds here.

    Where the clock does not count instructions, they are nanoseconds.
    """

    instructions: tuple[int, ...]
    seconds: float


class LoadGuest:
    """A running guest with the load generator; see `load.c` for its commands."""

    def __init__(self, guest: TargetGuest) -> None:
        """Take over a guest that is ready."""
        self._guest = guest
        guest.control.settimeout(_ANSWER_SECONDS)
        self._answers: BinaryIO = guest.control.makefile("rb")

    def run(self, command: str) -> Answer:
        """Have a command done.

        Raises GuestError if the program refuses it or dies.
        """
        start = time.monotonic()
        word, *numbers = self._ask(command).split()
        if word != "ok":
            raise GuestError(f"{command}: {' '.join(numbers)}", self._guest.console.log)
        return Answer(tuple(map(int, numbers)), time.monotonic() - start)

    def read_file(self, path: str) -> str:
        """Return the contents of a file of the guest that holds no empty line."""
        lines = [self._ask(f"print {path}")]
        while line := self._line():
            lines.append(line)
        return "\n".join(lines)

    def _ask(self, command: str) -> str:
        self._guest.control.sendall(f"{command}\n".encode())
        return self._line()

    def _line(self) -> str:
        try:
            line = self._answers.readline()
        except TimeoutError:
            raise GuestError("the load generator hangs", self._guest.console.log) from None
        if not line:
            raise GuestError("the load generator died", self._guest.console.log)
        return line.decode().removesuffix("\n")


@contextlib.contextmanager
def booted(
    kernel: Kernel, module: Path, *, cpus: int = 1, counted: bool = True
) -> Iterator[LoadGuest]:
    """Boot a kernel with a built nst.ko and the load generator; `counted` is for one CPU.

    Raises SetupError, BuildError, GuestError, GuestTimeout, GuestPanic.
    """
    with (
        scratch(Path("/tmp")) as workdir,
        TargetGuest(
            kernel,
            module=module,
            keybox=test_keybox(),
            program=_build(),
            workdir=workdir,
            memory=_MEMORY,
            stock=("tls", "sch_netem"),
            cpus=cpus,
            counted=counted,
        ) as guest,
    ):
        guest.wait_ready()
        yield LoadGuest(guest)


def _build() -> Path:
    """Return the compiled load generator, built once per version of its sources."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SetupError("gcc is missing: apt-get install gcc libc6-dev libssl-dev")
    sources = sorted(_SOURCES.glob("*.[ch]"))
    key = hashlib.sha256(" ".join(_FLAGS).encode())
    for source in sources:
        key.update(source.read_bytes())
    built = cache.cache_path("target", key.hexdigest()[:16], "nst_load")
    with cache.locked(built.parent):
        if not built.exists():
            with cache.publishing(built.parent) as fresh:
                done = subprocess.run(
                    [
                        compiler, *_FLAGS, "-o", str(fresh / built.name),
                        *(str(source) for source in sources if source.suffix == ".c"),
                        *_LIBRARIES,
                    ],
                    capture_output=True,
                    text=True,
                    check=False,
                )  # fmt: skip
                if done.returncode:
                    raise BuildError(f"the load generator does not compile:\n{done.stderr}")
    return built
