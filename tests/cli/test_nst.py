# SPDX-License-Identifier: GPL-2.0-or-later
"""The command nst: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest
from captures import (
    KEYBOX,
    STEP,
    T0,
    Capture,
    Connection,
    dgram_sender,
    pcap_bytes,
    snapped,
    stream_sender,
)
from click.testing import CliRunner, Result

from nst_scapy.cli import group
from nst_scapy.header import Header, Role
from nst_scapy.keybox import KeyBox

NST = str(Path(sysconfig.get_path("scripts"), "nst"))
VECTORS = Path(__file__).parent.parent / "vectors" / "nst-v1.json"


def nst(*args: object) -> Result:
    """Run `nst` in this process; whatever it prints, it is no traceback."""
    result = CliRunner().invoke(group, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def error_of(result: Result) -> str:
    """The one line on standard error of a command that got bad input."""
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "warning" not in line]
    assert line.startswith("nst: error: ")
    return line


@pytest.fixture
def keybox(tmp_path) -> Path:
    path = tmp_path / "test.keybox"
    KEYBOX.save(path)
    return path


@pytest.fixture
def capture() -> Capture:
    """Two datagrams, one of them a replay, and a stream."""
    capture = Capture()
    record = dgram_sender().seal(b"datagram", now=capture.now)
    capture.udp(record)
    capture.udp(record)
    connection = Connection(capture).open()
    client = stream_sender(Role.INITIATOR)
    connection.send(True, client.seal(b"stream", now=capture.now))
    return capture


class TestDecode:
    """nst decode"""

    @pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
    def test_json(self, capture, keybox, tmp_path, suffix):
        file = capture.write(tmp_path / f"x.{suffix}")
        result = nst("decode", file, "--keybox", keybox, "--json")
        assert result.exit_code == 1
        assert result.stderr == ""
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        header = Header.unpack(bytes(capture.packets[0])[42:])
        unit = 1 if suffix == "pcap" else 1000
        assert lines[0] == {
            "frame": 1,
            "time": T0 // unit * unit,
            "transport": "dgram",
            "src": "192.0.2.1:40000",
            "dst": "192.0.2.2:48879",
            "magic": 0xBEEF1337,
            "version": 1,
            "cipher_id": 1,
            "transport_len": 8,
            "timestamp": T0,
            "nonce": header.nonce,
            "session_id": header.session_id,
            "counter": 0,
            "token": header.token.hex(),
            "kpos": header.kpos,
            "kval": header.kval,
            "kid": header.kid,
            "flags": 1,
            "verdict": "OK",
            "plaintext": b"datagram".hex(),
            "unverified_plaintext": None,
            "note": "",
        }
        assert [line["verdict"] for line in lines] == ["OK", "REPLAY", "OK"]
        assert [line["plaintext"] for line in lines] == [b"datagram".hex(), None, b"stream".hex()]
        assert [line["frame"] for line in lines] == [1, 2, 6]
        assert lines[2]["transport"] == "stream"
        assert lines[2]["time"] == (T0 + 5 * STEP) // unit * unit

    def test_text(self, capture, keybox, tmp_path):
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox)
        assert result.exit_code == 1
        first, second, third = result.stdout.splitlines()
        assert first.split()[0] == "1"
        assert "192.0.2.1:40000 > 192.0.2.2:48879  dgram  AES_GCM kid" in first
        assert first.endswith("seq 0 len 8  [OK]  datagram")
        assert second.endswith("[REPLAY]")
        assert third.endswith("[OK]  stream")
        assert result.stderr == "3 records: 2 OK, 1 REPLAY\n"

    def test_without_a_key_box(self, capture, tmp_path):
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--json")
        assert result.exit_code == 0
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert {line["verdict"] for line in lines} == {"unverified"}
        assert {line["note"] for line in lines} == {"no key box"}

    def test_all_ok(self, keybox, tmp_path):
        capture = Capture(v6=True)
        capture.udp(dgram_sender().seal(b"", now=capture.now))
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox, "--json")
        assert result.exit_code == 0
        line = json.loads(result.stdout)
        assert (line["src"], line["plaintext"]) == ("[2001:db8::1]:40000", "")

    def test_unverified_plaintext_is_kept_apart(self, keybox, tmp_path):
        capture = Capture()
        sender = stream_sender(Role.INITIATOR)
        sender.seal(b"not captured", now=capture.now)
        Connection(capture).send(True, sender.seal(b"late", now=capture.now))
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox, "--json")
        line = json.loads(result.stdout)
        assert line["verdict"] == "unverified"
        assert (line["plaintext"], line["unverified_plaintext"]) == (None, b"late".hex())

    def test_a_record_without_a_header(self, keybox, tmp_path):
        capture = Capture()
        capture.udp(b"short")
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox, "--json")
        line = json.loads(result.stdout)
        assert line["verdict"] == "SHORT"
        assert all(line[name] is None for name in (*Header._fields, "session_id", "counter"))

    def test_ports_and_window(self, capture, keybox, tmp_path):
        file = capture.write(tmp_path / "x.pcap")
        assert nst("decode", file, "--port", 1).stdout == ""
        assert len(nst("decode", file, "--port", 1, "--port", 40000).stdout.splitlines()) == 3
        result = nst("decode", file, "--keybox", keybox, "--window", 0, "--json")
        assert [json.loads(line)["verdict"] for line in result.stdout.splitlines()] == [
            "OK",
            "TIMESTAMP",
            "OK",
        ]

    def test_what_is_passed_over_is_counted(self, tmp_path):
        capture = Capture()
        capture.udp(b"x" * 60)
        file = tmp_path / "x.pcap"
        frames = capture.frames()
        file.write_bytes(pcap_bytes([snapped(frames[0], 36), frames[0]]))
        result = nst("decode", file)
        assert "skipped frames cut off within their headers: 1" in result.stderr
        assert result.stdout.split()[-1] == "[MAGIC]"

    def test_damaged_files(self, capture, keybox, tmp_path):
        file = tmp_path / "bad.pcap"
        file.write_bytes(pcap_bytes(capture.frames())[:-3])
        result = nst("decode", file, "--keybox", keybox)
        assert len(result.stdout.splitlines()) == 2
        assert error_of(result) == f"nst: error: {file}: cut short in frame 6"

    @pytest.mark.parametrize(
        "content", [b"", b"\xd4\xc3\xb2\xa1", b"#!/bin/sh\n", random.Random(1).randbytes(99)]
    )
    def test_not_a_capture(self, tmp_path, content):
        file = tmp_path / "bad.pcap"
        file.write_bytes(content)
        assert str(file) in error_of(nst("decode", file))

    def test_files_that_cannot_be_read(self, capture, tmp_path):
        assert "No such file" in error_of(nst("decode", tmp_path / "none"))
        assert "Is a directory" in error_of(nst("decode", tmp_path))
        file = capture.write(tmp_path / "x.pcap")
        assert "none: No such" in error_of(nst("decode", file, "--keybox", tmp_path / "none"))

    def test_bad_key_box(self, capture, tmp_path):
        bad = tmp_path / "bad.keybox"
        bad.write_text("# a box\n1 " + "ab" * 32 + "\n1 " + "cd" * 32 + "\n")
        bad.chmod(0o600)
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", bad)
        assert error_of(result) == f"nst: error: {bad}:3: kid 1 is there already"

    def test_a_key_box_that_others_can_read(self, capture, keybox, tmp_path):
        keybox.chmod(0o644)
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox)
        assert f"nst: warning: {keybox}: others can read" in result.stderr
        assert not any(key.hex() in result.output for key in KEYBOX.values())

    def test_control_characters_do_not_reach_the_terminal(self, keybox, tmp_path):
        capture = Capture()
        capture.udp(dgram_sender().seal(b"\x1b[2J\n\xff", now=capture.now))
        result = nst("decode", capture.write(tmp_path / "x.pcap"), "--keybox", keybox)
        assert result.stdout.endswith("[OK]  .[2J..\n")

    def test_as_a_filter(self, capture, keybox, tmp_path):
        file = capture.write(tmp_path / "x.pcap")
        with file.open("rb") as stdin:
            run = subprocess.run(
                [NST, "decode", "-", "--keybox", keybox, "--json"],
                stdin=stdin,
                capture_output=True,
                check=False,
            )
        assert run.returncode == 1
        assert len(run.stdout.splitlines()) == 3
        assert run.stderr == b""

    def test_into_head(self, tmp_path):
        capture = Capture()
        for _ in range(800):
            capture.udp(b"x" * 60)
        file = capture.write(tmp_path / "x.pcap")
        command = f"{NST} decode {file} --json | head -n 1"
        run = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert run.stderr == b""
        assert json.loads(run.stdout)["frame"] == 1

    def test_interrupted(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen([NST, "decode", pipe], stderr=subprocess.PIPE) as process:
            with pipe.open("wb") as writer:
                writer.write(pcap_bytes([]))
                writer.flush()
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                assert process.wait(10) == 130
            assert process.stderr.read().strip() in (b"", b"Aborted!")


class TestVectors:
    """nst vectors"""

    def test_all_agree(self):
        result = nst("vectors", VECTORS)
        assert result.exit_code == 0
        assert result.stdout == f"{VECTORS}: 700 answers checked, all agree\n"
        answer = json.loads(nst("vectors", VECTORS, "--json").stdout)
        assert answer == {"file": str(VECTORS), "checks": 700, "mismatches": []}

    def test_each_mismatch_is_named(self, tmp_path):
        vectors = json.loads(VECTORS.read_bytes())
        record = vectors["records"][3]
        record["record"] = (
            record["record"][:-1] + "0123456789abcdef"[int(record["record"][-1], 16) ^ 1]
        )
        events = vectors["receivers"][0]["events"]
        events[0]["verdicts"][0] = {"verdict": "SHORT\x1b[2J", "plaintext": None}
        file = tmp_path / "x.json"
        file.write_text(json.dumps(vectors))
        result = nst("vectors", file)
        assert result.exit_code == 1
        *named, last = result.stdout.splitlines()
        assert len(named) == 3
        assert named[0].startswith(f"{file}: records[3] seal")
        assert named[1].startswith(f"{file}: records[3] open")
        assert named[2].startswith(f"{file}: receivers[0] 'dgram: each check alone'")
        assert "event 0: expected SHORT\\x1b[2J, got" in named[2]
        assert last == f"{file}: 700 answers checked, 3 differ"
        answer = json.loads(nst("vectors", file, "--json").stdout)
        assert [m["where"].split()[0] for m in answer["mismatches"]] == [
            "records[3]",
            "records[3]",
            "receivers[0]",
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b"\xff\xfe",
            b'{"records": 5}',
            b'{"records": [5]}',
            b'{"records": [{}]}',
            b'{"receivers": [{"events": 0}]}',
            b'{"receivers": [{"events": []}]}',
            b"[" * 100_000,
            b'{"records": [' + b"9" * 5000 + b"]}",
        ],
    )
    def test_files_of_another_form(self, tmp_path, content):
        file = tmp_path / "x.json"
        file.write_bytes(content)
        assert str(file) in error_of(nst("vectors", file))

    def test_no_file(self, tmp_path):
        assert "No such file" in error_of(nst("vectors", tmp_path / "none"))
        assert "Is a directory" in error_of(nst("vectors", tmp_path))

    def test_corrupted_files(self, tmp_path):
        """Any value replaced by any other: a mismatch or one line, never a traceback."""
        whole = json.loads(VECTORS.read_bytes())
        rng = random.Random(1)
        values = [None, True, -1, 0, 3, 2**16, 2**48, 2**64, 2**200, 1.5, 1e400, "", "x", "\ud800"]
        values += ["00", [], {}, [1], {"a": 1}, "stream", "dgram", "receive", "sent", "AES_GCM"]
        file = tmp_path / "x.json"

        def corrupt(node: object) -> None:
            """Replace one value somewhere below *node*."""
            keys = list(node if isinstance(node, dict) else range(len(node)))
            key = rng.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
                corrupt(node[key])
            elif isinstance(node, dict) and rng.random() < 0.2:
                del node[key]
            else:
                node[key] = rng.choice(values)

        for _ in range(300):
            vectors = {
                "records": [rng.choice(whole["records"])],
                "receivers": [rng.choice(whole["receivers"])],
            }
            vectors = json.loads(json.dumps(vectors))
            corrupt(vectors)
            file.write_text(json.dumps(vectors))
            result = nst("vectors", file)
            assert result.exit_code in {0, 1, 2}, vectors
            if result.exit_code == 2:
                error_of(result)


class TestKeybox:
    """nst keybox"""

    def test_new(self, tmp_path):
        file = tmp_path / "x.keybox"
        result = nst("keybox", "new", "--keys", 3, "-o", file)
        assert (result.exit_code, result.stdout) == (0, f"{file}: 3 keys\n")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        before = file.read_bytes()
        assert "--force" in error_of(nst("keybox", "new", "-o", file))
        assert file.read_bytes() == before
        assert nst("keybox", "new", "--keys", 1, "--force", "-o", file).exit_code == 0
        assert nst("keybox", "check", file).stdout == f"{file}: 1 key\n"
        assert nst("keybox", "new", "--keys", 65537, "-o", file).exit_code == 2
        assert "No such file" in error_of(nst("keybox", "new", "-o", tmp_path / "no" / "x"))

    def test_check_and_show(self, keybox):
        keybox.chmod(0o640)
        for arguments, output in [
            (["check", keybox], f"{keybox}: 4 keys\n"),
            (["show", keybox], "0\n1\n2\n3\n"),
            (["show", "--json", keybox], json.dumps({"file": str(keybox), "kids": [0, 1, 2, 3]})),
            (["show", "--keys", keybox], keybox.read_text()),
        ]:
            result = nst("keybox", *arguments)
            assert result.exit_code == 0
            assert result.stdout.strip() == output.strip()
            assert "mode 0640" in result.stderr
        box = KeyBox.load(keybox)
        shown = json.loads(nst("keybox", "show", "--keys", "--json", keybox).stdout)["keys"]
        assert {int(kid): bytes.fromhex(key) for kid, key in shown.items()} == dict(box)
        keybox.write_text("0 abc\n")
        assert error_of(nst("keybox", "check", keybox)).startswith(f"nst: error: {keybox}:1: ")


@pytest.mark.parametrize("arguments", [[], ["decode"], ["vectors"], ["keybox"], ["keybox", "new"]])
def test_help_has_examples(arguments):
    result = nst(*arguments, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout


def test_help_is_quick():
    code = (
        "import sys; from nst_scapy.cli import group;"
        "group(['decode', '--help'], standalone_mode=False); sys.exit('scapy' in sys.modules)"
    )
    python = str(Path(sysconfig.get_path("scripts"), "python"))
    assert subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def test_usage_errors():
    for arguments in ["decode"], ["nonsense"], ["decode", "x", "--port", "99999"]:
        result = nst(*arguments)
        assert result.exit_code == 2
