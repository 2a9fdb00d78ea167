# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds Linux's own selftest of kTLS, for AF_NST sockets in place of TLS ones.

The selftest comes from Debian's linux-source and stays as it is: tests/in_guest/ktls/shim.h,
put before it, makes its TCP sockets AF_NST ones and its TLS options nothing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from fuzz.guest import cache, source

SERIES = "6.12"
SHIM = Path(__file__).parents[1] / "in_guest" / "ktls" / "shim.h"
SELFTESTS = "tools/testing/selftests"
# The kernel's tls.h has ciphers that that of the C library may lack.
MEMBERS = (
    f"{SELFTESTS}/net/tls.c",
    f"{SELFTESTS}/kselftest.h",
    f"{SELFTESTS}/kselftest_harness.h",
    "include/uapi/linux/tls.h",
)


def build(into: Path) -> Path:
    """Build the selftest in the directory `into` and return its path.

    Its source is kept in the cache. Raises SetupError if apt has no linux-source.
    """
    unpacked = cache.cache_path("selftests", SERIES)
    with cache.locked(unpacked):
        if not unpacked.exists():
            with cache.publishing(unpacked) as fresh:
                source.unpack(SERIES, source.newest(SERIES), fresh, MEMBERS)
    headers = into / "linux"
    headers.mkdir()
    (headers / "tls.h").write_bytes((unpacked / "include/uapi/linux/tls.h").read_bytes())
    program = into / "tls"
    subprocess.run(
        [
            "gcc", "-O1", "-w", "-D_GNU_SOURCE",
            f"-I{into}", f"-I{unpacked / SELFTESTS}", "-include", str(SHIM),
            "-o", str(program), str(unpacked / SELFTESTS / "net" / "tls.c"),
        ],
        check=True,
    )  # fmt: skip
    return program
