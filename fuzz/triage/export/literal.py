# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes as expressions of Python that one can read."""

from __future__ import annotations


def literal(data: bytes) -> str:
    """Bytes as an expression: what repeats as such, what is long as hexadecimal digits."""
    if len(data) > 8 and len(set(data)) == 1:
        return f"{data[:1]!r} * {len(data)}"
    if len(data) > 32:
        return f'bytes.fromhex("{data.hex()}")'
    return repr(data)
