#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Echo over NST datagrams: the server answers each, the client sends one and prints the answer.

nst-echo.py 127.0.0.1 48879 &           server
nst-echo.py 127.0.0.1 48879 hello       client
"""

from __future__ import annotations

import socket
import sys

from nst_scapy.kernel import NSTKernelSocket


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print("usage: nst-echo.py ADDRESS PORT [LINE]", file=sys.stderr)
        return 2
    address = sys.argv[1], int(sys.argv[2])
    with NSTKernelSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if len(sys.argv) == 3:
            sock.bind(address)
            while True:
                # Whoever sends what is not authentic is not heard of.
                data, peer = sock.recvfrom(65536)
                sock.sendto(data, peer)
        sock.settimeout(10)
        sock.connect(address)
        sock.send(sys.argv[3].encode())
        print(sock.recv(65536).decode())
        told = sock.info()
        print(f"suite {told.tx_cipher_id}, kid {told.tx_kid}, {told.tx_counter} records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
