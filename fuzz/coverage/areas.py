# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the module's files are whose business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuzz.coverage.lines import FileLines


@dataclass(frozen=True)
class Area:
    """Some files, and what they are for."""

    title: str
    files: tuple[str, ...]

    def of(self, lines: Mapping[str, FileLines]) -> list[FileLines]:
        """Those of the files that were compiled."""
        return [lines[name] for name in self.files if name in lines]


RECEIVE = Area(
    "receive and LOCAL_IN",
    (
        "check.c", "dgram_rx.c", "epoch.c", "hook.c", "hook_stream.c", "kids.c", "plain.c",
        "reflect.c", "replay.c", "stream_direct.c", "stream_recv.c", "stream_rx.c",
        "stream_watch.c",
    ),
)  # fmt: skip
"""All that a sender of records reaches: from the LOCAL_IN hook to the application's buffer."""
