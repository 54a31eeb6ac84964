"""``tailramp plan``: what a ramp would do, to whom, what it could tell in time, and what it would write."""
