# SPDX-License-Identifier: GPL-2.0-or-later
"""Fields, columns, expert information, tabs, preferences and taps."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from captures import KEYBOX, Capture, Connection, dgram_sender, stream_sender
from dissection import NST_LUA, ROOT, need, pdml, tshark

from nst_scapy.header import Role
from nst_scapy.keybox import KeyBox

SAMPLES = ROOT / "wireshark/samples"
SAMPLE_KEYBOX = SAMPLES / "samples.keybox"


@pytest.fixture
def keybox(tmp_path):
    KEYBOX.save(tmp_path / "keybox")
    return tmp_path / "keybox"


@pytest.fixture
def talk(tmp_path):
    """Datagram frames 1 to 3, then a stream: an answer bound to its question."""
    capture = Capture()
    sender = dgram_sender()
    record = sender.seal(b"x" * 100, now=capture.now)
    capture.udp(record)
    capture.udp(record)
    capture.udp(sender.seal(b"y", now=capture.now)[:-1] + b"\0")
    connection = Connection(capture).open()
    client, server = stream_sender(Role.INITIATOR), stream_sender(Role.ACCEPTOR)
    connection.send(True, client.seal(b"question" * 400, now=capture.now))
    assert client.first_token is not None
    server.bind(client.first_token)
    connection.send(False, server.seal(b"answer", now=capture.now))
    return capture.write(tmp_path / "talk.pcap")


def values(capture, name, *args, **kwargs):
    out = tshark(capture, "-T", "fields", "-e", name, "-Y", name, *args, **kwargs)
    return out.split("\n")[:-1]


def frames(capture, display_filter, **kwargs):
    out = tshark(capture, "-Y", display_filter, "-T", "fields", "-e", "frame.number", **kwargs)
    return [int(line) for line in out.split()]


def test_the_info_column(talk, keybox):
    info = tshark(talk, "-T", "fields", "-e", "_ws.col.Info", "-Y", "nst", keybox=keybox)
    assert info.splitlines() == [
        "AES_GCM kid 1 seq 0 len 100 [OK]",
        "AES_GCM kid 1 seq 0 len 100 [REPLAY]",
        "AES_GCM kid 1 seq 1 len 1 [AUTH]",
        "[1400 of 3248 bytes of a record]",
        "[2800 of 3248 bytes of a record]",
        "AES_GCM kid 0 seq 0 len 3200 [OK]",
        "AES_GCM kid 1 seq 0 len 6 [OK]",
    ]


@pytest.mark.parametrize(
    ("display_filter", "expected"),
    [
        ("nst.magic == 0xbeef1337 && nst.version == 1 && nst.cipher_id == 1", [1, 2, 3, 9, 10]),
        ("nst.flags.dgram == 1", [1, 2, 3]),
        ("nst.flags.reply == 1 && nst.flags.bound == 1 && nst.flags.close == 0", [10]),
        ("nst.transport_len > 50 && nst.transport_len < 3000", [1, 2]),
        ("nst.counter == 1", [3]),
        ("nst.kid in {0, 1} && nst.kpos > 0 && nst.kval > 0", [1, 2, 3, 9, 10]),
        ('nst.verdict == "REPLAY" && nst.earlier == 1', [2]),
        ('nst.payload contains "question" && nst.body && nst.token && nst.nonce', [9]),
        ("nst.reassembled_length == 3248", [9]),
        ("nst.stream == 1 && nst.epoch >= 1 && nst.session_id > 0", [9, 10]),
        ("nst.skew >= 0 && nst.skew < 4 && nst.timestamp", [1, 2, 3, 9, 10]),
        ("nst.segment", [7, 8]),
        ("nst.auth.expert", [3]),
        ("_ws.expert.severity == error", [2, 3]),
        ('nst.crypto == "luaossl"', [1, 9, 10]),
    ],
)
def test_fields_can_be_filtered(talk, keybox, display_filter, expected):
    assert frames(talk, display_filter, keybox=keybox) == expected


def test_no_key_unknown_kid_and_wrong_key_are_told_apart(talk, tmp_path):
    assert set(values(talk, "nst.note")) == {"no key box"}
    KeyBox({9: bytes(32)}).save(tmp_path / "other")
    said = values(talk, "nst.verdict", keybox=tmp_path / "other")
    assert set(said) == {"KID"}
    KeyBox({kid: bytes(32) for kid in range(4)}).save(tmp_path / "wrong")
    said = tshark(talk, "-V", "-Y", "frame.number == 1", keybox=tmp_path / "wrong")
    assert "[Verdict: AUTH (nothing has verified under kid 1 yet: a wrong key, or altered)]" in said


def test_key_box_errors_are_shown(talk, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("0 " + "00" * 32 + "\n0 " + "11" * 32 + "\n")
    command = [need("tshark", "tshark"), "-r", str(talk), "-X", f"lua_script:{NST_LUA}"]
    run = subprocess.run(
        [*command, "-o", f"nst.keybox:{bad}", "-T", "fields", "-e", "_ws.expert.message"],
        capture_output=True,
        text=True,
    )
    assert f"{bad}:2: kid 0 is there already" in run.stdout
    assert "11111111" not in run.stdout + run.stderr


def test_a_key_box_is_read_again_while_packets_come(tmp_path):
    capture = Capture()
    senders = [dgram_sender(seed) for seed in (1, 2)]
    for sender in senders:
        capture.udp(sender.seal(b"x", now=capture.now))
    packets = capture.write(tmp_path / "live.pcap").read_bytes()
    half = 24 + (len(packets) - 24) // 2
    box = tmp_path / "box"
    KeyBox({kid: bytes(32) for kid in range(4)}).save(box)
    command = [need("tshark", "tshark"), "-r", "-", "-l", "-X", f"lua_script:{NST_LUA}"]
    command += ["-o", f"nst.keybox:{box}", "-T", "fields", "-e", "nst.verdict"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(packets[:half])
        run.stdin.flush()
        before = run.stdout.readline()
        KEYBOX.save(box)
        time.sleep(1.1)  # it is looked at once a second
        after, _ = run.communicate(packets[half:], timeout=60)
    assert (before, after) == (b"AUTH\n", b"OK\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1: no key in the whole file"),
        ("x", "1: expected '<kid> <64 hex digits>'"),
        ("# fine\n\n65536 " + "0" * 64, "3: kid 65536 is over 65535"),
        ("1 " + "0" * 63, "1: expected '<kid> <64 hex digits>'"),
        ("1 " + "0" * 64 + " junk", "1: expected '<kid> <64 hex digits>'"),
        ("1 " + "0" * 64 + "\rx", "1: stray carriage return"),
        ("1 " + "0" * 64 + " # \u00e9", "1: not ASCII"),
        ("\t1 \t" + "aF" * 32 + " # key\r\n  \r\n 2 " + "0" * 64, None),
    ],
)
def test_key_boxes_are_read_as_nst_scapy_reads_them(monkeypatch, talk, tmp_path, text, why):
    path = tmp_path / "box"
    path.write_text(text, newline="")
    script = tmp_path / "read.lua"
    script.write_text(
        "local file = io.open(os.getenv('BOX'), 'rb')\n"
        "local box, err = NST_DISSECTOR.use('keybox').parse(file:read('*a'), 'box')\n"
        "print(err or box.count)\n"
    )
    monkeypatch.setenv("BOX", str(path))
    said = tshark(talk, "-X", f"lua_script:{script}", "-q", "-c1").strip()
    try:
        expected = str(len(KeyBox.parse(path.read_bytes(), "box")))
    except ValueError as error:
        expected = str(error)
    assert said == expected
    assert why is None or said == f"box:{why}"


def test_decryption_can_be_limited_or_switched_off(talk, keybox):
    assert set(values(talk, "nst.note", keybox=keybox, decrypt="FALSE")) == {
        "decryption is switched off"
    }
    notes = values(talk, "nst.note", keybox=keybox, decrypt_limit=1000)
    assert notes == ["over the limit for decryption"]


def test_the_window_is_a_preference(talk, keybox, tmp_path):
    capture = Capture()
    capture.udp(dgram_sender().seal(b"x", now=capture.now - 2 * 10**9))
    path = capture.write(tmp_path / "late.pcap")
    assert values(path, "nst.verdict", keybox=keybox) == ["OK"]
    assert values(path, "nst.verdict", keybox=keybox, window=1999) == ["TIMESTAMP"]
    assert values(path, "nst.verdict", keybox=keybox, window=2000) == ["OK"]
    assert values(path, "nst.skew", keybox=keybox) == ["2.000000000"]


def test_payload_goes_to_an_inner_dissector():
    streams = SAMPLES / "streams.pcap"
    assert values(streams, "http.request.uri", keybox=SAMPLE_KEYBOX, inner="http") == [
        "/aes_gcm",
        "/aes_cbc",
        "/sm4_gcm",
        "/sm4_cbc",
    ]
    info = tshark(streams, "-Y", "http.request", keybox=SAMPLE_KEYBOX, inner="http")
    assert "[OK]" in info
    assert "GET /aes_gcm HTTP/1.1" in info
    assert values(streams, "data.data", keybox=SAMPLE_KEYBOX) != []
    assert "Decrypted NST (" in tshark(streams, "-x", "-Y", "frame.number==4", keybox=SAMPLE_KEYBOX)


def test_other_ports_heuristics_and_decode_as(tmp_path, keybox, monkeypatch):
    capture = Capture()
    monkeypatch.setattr("captures.DEFAULT_PORT", 5555)
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    connection = Connection(capture).open()
    client = stream_sender(Role.INITIATOR)
    for _ in range(3):  # the last one begins inside a segment
        connection.send(True, client.seal(b"a" * 1000, now=capture.now), size=700)
    path = capture.write(tmp_path / "elsewhere.pcap")
    assert values(path, "nst.verdict", keybox=keybox) == ["OK"] * 4
    assert values(path, "nst.verdict", keybox=keybox, ports="1-9") == ["OK"] * 4
    assert values(path, "nst.verdict", keybox=keybox, heuristics="FALSE") == []
    decode = ("-d", "udp.port==5555,nst", "-d", "tcp.port==5555,nst")
    assert values(path, "nst.verdict", *decode, keybox=keybox, heuristics="FALSE") == ["OK"] * 4
    ports = {"heuristics": "FALSE", "ports": "80,5550-5560"}
    assert values(path, "nst.verdict", keybox=keybox, **ports) == ["OK"] * 4


def test_statistics():
    out = tshark(SAMPLES / "attacks.pcap", "-q", "-z", "nst,stat", keybox=SAMPLE_KEYBOX)
    assert out.startswith("NST statistics: 5 conversations, ")
    assert "    verdicts  OK (" in out
    assert "TRUNCATED (1)" in out
    assert max(map(len, out.splitlines())) < 80
    assert "cipher 0" not in out, "what does not begin as a record has no suite"
    assert "0  udp  127.0.0.1:" in out


def test_following_a_conversation():
    streams = SAMPLES / "streams.pcap"
    out = tshark(streams, "-q", "-z", "nst,follow,0", keybox=SAMPLE_KEYBOX)
    assert "\nGET /aes_gcm HTTP/1.1.\n" in out
    assert "\n\tHTTP/1.1 200 OK.\n" in out
    out = tshark(streams, "-q", "-z", "nst,follow,0,hex", keybox=SAMPLE_KEYBOX)
    assert "00000000  47 45 54 20 2f 61 65 73" in out
    assert "there are 4 conversations" in tshark(streams, "-q", "-z", "nst,follow,7")


def test_installed_it_needs_no_option(tmp_path, monkeypatch, talk, keybox):
    from click.testing import CliRunner

    from nst_scapy.cli import group

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    said = CliRunner().invoke(group, ["wireshark", "install", "--keybox", str(keybox)])
    assert said.exit_code == 0, said.output
    assert str(tmp_path / "home/.local/lib/wireshark/plugins") in said.output
    out = tshark(talk, "-C", "NST", "-Y", "nst.verdict", "-T", "fields", "-e", "nst.verdict",
                 script=False)  # fmt: skip
    assert out.split() == ["OK", "REPLAY", "AUTH", "OK", "OK"]
    # With -X as well it is loaded once.
    assert len(pdml(talk, keybox=keybox)) == 5
    said = CliRunner().invoke(group, ["wireshark", "uninstall"])
    assert said.exit_code == 0, said.output
    left = [path for path in (tmp_path / "home").rglob("*nst*") if path.is_file()]
    assert left == []
    assert shutil.which("tshark")


def test_records_kept_as_headers_are_told_like_others(tmp_path):
    """Without a key box the second record of a direction, and all later ones, are kept so."""
    capture = Capture()
    connection = Connection(capture).open()
    client, server = stream_sender(Role.INITIATOR), stream_sender(Role.ACCEPTOR)
    sent = []
    for number in range(4):
        for to_server, sender in ((True, client), (False, server)):
            connection.send(to_server, sender.seal(b"x" * (number + 1), now=capture.now))
            sent.append("" if to_server else "\t")
    file = capture.write(tmp_path / "stream.pcap")
    in_frames = zip(sent, frames(file, "nst.verdict"), strict=True)
    _, *lines = tshark(file, "-q", "-z", "nst,follow,0").rstrip("\n").splitlines()
    assert lines == [f"{indent}[unverified, frame {frame}]" for indent, frame in in_frames]
    assert "    ->        4 records" in tshark(file, "-q", "-z", "nst,stat")
    told = ["-e", "nst.counter", "-e", "nst.note", "-e", "nst.stream", "-e", "nst.epoch"]
    for passes in ([], ["-2"]):
        out = tshark(file, *passes, "-Y", "nst.verdict", "-T", "fields", *told)
        rows = [line.split("\t") for line in out.splitlines()]
        assert [(row[0], row[2], row[3]) for row in rows] == [
            (str(n // 2), "0", str(n % 2)) for n in range(8)
        ]
        assert {row[1] for row in rows} == {"no key box"}
