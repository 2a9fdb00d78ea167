# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels out of Debian's packages, unpacked instead of installed.

`apt-get download` verifies the packages like an installation does; `dpkg -x` needs
neither root nor a boot loader.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fuzz.guest.errors import SetupError

SOURCES_HINT = (
    "deb http://deb.debian.org/debian-security bookworm-security main"
    " (in /etc/apt/sources.list, then: apt-get update)"
)


def fetch_kernel(image_pattern: str, into: Path, progress: Callable[[str], None]) -> None:
    """Unpack the newest kernel whose image package matches `image_pattern` into `into`.

    The pattern's first group is the kernel release. `into` gets the layout that
    `fuzz.guest.kernel.Kernel` describes. Raises SetupError with apt's own words.
    """
    refresh()
    release = _newest(image_pattern)
    headers = f"linux-headers-{release}"
    packages = [f"linux-image-{release}", headers, *_companions(headers)]
    progress(f"downloading {', '.join(packages)}")
    unpack(packages, into)
    _arrange(into, release)


def refresh() -> None:
    """Have apt fetch its lists, if we may.

    Debian removes old builds from its mirrors: yesterday's list may name a package that
    is gone. An unprivileged user has to refresh it by hand.
    """
    if os.geteuid() == 0:
        run("apt-get", "update", "--quiet")


def unpack(packages: Sequence[str], into: Path) -> None:
    """Download packages, by name or as NAME=VERSION, and unpack them into a directory."""
    with tempfile.TemporaryDirectory(prefix=".download-", dir=into) as download:
        run("apt-get", "download", "--quiet", *packages, cwd=Path(download))
        for package in sorted(Path(download).glob("*.deb")):
            run("dpkg", "-x", str(package), str(into))


def compiler(build: Path) -> str:
    """Return the compiler command that a kernel's headers ask for."""
    found = re.search(r'CONFIG_CC_VERSION_TEXT="(\S+)', (build / ".config").read_text())
    return found[1] if found else "gcc"


def _newest(image_pattern: str) -> str:
    """Return the highest release that apt offers for an image package pattern."""
    prefix = re.split(r"[(\\]", image_pattern, maxsplit=1)[0]
    names = run("apt-cache", "pkgnames", prefix).split()
    releases = [found[1] for name in names if (found := re.fullmatch(image_pattern, name))]
    if not releases:
        raise SetupError(f"apt offers no package {image_pattern}; it comes from: {SOURCES_HINT}")
    return max(releases, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])


def _companions(headers: str) -> list[str]:
    """Return the packages of the same build that a headers package refers to."""
    depends = run("apt-cache", "depends", headers)
    found = re.findall(r"Depends: (linux-headers-\S+-common|linux-kbuild-\S+)", depends)
    if len(found) != 2:
        raise SetupError(f"apt-cache depends {headers}: found {found}, not headers and kbuild")
    return found


def _arrange(root: Path, release: str) -> None:
    """Turn the unpacked packages into the cache's layout."""
    shutil.rmtree(root / "usr" / "share")
    (root / "boot" / f"vmlinuz-{release}").rename(root / "vmlinuz")
    shutil.rmtree(root / "boot")
    modules = root / "lib" / "modules" / release
    for link in ("build", "source"):
        (modules / link).unlink(missing_ok=True)
    run("depmod", "-b", str(root), release)

    headers = root / "usr" / "src" / f"linux-headers-{release}"
    makefile = headers / "Makefile"
    # The packaged Makefile names /usr/src; the cache is somewhere else, and may move.
    here = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))../"
    makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {here}"))
    # It only serves BTF for modules, which would need pahole; kbuild skips that
    # step when the file is not there.
    (headers / "vmlinux").unlink(missing_ok=True)
    (root / "build").symlink_to(headers.relative_to(root))
    (root / "release").write_text(f"{release}\n")


def run(*command: str, cwd: Path | None = None) -> str:
    """Run an administration tool and return its output; SetupError tells what it said."""
    environment = {**os.environ, "LC_ALL": "C"}
    # Administration tools are outside the PATH of an ordinary user on Debian.
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SetupError(f"{command[0]}: not found; kernels come from a Debian host") from None
    if done.returncode != 0:
        said = " ".join(line for line in done.stderr.splitlines() if line.startswith("E:"))
        raise SetupError(f"{' '.join(command[:2])} failed: {said or done.stderr.strip()}")
    return done.stdout
