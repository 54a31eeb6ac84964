"""Replay: what a policy would have decided about counts that were kept, before it guards real users.

A source gives what was counted (CSV of windows, a recording of raw counters, Prometheus' own answers, a decision
record); the course runs a whole ramp over it with the code that guards live ramps: the same judges, the same watch and
the same planner. Only the clock and the world are missing: a step is served at once, or when the recorded ramp served
it.
"""
