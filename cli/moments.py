"""Moments as commands write them: in UTC for programs, by the clock on the wall for people."""

from datetime import UTC, datetime


def iso(at: int | None) -> str | None:
    """Unix time ``at`` in ISO 8601."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def clock(at: int, form: str) -> str:
    """Unix time ``at`` in this machine's time zone, by a format such as ``%H:%M:%S``."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime(form)
