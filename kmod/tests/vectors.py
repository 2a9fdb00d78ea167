# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns a file of test vectors (section 12 of the specification) into C.

Run as ``python3 vectors.py vectors.json >vectors.c``; Kbuild does, with NST_KUNIT. The
types are those of ``vectors.h``. Streams' receiver cases are left out: they need a
connection.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_HEAD = """\
// SPDX-License-Identifier: GPL-2.0-or-later
/* Made from {source}. */

#include "vectors.h"
"""


def _bytes(text: str) -> str:
    """A C array of the bytes that a hex string gives; NULL for none."""
    if not text:
        return "NULL"
    return "(const u8[]){" + ",".join(str(byte) for byte in bytes.fromhex(text)) + "}"


def _sized(name: str, text: str) -> str:
    return f".{name} = {_bytes(text)}, .{name}_len = {len(text) // 2}"


def _record(record: dict[str, Any]) -> str:
    return (
        f"{{ .cipher_id = {record['cipher_id']}, .kid = {record['kid']}, "
        f".kpos = {record['kpos']}, .kval = {record['kval']}, .flags = {record['flags']}, "
        f".timestamp = {record['timestamp']}ULL, .nonce = {record['nonce']}ULL, "
        f".key = {_bytes(record['key'])}, .chain = {_bytes(record['chain'])}, "
        f"{_sized('plaintext', record['plaintext'])}, {_sized('record', record['record'])} }}"
    )


def _event(event: dict[str, Any]) -> str:
    common = f".now = {event['now']}ULL, .age = {event['age']}ULL, .socket = {event['socket']}"
    if event["op"] == "sent":
        return f"{{ {common}, .sent = {event['session_id']}ULL }}"
    (outcome,) = event["verdicts"]
    verdict = "NST_" + {"MAGIC": "BAD_MAGIC", "VERSION": "BAD_VERSION"}.get(
        outcome["verdict"], outcome["verdict"]
    )
    plaintext = outcome.get("plaintext") or ""
    return (
        f"{{ {common}, {_sized('bytes', event['bytes'])}, .verdict = {verdict}, "
        f"{_sized('plaintext', plaintext)} }}"
    )


def _case(case: dict[str, Any]) -> str:
    events = ",\n\t\t".join(_event(event) for event in case["events"])
    keybox = "".join(f"{kid} {key}\\n" for kid, key in case["keybox"].items())
    return (
        f"{{ .name = {json.dumps(case['name'])}, .window_ms = {case['window_ns'] // 1_000_000}, "
        f'.table_size = {case["table_size"]}, .keybox = "{keybox}", '
        f".count = {len(case['events'])}, .events = (const struct nst_vector_event[]){{\n"
        f"\t\t{events}\n\t}} }}"
    )


def _array(kind: str, name: str, items: Iterable[str]) -> Iterator[str]:
    yield f"const struct {kind} {name}[] = {{\n"
    yield from (f"\t{item},\n" for item in items)
    yield f"}};\n\nconst size_t {name}_count = ARRAY_SIZE({name});\n"


def main(source: Path) -> None:
    """Write C to stdout."""
    vectors = json.loads(source.read_text())
    cases = [case for case in vectors["receivers"] if case["transport"] == "dgram"]
    records = _array("nst_vector_record", "nst_vector_records", map(_record, vectors["records"]))
    receivers = _array("nst_vector_case", "nst_vector_cases", map(_case, cases))
    sys.stdout.write(_HEAD.format(source=source.name))
    for part in (*records, *receivers):
        sys.stdout.write(f"\n{part}" if part.startswith("const struct") else part)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
