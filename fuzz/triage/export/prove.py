# SPDX-License-Identifier: GPL-2.0-or-later
"""Reproducers that were seen to show their bug, and what is done if they do not.

A kernel without sanitizers sees that memory is freed twice only if nothing else of its size
was freed in between. Small sizes are busy, above all where the reproducer is both ends of a
connection: there the smallest case may show less than a larger one. With longer bodies the
same records take memory of sizes that hardly anything else takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fuzz.finding import Finding, FindingKind
from fuzz.guest.kernel import Kernel
from fuzz.triage.export.c import c_program
from fuzz.triage.export.dossier import Dossier
from fuzz.triage.export.python import python_script
from fuzz.triage.export.verify import Verification, verify
from fuzz.triage.pieces import Piece, Raw
from fuzz.triage.records import Exchange, numbered_pieces, with_piece
from nst_scapy.header import HEADER_LEN, MAGIC

_BODIES = (700, 6000)
"""Bytes: what is allocated for them comes from slabs of 1 and 8 KiB."""
Seen = list[tuple[Path, Verification]]


def filled(exchanges: Sequence[Exchange], length: int) -> list[Exchange]:
    """The exchanges with records of so many bytes of body, as far as theirs were shorter."""
    found = list(exchanges)
    for index, at, piece in numbered_pieces(exchanges):
        found = with_piece(found, index, at, _filled(piece, length))
    return found


def _filled(piece: Piece, length: int) -> Piece:
    header = piece.header
    body = piece.data[HEADER_LEN:] if isinstance(piece, Raw) else piece.plaintext
    if header is None or header.magic != MAGIC or not len(body) <= header.transport_len < length:
        return piece
    if len(body) == header.transport_len:
        body += bytes(length - len(body))
    # Else more was announced than comes: memory is taken for what is announced.
    header = header._replace(transport_len=length)
    if isinstance(piece, Raw):
        return Raw(header.pack() + body)
    return dataclasses.replace(piece, header=header, plaintext=body)


def write(dossier: Dossier, stem: Path) -> list[Path]:
    """Write the script, and the program in C if there is one."""
    texts = {".py": python_script(dossier), ".c": c_program(dossier)}
    paths = []
    for suffix, text in texts.items():
        path = stem.with_name(stem.name + suffix)
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
            paths.append(path)
    return paths


def prove(
    dossier: Dossier, stem: Path, wanted: Finding, kernel: Kernel, module: Path
) -> tuple[Dossier, Seen]:
    """Write the reproducers and run each in a guest; return what was written and what it did.

    If one does not show a crash, so are those of the case with longer bodies.

    Raises:
        SetupError: there is no C compiler.
    """
    tried: tuple[Dossier, Seen] | None = None
    lengths = _BODIES if wanted.kind is FindingKind.CRASH else ()
    for length in (0, *lengths):
        form = dossier
        if length:
            exchanges = filled(dossier.exchanges, length)
            if exchanges == dossier.exchanges:
                continue
            form = dataclasses.replace(dossier, exchanges=exchanges, bodies=length)
        seen = [(path, verify(path, kernel, module)) for path in write(form, stem)]
        tried = tried or (form, seen)
        if all(verification.shows(wanted) for _, verification in seen):
            return form, seen
    assert tried is not None
    write(tried[0], stem)
    return tried
