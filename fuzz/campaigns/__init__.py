# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns: what is sent to the module, built on boofuzz.

`primitives` and `record` are the grammar's parts (`record.SealedRecord` seals what
its children say, after they were mutated), `steps` turns them into what happens on
the wire, `dgram` and `stream` are the campaigns, `session` decides which mutations
run in which order, and `runner` runs it all against a guest.
"""
