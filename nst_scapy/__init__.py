# SPDX-License-Identifier: GPL-2.0-or-later
"""NST: record codec, key box, receiver model and Scapy layer.

The codec and the receiver model are sans-IO: bytes in, records and verdicts
out. They import neither Scapy nor sockets; :mod:`nst_scapy.layer` does.
"""
