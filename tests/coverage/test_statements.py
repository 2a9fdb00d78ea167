# SPDX-License-Identifier: GPL-2.0-or-later
"""Statements that ask nothing, told from those that do."""

from __future__ import annotations

from fuzz.coverage.lines import Line
from fuzz.coverage.statements import unconditional

_SOURCE = """\
#define LIMIT(x) ((x) > 3 ? 3 : \\
\t(x))
int f(struct s *s)
{
\tint a = g(s->first,
\t\t  s->second);
\tbool b = a &&
\t\t h(s);

\tfor (i = 0; i < 3; i++)
\t\tk(s);
\tputs("if (a) b;");\t/* while (true) */
\tif (a)
\t\treturn 1;
\treturn max(a,
\t\t   b);
}
"""


def test_only_statements_without_a_condition_ask_nothing() -> None:
    lines = unconditional(_SOURCE)
    assert lines & set(range(5, 17)) == {5, 6, 12, 15, 16}


def test_what_they_have_is_counted_apart() -> None:
    line = Line(3, [2, 0])
    line.asks_nothing()
    assert (line.branches, line.made) == ([], [2, 0])
