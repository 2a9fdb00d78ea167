# SPDX-License-Identifier: GPL-2.0-or-later
"""A host in user space: bare Ethernet frames in and out, without root.

`ethernet`, `ip`, `udp` and `tcp` build and parse; `host` answers the guest's
address resolution and hands out what arrives; `connection` is a TCP endpoint
that leaves every segment to its caller.
"""
