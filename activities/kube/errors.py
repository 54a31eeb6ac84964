"""What the API server's refusals mean to a writer."""

from tailramp.errors import Refused, Unreachable


class NotFound(Refused):
    """There is no such object, or its namespace or kind is gone."""


class Changed(Refused):
    """Somebody else has written since the object was read, or made it first: read it again."""


class Expired(Unreachable):
    """The API server has forgotten what this goes on from: begin anew."""


class Denied(Refused):
    """The API server will not do it however often it is asked: a missing permission, an admission rule, a bad field.

    ``causes`` are the reasons that it names beside its sentence, such as ``NamespaceTerminating``.  ``for_good`` is
    False for a permission: a server that has just started answers before it has read who may do what, and forbids
    everything to everybody for a few seconds; and for credentials, since others may be in their place soon.
    """

    def __init__(self, message: str, causes: frozenset[str] = frozenset(), *, for_good: bool = True) -> None:
        super().__init__(message)
        self.causes = causes
        self.for_good = for_good
