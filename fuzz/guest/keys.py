# SPDX-License-Identifier: GPL-2.0-or-later
"""The test key box: random keys that guests on this machine share."""

from __future__ import annotations

from pathlib import Path

from fuzz.guest import cache
from nst_scapy.keybox import KeyBox

KEYS = 16


def test_keybox() -> Path:
    """Return the path of the test key box; it is made on first use, with mode 0600."""
    path = cache.cache_path("test.keybox")
    with cache.locked(path):
        if not path.exists():
            KeyBox.generate(KEYS).save(path)
    return path
