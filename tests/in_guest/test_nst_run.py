# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst run`: unmodified programs across namespaces, and a capture of what they sent.

nginx and sshd are unpacked by tools/setup.sh, not installed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest
from click.testing import CliRunner
from scapy.layers.inet import TCP, UDP
from scapy.utils import PcapReader

from nst_scapy.cli import group
from nst_scapy.kernel import NST_TX_SUITE, SOL_NST
from tests.in_guest.namespaces import LEFT, RIGHT, RIGHT4, RIGHT6, Network, inside

SERVERS = platformdirs.user_cache_path("nst") / "servers"
IPERF, HTTP, REDIS, SSH = 5201, 80, 6379, 2222
PAGE = b"this page must not be seen in a capture\n" * 5000
NST_RUN = [str(Path(sysconfig.get_path("scripts"), "nst")), "run", "--"]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def network(keybox_text: bytes) -> Iterator[Network]:
    made = Network(keybox_text)
    yield made
    made.close()


def nst_run(*argv: str, name: str = LEFT, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end under `nst run`."""
    with inside(name):
        return subprocess.run(
            [*NST_RUN, *argv], input=stdin, capture_output=True, timeout=120, check=False
        )


def output(*argv: str, stdin: bytes = b"") -> bytes:
    """What a program wrote that ended well."""
    done = nst_run(*argv, stdin=stdin)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout


@contextmanager
def serving(*argv: str, port: int, log: Path) -> Iterator[None]:
    """A server on the right, under `nst run`, from when it listens until the end."""
    with inside(RIGHT), log.open("wb") as file:
        server = subprocess.Popen(
            [*NST_RUN, *argv], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + PATIENCE_S
            while not subprocess.run(
                ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, check=True
            ).stdout:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        except BaseException:
            os.killpg(server.pid, signal.SIGKILL)
            raise
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        print(log.read_text())


@contextmanager
def captured(file: Path) -> Iterator[None]:
    """What the left end sends and receives, into a file."""
    with inside(LEFT):
        tcpdump = subprocess.Popen(
            ["tcpdump", "-i", "eth", "-U", "-B", "8192", "-s", "0", "-w", str(file), "-Z", "root"],
            stderr=subprocess.PIPE,
        )
    assert tcpdump.stderr is not None
    while b"listening on" not in tcpdump.stderr.readline():
        assert tcpdump.poll() is None
    try:
        yield
    finally:
        time.sleep(0.5)
        tcpdump.terminate()
        said = tcpdump.communicate()[1]
    assert b"\n0 packets dropped by kernel" in said


def check_capture(file: Path, port: int, box: str) -> list[dict[str, object]]:
    """Nothing but NST records is in a capture: each was opened, none left octets over."""
    payload = 0
    with PcapReader(str(file)) as packets:
        for packet in packets:
            for layer in (TCP, UDP):
                if layer in packet:
                    assert port in (packet[layer].sport, packet[layer].dport)
                    payload += len(packet[layer].payload)
    arguments = ["decode", str(file), "--json", "--keybox", box, "--port", str(port)]
    said = CliRunner().invoke(group, arguments)
    assert said.exit_code == 0, said.output[-2000:]
    records: list[dict[str, object]] = [json.loads(line) for line in said.stdout.splitlines()]
    assert {record["verdict"] for record in records} == {"OK"}
    sealed = 0
    for record in records:
        assert isinstance(record["plaintext"], str)
        length, cipher = len(record["plaintext"]) // 2, record["cipher_id"]
        sealed += 48 + (length if cipher in (1, 3) else 16 * (length // 16 + 1))
    # Retransmissions alone may add to what records take.
    assert payload >= sealed > 0
    assert payload < sealed * 1.1 + 100
    return records


@pytest.fixture
def keybox_file() -> str:
    return os.environ["NST_KEYBOX"]


def test_iperf3(network: Network, tmp_path: Path, keybox_file: str) -> None:
    capture = tmp_path / "iperf3.pcap"
    with (
        serving("iperf3", "--server", port=IPERF, log=tmp_path / "log"),
        captured(capture),
    ):
        client = ["iperf3", "--json", "--client", RIGHT4]
        received = 0
        for direction in ([], ["--reverse"]):
            told = json.loads(output(*client, "-n", "1M", *direction))
            assert told["end"]["sum_sent"]["bytes"] >= 1 << 20
            received += told["end"]["sum_received"]["bytes"]
        # A server reads no more once it is told that all was sent, over TCP as well.
        assert received > 1 << 20
        told = json.loads(output(*client, "--udp", "-n", "100K", "-l", "1000", "-b", "2M"))
        assert told["end"]["sum"]["lost_packets"] == 0
        assert told["end"]["sum"]["packets"] >= 100
    records = check_capture(capture, IPERF, keybox_file)
    assert sum(len(str(record["plaintext"])) for record in records) > 2 * received
    assert {record["transport"] for record in records} == {"stream", "dgram"}


def test_curl_and_nginx(network: Network, tmp_path: Path, keybox_file: str) -> None:
    capture = tmp_path / "http.pcap"
    (tmp_path / "page").write_bytes(PAGE)
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; user root; worker_processes 1; pid {tmp_path}/pid; error_log stderr;
        events {{ }}
        http {{
            access_log off; sendfile on; tcp_nopush on;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/fastcgi; uwsgi_temp_path {tmp_path}/uwsgi;
            scgi_temp_path {tmp_path}/scgi;
            server {{ listen {HTTP}; listen [::]:{HTTP}; root {tmp_path}; }}
        }}""")
    nginx = str(SERVERS / "usr/sbin/nginx")
    with (
        serving(
            nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"),
            port=HTTP, log=tmp_path / "log",
        ),
        captured(capture),
    ):  # fmt: skip
        for host in (RIGHT4, f"[{RIGHT6}]"):
            assert output("curl", "-sS", "--fail", f"http://{host}/page") == PAGE
    assert PAGE[:20] not in capture.read_bytes()
    records = check_capture(capture, HTTP, keybox_file)
    sent = b"".join(bytes.fromhex(str(record["plaintext"])) for record in records)
    assert sent.count(b"HTTP/1.1 200 OK") == 2


def test_redis(network: Network, tmp_path: Path, keybox_file: str) -> None:
    capture = tmp_path / "redis.pcap"
    # Debian's redis-check-rdb is redis-server by another name.
    server = f"exec -a redis-server redis-check-rdb --port {REDIS} --protected-mode no --save ''"
    with (
        serving("bash", "-c", server, port=REDIS, log=tmp_path / "log"),
        captured(capture),
    ):
        said = output(
            "redis-benchmark", "-h", RIGHT4, "-c", "5", "-n", "100", "-t", "ping,set,get", "-q",
        )  # fmt: skip
        assert b"SET: " in said
        assert output("redis-cli", "-h", RIGHT4, "dbsize") == b"1\n"
    check_capture(capture, REDIS, keybox_file)


def test_ssh(network: Network, tmp_path: Path, keybox_file: str) -> None:
    capture = tmp_path / "ssh.pcap"
    key, host_key = tmp_path / "key", tmp_path / "host_key"
    for file in (key, host_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    # The account that sshd drops its rights to comes with its installation.
    with Path("/etc/passwd").open("r+") as users:
        if "sshd:" not in users.read():
            users.write("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    # The guest's accounts are locked, which shuts out keys, too.
    shadow = Path("/etc/shadow")
    shadow.write_text(shadow.read_text().replace(":!", ":*"))
    (tmp_path / "sshd_config").write_text(
        f"HostKey {host_key}\nAuthorizedKeysFile {key}.pub\nPermitRootLogin yes\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPort {SSH}\n"
    )
    server = [str(SERVERS / "usr/sbin/sshd"), "-D", "-e", "-f", str(tmp_path / "sshd_config")]
    ssh = [
        "ssh", "-F", "none", "-i", str(key), "-p", str(SSH), "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known",
    ]  # fmt: skip
    data = os.urandom(100_000)
    with (
        serving(*server, port=SSH, log=tmp_path / "log"),
        captured(capture),
    ):
        assert output(*ssh, f"root@{RIGHT4}", "cat", stdin=data) == data
        assert nst_run(*ssh, f"root@{RIGHT4}", "exit 7").returncode == 7
    check_capture(capture, SSH, keybox_file)


PROBE = """
import socket, sys
for family, kind, protocol in {calls}:
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        print(error.errno)
        continue
    try:
        print("nst", sock.getsockopt({level}, {option}) > 0, sock.get_inheritable())
    except OSError:
        print("plain")
"""


def test_what_becomes_of_which_socket() -> None:
    calls = [
        (socket.AF_INET, socket.SOCK_STREAM, 0),
        (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        (socket.AF_INET, socket.SOCK_STREAM, 132),
        (socket.AF_INET, socket.SOCK_STREAM, 262),
        (socket.AF_INET, socket.SOCK_DGRAM, 136),
    ]
    plain = [tuple(int(part) for part in call) for call in calls]
    probe = PROBE.format(calls=plain, level=SOL_NST, option=NST_TX_SUITE)
    done = subprocess.run(
        [*NST_RUN, sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    refused = "93"  # EPROTONOSUPPORT
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        *["nst True False"] * 3, "plain", "plain", *[refused] * 3,
    ]  # fmt: skip


STATIC = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	int suite = 0;
	socklen_t len = sizeof(suite);
	int fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	if (getsockopt(fd, 1337, 1, &suite, &len) || !suite)
		return 1;
	/* io_uring could make sockets past the filter. */
	return syscall(425, 1, 0) == -1 && errno == ENOSYS ? 0 : 2;
}
"""


def test_programs_that_call_the_kernel_themselves(tmp_path: Path) -> None:
    (tmp_path / "probe.c").write_text(STATIC)
    subprocess.run(
        ["gcc", "-static", "-o", str(tmp_path / "probe"), str(tmp_path / "probe.c")], check=True
    )
    done = subprocess.run([*NST_RUN, str(tmp_path / "probe")], check=False)
    assert done.returncode == 0


def test_exit_status() -> None:
    for argv, status in (
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["/no/such/program"], 127),
    ):
        done = subprocess.run([*NST_RUN, *argv], capture_output=True, check=False)
        assert done.returncode == status


def test_signals_are_the_programs(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f"trap 'exit 5' TERM; echo ready >{told}; while :; do sleep 0.1; done"
    with subprocess.Popen([*NST_RUN, "sh", "-c", script]) as running:
        while not told.exists():
            assert running.poll() is None
            time.sleep(0.1)
        running.terminate()
        assert running.wait(30) == 5


def test_what_is_left_behind_is_served_on(tmp_path: Path) -> None:
    """A program may end before its children: they still get sockets, NST ones."""
    probe = PROBE.format(
        calls=[(int(socket.AF_INET), int(socket.SOCK_STREAM), 0)],
        level=SOL_NST,
        option=NST_TX_SUITE,
    )
    (tmp_path / "probe.py").write_text(f"import time; time.sleep(3)\n{probe}")
    told = tmp_path / "told"
    script = f"{sys.executable} {tmp_path}/probe.py >{told} 2>&1 </dev/null &"
    began = time.monotonic()
    subprocess.run([*NST_RUN, "sh", "-c", script], check=True)
    while not (told.exists() and told.read_text()) and time.monotonic() < began + PATIENCE_S:
        time.sleep(0.1)
    assert told.read_text() == "nst True False\n"


def test_without_the_module_nothing_runs() -> None:
    switch = Path("/proc/sys/net/nst/enabled")
    switch.write_text("0\n")
    try:
        done = subprocess.run([*NST_RUN, "echo", "x"], capture_output=True, text=True, check=False)
    finally:
        switch.write_text("1\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nst: error: this kernel has no NST, or has it switched off\n"
