# SPDX-License-Identifier: Apache-2.0
"""Subcommands of ``meta-repo``: each module here gives one ``command`` (a click command).

A module ``validate_config`` is the subcommand ``validate-config``. Heavy imports stand inside the
functions, so that ``--help`` stays fast.
"""
