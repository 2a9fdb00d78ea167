# SPDX-License-Identifier: GPL-2.0-or-later
"""Mixed load for a long time, in a guest whose kernel watches the module."""
