# SPDX-License-Identifier: GPL-2.0-or-later
"""nst seal, open, listen, connect and replay: real processes on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from nst_scapy.header import HEADER_LEN, Header, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

NST = str(Path(sysconfig.get_path("scripts"), "nst"))
BOX = KeyBox.generate(4)
DATA = os.urandom(200_000)


@pytest.fixture(scope="module")
def keybox(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("keys") / "test.keybox"
    BOX.save(path)
    return str(path)


@pytest.fixture(autouse=True)
def environment(keybox, monkeypatch) -> None:
    monkeypatch.setenv("NST_KEYBOX", keybox)


def nst(*args: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [NST, *map(str, args)], input=stdin, capture_output=True, check=False, timeout=120
    )
    assert b"Traceback" not in done.stderr
    output = done.stdout + done.stderr
    assert not any(key.hex().encode() in output for key in BOX.values())
    return done


def error_of(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 2, done
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("nst: error: ")
    return line


@contextmanager
def listening(
    *args: object, stdin: bytes | None = b""
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`nst listen` and its port; its standard input holds *stdin*, or stays open for ``None``."""
    read, write = os.pipe()
    if stdin is not None:
        os.write(write, stdin)
        os.close(write)
    command = [NST, "listen", "0", "-v", "--address", "127.0.0.1", *map(str, args)]
    with subprocess.Popen(
        command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(read)
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        match = re.fullmatch(r"nst: listening on 127.0.0.1:(\d+)\n", line)
        assert match, line
        try:
            yield process, int(match[1])
        finally:
            process.kill()
            if stdin is None:
                os.close(write)


class TestSealAndOpen:
    @pytest.mark.parametrize("suite", SuiteId)
    def test_through_a_pipe(self, suite):
        sealed = nst("seal", "--suite", suite.name, stdin=DATA)
        assert (sealed.returncode, sealed.stderr) == (0, b"")
        assert Header.unpack(sealed.stdout).cipher_id == suite
        opened = nst("open", stdin=sealed.stdout)
        assert (opened.returncode, opened.stdout, opened.stderr) == (0, DATA, b"")

    def test_datagram_as_hex(self, tmp_path):
        file = tmp_path / "x.hex"
        done = nst("seal", "-u", "--hex", "--kid", 2, "--perturb", "5:0x1f", stdin=b"hello")
        file.write_bytes(done.stdout)
        header = Header.unpack(bytes.fromhex(done.stdout.decode()))
        assert (header.kid, header.kpos, header.kval, header.flags) == (2, 5, 0x1F, 1)
        assert nst("open", "--hex", file).stdout == b"hello"
        answer = json.loads(nst("open", "--hex", "--json", file).stdout)
        assert (answer["verdict"], answer["plaintext"]) == ("OK", b"hello".hex())

    def test_files_and_times(self, tmp_path):
        out = tmp_path / "x.nst"
        text = tmp_path / "text"
        text.write_bytes(b"old")
        assert nst("seal", text, "--time", 10**18, "-o", out).returncode == 0
        late = nst("open", out)
        assert (late.returncode, late.stdout) == (1, b"")
        assert late.stderr.decode() == f"nst: {out}: TIMESTAMP\n"
        assert nst("open", "--at", "sealed", out).stdout == b"old"
        assert nst("open", "--at", 10**18 + 1, out, "-o", text).returncode == 0
        assert nst("open", "--at", 10**18 + 2_000_000, "--window", 1, out).returncode == 1

    def test_what_is_not_whole(self):
        open_ended = nst("seal", "--no-close", stdin=b"data").stdout
        done = nst("open", stdin=open_ended)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"data", b"nst: -: TRUNCATED\n")
        damaged = open_ended[:-1] + bytes([open_ended[-1] ^ 1])
        done = nst("open", "--json", stdin=damaged)
        assert (done.returncode, json.loads(done.stdout)["verdict"]) == (1, "AUTH")
        done = nst("open", "--json", stdin=b"\xbe\xef")
        assert (done.returncode, json.loads(done.stdout)["verdict"]) == (1, "TRUNCATED")

    def test_replies(self):
        sender = StreamSender(Role.ACCEPTOR, BOX)
        sender.bind(bytes(range(16)))
        now = time.time_ns()
        records = sender.seal(b"bound", now=now) + sender.close(now=now)
        assert nst("open", "--bound-to", bytes(range(16)).hex(), stdin=records).stdout == b"bound"
        assert nst("open", stdin=records).stderr == b"nst: -: SEQUENCE\n"
        reply = nst("seal", "--role", "acceptor", stdin=b"x").stdout
        assert nst("open", stdin=reply).stdout == b"x"

    def test_bad_input(self, tmp_path):
        assert "none: No such file" in error_of(nst("seal", tmp_path / "none"))
        assert "Is a directory" in error_of(nst("open", tmp_path))
        assert "nothing to open" in error_of(nst("open"))
        assert "-:2: not hex digits" in error_of(nst("open", "--hex", stdin=b"00\nzz\n"))
        assert "has no kid 9" in error_of(nst("seal", "--kid", 9))
        assert "none: No such file" in error_of(nst("seal", "--keybox", tmp_path / "none"))
        assert "65479 bytes at most" in error_of(nst("seal", "-u", stdin=bytes(65480)))
        for arguments in (
            ["seal", "--perturb", "0:1"],
            ["seal", "--perturb", "x"],
            ["open", "--at", "-1"],
            ["open", "--bound-to", "00"],
        ):
            assert nst(*arguments).returncode == 2

    def test_records_are_not_for_terminals(self, keybox):
        master, slave = os.openpty()
        done = subprocess.run(
            [NST, "seal"], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
        os.close(slave)
        os.close(master)
        assert done.returncode == 2
        assert b"--hex" in done.stderr


class TestListenAndConnect:
    def test_streams_both_ways(self):
        with listening(stdin=b"from the server") as (server, port), ThreadPoolExecutor() as pool:
            # Its output is more than a pipe holds: unread, it would not get to answering.
            output = pool.submit(server.communicate, timeout=60)
            client = nst("connect", "127.0.0.1", port, stdin=DATA)
            assert (client.returncode, client.stdout) == (0, b"from the server")
            stdout, stderr = output.result()
        assert (server.returncode, stdout) == (0, DATA)
        assert re.search(rb"received \d+: \d+ OK\n$", stderr)

    def test_datagrams(self):
        with listening("-u", "-w", "2", stdin=b"pong") as (server, port):
            client = nst("connect", "-u", "127.0.0.1", port, "-w", "5", stdin=b"ping")
            assert (client.returncode, client.stdout) == (0, b"pong")
            assert server.communicate(timeout=60)[0] == b"ping"
        assert server.returncode == 0

    def test_a_bad_record(self):
        with listening() as (server, port):
            with socket.create_connection(("127.0.0.1", port), 10) as tcp:
                tcp.sendall(StreamSender(Role.INITIATOR, BOX).seal(b"ok", now=time.time_ns()))
                tcp.sendall(b"not a record")
                stdout, stderr = server.communicate(timeout=60)
            assert (server.returncode, stdout) == (1, b"ok")
            assert re.search(rb"nst: 127.0.0.1:\d+: MAGIC\n$", stderr)

    def test_bad_datagrams_show_in_the_status(self):
        with listening("-u", "-w", "0.2") as (server, port):
            with socket.socket(type=socket.SOCK_DGRAM) as udp:
                udp.connect(("127.0.0.1", port))
                udp.send(b"junk")
                udp.send(DgramSender(BOX).seal(b"ok", now=time.time_ns()))
                stdout, stderr = server.communicate(timeout=60)
            assert (server.returncode, stdout) == (1, b"ok")
            assert b"1 SHORT" in stderr

    def test_only_some_keys(self):
        with listening("--accept-kid", 1) as (server, port):
            nst("connect", "127.0.0.1", port, "--kid", 2, stdin=b"x")
            _, stderr = server.communicate(timeout=60)
            assert server.returncode == 1
            assert stderr.endswith(b": KID\n")

    def test_one_after_another(self):
        with listening("-k") as (server, port):
            with socket.create_connection(("127.0.0.1", port), 10) as tcp:
                tcp.sendall(b"rubbish")
                with contextlib.suppress(ConnectionResetError):
                    while tcp.recv(1000):
                        pass
            assert nst("connect", "127.0.0.1", port, stdin=b"second").returncode == 0
            server.send_signal(signal.SIGINT)
            stdout, stderr = server.communicate(timeout=60)
        assert (server.returncode, stdout) == (130, b"second")
        assert b"MAGIC" in stderr

    def test_interrupted_it_closes_orderly(self):
        with listening() as (server, port), subprocess.Popen(
            [NST, "connect", "127.0.0.1", str(port), "-v"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as client:  # fmt: skip
            assert client.stderr is not None
            assert b"connected" in client.stderr.readline()
            client.send_signal(signal.SIGINT)
            assert client.wait(60) == 130
            assert b"Traceback" not in client.stderr.read()
            _, stderr = server.communicate(timeout=60)
            # What the server still had to say may meet a closed socket; we said CLOSE.
            assert b"TRUNCATED" not in stderr

    def test_no_connection(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            line = error_of(nst("connect", "127.0.0.1", port))
            assert line == f"nst: error: 127.0.0.1 port {port}: Connection refused"
            line = error_of(nst("listen", port, "--address", "127.0.0.1"))
            assert line.endswith("Address already in use")
        assert "192.0.2.9 port 0: Cannot assign" in error_of(
            nst("listen", 0, "-u", "--address", "192.0.2.9")
        )


@pytest.fixture
def capture(tmp_path) -> Path:
    """A client's stream and its datagram to port 48879, just sealed."""
    client = StreamSender(Role.INITIATOR, BOX)
    now = time.time_ns()
    records = client.seal(b"stream", now=now) + client.close(now=now)
    ports = {"sport": 40000, "dport": 48879}
    ip = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
        src="192.0.2.1", dst="192.0.2.2"
    )
    packets = [
        ip / TCP(**ports, flags="S", seq=99),
        ip / TCP(**ports, flags="PA", seq=110) / Raw(records[10:]),
        ip / TCP(**ports, flags="PA", seq=100) / Raw(records[:10]),
        ip / TCP(**ports, flags="FA", seq=100 + len(records)),
        ip / UDP(**ports) / Raw(DgramSender(BOX).seal(b"datagram", now=now)),
    ]
    for packet in packets:
        packet.time = now / 1e9
    path = tmp_path / "x.pcap"
    wrpcap(str(path), packets)
    return path


class TestReplay:
    def test_what_was_sealed_before_is_refused(self, capture):
        # A server that had said all would have ended its side before it resets the other.
        with listening(stdin=None) as (server, port):
            done = nst("replay", capture, "127.0.0.1", port, "-w", 3, "--json")
            assert server.communicate(timeout=60)[0] == b""
            assert server.returncode == 1
        stream, dgram = (json.loads(line) for line in done.stdout.splitlines())
        assert done.returncode == 1
        assert (stream["source"], stream["transport"]) == ("192.0.2.1:40000", "stream")
        assert stream["sent"] == 2 * HEADER_LEN + 6
        assert stream["reset"] is True
        assert (dgram["sent"], dgram["pieces"]) == (HEADER_LEN + 8, 1)

    def test_sealed_anew(self, capture):
        with listening(stdin=b"answer") as (server, port):
            done = nst("replay", capture, "127.0.0.1", port, "--reseal", "-w", 3)
            assert server.communicate(timeout=60)[0] == b"stream"
            assert server.returncode == 0
        stream, dgram = done.stdout.decode().splitlines()
        assert stream == "192.0.2.1:40000  stream  sent 6 bytes  received 6 bytes  ended"
        assert dgram.startswith("192.0.2.1:40000  dgram  sent 1 datagram, 8 bytes")
        assert done.returncode == 0

    def test_bad_input(self, capture, tmp_path, monkeypatch):
        junk = tmp_path / "junk"
        junk.write_bytes(b"junk")
        assert "neither a pcap" in error_of(nst("replay", junk, "127.0.0.1"))
        assert "No such file" in error_of(nst("replay", tmp_path / "none", "127.0.0.1"))
        line = error_of(nst("replay", capture, "127.0.0.1", 1))
        assert line.endswith("127.0.0.1 port 1: Connection refused")
        monkeypatch.delenv("NST_KEYBOX")
        assert "--keybox" in error_of(nst("replay", capture, "127.0.0.1", "--reseal"))
        done = nst("replay", capture, "127.0.0.1", "--captured-port", 7)
        assert (done.returncode, done.stdout) == (0, b"")
        assert b"nothing was sent to port 7" in done.stderr


@pytest.mark.parametrize("name", ["seal", "open", "listen", "connect", "replay"])
def test_help_has_examples(name):
    done = nst(name, "--help")
    assert done.returncode == 0
    assert b"Examples:" in done.stdout
