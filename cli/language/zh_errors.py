"""Errors: what is wrong, and the mend."""

from typing import Final

CATALOG: Final[dict[str, str]] = {}
