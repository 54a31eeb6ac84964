"""Help pages: what a command does, and its options."""

from typing import Final

CATALOG: Final[dict[str, str]] = {}
