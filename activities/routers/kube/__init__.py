"""Routers that write objects of the Kubernetes API.

One engine reads, writes, fences and clears; what an assignment looks like in one kind of object is a planner's
business, and planners are pure.  The route record is a Lease beside the objects.
"""

from activities.routers.kube.binding import Binding, binding_of
from activities.routers.kube.engine import KubernetesRouter
from activities.routers.kube.record_lease import LeaseRoute, lease_records

__all__ = ["Binding", "KubernetesRouter", "LeaseRoute", "binding_of", "lease_records"]
