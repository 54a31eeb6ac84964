"""Buckets: from a user id to a number of fixed width, sets of such numbers, and the pattern that a set compiles to."""

from tailramp.buckets.bucket_set import BucketSet
from tailramp.buckets.patterns import ENVOY_PROGRAM_SIZE, program_size
from tailramp.buckets.skew import Skew
from tailramp.buckets.strategies import BucketFunction, Resolution, Strategy, bucket_of

__all__ = [
    "ENVOY_PROGRAM_SIZE",
    "BucketFunction",
    "BucketSet",
    "Resolution",
    "Skew",
    "Strategy",
    "bucket_of",
    "program_size",
]
