# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU guests that run the NST kernel module.

Two shapes of guest stand on one launcher (`qemu.Qemu`):

* `target.TargetGuest`: a small initramfs and a raw-frame network, for campaigns.
* `hostroot.HostRootGuest`: sees the host's file system, for tests and people.

Kernels are named (`kernel.KERNELS`) and live in the user's cache with their
headers; `module.build_module` builds `nst.ko` for one of them.
"""
