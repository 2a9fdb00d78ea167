# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes around GCM are the same from Python and from C, errors included."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst_scapy import gcm_parts
from nst_scapy.header import DGRAM, HEADER_LEN, TOKEN_LEN, Header
from nst_scapy.suite import SuiteId


@pytest.fixture(scope="module")
def built() -> ModuleType:
    """The C module, which setup builds wherever this suite runs."""
    return importlib.import_module("nst_scapy._gcm_parts")


def field(size: int) -> st.SearchStrategy[int]:
    """What fits in *size* bytes and, now and then, what does not."""
    top = (1 << 8 * size) - 1
    return st.integers(0, top) | st.sampled_from((0, top, top + 1, -1, 1 << 64))


def outcome(function: Callable[..., Any], *args: object) -> Any:
    """What comes of a call; of an error only that it is one."""
    try:
        return function(*args)
    except ValueError:
        return ValueError


@given(
    st.binary(min_size=6, max_size=6),
    st.binary(min_size=6, max_size=6),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=4, max_size=4),
    st.tuples(field(2), field(8), field(2), field(4)),
)
def test_begin(
    built: ModuleType,
    prefix: bytes,
    session: bytes,
    keys: bytes,
    salt: bytes,
    fields: tuple[int, int, int, int],
) -> None:
    template = gcm_parts.make_template(prefix, session, keys, salt)
    begun = outcome(gcm_parts.begin, template, *fields)
    assert begun == outcome(built.begin, template, *fields)
    if begun is not ValueError:
        header = Header.unpack(begun[0])
        assert (header.transport_len, header.timestamp, header.counter, header.flags) == fields
        assert header.token == bytes(TOKEN_LEN)


@given(st.binary(max_size=HEADER_LEN + 100), st.binary(min_size=4, max_size=4))
def test_split_and_join(built: ModuleType, record: bytes, salt: bytes) -> None:
    parts = outcome(gcm_parts.split, record, salt)
    assert parts == outcome(built.split, record, salt)
    assert parts == outcome(built.split, memoryview(record), salt)
    if parts is not ValueError:
        header0, _, sealed = parts
        assert gcm_parts.join(header0, sealed) == built.join(header0, sealed) == record


def test_one_place_for_the_iv(built: ModuleType) -> None:
    """What a record was sealed with is what it is opened with."""
    template = gcm_parts.make_template(b"\xbe\xef\x13\x37\1\1", b"sessio", b"keys", b"salt")
    header0, iv = built.begin(template, 5, 0x1122334455667788, 7, DGRAM)
    assert built.split(header0, b"salt")[:2] == (header0, iv)
    assert iv == bytes(a ^ b for a, b in zip(b"salt", b"\x55\x66\x77\x88", strict=True)) + (
        b"sessio\0\7"
    )


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("begin", ()),
        ("begin", (b"short", 0, 0, 0, 0)),
        ("begin", (bytes(HEADER_LEN + 4), "0", 0, 0, 0)),
        ("join", (bytes(HEADER_LEN),)),
        ("join", (bytes(HEADER_LEN - 1), bytes(TOKEN_LEN))),
        ("join", (bytes(HEADER_LEN), bytes(TOKEN_LEN - 1))),
        ("join", (bytearray(HEADER_LEN), bytes(TOKEN_LEN))),
        ("split", (bytes(HEADER_LEN), b"salty")),
        ("split", ("text" * HEADER_LEN, b"salt")),
    ],
)
def test_misuse_is_an_error(built: ModuleType, function: str, args: tuple[object, ...]) -> None:
    """Of C what would read past an end is what matters."""
    with pytest.raises(TypeError):
        getattr(built, function)(*args)


def test_nothing_is_leaked(built: ModuleType) -> None:
    template = gcm_parts.make_template(bytes(6), bytes(6), bytes(4))

    def work() -> None:
        for number in range(1000):
            header0, _ = built.begin(template, number, number, number, number)
            built.split(built.join(header0, bytes(1000)), bytes(4))
            for bad in (-1, 1 << 64):
                outcome(built.begin, template, bad, 0, 0, 0)
            outcome(built.split, bytes(47), bytes(4))

    work()
    tracemalloc.start()
    try:
        work()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            work()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1000, f"{grown} bytes more after 5000 records"


_SEAL_ALL = """
from nst_scapy.epoch import Epoch
from nst_scapy.header import DGRAM, KeyParams
from nst_scapy.suite import SuiteId

for cipher_id in SuiteId:
    epoch = Epoch(bytes(32), KeyParams(cipher_id, 1, 2, 3), 77)
    record = epoch.seal(b"payload", 1 << 60, 3, DGRAM, bytes(16))
    assert epoch.open(record, bytes(16)) == epoch.sealer.decrypt(record) == b"payload"
    print(record.hex())
"""
_NOT_BUILT = "import sys; sys.modules['nst_scapy._gcm_parts'] = None\n"


def test_works_where_it_was_not_built() -> None:
    """All goes on in Python, and what comes out is the same."""
    built, not_built = (
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout
        for program in (_SEAL_ALL, _NOT_BUILT + _SEAL_ALL)
    )
    assert built == not_built
    assert len(built.splitlines()) == len(SuiteId)
