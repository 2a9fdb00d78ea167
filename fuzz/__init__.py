# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzing and testing the NST kernel module in QEMU guests."""
