# SPDX-License-Identifier: GPL-2.0-or-later
"""What looks like a report and is none, and how a boot begins."""

from __future__ import annotations

import re

HARMLESS = re.compile(
    r"INFO: lockdep is turned off|INFO: Stall ended before state dump start|"
    r"INFO: .*(?:handler|interrupt).*took too long|"
    r"INFO: NMI handler|INFO: recovery |INFO: .* kthread starved|"
    r"WARNING: (?:You are running|Spectre|MDS|Unprivileged|The mand mount|no console|"
    r"speculation|RETBleed|module |.*(?i:deprecated|obsolete|unsupported|experimental|insecure))|"
    r"WARNING: (?:See https?:|kernel not compiled with|/etc/ssh/|workqueue cpumask:|"
    r"fbcon: Driver .* missed to adjust)|"
    r"general protection fault .*error:\d+ in |"
    r"WARNING: CPU: \d+ PID: 0 at arch/x86/mm/ioremap|"
    r"WARNING: .*(?i:mand mount option|wireless extensions)"
)
"""Lines that healthy kernels print though the words are a report's."""

OF_A_DISK = re.compile(r"(?:EXT4-fs|XFS)(?: \([^)]*\))?: $", re.IGNORECASE)
"""Before a warning: it is about what is on a disk, not about the kernel."""

INTRUDERS = re.compile(
    r"FAULT_INJECTION: forcing|allocation failure: |FAULT_FLAG_ALLOW_RETRY missing"
)
"""What is no report but prints a stack; amidst one, nobody knows whose stack it is."""

FIRMWARE = re.compile(
    r"SeaBIOS \(version|^UEFI firmware|early console in (?:extract_kernel|decompress)|"
    r"Decompressing Linux\.\.\.|EFI stub:|^U-Boot \d|GRUB |iPXE |"
    r"Probing EDD|Booting from |BdsDxe: |(?:SYS|ISO|EXT)LINUX |Starting kernel|KASLR|Loading Linux|"
    r"Booting the kernel\b|"
    r"Linux version \d+\.\d+"
)
"""How a boot begins."""
REBOOT_TITLE = "unexpected kernel reboot"
