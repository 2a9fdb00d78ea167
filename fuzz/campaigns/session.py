# SPDX-License-Identifier: GPL-2.0-or-later
"""boofuzz's session, told which cases to run and spared what costs time.

As shipped, boofuzz commits to its own database for every step, counts all mutations
anew for every case, sleeps after failures and skips what fails often. What is
recorded and restarted here is the runner's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from boofuzz import IFuzzLogger, Session, Target
from boofuzz.fuzz_logger import FuzzLogger
from boofuzz.mutation_context import MutationContext
from boofuzz.protocol_session import ProtocolSession

from fuzz.campaigns.plan import Planned
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.values import CaseValues

_NEVER = 1 << 62


class CampaignSession(Session):  # type: ignore[misc]
    """Runs planned cases against a target."""

    def __init__(
        self,
        requests: Iterable[CaseRequest],
        target: Target,
        *,
        cases: Iterable[Planned],
        values: Callable[[str], CaseValues],
    ) -> None:
        """`values` gives the values of a case by its name; `cases` ends the session."""
        super().__init__(
            db_filename=":memory:",
            fuzz_loggers=[],
            web_port=None,
            keep_web_open=False,
            crash_threshold_request=_NEVER,
            crash_threshold_element=_NEVER,
            restart_sleep_time=0,
            receive_data_after_each_request=False,
            reuse_target_connection=True,
        )
        # Without boofuzz's own database, which Session always puts first.
        self._fuzz_data_logger = FuzzLogger(fuzz_loggers=[])
        self._cases = cases
        self._values = values
        self._paths: dict[str, list[Any]] = {}
        for request in requests:
            self._paths[request.name] = [self.connect(request, callback=self._give_values)]
        self.add_target(target)
        self.planned: Planned | None = None

    def num_mutations(self, max_depth: int | None = None) -> None:
        """boofuzz's hook: unknown, a plan has no end."""
        self.total_num_mutations = None

    def _generate_mutations_indefinitely(
        self,
        max_depth: int | None = None,
        path: object = None,
    ) -> Iterator[MutationContext]:
        for planned in self._cases:
            self.planned = planned
            self.fuzz_node = planned.request
            self.total_mutant_index += 1
            yield MutationContext(
                message_path=self._paths[planned.request.name],
                mutations={m.qualified_name: m for m in planned.mutations},
            )

    def _give_values(
        self,
        target: Target,
        fuzz_data_logger: IFuzzLogger,
        session: Session,
        *,
        test_case_context: ProtocolSession,
        **_: object,
    ) -> None:
        test_case_context.session_variables = self._values(self.current_test_case_name)


def context_of(planned: Planned, values: CaseValues) -> MutationContext:
    """What renders a planned case outside of a session."""
    return MutationContext(
        mutations={m.qualified_name: m for m in planned.mutations},
        protocol_session=ProtocolSession(session_variables=values),
    )
