# SPDX-License-Identifier: GPL-2.0-or-later
"""Rust's symbols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.triage.rust_symbol import demangled


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
        ("_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref",
         "<rust_binder::process::Process>::update_ref"),
        ("_RNvXs_NtCs1_1a1bNtB4_1STtE3fmt", "_RNvXs_NtCs1_1a1bNtB4_1STtE3fmt"),
        ("_RINvCs1_1a1fhE", "a::f"),
        ("memcpy", "memcpy"),
        ("_R", "_R"),
    ],
)  # fmt: skip
def test_paths(symbol: str, path: str) -> None:
    assert demangled(symbol) == path


@given(st.text("RNvMsXYICBE0123456789_abtux", max_size=60))
def test_any_symbol_is_survived(text: str) -> None:
    assert demangled("_R" + text)
