"""Benchmarks: each prints the figures that README quotes, and keeps them in ``bench/results``."""
