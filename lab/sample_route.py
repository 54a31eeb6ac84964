"""A route with the slots blue and green, as the tests of several parts speak of it."""

from lab.user_population import users_in
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketFunction, BucketSet

SALT = "demo-2026"


def on_green(buckets: str, default: str = "blue", slot: str = "green") -> Assignment:
    """Users of ``buckets``, such as ``00-04``, on green, or another ``slot``, and all others on ``default``."""
    return Assignment(default=default, rules=(Rule(slot=slot, buckets=BucketSet.parse(buckets)),))


def user_in(bucket: str, salt: str = SALT) -> str:
    """A user id whose bucket this is."""
    (user,) = users_in(bucket, BucketFunction(salt), 1)
    return user
