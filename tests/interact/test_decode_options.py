# SPDX-License-Identifier: GPL-2.0-or-later
"""nst decode: filters, plain captures, growing files and live interfaces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest
from captures import KEYBOX, Capture, Connection, dgram_sender, pcap_bytes, stream_sender
from click.testing import CliRunner, Result
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.sessions import TCPSession
from scapy.utils import rdpcap

from nst_scapy.cli import group
from nst_scapy.header import Role
from nst_scapy.suite import SuiteId

NST = str(Path(sysconfig.get_path("scripts"), "nst"))


def nst(*args: object) -> Result:
    result = CliRunner().invoke(group, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def keybox(tmp_path) -> Path:
    path = tmp_path / "test.keybox"
    KEYBOX.save(path)
    return path


def conversation(v6: bool = False) -> Capture:
    """A datagram, its replay, junk, and a stream with question, answer and ends."""
    capture = Capture(v6=v6)
    record = dgram_sender(suite=SuiteId.SM4_CBC).seal(b"datagram", now=capture.now)
    for data in (record, record, b"junk"):
        capture.udp(data)
    connection = Connection(capture).open()
    client, server = (stream_sender(role) for role in (Role.INITIATOR, Role.ACCEPTOR))
    connection.send(True, client.seal(b"question " * 300, now=capture.now))
    server.bind(client.first_token or b"")
    connection.send(False, server.seal(b"answer", now=capture.now))
    connection.send(True, client.close(now=capture.now))
    connection.fin(True)
    connection.send(False, server.close(now=capture.now))
    connection.fin(False)
    return capture


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        (["verdict==OK"], 5),
        (["verdict!=OK"], 2),
        (["verdict==SHORT,REPLAY"], 2),
        (["suite==SM4_CBC"], 2),
        (["transport==stream", "transport_len>0"], 2),
        (["transport_len<=0x8"], 5),
        (["plaintext~question"], 1),
        (["host==192.0.2.1"], 7),
        (["src~192.0.2.2"], 2),
        (["port==40000", "frame<3"], 2),
        (["flags==6"], 1),
        (["kid!=0,1,2,3"], 1),
        (["verdict==unverified"], 0),
    ],
)
def test_filters(keybox, tmp_path, conditions, count):
    file = conversation().write(tmp_path / "x.pcap")
    options = [part for text in conditions for part in ("--filter", text)]
    result = nst("decode", file, "--keybox", keybox, "--json", *options)
    assert len(result.stdout.splitlines()) == count
    failed = any(json.loads(line)["verdict"] != "OK" for line in result.stdout.splitlines())
    assert result.exit_code == failed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "is not FIELD OP VALUE"),
        ("colour==red", "is none of"),
        ("kid==x", "is not a number"),
        ("verdict==FINE", "is not a verdict"),
        ("src<3", "has no order"),
    ],
)
def test_bad_filters(text, reason):
    result = nst("decode", "x.pcap", "--filter", text)
    assert result.exit_code == 2
    assert reason in result.stderr


class TestWritePlain:
    @pytest.mark.parametrize("v6", [False, True])
    def test_other_tools_read_it(self, keybox, tmp_path, v6):
        capture = conversation(v6)
        plain = tmp_path / "plain.pcap"
        file = capture.write(tmp_path / "x.pcap")
        assert nst("decode", file, "--keybox", keybox, "--write-plain", plain).exit_code == 1
        packets = rdpcap(str(plain))
        (datagram,) = [pkt for pkt in packets if UDP in pkt]
        assert bytes(datagram[UDP].payload) == b"datagram"
        assert datagram.time == capture.packets[0].time
        segments = [pkt for pkt in packets if TCP in pkt]
        assert [str(pkt[TCP].flags) for pkt in segments] == ["S", "SA", "A", "PA", "PA", "FA", "FA"]
        assert bytes(segments[3][TCP].payload) == b"question " * 300
        assert (segments[4].load, segments[4][TCP].ack) == (b"answer", 2701)
        assert (segments[6][TCP].seq, segments[6][TCP].ack) == (7, 2702)
        for pkt in packets:
            again = pkt.copy()
            for layer in (IP, IPv6, TCP, UDP):
                if layer in again and "chksum" in again[layer].fields:
                    del again[layer].chksum
            assert bytes(again) == bytes(pkt)
        assert TCPSession().process(segments[3]) is not None

    def test_only_what_is_filtered(self, keybox, tmp_path):
        plain = tmp_path / "plain.pcap"
        file = conversation().write(tmp_path / "x.pcap")
        options = ["--filter", "transport==dgram", "--write-plain", plain]
        nst("decode", file, "--keybox", keybox, *options)
        assert len(rdpcap(str(plain))) == 1

    def test_where_it_cannot(self, keybox, tmp_path):
        file = conversation().write(tmp_path / "x.pcap")
        result = nst("decode", file, "--write-plain", tmp_path / "no" / "x")
        assert result.exit_code == 2
        assert "no/x: No such file" in result.stderr


def wait_for_line(process: subprocess.Popen[bytes]) -> dict[str, object]:
    assert process.stdout is not None
    found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def test_follow(keybox, tmp_path):
    file = tmp_path / "growing.pcap"
    whole = pcap_bytes(conversation().frames())
    with (
        file.open("wb") as growing,
        subprocess.Popen(
            [NST, "decode", "--follow", "--json", "--keybox", keybox, file], stdout=subprocess.PIPE
        ) as process,
    ):
        for start, end, verdict in ((0, 200, "OK"), (200, len(whole), "REPLAY")):
            growing.write(whole[start:end])
            growing.flush()
            assert wait_for_line(process)["verdict"] == verdict
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing is for root")
def test_live_interface(keybox, tmp_path):
    plain = tmp_path / "plain.pcap"
    command = [NST, "decode", "-i", "lo", "--json", "--port", "45999", "--keybox", keybox]
    with subprocess.Popen([*command, "--write-plain", plain], stdout=subprocess.PIPE) as process:
        # The interface is open when its file is.
        while not plain.exists():
            time.sleep(0.05)
        subprocess.run(
            [NST, "connect", "-u", "127.0.0.1", "45999", "-w", "0", "--keybox", keybox],
            input=b"seen live", check=False, capture_output=True,
        )  # fmt: skip
        line = wait_for_line(process)
        assert (line["verdict"], line["plaintext"]) == ("OK", b"seen live".hex())
        assert abs(int(str(line["time"])) - time.time_ns()) < 60 * 10**9
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    (packet,) = rdpcap(str(plain))
    assert packet[UDP].load == b"seen live"


def test_bad_sources(tmp_path):
    for arguments in ([], ["x.pcap", "-i", "lo"]):
        assert "name a capture file" in nst("decode", *arguments).stderr
    result = nst("decode", "-i", "nosuch0")
    assert result.exit_code == 2
    assert result.stderr.startswith("nst: error: nosuch0: ")


def test_summary(keybox, tmp_path):
    file = conversation().write(tmp_path / "x.pcap")
    result = nst("decode", file, "--keybox", keybox, "--summary")
    title, *rows = [line.split() for line in result.stdout.splitlines()]
    assert title == ["from", "to", "transport", "suites", "records", "plaintext", "verdicts"]
    client, server = "192.0.2.1:40000", "192.0.2.2:48879"
    assert [row[:6] for row in rows] == [
        [client, server, "dgram", "SM4_CBC", "3", "8"],
        [client, server, "stream", "AES_GCM", "2", "2700"],
        [server, client, "stream", "AES_GCM", "2", "6"],
    ]
    assert " ".join(rows[0][6:]) == "1 OK, 1 REPLAY, 1 SHORT"
    result = nst("decode", file, "--keybox", keybox, "--summary", "--json")
    first = json.loads(result.stdout.splitlines()[0])
    assert first["verdicts"] == {"OK": 1, "REPLAY": 1, "SHORT": 1}
    assert (first["src"], first["records"]) == (client, 3)


@pytest.mark.parametrize(
    ("first", "verdict"), [(b"\xbe\xef", "MAGIC"), (b"\xbe\xef\x13\x37\2", "VERSION")]
)
def test_what_is_no_record_has_no_suite(keybox, tmp_path, first, verdict):
    capture = Capture()
    capture.udp(first + bytes(60))
    file = capture.write(tmp_path / "junk.pcap")
    line = nst("decode", file, "--keybox", keybox).stdout
    assert f"dgram  [{verdict}]" in line
    assert "kid" not in line
    assert "cipher" not in nst("decode", file, "--keybox", keybox, "--summary").stdout
