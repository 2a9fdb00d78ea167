# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzing and testing the NST kernel module in QEMU guests."""

from __future__ import annotations

from typing import Any


def scapy_ext(ext: Any) -> None:
    """Scapy wants this of every package of a distribution that it loads."""
    from nst_scapy.extension import register_fuzz

    register_fuzz(ext)
