"""Deterministic Temporal code: the ramp and its messages.  Nothing here touches the world."""
