# SPDX-License-Identifier: GPL-2.0-or-later
"""The netlink family `nst`, through nst_scapy.kernel_control and `nst ctl`."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError

from nst_scapy import kernel_messages as messages
from nst_scapy.cli import group
from nst_scapy.kernel import NSTKernelSocket
from nst_scapy.kernel_control import Control, ControlError
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict
from tests.in_guest import counters
from tests.in_guest.sockets import fails_with, nst_pair, recv_exactly

NOBODY = 65534
KEY = b"k" * 32
NST = str(Path(sysconfig.get_path("scripts"), "nst"))
SYSCTL = Path("/proc/sys/net/nst")


def echo() -> int:
    """Send a byte over a new stream; return the kid that sealed it."""
    with nst_pair() as pair:
        pair.initiator.sendall(b"x")
        assert recv_exactly(pair.acceptor, 1) == b"x"
        with NSTKernelSocket(fileno=os.dup(pair.initiator.fileno())) as sock:
            return sock.info().tx_kid


def test_add_list_and_delete_keys(control: Control, box: KeyBox) -> None:
    kids = sorted(box)
    assert control.kids() == kids
    control.add_keys({60000: KEY, 50000: KEY})
    assert control.kids() == [*kids, 50000, 60000]
    control.delete_keys([*kids, 50000])
    assert control.kids() == [60000]
    assert echo() == 60000
    control.delete_keys([60000])
    assert control.kids() == []
    with fails_with(errno.ENOKEY), nst_pair() as pair:
        pair.initiator.sendall(b"x")


def test_key_changes_are_whole_or_not_at_all(control: Control, box: KeyBox) -> None:
    kids = sorted(box)
    with pytest.raises(ControlError, match="already") as caught:
        control.add_keys({40000: KEY, kids[-1]: KEY})
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(ControlError, match="no such kid") as caught:
        control.delete_keys([kids[0], 40000])
    assert caught.value.errno == errno.ENOENT
    assert control.kids() == kids


def test_replaced_key_is_used(control: Control) -> None:
    control.flush_keys()
    control.add_keys({3: KEY})
    sealed = DgramSender(KeyBox({3: b"n" * 32}))
    with (
        NSTKernelSocket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        udp.sendto(sealed.seal(b"1", now=time.time_ns()), server.getsockname())
        with pytest.raises(TimeoutError):
            server.recv(1)
        control.add_keys({3: b"n" * 32}, replace=True)
        udp.sendto(sealed.seal(b"2", now=time.time_ns()), server.getsockname())
        assert server.recv(1) == b"2"


def test_many_keys(control: Control) -> None:
    control.flush_keys()
    control.add_keys(dict.fromkeys(range(65535, 64000, -1), KEY))
    assert control.kids() == list(range(64001, 65536))
    assert control.stat().keys == 1535
    control.delete_keys(range(64001, 65535))
    assert control.kids() == [65535]


@pytest.mark.parametrize(
    ("command", "attributes", "number"),
    [
        ("KEY_ADD", [], errno.EINVAL),
        ("KEY_ADD", [["NST_KEYS_A_KEY", {"attrs": [["NST_KEY_A_KID", 1]]}]], errno.EINVAL),
        (
            "KEY_ADD",
            [["NST_KEYS_A_KEY", {"attrs": [["NST_KEY_A_MATERIAL", KEY]]}]],
            errno.EINVAL,
        ),
        (
            "KEY_ADD",
            [
                [
                    "NST_KEYS_A_KEY",
                    {"attrs": [["NST_KEY_A_KID", 9999], ["NST_KEY_A_MATERIAL", KEY[:31]]]},
                ]
            ],
            errno.ERANGE,
        ),
        (
            "KEY_ADD",
            [
                [
                    "NST_KEYS_A_KEY",
                    {"attrs": [["NST_KEY_A_KID", 9999], ["NST_KEY_A_MATERIAL", KEY]]},
                ]
            ]
            * 2,
            errno.EINVAL,
        ),
        ("KEY_DEL", [], errno.EINVAL),
        ("KEY_DEL", [["NST_KEYS_A_KIDS", b"\1"]], errno.EINVAL),
        ("KEY_DEL", [["NST_KEYS_A_KIDS", b""]], errno.EINVAL),
        ("KEY_DEL", [["NST_KEYS_A_REPLACE", True]], errno.EINVAL),
        ("KEY_FLUSH", [["NST_KEYS_A_KIDS", b"\0\0"]], errno.EINVAL),
        ("REJECT", [], errno.EOPNOTSUPP),
    ],
)
def test_bad_requests_change_nothing(
    control: Control, box: KeyBox, command: str, attributes: list[object], number: int
) -> None:
    message = messages.empty(messages.Command[command])
    message["attrs"] = attributes
    with pytest.raises(NetlinkError) as caught:
        list(
            control._socket.nlm_request(
                message, msg_type=control._socket.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK
            )
        )
    assert caught.value.code == number
    assert control.kids() == sorted(box)


def test_settings_are_the_sysctls(control: Control) -> None:
    assert control.settings() == {
        path.name: int(path.read_text())
        for path in sorted(SYSCTL.iterdir())
        if path.name != "replay_sessions_max"  # two of the others at once
    }
    control.set(rekey_records=7, log_rejects=1)
    assert (SYSCTL / "rekey_records").read_text() == "7\n"
    (SYSCTL / "stream_sessions_max").write_text("99\n")
    assert control.settings()["stream_sessions_max"] == 99
    with fails_with(errno.EINVAL):
        (SYSCTL / "rekey_records").write_text("65537\n")


def test_settings_change_together_or_not(control: Control) -> None:
    before = control.settings()
    with pytest.raises(ControlError, match="out of range") as caught:
        control.set(enabled=0, default_cipher=5)
    assert caught.value.errno == errno.ERANGE
    assert control.settings() == before


def test_stat_is_proc(control: Control) -> None:
    echo()
    stat, proc = control.stat(), counters.read()
    for name, columns in stat.verdicts.items():
        assert columns == {column: proc[f"{column}.{name}"] for column in columns}
    assert list(stat.verdicts) == ["OK", *(v.value for v in Verdict if v is not Verdict.OK)]
    assert stat.verdicts["OK"]["stream"] > 0
    assert stat.sessions == {"stream": proc["stream_sessions"], "dgram": 0}
    assert stat.suites == Path("/proc/net/nst_suites").read_text().split()
    assert proc["age_ns"] - stat.age_ns < 10 * 10**9


def test_rekey_records(control: Control) -> None:
    control.set(rekey_records=2)
    with nst_pair() as pair:
        sessions = []
        with NSTKernelSocket(fileno=os.dup(pair.initiator.fileno())) as sock:
            for _ in range(4):
                pair.initiator.sendall(b"x")
                sessions.append(sock.info().tx_session_id)
        assert recv_exactly(pair.acceptor, 4) == b"xxxx"
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]


def as_nobody(script: str, *command: str) -> object:
    """What Python says, run by an ordinary user with ``control`` at hand."""
    done = subprocess.run(
        [
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command,
            sys.executable, "-B", "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(script),
        ],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PRELUDE = """
    import json
    from nst_scapy.kernel_control import Control, ControlError

    control = Control()

    def outcome(call):
        try:
            call()
        except ControlError as error:
            return error.errno
        return 0
"""


@pytest.mark.usefixtures("fresh_namespace")
def test_changes_need_cap_net_admin() -> None:
    said = as_nobody("""
        forbidden = (
            control.kids,
            control.flush_keys,
            control.watch,
            lambda: control.add_keys({1: bytes(32)}),
            lambda: control.delete_keys([0]),
            lambda: control.set(enabled=0),
        )
        allowed = (control.stat, control.settings)
        print(json.dumps([[outcome(call) for call in calls] for calls in (forbidden, allowed)]))
    """)
    assert said == [[errno.EPERM] * 6, [0, 0]]


def test_a_user_namespace_has_its_own_administrator() -> None:
    said = as_nobody(
        """
        control.add_keys({5: bytes(32)})
        control.set(log_rejects=1)
        control.watch()
        print(json.dumps(control.kids()))
        """,
        "unshare", "--map-root-user", "--net",
    )  # fmt: skip
    assert said == [5]


def ctl(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(group, ["ctl", *arguments], input=stdin)


@pytest.mark.usefixtures("fresh_namespace")
def test_ctl(tmp_path: Path, box: KeyBox) -> None:
    file = tmp_path / "other.keybox"
    other = KeyBox.generate(3)
    other.save(file)
    assert ctl("keys", "load", str(file)).output == f"{file}: 3 keys loaded\n"
    assert ctl("keys", "list").output == "0\n1\n2\n"
    assert ctl("keys", "add", "7", stdin=KEY.hex() + "\n").exit_code == 0
    again = ctl("keys", "add", "7", stdin=KEY.hex())
    assert (again.exit_code, again.output) == (
        1,
        "Error: the kernel refused: File exists: a kid is there already\n",
    )
    assert ctl("keys", "add", "7", "--replace", stdin=KEY.hex()).exit_code == 0
    short = ctl("keys", "add", "8", stdin="abcd")
    assert (short.exit_code, short.output) == (
        2,
        "nst: error: standard input: 64 hex digits expected\n",
    )
    assert ctl("keys", "del", "0", "7").exit_code == 0
    assert json.loads(ctl("keys", "list", "--json").output) == {"kids": [1, 2]}
    assert ctl("keys", "flush").exit_code == 0
    assert ctl("keys", "list").output == ""

    assert ctl("set", "rekey_records=5", "log_rejects=1").exit_code == 0
    assert json.loads(ctl("settings", "--json").output)["rekey_records"] == 5
    assert "log_rejects=1\n" in ctl("settings").output
    assert ctl("set", "rekey_records=0").exit_code == 1
    assert ctl("set", "rekey=1").exit_code == 2
    assert ctl("set", "rekey_records=-1").exit_code == 2
    stat = json.loads(ctl("stat", "--json").output)
    assert stat["verdicts"]["OK"]["stream"] == 0
    assert "SEQUENCE" in ctl("stat").output


@pytest.mark.usefixtures("fresh_namespace")
def test_ctl_monitor_ends_with_ctrl_c() -> None:
    with subprocess.Popen(
        [NST, "ctl", "monitor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as monitor:
        assert monitor.stdout is not None
        assert monitor.stderr is not None
        assert monitor.stderr.readline() == "watching\n"
        with (
            NSTKernelSocket(type=socket.SOCK_DGRAM) as server,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            server.bind(("127.0.0.1", 0))
            udp.sendto(b"junk" * 12, server.getsockname())
            line = monitor.stdout.readline()
            assert line.startswith("MAGIC     dgram 127.0.0.1:")
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(20) == 130
        assert "Traceback" not in monitor.stderr.read()


def test_ss_knows_the_connection() -> None:
    """ss sees the TCP connection below, with its inner state (docs/kmod.md)."""
    with nst_pair() as pair:
        pair.initiator.sendall(b"x" * 1000)
        assert recv_exactly(pair.acceptor, 1000) == b"x" * 1000
        port = pair.initiator.getsockname()[1]
        said = subprocess.run(
            ["ss", "-tniO", "sport", "=", f":{port}"], capture_output=True, text=True, check=True
        ).stdout
    assert f"127.0.0.1:{port}" in said
    assert "bytes_sent:1048" in said
    assert "cwnd:" in said


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_kernel_socket_is_a_socket(family: socket.AddressFamily) -> None:
    loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
    with NSTKernelSocket(family) as server, NSTKernelSocket(family) as client:
        server.bind((loopback, 0))
        server.listen()
        client.suite = SuiteId.AES_CBC
        client.pin(kid=2, perturb=(5, 6))
        client.connect(server.getsockname())
        accepted, peer = server.accept()
        with accepted, accepted.makefile("rw") as there, client.makefile("rw") as here:
            assert isinstance(accepted, NSTKernelSocket)
            assert peer == client.getsockname()
            here.write("line\n")
            here.flush()
            assert there.readline() == "line\n"
            told = client.info()
            assert (told.tx_kid, told.tx_kpos, told.tx_kval) == (2, 5, 6)
            assert client.suite is SuiteId.AES_CBC
            with client.dup() as copy:
                assert isinstance(copy, NSTKernelSocket)
                assert copy.info() == told
