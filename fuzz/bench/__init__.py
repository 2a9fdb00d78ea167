# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the Python side is, against peers measured in the same run."""
