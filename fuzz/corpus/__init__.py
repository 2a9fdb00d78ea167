# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that took new edges, kept, and cases made by changing them.

`lifted` is a case in which records are what they seal, so that they can be sealed anew;
`lift` makes it of a case's bytes, `entry` stores it, `keeper` decides which to keep;
`mutate` changes it, and `mutants` is the campaign that does.
"""
