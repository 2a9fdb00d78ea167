# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that receives in a campaign's guest, and what is said to it.

`nst_target.c` runs in the guest; `build` compiles it, `wire` is its message
format, `client` talks to it over a guest's raw-frame network.
"""
