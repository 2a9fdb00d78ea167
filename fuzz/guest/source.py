# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's source, out of Debian's packages `linux-source-SERIES`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzz.guest import debian
from fuzz.guest.errors import SetupError

CHECKPATCH = (
    "scripts/checkpatch.pl", "scripts/const_structs.checkpatch", "scripts/spelling.txt",
)  # fmt: skip
"""What the style checker is made of."""


def newest(series: str) -> str:
    """Return the package version that apt would install for a series such as `6.12`.

    Raises SetupError if there is none.
    """
    policy = debian.run("apt-cache", "policy", f"linux-source-{series}")
    found = re.search(r"^  Candidate: (\d\S*)$", policy, re.MULTILINE)
    if found is None:
        raise SetupError(
            f"apt offers no package linux-source-{series}; it comes from: {debian.SOURCES_HINT}"
        )
    return found[1]


def unpack(series: str, version: str, into: Path, members: Sequence[str] = ()) -> None:
    """Unpack a version of the source into a directory; of its files only `members`, if given.

    The package itself is not kept. Raises SetupError with what the tools said.
    """
    package = f"linux-source-{series}"
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".package-", dir=into.parent) as folder:
        debian.unpack([f"{package}={version}"], Path(folder))
        debian.run(
            "tar", "--extract", f"--file={folder}/usr/src/{package}.tar.xz",
            f"--directory={into}", "--strip-components=1", "--no-same-owner",
            *(f"{package}/{member}" for member in members),
        )  # fmt: skip
