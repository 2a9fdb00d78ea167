# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: whole directories or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.guest import cache


def test_the_cache_follows_xdg_cache_home(private_cache: Path) -> None:
    assert cache.cache_path("kernels", "x") == private_cache / "kernels" / "x"


def test_a_directory_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with cache.locked(path), cache.publishing(path) as fresh:
        (fresh / "file").write_text("1")
        assert not path.exists()
    assert (path / "file").read_text() == "1"
    with cache.locked(path), cache.publishing(path) as fresh:
        (fresh / "other").write_text("2")
    assert [entry.name for entry in path.iterdir()] == ["other"]


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with pytest.raises(RuntimeError), cache.locked(path), cache.publishing(path):
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == [".made.lock"]


def test_what_an_aborted_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".made.new-aborted").mkdir()
    path = tmp_path / "made"
    with cache.locked(path), cache.publishing(path):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".made.lock", "made"]
