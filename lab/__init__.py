"""A one-machine world of real servers: Temporal, Prometheus, a gateway, model servers and their users.

The demo, the end-to-end tests and the benchmarks run against these. Nothing that tailramp exists to talk to is imitated
where the real program can run. Importing this package costs nothing and needs only the standard library, because
`python -m lab.programs` runs in a virtual environment into which nothing has been installed yet.
"""
