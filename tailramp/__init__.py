"""The domain of tailramp: what a ramp is, decides and promises, as pure code.

Nothing here knows a network, a clock or Temporal, so that every decision can be tested as a table and replayed from a
record.  The packages around it observe the world (``activities``), run the decisions durably (``workflows``) and show
them to people (``cli``).
"""

__version__ = "0.1.0"
