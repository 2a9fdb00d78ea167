# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the module's code has run: lines and branches (gcov), and edges.

`guest` asks a guest, `gcov` reads what gcov counted, `lines` adds it up, `areas` says
which files are whose business, `unreached` explains lines that no campaign reaches;
`table` and `html` show it.
"""
