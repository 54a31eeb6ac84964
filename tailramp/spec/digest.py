"""The digest that pins what a ramp was started with."""

import hashlib
import json


def digest_of(value: object) -> str:
    """SHA-256, in hexadecimal, of plain data in its one canonical JSON form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
