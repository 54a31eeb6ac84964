"""What runs inside the data plane: code and configuration that a gateway loads to know a user's bucket.

It is rendered here, in Python, but it lives and fails in somebody else's process, on every request. So this package
imports nothing that needs a network, and what it renders is proven against the real gateways in tests/gateway.
"""
