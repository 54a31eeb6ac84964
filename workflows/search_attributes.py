"""The four search attributes of a ramp: the one list from which worker, lab and command line register them.

Their values are never encrypted: no user id and no secret may stand in them.
"""

from typing import Any, Final

from temporalio.common import SearchAttributeKey

PHASE: Final = SearchAttributeKey.for_keyword("RampPhase")
ROUTE: Final = SearchAttributeKey.for_keyword("RampRoute")
REASON: Final = SearchAttributeKey.for_keyword("RampReason")
SHARE: Final = SearchAttributeKey.for_int("RampShare")

ALL: Final[tuple[SearchAttributeKey[Any], ...]] = (PHASE, ROUTE, REASON, SHARE)
"""``RampShare`` is in whole percent of the identified users."""
