"""``tailramp doctor``: the surroundings of a route, looked at from here, each finding with its mend."""
