"""What commands say: labels, tables and answers."""

from typing import Final

CATALOG: Final[dict[str, str]] = {}
