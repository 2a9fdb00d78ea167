# SPDX-License-Identifier: GPL-2.0-or-later
"""What tells a good case from a finding.

`console` knows kernel reports, `clock` bounds the guest's time, `counters` reads the
module's verdict counters, `shadow` keeps the receiver model in step with the module,
and `compare` sets the two side by side.
"""
