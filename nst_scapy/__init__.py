# SPDX-License-Identifier: GPL-2.0-or-later
"""NST: record codec, key box, receiver model and Scapy layer.

The codec and the receiver model are sans-IO: bytes in, records and verdicts
out. They import neither Scapy nor sockets; :mod:`nst_scapy.layer` does.
"""

from __future__ import annotations

from typing import Any


def scapy_ext(ext: Any) -> None:
    """What ``conf.exts.load("nst-scapy")`` calls, with a ``scapy.config.ScapyExt``."""
    from importlib.metadata import version

    from .extension import register

    register(ext, version("nst-scapy"))
