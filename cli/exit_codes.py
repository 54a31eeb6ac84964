"""What the exit code of a command says; scripts and CI depend on it, so a number never changes its meaning."""

from enum import IntEnum


class ExitCode(IntEnum):
    """See each member.  An interrupt (Ctrl-C) and a reader that went away (a broken pipe) end with INTERNAL_ERROR."""

    DONE = 0
    """Done.  For commands that wait: the target is reached."""
    INTERNAL_ERROR = 1
    """A defect in tailramp, or the command was cut off."""
    USAGE = 2
    """Wrong usage."""
    ROLLED_BACK = 3
    """The ramp was rolled back, and that is proven."""
    UNVERIFIED = 4
    """A rollback that is not verified yet, or a ramp that was ended from outside so that nobody verifies it."""
    REFUSED = 5
    """An invalid file, a lock, a failed preflight, a policy; or a finding of a command that looks for some."""
    UNREACHABLE = 6
    """A service that is needed does not answer."""
    STILL_RUNNING = 7
    """The ramp was still under way when the wait ended."""
    WAITING_FOR_PERSON = 8
    """As STILL_RUNNING, and it will not go on until somebody acts."""
