# SPDX-License-Identifier: GPL-2.0-or-later
"""What boofuzz's primitives are rendered with.

boofuzz's own session is not used: it commits to its own database for every step, counts all
mutations anew for every case, sleeps after failures and skips what fails often, and it waits
for every case before it renders the next.
"""

from __future__ import annotations

from boofuzz.mutation_context import MutationContext
from boofuzz.protocol_session import ProtocolSession

from fuzz.campaigns.plan import Planned
from fuzz.campaigns.values import CaseValues


def context_of(planned: Planned, values: CaseValues) -> MutationContext:
    """What renders a planned case outside of a session."""
    return MutationContext(
        mutations={m.qualified_name: m for m in planned.mutations},
        protocol_session=ProtocolSession(session_variables=values),
    )
