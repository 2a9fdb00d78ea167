# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories of ours: the cache's are whole or not there, temporary ones go away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzz.guest import cache
from fuzz.guest.scratch import scratch


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


def test_a_scratch_directory_is_private_and_removed(tmp_path: Path) -> None:
    with scratch(tmp_path) as path:
        assert path.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_scratch_directories_of_dead_runners_are_swept(tmp_path: Path) -> None:
    long_ago = (0, 0)
    dead, fresh = tmp_path / "nst-guest-dead", tmp_path / "nst-guest-fresh"
    dead.mkdir()
    fresh.mkdir()
    os.utime(dead, long_ago)
    with scratch(tmp_path) as held:
        os.utime(held, long_ago)
        with scratch(tmp_path):
            assert held.exists()
    assert list(tmp_path.iterdir()) == [fresh]
