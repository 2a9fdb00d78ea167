# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash triage: from a kernel's console log to a bug report one can act on.

The lower half knows nothing of campaigns and works on any console log:

    lines       bytes to lines, each with the task or CPU that printed it
    formats     what the kernel's reports look like, as a table
    noise       what looks like one and is none
    functions   which functions never name a bug, as a table
    frames      the stack
    blame       the function that a report is about
    read        all reports of a log
"""
