# SPDX-License-Identifier: GPL-2.0-or-later
"""The key-box file format, its errors, and that keys stay out of sight."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst_scapy.keybox import KEY_LEN, KeyBox, KeyBoxError, loose_mode

A, B = "aB" * 32, "01" * 32


def test_every_form_that_is_allowed() -> None:
    text = f"# head\r\n\n \t\n0 {A}\r\n\t00007 \t{B}  # seven\n65535 {A}#x"
    box = KeyBox.parse(text)
    assert dict(box) == {
        0: bytes.fromhex(A),
        7: bytes.fromhex(B),
        65535: bytes.fromhex(A),
    }
    assert KeyBox.parse(text.encode()) == box


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# nothing\n", 2),
        (f"0 {A}\n0 {B}\n", 2),
        (f"0 {A}\n00 {B}\n", 2),
        (f"65536 {A}\n", 1),
        (f"000001 {A}\n", 1),
        (f"-1 {A}\n", 1),
        (f"1{A}\n", 1),
        (f"1 {A}0\n", 1),
        (f"1 {A[1:]}\n", 1),
        (f"1 {A[1:]}g\n", 1),
        (f"1 {A} x\n", 1),
        (f"1 {A}\r\n2 {B}\r", 2),
        (f"1 {A}\n\v2 {B}\n", 2),
        (f"1 {A}\n2\u00a0{B}\n", 2),
        (f"1 {A}\n\u0662 {B}\n", 2),
        (f"1 {A} # caf\u00e9\n", 1),
        (f"1 {A}\n\n# a\rb\n", 3),
        (f"1 {A}\n\ufeff", 2),
    ],
)
def test_everything_else_names_its_line(text: str, line: int) -> None:
    for form in (text, text.encode()):
        with pytest.raises(KeyBoxError, match=rf"^box:{line}: ") as caught:
            KeyBox.parse(form, name="box")
        assert A not in str(caught.value)
        assert B not in str(caught.value)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_input_breaks_the_parser(text: str | bytes) -> None:
    with contextlib.suppress(KeyBoxError):
        KeyBox.parse(text)


@given(st.dictionaries(st.integers(0, 65535), st.binary(min_size=32, max_size=32), min_size=1))
def test_text_round_trip(keys: dict[int, bytes]) -> None:
    assert KeyBox.parse(KeyBox(keys).dumps()) == keys


def test_a_full_box() -> None:
    box = KeyBox({kid: kid.to_bytes(KEY_LEN) for kid in range(65536)})
    assert KeyBox.parse(box.dumps()) == box


@pytest.mark.parametrize("keys", [{}, {-1: bytes(32)}, {65536: bytes(32)}, {0: bytes(31)}])
def test_bad_mappings(keys: dict[int, bytes]) -> None:
    with pytest.raises(KeyBoxError):
        KeyBox(keys)


def test_generated_keys_differ_and_do_not_show() -> None:
    box = KeyBox.generate(3)
    assert len(set(box.values())) == 3
    assert repr(box) == "<KeyBox of 3 keys>"


def test_saved_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "box"
    box = KeyBox.generate(2)
    box.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loose_mode(path) is None
    assert KeyBox.load(path) == box
    path.chmod(0o640)
    assert loose_mode(path) == 0o640
    KeyBox.generate(1).save(path)
    assert loose_mode(path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["box"]
