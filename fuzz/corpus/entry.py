# SPDX-License-Identifier: GPL-2.0-or-later
"""A corpus: a directory of cases, one file each, named after what is in it.

    DIR/DIGEST.json       a case, as `to_json` writes it
    DIR/edges-BUILD       the edges that have been taken by that build of the module

The same case is the same file, whoever keeps it: directories can be joined by copying.
Edges mean something for one build only, and can be found out again by running the cases.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fuzz.corpus.lifted import Case, Move, Part, Piece, Place, Record, Sealing
from fuzz.coverage.guest import Edges, pack_edges, unpack_edges
from fuzz.errors import UserError
from fuzz.script import Action, Loose
from nst_scapy.header import Header, KeyParams

_VERSION = 1
_NUMBERS = tuple(name for name in Header._fields if name != "token")


class CorpusError(UserError):
    """A corpus that cannot be read or written."""


class Corpus:
    """A directory of cases."""

    def __init__(self, path: Path) -> None:
        """Open it, or begin one.

        Raises:
            CorpusError: it is no directory and cannot become one.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CorpusError(f"{path}: {error.strerror}") from None

    def cases(self) -> dict[str, Case]:
        """All cases by their digests, in order.

        Raises:
            CorpusError: a file is damaged.
        """
        return {path.stem: read(path) for path in sorted(self.path.glob("*.json"))}

    def add(self, case: Case) -> str | None:
        """Keep a case; its digest, `None` if it is there already."""
        text = json.dumps(to_json(case), separators=(",", ":"), sort_keys=True) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()[:20]
        return digest if self.put(digest, text.encode()) else None

    def files(self) -> dict[str, bytes]:
        """The files of all cases by their digests, unread."""
        return {path.stem: path.read_bytes() for path in sorted(self.path.glob("*.json"))}

    def put(self, digest: str, file: bytes) -> bool:
        """Keep a case whose file was made elsewhere; False if it is there already."""
        path = self.path / f"{digest}.json"
        if path.exists():
            return False
        # Two guests may find the same case at once.
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(file)
        fresh.rename(path)
        return True

    def remove(self, digest: str) -> None:
        """Forget a case."""
        (self.path / f"{digest}.json").unlink(missing_ok=True)

    def edges(self, build: str) -> Edges:
        """The edges that a build has taken so far."""
        path = self._edges(build)
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return unpack_edges(file.read())
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as error:
            raise CorpusError(f"{path}: {error}") from None

    def note(self, build: str, edges: Edges) -> Edges:
        """Add edges that a build has taken; all of them, also those noted by others."""
        with self._edges(build).open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = unpack_edges(file.read()) | edges
            file.truncate(0)
            file.write(pack_edges(known))
        return known

    def _edges(self, build: str) -> Path:
        return self.path / f"edges-{build}"


def build_of(module: Path) -> str:
    """What to call a build of the module, whose edges have the same numbers everywhere."""
    return hashlib.sha256(module.read_bytes()).hexdigest()[:16]


def read(path: Path) -> Case:
    """Read one case.

    Raises:
        CorpusError: it is damaged; the text names the file and what is wrong.
    """
    try:
        return from_json(json.loads(path.read_text()))
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from None
    except KeyError as error:
        raise CorpusError(f"{path}: no {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: {error}") from None


def to_json(case: Case) -> dict[str, Any]:
    """A case for a file; what is as usual is left out."""
    return {
        "version": _VERSION,
        "records": [_from_record(record) for record in case.records],
        "steps": [_from_move(move) for move in case.moves],
    }


def from_json(raw: Mapping[str, Any]) -> Case:
    """Read what `to_json` made.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    if raw["version"] != _VERSION:
        raise ValueError(f"version {raw['version']}, this reads {_VERSION}")
    case = Case(
        tuple(_to_record(one) for one in raw["records"]),
        tuple(_to_move(one) for one in raw["steps"]),
    )
    if not case.moves:
        raise ValueError("a case without steps")
    for index in _references(case):
        if not 0 <= index < len(case.records):
            raise ValueError(f"there is no record {index}")
    return case


def _references(case: Case) -> Iterator[int]:
    for move in case.moves:
        yield from move.stream
        yield from (piece.record for piece in move.pieces if isinstance(piece, Part))
        if move.place is not None:
            yield move.place.record


def _from_record(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"body": record.body.hex()}
    if record.header is not None:
        found["header"] = {name: int(getattr(record.header, name)) for name in _NUMBERS}
        if any(record.header.token):
            found["token"] = record.header.token.hex()
    if (how := record.sealing) is not None:
        found["sealed"] = {"params": [*map(int, how.params)], "key": how.key}
        if how.chain is not None:
            found["sealed"]["chain"] = how.chain
        if how.padded:
            found["sealed"]["padded"] = True
    if record.session:
        found["session"] = record.session
    if record.timed:
        found["timed"] = True
    if record.damage:
        found["damage"] = [list(one) for one in record.damage]
    return found


def _to_record(raw: Mapping[str, Any]) -> Record:
    header = None
    if "header" in raw:
        token = bytes.fromhex(raw.get("token", "00" * 16))
        header = Header(**{name: int(raw["header"][name]) for name in _NUMBERS}, token=token)
        # Relative, a timestamp may be negative: it is checked when it is absolute.
        header._replace(timestamp=0).pack()
    sealing = None
    if "sealed" in raw:
        sealed = raw["sealed"]
        sealing = Sealing(
            KeyParams(*map(int, sealed["params"])),
            int(sealed["key"]),
            sealed.get("chain"),
            padded=bool(sealed.get("padded", False)),
        )
    return Record(
        header,
        bytes.fromhex(raw["body"]),
        sealing,
        int(raw.get("session", 0)),
        timed=bool(raw.get("timed", False)),
        damage=tuple((int(offset), int(mask)) for offset, mask in raw.get("damage", ())),
    )


def _from_move(move: Move) -> dict[str, Any]:
    found: dict[str, Any] = {"do": move.action.name}
    if move.argument:
        found["argument"] = move.argument
    if move.pieces:
        found["data"] = [
            piece.hex() if isinstance(piece, bytes) else [piece.record, piece.start, piece.end]
            for piece in move.pieces
        ]
    if move.stream:
        found["stream"] = list(move.stream)
    if move.loose is not None:
        loose = move.loose
        found["loose"] = [loose.offset, int(loose.flags), loose.window, loose.urgent, loose.intact]
    if move.place is not None:
        found["place"] = [move.place.record, move.place.delta]
    if move.rest is not None:
        found["rest"] = move.rest
    return found


def _to_move(raw: Mapping[str, Any]) -> Move:
    pieces: list[Piece] = [
        bytes.fromhex(one) if isinstance(one, str) else Part(*one) for one in raw.get("data", ())
    ]
    loose = place = None
    if "loose" in raw:
        offset, flags, window, urgent, intact = raw["loose"]
        loose = Loose(offset, flags, window, urgent, intact=intact)
    if "place" in raw:
        place = Place(*raw["place"])
    return Move(
        Action[raw["do"]],
        int(raw.get("argument", 0)),
        tuple(pieces),
        tuple(raw.get("stream", ())),
        loose,
        place,
        raw.get("rest"),
    )
