"""Who is acting: the name that is written beside every message of a person."""

import getpass
import socket


def asserted_actor() -> str:
    """``user@host`` as this machine says.  Nobody has checked it: records call such a name asserted."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user id
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
