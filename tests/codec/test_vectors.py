# SPDX-License-Identifier: GPL-2.0-or-later
"""The specification's known answers, and that the check of them can fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from nst_scapy import vectors

VECTORS = Path(__file__).parents[1] / "vectors" / "nst-v1.json"


@pytest.fixture(scope="module")
def known() -> vectors.VectorFile:
    return vectors.load(VECTORS)


def test_every_answer_agrees(known: vectors.VectorFile) -> None:
    counted: list[int] = []
    assert vectors.check(known, counted.append) == []
    assert sum(counted) == known.checks >= 700
    assert {record["cipher_id"] for record in known.records} == {1, 2, 3, 4}


def _flip(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


@pytest.mark.parametrize("field", ["key", "plaintext", "record"])
def test_a_wrong_record_is_named(known: vectors.VectorFile, field: str) -> None:
    records = copy.deepcopy(known.records)
    index = next(i for i, r in enumerate(records) if r[field])
    records[index][field] = _flip(records[index][field])
    found = vectors.check(vectors.VectorFile("x", records, []))
    assert {m.where.split()[0] for m in found} == {f"records[{index}]"}
    assert all(len(str(m)) < 400 for m in found)


def test_every_event_is_compared(known: vectors.VectorFile) -> None:
    for case_index, case in enumerate(known.receivers):
        for index, event in enumerate(case["events"]):
            if not event.get("verdicts"):
                continue
            changed = copy.deepcopy(case)
            wrong = "AUTH" if event["verdicts"][0]["verdict"] != "AUTH" else "OK"
            changed["events"][index]["verdicts"][0]["verdict"] = wrong
            cases = [*known.receivers[:case_index], changed]
            (found,) = vectors.check(vectors.VectorFile("x", [], cases[-1:]))
            assert f"event {index}" in found.where
            break


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "neither"),
        ('{"records": 1}', "'records' is not a list"),
        ('{"records": [1]}', "records[0] is not an object"),
        ('{"records": [{}]}', "records[0]: no field 'cipher_id'"),
        ('{"receivers": [{"name": "x"}]}', "'events' is not a list"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(text)
    with pytest.raises(vectors.VectorError) as caught:
        vectors.check(vectors.load(path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "zz", -1, 1 << 70, [], {}])
@pytest.mark.parametrize(
    "field", ["cipher_id", "kid", "key", "kpos", "timestamp", "nonce", "chain", "record"]
)
def test_a_bad_field_is_one_line(known: vectors.VectorFile, field: str, value: object) -> None:
    record = {**known.records[0], field: value}
    file = vectors.VectorFile("x", [json.loads(json.dumps(record))], [])
    found = ""
    try:
        found = "".join(map(str, vectors.check(file)))  # a number may just give another answer
    except vectors.VectorError as exc:
        found = str(exc)
    assert "records[0]" in found
