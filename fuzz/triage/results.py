# SPDX-License-Identifier: GPL-2.0-or-later
"""What trials of a bucket's case gave, kept beside the runs for the commands that follow."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from fuzz.errors import UserError

FOLDER = "triage"


@dataclass(frozen=True)
class Result:
    """The case of a bucket as far as it was worked on.

    Attributes:
        run: name of the run that it is from.
        case: its number there.
        script: its bytes, made small if it was minimised.
        earliest: when it was sent, by the guest's clock, ns since 1970.
        creation: when the guest's replay tables had been made.
        before: numbers of the cases that have to come before it.
        hits: of `tries`, how often the finding came again.
        tries: see `hits`; 0 if it was never tried.
        others: titles that came instead, with how often.
        minimised: it was made small.
        bodies: the length to which bodies of records are filled up in reproducers, so that they
            show it; 0 if they do as it is.
    """

    run: str
    case: int
    script: bytes
    earliest: int
    creation: int
    before: list[int] = field(default_factory=list)
    hits: int = 0
    tries: int = 0
    others: Counter[str] = field(default_factory=Counter)
    minimised: bool = False
    bodies: int = 0

    def save(self, folder: Path, bucket: str) -> Path:
        """Write it; return the file."""
        path = folder / FOLDER / f"{bucket}.json"
        path.parent.mkdir(exist_ok=True)
        # asdict() counts a Counter's items anew.
        told = {"script": self.script.hex(), "others": dict(self.others)}
        data: dict[str, Any] = {**asdict(self), **told}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(data, indent=1) + "\n")
        fresh.rename(path)
        return path

    @classmethod
    def load(cls, folder: Path, bucket: str) -> Self | None:
        """Read it; `None` if there is none.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / FOLDER / f"{bucket}.json"
        try:
            data = json.loads(path.read_text())
            data["script"] = bytes.fromhex(data["script"])
            data["others"] = Counter(data["others"])
            return cls(**data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: {error}") from None
