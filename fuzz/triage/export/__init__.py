# SPDX-License-Identifier: GPL-2.0-or-later
"""What a bug is handed on as: a reproducer, a report for people, and files for machines."""
