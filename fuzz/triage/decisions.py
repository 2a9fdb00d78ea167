# SPDX-License-Identifier: GPL-2.0-or-later
"""What people decided about buckets: which are one, and which are not to be shown.

Kept beside the runs, in `triage.json`, as ids of buckets; so it holds for runs to come.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from fuzz.errors import UserError

FILE = "triage.json"


class Decisions:
    """The decisions that hold for the runs of one directory."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path = path
        self._merged: list[list[str]] = data.get("merged", [])
        self._ignored: dict[str, str] = data.get("ignored", {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read them; none are there if there is no file.

        Raises:
            UserError: the file cannot be read.
        """
        path = folder / FILE
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            data = {}
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}") from None
        if not isinstance(data, dict):
            raise UserError(f"{path}: not a JSON object")
        return cls(path, data)

    @classmethod
    def none(cls) -> Self:
        """Nobody has decided anything."""
        return cls(Path(FILE), {})

    @classmethod
    @contextmanager
    def changing(cls, folder: Path) -> Iterator[Self]:
        """Read them, and write them when the body ends; one process at a time."""
        with (folder / f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            decisions = cls.load(folder)
            yield decisions
            data = {"merged": decisions._merged, "ignored": decisions._ignored}
            fresh = decisions._path.with_suffix(".new")
            fresh.write_text(json.dumps(data, indent=1) + "\n")
            fresh.rename(decisions._path)

    def merge(self, one: str, other: str) -> None:
        """Two buckets are one bug."""
        pair = sorted((one, other))
        if pair not in self._merged:
            self._merged.append(pair)

    def merged_with(self, one: str) -> list[str]:
        """The buckets that one was merged with."""
        return [b if a == one else a for a, b in self._merged if one in (a, b)]

    def ignore(self, one: str, reason: str) -> None:
        """A bucket is not to be shown."""
        self._ignored[one] = reason

    def heed(self, ids: Iterable[str]) -> None:
        """A bucket is to be shown again."""
        for one in ids:
            self._ignored.pop(one, None)

    def ignored(self, ids: Iterable[str]) -> str:
        """Why a bucket of these ids is not to be shown; empty if it is."""
        return next((self._ignored[one] for one in sorted(ids) if one in self._ignored), "")
