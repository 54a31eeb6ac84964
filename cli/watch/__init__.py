"""A ramp that is followed: a live picture on a terminal, one line per change everywhere else."""
