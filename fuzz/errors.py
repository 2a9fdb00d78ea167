# SPDX-License-Identifier: GPL-2.0-or-later
"""The error that a user of the tools is meant to read."""


class UserError(Exception):
    """Something the user can act on; its text is one line, or a line and a log.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2
