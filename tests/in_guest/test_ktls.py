# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux's selftest of kTLS (tools/testing/selftests/net/tls.c), its data path, on AF_NST.

tests/guest/ktls.py builds it; NST_KTLS says where it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

VARIANT = "12_aes_gcm"
"""TLS has ciphers and versions; to AF_NST sockets they are all the same."""

RECORD_TYPES = "TLS's record types, told by control messages"
REKEYING = "TLS's key update; NST's epochs change by themselves"
TLS_OPTIONS = "options of TLS"
RAW_PEER = "writes TLS records through the bare socket; tests/in_guest does so with NST's"

NOT_FOR_NST = {
    "tls.splice_cmsg_to_pipe": RECORD_TYPES,
    "tls.splice_dec_cmsg_to_pipe": RECORD_TYPES,
    "tls.control_msg": RECORD_TYPES,
    "tls.control_msg_nomerge": RECORD_TYPES,
    "tls.data_control_data": RECORD_TYPES,
    "tls.getsockopt": TLS_OPTIONS,
    "tls.rekey": REKEYING,
    "tls.rekey_fail": REKEYING,
    "tls.rekey_peek": REKEYING,
    "tls.splice_rekey": REKEYING,
    "tls.rekey_peek_splice": REKEYING,
    "tls.rekey_getsockopt": REKEYING,
    "tls.rekey_poll_pending": REKEYING,
    "tls.rekey_poll_delay": REKEYING,
    "tls_basic.base_base": "a TLS layer without keys is TCP; there is no such NST socket",
    "tls_basic.bad_cipher": TLS_OPTIONS,
    "tls_basic.recvmsg_nopad_retry_iov": "TLS 1.3's padding",
    "tls_basic.rekey_rx": REKEYING,
    "tls_basic.rekey_tx": REKEYING,
    "tls_err.bad_rec": RAW_PEER,
    "tls_err.bad_auth": RAW_PEER,
    "tls_err.bad_in_large_read": RAW_PEER,
    "tls_err.bad_cmsg": RAW_PEER,
    "tls_err.timeo": RAW_PEER,
    "tls_err.poll_partial_rec": RAW_PEER,
    "tls_err.epoll_partial_rec": RAW_PEER,
    "tls_err.poll_partial_rec_async": RAW_PEER,
    "global.non_established": "a TLS layer on a socket not connected",
    "global.keysizes": TLS_OPTIONS,
    "global.no_pad": TLS_OPTIONS,
    "global.tls_v6ops": "looks for TLS's operations on an IPv6 socket",
    "global.prequeue": "sends through TCP first, then turns it into TLS",
}


@pytest.fixture(scope="module")
def program() -> str:
    """The selftest."""
    path = os.environ.get("NST_KTLS")
    if path is None:
        pytest.skip("NST_KTLS does not say where the selftest is")
    return path


def listed(program: str) -> set[str]:
    """FIXTURE.TEST of all its tests."""
    # Its exit status says that tests were skipped: all of them.
    done = subprocess.run([program, "-l"], capture_output=True, text=True, check=False)
    names, fixture = set(), ""
    for line in (done.stdout + done.stderr).splitlines():
        if line.startswith(("#", "-")) or not line.strip():
            continue
        if not line[0].isspace():
            fixture = line.split()[0]
        names.add(f"{fixture}.{line.split()[-1]}")
    return names


@pytest.mark.usefixtures("fresh_namespace")
def test_data_path(program: str) -> None:
    # One of the tests sends 4097 records of a byte before it receives: NST's are longer.
    Path("/proc/sys/net/ipv4/tcp_wmem").write_text("4096 4194304 4194304\n")
    everything = listed(program)
    assert everything >= NOT_FOR_NST.keys()
    applicable = {name for name in everything - NOT_FOR_NST.keys() if name.startswith("tls.")}
    assert applicable == everything - NOT_FOR_NST.keys()
    # It makes unnamed files where it is and in /tmp, which 9p cannot.
    copy = shutil.copy(program, "/run/nst-ktls")
    in_tmpfs = 'mount -t tmpfs none /tmp && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", in_tmpfs, "sh", copy]
    for name in sorted(applicable):
        fixture, test = name.split(".")
        command += ["-r", f"{fixture}.{VARIANT}.{test}"]
    done = subprocess.run(
        command,
        cwd="/run",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    passed = set(re.findall(rf"^ok \d+ (tls)\.{VARIANT}\.(\w+)$", done.stdout, re.MULTILINE))
    assert {".".join(found) for found in passed} == applicable
