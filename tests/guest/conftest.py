# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests of the guests themselves."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def private_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, for this process and those it starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nst"
