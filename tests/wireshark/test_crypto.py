# SPDX-License-Identifier: GPL-2.0-or-later
"""Every known answer, with every backend, and the backends held against each other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from captures import KEYBOX
from dissection import LUAOSSL, NST_LUA, PURE, ROOT, need, pdml, tshark
from scenarios import merged, write

VECTORS = ROOT / "tests/vectors/nst-v1.json"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def vector_lines(tmp_path_factory) -> Path:
    """The record vectors, a line each."""
    path = tmp_path_factory.mktemp("vectors") / "records.txt"
    records = json.loads(VECTORS.read_bytes())["records"]
    fields = ("key", "chain", "plaintext", "record")
    path.write_text("".join(" ".join(r[f] or "-" for f in fields) + "\n" for r in records))
    return path


@pytest.fixture
def capture(tmp_path):
    return write(merged(12, 5), tmp_path / "few.pcap")


@pytest.fixture
def keybox(tmp_path):
    KEYBOX.save(tmp_path / "keybox")
    return tmp_path / "keybox"


def run(monkeypatch, capture, *scripts: Path, **environment: str) -> str:
    """What Lua scripts print, loaded in this order."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    options = [word for script in scripts for word in ("-X", f"lua_script:{script}")]
    return tshark(capture, *options, "-c1", "-q", script=False)


@pytest.mark.parametrize(
    ("backend", "name"), [("pure", "pure Lua"), ("luaossl", "luaossl"), ("gcrypt", "GcryptCipher")]
)
def test_every_vector(monkeypatch, capture, vector_lines, backend, name):
    count = len(vector_lines.read_text().splitlines())
    before = [HERE / "lua/gcrypt.lua"] if backend == "gcrypt" else []
    said = run(
        monkeypatch,
        capture,
        *before,
        NST_LUA,
        HERE / "lua/vectors.lua",
        NST_VECTORS=str(vector_lines),
        NST_BACKEND=backend,
        NST_FOLDER=str(NST_LUA.parent / "nst"),
    )
    assert said == f"{name}: {count} records, 0 wrong\n", "is lua-luaossl installed?"


def trees(capture, keybox, *args: str, **prefs: str) -> list[list[tuple[str, str]]]:
    """The dissector's fields, packet by packet, but for the one that names the crypto."""
    return [
        [
            (item.get("name", ""), item.get("showname") or item.get("show", ""))
            for proto in packet.records
            for item in proto.iter("field")
            if item.get("name") != "nst.crypto"
        ]
        for packet in pdml(capture, *args, keybox=keybox, **prefs)
    ]


def crypto(capture, keybox, *args: str, **prefs: str) -> set[str]:
    out = tshark(
        capture, "-Y", "nst.crypto", "-T", "fields", "-e", "nst.crypto", *args,
        keybox=keybox, **prefs,
    )  # fmt: skip
    return set(out.replace(",", "\n").split("\n")) - {""}


def test_the_backends_say_the_same_and_are_named(monkeypatch, capture, keybox):
    need("tshark", "tshark lua-luaossl")
    by_luaossl = trees(capture, keybox, crypto=LUAOSSL)
    assert trees(capture, keybox, crypto=PURE) == by_luaossl
    assert crypto(capture, keybox, crypto=PURE) == {"pure Lua"}
    assert crypto(capture, keybox) == {"luaossl"}, "apt-get install lua-luaossl"


def test_gcrypt_is_taken_where_it_is(monkeypatch, capture, keybox, tmp_path):
    monkeypatch.setenv("NST_FOLDER", str(NST_LUA.parent / "nst"))
    both = tmp_path / "both.lua"
    both.write_text(f"dofile({str(HERE / 'lua/gcrypt.lua')!r})\ndofile({str(NST_LUA)!r})\n")
    command = ["-X", f"lua_script:{both}", "-o", f"nst.keybox:{keybox}"]
    command += ["-Y", "nst.crypto", "-T", "fields", "-e", "nst.crypto"]
    out = tshark(capture, *command, script=False)
    assert set(out.replace(",", "\n").split()) == {"GcryptCipher"}


def test_a_backend_that_is_wrong_is_not_taken(monkeypatch, capture, keybox, tmp_path):
    broken = tmp_path / "broken.lua"
    broken.write_text(
        f"dofile({str(NST_LUA)!r})\n"
        "local ossl = NST_DISSECTOR.use('backend_luaossl')\n"
        "local cipher = ossl.cipher\n"
        "function ossl.cipher(algorithm, key)\n"
        "  if algorithm == 'sm4' then error('no SM4 in this OpenSSL') end\n"
        "  return cipher(algorithm, key)\n"
        "end\n"
    )
    command = ["-X", f"lua_script:{broken}", "-o", f"nst.keybox:{keybox}"]
    out = tshark(
        capture, *command, "-Y", "nst.crypto", "-T", "fields", "-e", "nst.cipher_id",
        "-e", "nst.crypto", script=False,
    )  # fmt: skip
    seen = {
        (suite, crypto)
        for line in out.splitlines()
        for suite, crypto in zip(*(column.split(",") for column in line.split("\t")), strict=False)
    }
    assert seen <= {("1", "luaossl"), ("2", "luaossl"), ("3", "pure Lua"), ("4", "pure Lua")}
    assert len(seen) > 2


def test_lua_finds_no_fault_in_any_file():
    """Each file compiles, and does nothing when Wireshark runs it by itself."""
    files = sorted((NST_LUA.parent / "nst").glob("*.lua"))
    assert len(files) > 20
    for path in files:
        text = path.read_text()
        assert text.startswith("-- SPDX-License-Identifier: GPL-2.0-or-later\n"), path
        assert "local use = ...\nif not use then return end" in text, path
        assert len(text.splitlines()) <= 400, path
    subprocess.run([need("tshark", "tshark"), "-v"], check=True, capture_output=True)
