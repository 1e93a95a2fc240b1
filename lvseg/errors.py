"""The ways in which a user's input can be wrong or doubtful, each told in one sentence."""

from __future__ import annotations


class LvsegError(Exception):
    """Base of every error that a user can mend; the command line prints it and exits with status 2."""


class DataError(LvsegError):
    """A file or folder can't be used: the message names it, says what is wrong and what to do."""


class ConfigError(LvsegError):
    """A choice doesn't exist or can't be combined: the message names it and lists what can be chosen."""


class DataWarning(UserWarning):
    """A file can be used, but something in it should be known: the message names it, says what was found and taken."""
